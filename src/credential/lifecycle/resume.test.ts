/** Killed between any two things, once or twice, on either side: the end is the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigurationDirectory } from '../../../test/simulation/configuration-directory.ts';
import { EdgeNode } from '../../../test/simulation/edge-node.ts';
import { type HubHooks, HubNode } from '../../../test/simulation/hub-node.ts';
import { EDGE_RULES, HUB_RULES } from './lifecycle.ts';
import { newHubPair } from './hub-pair.ts';
import { firstWindow } from '../schedule.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
const START = Date.UTC(2026, 10, 1);

/** A pair whose nodes are started again at once, at the same time of the clock. */
class Pair {
  now = START;
  ids = 0;
  readonly configuration: ConfigurationDirectory;
  readonly edge: EdgeNode;
  readonly hub: HubNode;

  constructor() {
    const nothing = (): void => undefined;
    this.edge = new EdgeNode(
      { now: () => this.now, clock: () => this.now, step: nothing, warn: nothing, note: nothing },
      EDGE_RULES,
    );
    const window = firstWindow(START);
    const record = { secret: 'first', ...window };
    this.configuration = new ConfigurationDirectory({
      own: new Map([[0, record]]),
      published: new Map([[0, { ...record, recordId: 'record of first' }]]),
    });
    this.edge.secrets.set('record of first', 'first');
    this.edge.handle({ type: 'record', number: 0, window, recordId: 'record of first' });
    const hooks: HubHooks = {
      now: () => this.now,
      clock: () => this.now,
      edgeClock: () => this.now,
      reaches: () => this.edge.alive,
      readsConfiguration: () => true,
      step: nothing,
      observe: nothing,
      id: () => `id ${this.ids++}`,
    };
    const pair = newHubPair('first instance', { number: 0, ...window });
    this.hub = new HubNode('hub', pair, this.configuration, false, this.edge, hooks, HUB_RULES);
  }

  /** Cycles until nothing is left to do, with a push after each. */
  settle(): void {
    for (let cycle = 0; cycle < 8; cycle++) {
      this.hub.cycle();
      this.#push();
      this.edge.handle({ type: 'cycle' });
      this.again();
      this.now += 5 * MINUTE;
    }
  }

  again(): void {
    while (!this.edge.alive || !this.hub.alive) {
      if (!this.edge.alive) this.edge.start();
      if (!this.hub.alive) this.hub.start();
    }
  }

  #push(): void {
    for (const [number, record] of this.configuration.contents.published) {
      this.edge.secrets.set(record.recordId, record.secret);
      const window = { effectiveAt: record.effectiveAt, expiresAt: record.expiresAt };
      this.edge.handle({ type: 'record', number, window, recordId: record.recordId });
    }
  }

  /** What must be the same. Windows but for the minutes between two cycles. */
  get end(): unknown {
    const minutes = (at: number): number => Math.round((at - START) / (60 * MINUTE));
    const lane = (one: { number: number; effectiveAt: number; expiresAt: number }): unknown => [
      one.number,
      minutes(one.effectiveAt),
      minutes(one.expiresAt),
    ];
    const { pair } = this.hub.state;
    return {
      hub: {
        phase: pair.phase,
        using: pair.using,
        fresh: pair.fresh,
        next: pair.nextNumber,
        generations: pair.generations.map((one) => [
          lane(one),
          one.own,
          one.published,
          one.confirmed,
          one.retiring,
        ]),
      },
      edge: {
        phase: this.edge.disk.phase,
        accounts: this.edge.disk.accounts.map((one) => [lane(one), one.proved]),
        needsFresh: this.edge.disk.needsFresh,
      },
      records: [
        [...this.configuration.contents.own.keys()],
        [...this.configuration.contents.published.keys()],
      ],
    };
  }
}

interface Scenario {
  readonly name: string;
  /** Without kills. */
  readonly before: (pair: Pair) => void;
  readonly run: (pair: Pair) => void;
}

const at =
  (day: number): ((pair: Pair) => void) =>
  (pair) => {
    pair.now = START + day * DAY;
  };

const scenarios: readonly Scenario[] = [
  { name: 'a successor is made', before: at(23), run: (pair) => pair.settle() },
  {
    name: 'a successor is made, used, and the old one deleted',
    before: at(23),
    run: (pair) => {
      for (const day of [23, 27, 30.1]) {
        at(day)(pair);
        pair.settle();
      }
    },
  },
  {
    name: 'rotate --now',
    before: at(5),
    run: (pair) => {
      pair.hub.run([{ type: 'rotate', now: true }]);
      pair.settle();
    },
  },
  {
    name: 'revoke of a successor',
    before: (pair) => {
      at(24)(pair);
      pair.settle();
    },
    run: (pair) => {
      pair.hub.run([{ type: 'revoke', number: 1 }]);
      pair.settle();
    },
  },
  { name: 'a recovery after sixty days', before: at(60), run: (pair) => pair.settle() },
  {
    name: 'a restored backup',
    before: (pair) => {
      pair.now += MINUTE;
      pair.settle();
      pair.settle();
      pair.hub.restore(30 * MINUTE);
      pair.hub.start();
    },
    run: (pair) => pair.settle(),
  },
  {
    name: 'a hub that leaves',
    before: (pair) => pair.settle(),
    run: (pair) => {
      pair.hub.run([{ type: 'end' }]);
      pair.settle();
    },
  },
];

function endOf(scenario: Scenario, kills: { hub?: readonly number[]; edge?: readonly number[] }): unknown {
  const pair = new Pair();
  pair.settle();
  scenario.before(pair);
  const [firstHub = Infinity, nextHub = Infinity] = kills.hub ?? [];
  const [firstEdge = Infinity, nextEdge = Infinity] = kills.edge ?? [];
  pair.hub.fuse.left = firstHub;
  pair.edge.fuse.left = firstEdge;
  const again = pair.again.bind(pair);
  pair.again = () => {
    if (!pair.hub.alive && Number.isFinite(firstHub)) pair.hub.fuse.left = nextHub;
    if (!pair.edge.alive && Number.isFinite(firstEdge)) pair.edge.fuse.left = nextEdge;
    again();
  };
  scenario.run(pair);
  pair.hub.fuse.left = Infinity;
  pair.edge.fuse.left = Infinity;
  pair.settle();
  return pair.end;
}

describe.each(scenarios)('$name', (scenario) => {
  const whole = endOf(scenario, {});

  it('ends as it should when the hub is killed at any point', () => {
    for (let point = 1; point < 70; point++)
      expect([point, endOf(scenario, { hub: [point] })]).toEqual([point, whole]);
  });

  it('ends as it should when the edge is killed at any point', () => {
    for (let point = 0; point < 40; point++)
      expect([point, endOf(scenario, { edge: [point] })]).toEqual([point, whole]);
  });

  it('ends as it should when both are killed, twice', () => {
    const point = fc.integer({ min: 1, max: 60 });
    fc.assert(
      fc.property(point, point, point, point, (hub, hubAgain, edge, edgeAgain) => {
        expect(endOf(scenario, { hub: [hub, hubAgain], edge: [edge, edgeAgain] })).toEqual(whole);
      }),
      { numRuns: 60, examples: [[1, 1, 1, 5]] },
    );
  });
});
