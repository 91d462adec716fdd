/** What goes wrong in a simulated pair, and when: made from a seed for a whole site, or drawn by fast-check. Times are milliseconds from the start. */

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const YEAR = 365 * DAY;

export type Fault =
  /** `config-lag`: the replica of the configuration directory that the hub reads stands still; `push-down`: no push reaches the edge. */
  | {
      readonly kind:
        | 'edge-down'
        | 'hub-down'
        | 'link-down'
        | 'config-down'
        | 'config-lag'
        | 'push-down'
        | 'others-down';
      readonly at: number;
      readonly ms: number;
    }
  | { readonly kind: 'hub-skew' | 'edge-skew'; readonly at: number; readonly ms: number; readonly by: number }
  /** Killed at the `after`-th thing that it does from then on. */
  | { readonly kind: 'kill-hub' | 'kill-edge'; readonly at: number; readonly after: number }
  | { readonly kind: 'lost-write'; readonly at: number }
  | { readonly kind: 'restore-hub' | 'restore-edge'; readonly at: number; readonly age: number }
  /** A second hub starts from a copy of the disk that is `age` old. */
  | { readonly kind: 'clone'; readonly at: number; readonly age: number }
  | { readonly kind: 'rotate'; readonly at: number; readonly now: boolean }
  | { readonly kind: 'revoke'; readonly at: number; readonly side: 'hub' | 'edge' }
  | { readonly kind: 'end'; readonly at: number; readonly side: 'hub' | 'edge' };

export interface PairPlan {
  readonly name: string;
  readonly seed: number;
  /** Milliseconds. */
  readonly length: number;
  /** Whether other hubs carry this hub's records to the edge. Alone, a hub keeps the configuration directory itself. */
  readonly others: boolean;
  readonly faults: readonly Fault[];
}

/** A small generator with a seed (mulberry32): numbers in [0, 1). */
export type Draw = () => number;

