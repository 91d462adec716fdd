/** The credentials of a pair as people and scripts see them: plain data out of its state. Pure. */
import type { CredentialDocument, CredentialPairDocument } from '../../admin/documents.ts';
import { formatAccountName } from '../../credential/account-name.ts';
import type { Generation, HubPair, HubWarning } from '../../credential/lifecycle/hub-pair.ts';
import { latestOf } from '../../credential/schedule.ts';
import type { Lane } from '../../sync/renewal/lanes.ts';

export interface PairFacts {
  readonly hub: string;
  readonly edge: string;
  /** Undefined before the pair was looked at for the first time. */
  readonly pair: HubPair | undefined;
  readonly lanes: readonly Lane[];
  /** When it is looked at next. */
  readonly wakeAt: number;
}

/** The credential that is in use, else the latest that there is. */
export function currentCredential({
  hub,
  edge,
  pair,
}: Pick<PairFacts, 'hub' | 'edge' | 'pair'>):
  | { readonly userName: string; readonly expiresAt: number }
  | undefined {
  if (pair === undefined) return undefined;
  const using = pair.generations.find(({ number }) => number === pair.using);
  const current = using ?? latestOf(pair.generations.filter(({ gone, own }) => !gone && own !== 'missing'));
  return current && { userName: accountOf(hub, edge, current.number), expiresAt: current.expiresAt };
}

/** In the order of their numbers; with those that are over, as far as they are remembered. */
export function pairDocument(
  { hub, edge, pair, lanes, wakeAt }: PairFacts,
  now: number,
): CredentialPairDocument {
  const credentials = lanes.map((lane): CredentialDocument => {
    const generation = pair?.generations.find(({ number }) => number === lane.number);
    return {
      account: accountOf(hub, edge, lane.number),
      number: lane.number,
      state: pair === undefined ? 'over' : stateOf(generation, pair, lane, now),
      made: lane.madeAt,
      effective: lane.effectiveAt,
      expires: lane.expiresAt,
      ...(lane.confirmedAt === undefined ? {} : { confirmed: lane.confirmedAt }),
      ...(lane.goneAt === undefined ? {} : { gone: lane.goneAt }),
    };
  });
  const warnings = Object.entries(pair?.warnings ?? {}) as [HubWarning, string][];
  return {
    edge,
    state: pair?.phase ?? 'active',
    ...(Number.isFinite(wakeAt) ? { nextLook: wakeAt } : {}),
    credentials: credentials.sort((a, b) => a.number - b.number),
    warnings: warnings.map(([code, text]) => ({ code, text })),
  };
}

function stateOf(
  generation: Generation | undefined,
  pair: HubPair,
  lane: Lane,
  now: number,
): CredentialDocument['state'] {
  if (generation === undefined || generation.gone || now >= lane.expiresAt) return 'over';
  if (generation.number === pair.using && !generation.retiring) return 'in use';
  if (generation.retiring) return 'retiring';
  if (generation.own === 'missing') return 'lost';
  if (generation.number < (pair.using ?? 0)) return 'superseded';
  if (generation.confirmed) return 'ready';
  return generation.own === 'planned' ? 'planned' : 'on its way';
}

function accountOf(hub: string, edge: string, number: number): string {
  return formatAccountName({ kind: 'esra', edge, hub, number });
}
