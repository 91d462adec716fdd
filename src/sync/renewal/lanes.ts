/** What became of each generation of a pair, and when: for the time line. Pure; kept beside the pair's state, which forgets those that are over. */
import type { Generation, HubPair } from '../../credential/lifecycle/hub-pair.ts';

export interface Lane {
  readonly number: number;
  readonly madeAt: number;
  readonly effectiveAt: number;
  readonly expiresAt: number;
  /** A bind proved it. */
  readonly confirmedAt?: number | undefined;
  /** Its account on the edge was deleted, or has expired. */
  readonly goneAt?: number | undefined;
}

/** Two years and more of ordinary life would be 27; what is over interests for a while only. */
const MOST_LANES = 8;

/** The same array when nothing has changed. */
export function traced(lanes: readonly Lane[], pair: HubPair, now: number): readonly Lane[] {
  const kept = lanes.map((lane) => {
    const generation = pair.generations.find(({ number }) => number === lane.number);
    const over = generation === undefined || generation.gone;
    const { confirmedAt = generation?.confirmed === true ? now : undefined } = lane;
    const { goneAt = over ? now : undefined } = lane;
    return confirmedAt === lane.confirmedAt && goneAt === lane.goneAt
      ? lane
      : { ...lane, confirmedAt, goneAt };
  });
  const fresh = pair.generations
    .filter(({ number, gone }) => !gone && !lanes.some((lane) => lane.number === number))
    .map((generation) => begun(generation, now));
  const same = fresh.length === 0 && kept.every((lane, index) => lane === lanes[index]);
  return same ? lanes : [...kept, ...fresh].slice(-MOST_LANES);
}

function begun({ number, effectiveAt, expiresAt, confirmed }: Generation, now: number): Lane {
  // One that was made by an import begins when it is made.
  return {
    number,
    madeAt: Math.min(now, effectiveAt),
    effectiveAt,
    expiresAt,
    ...(confirmed ? { confirmedAt: now } : {}),
  };
}