export function drawFrom(...seeds: readonly number[]): Draw {
  let state = seeds.reduce((sum, seed) => Math.imul(sum ^ seed, 0x9e3779b1) ^ (sum >>> 15), 0x51ed27);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface SitePlan {
  readonly seed: number;
  readonly hubs: number;
  readonly edges: number;
  readonly years: number;
}

/** The faults of one pair of a site: those of its hub, of its edge, of the way between them, and of the configuration directory. */
export function planOfPair(site: SitePlan, hub: number, edge: number): PairPlan {
  const length = site.years * YEAR;
  const others = site.hubs > 1;
  const faults = [
    ...hubFaults(drawFrom(site.seed, 1, hub), length),
    ...edgeFaults(drawFrom(site.seed, 2, edge), length),
    ...wayFaults(drawFrom(site.seed, 3, hub, edge), length),
    ...configurationFaults(drawFrom(site.seed, 4), length),
  ].sort((a, b) => a.at - b.at);
  const name = `seed ${site.seed}, ${site.hubs} hubs, ${site.edges} edges: hub ${hub}, edge ${edge}`;
  return { name, seed: site.seed * 7919 + hub * 1009 + edge, length, others, faults };
}

const span = (draw: Draw, least: number, most: number): number =>
  Math.floor(least * (most / least) ** draw());

/** Stretches that take at most `share` of the time. */
function stretches(
  draw: Draw,
  length: number,
  share: number,
  least: number,
  most: number,
): { at: number; ms: number }[] {
  const found: { at: number; ms: number }[] = [];
  for (let left = length * share; ; ) {
    const ms = span(draw, least, most);
    if (ms > left) return found;
    left -= ms;
    found.push({ at: Math.floor(draw() * length), ms });
  }
}

function times(draw: Draw, length: number, perYear: number): number[] {
  return Array.from({ length: Math.round((perYear * length) / YEAR) }, () => Math.floor(draw() * length));
}

function nodeFaults(draw: Draw, length: number, node: 'hub' | 'edge'): Fault[] {
  const down = stretches(draw, length, 0.055, HOUR, 60 * DAY);
  return [
    ...down.map((one): Fault => ({ kind: `${node}-down`, ...one })),
    // Some come back from a backup.
    ...down
      .filter(() => draw() < 0.2)
      .map(
        (one): Fault => ({
          kind: `restore-${node}`,
          at: one.at + one.ms,
          age: one.ms + span(draw, HOUR, 20 * DAY),
        }),
      ),
    ...times(draw, length, 0.5).map(
      (at): Fault => ({ kind: `restore-${node}`, at, age: span(draw, MINUTE, 40 * DAY) }),
    ),
    ...times(draw, length, 6).map(
      (at): Fault => ({ kind: `kill-${node}`, at, after: Math.floor(draw() * 40) }),
    ),
    // Tolerated: five minutes each way, so ten between two of them.
    ...times(draw, length, 6).map(
      (at): Fault => ({
        kind: `${node}-skew`,
        at,
        ms: span(draw, DAY, 100 * DAY),
        by: Math.round((draw() - 0.5) * 10 * MINUTE),
      }),
    ),
    ...stretches(draw, length, 0.005, HOUR, 3 * DAY).map(
      (one): Fault => ({
        kind: `${node}-skew`,
        ...one,
        by: (draw() < 0.5 ? -1 : 1) * span(draw, 21 * MINUTE, 80 * DAY),
      }),
    ),
  ];
}

function hubFaults(draw: Draw, length: number): Fault[] {
  const ends: Fault[] =
    draw() < 0.3 ? [{ kind: 'end', at: Math.floor(length * (0.3 + 0.65 * draw())), side: 'hub' }] : [];
  return [
    ...nodeFaults(draw, length, 'hub'),
    ...times(draw, length, 0.3).map((at): Fault => ({ kind: 'clone', at, age: span(draw, MINUTE, 2 * DAY) })),
    ...times(draw, length, 1).map((at): Fault => ({ kind: 'rotate', at, now: draw() < 0.5 })),
    ...times(draw, length, 0.4).map(
      (at): Fault => ({ kind: 'revoke', at, side: draw() < 0.5 ? 'hub' : 'edge' }),
    ),
    // A clock that runs ahead unseen: nobody is there to compare it with.
    ...times(draw, length, 0.7).flatMap((at): Fault[] => [
      { kind: 'link-down', at, ms: 4 * HOUR },
      { kind: 'hub-skew', at: at + MINUTE, ms: 3 * HOUR, by: span(draw, 25 * DAY, 80 * DAY) },
    ]),
    ...ends,
  ];
}

function edgeFaults(draw: Draw, length: number): Fault[] {
  const ends: Fault[] =
    draw() < 0.3 ? [{ kind: 'end', at: Math.floor(length * (0.3 + 0.65 * draw())), side: 'edge' }] : [];
  return [...nodeFaults(draw, length, 'edge'), ...ends];
}

function wayFaults(draw: Draw, length: number): Fault[] {
  return [
    ...stretches(draw, length, 0.03, 10 * MINUTE, 40 * DAY).map(
      (one): Fault => ({ kind: 'link-down', ...one }),
    ),
    ...stretches(draw, length, 0.03, HOUR, 30 * DAY).map((one): Fault => ({ kind: 'push-down', ...one })),
    ...stretches(draw, length, 0.2, HOUR, 100 * DAY).map((one): Fault => ({ kind: 'others-down', ...one })),
  ];
}

function configurationFaults(draw: Draw, length: number): Fault[] {
  return [
    ...stretches(draw, length, 0.02, 10 * MINUTE, 20 * DAY).map(
      (one): Fault => ({ kind: 'config-down', ...one }),
    ),
    ...stretches(draw, length, 0.01, 10 * MINUTE, 5 * DAY).map(
      (one): Fault => ({ kind: 'config-lag', ...one }),
    ),
    ...times(draw, length, 1.5).map((at): Fault => ({ kind: 'lost-write', at })),
  ];
}
