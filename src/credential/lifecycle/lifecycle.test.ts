import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EDGE_RULES, HUB_RULES, stepEdge, stepHub, transitionTables } from './lifecycle.ts';
import { type EdgeEvent, type EdgePair, newEdgePair } from './edge-pair.ts';
import { type HubEvent, type HubState, newHubPair, resumeHub } from './hub-pair.ts';
import { firstWindow } from '../schedule.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
const START = Date.UTC(2026, 10, 1);

function edgeAfter(
  events: readonly (readonly [number, EdgeEvent])[],
  from: EdgePair = newEdgePair(),
): EdgePair {
  return events.reduce((state, [at, event]) => stepEdge(state, event, START + at).state, from);
}

function hubAfter(events: readonly (readonly [number, HubEvent])[]): HubState {
  const first = resumeHub(newHubPair('a', { number: 0, ...firstWindow(START) }));
  return events.reduce((state, [at, event]) => stepHub(state, event, START + at).state, first);
}

const record = (number: number, at = 0): EdgeEvent => ({
  type: 'record',
  number,
  window: firstWindow(START + at),
  recordId: `record ${number}`,
});
const bind = (number: number, instance: string, counter: number): EdgeEvent => ({
  type: 'bind',
  number,
  instance,
  counter,
});
const last = (state: EdgePair, at: number, event: EdgeEvent): string =>
  stepEdge(state, event, START + at)
    .actions.map((action) =>
      action.type === 'bound'
        ? action.outcome
        : 'code' in action
          ? `${action.type} ${action.code}`
          : action.type,
    )
    .join(', ');

it('docs/credentials.md has the tables that are run', () => {
  const document = readFileSync(new URL('../../../docs/credentials.md', import.meta.url), 'utf8');
  const { hub, edge } = transitionTables();
  expect(document).toContain(hub);
  expect(document).toContain(edge);
});

it('every rule has a name of its own', () => {
  const names = [...HUB_RULES, ...EDGE_RULES].map((rule) => rule.name);
  expect(names).toEqual([...new Set(names)]);
});

describe('two instances on an edge', () => {
  // b took over from a with account 0; account 1 is still there, as after a restore of the edge.
  const state = edgeAfter([
    [0, record(0)],
    [0, record(1)],
    [0, bind(0, 'a', 5)],
    [MINUTE, bind(0, 'b', 1)],
  ]);

  it('a former one is refused while the present one is heard', () => {
    expect(last(state, 2 * MINUTE, bind(1, 'a', 6))).toBe('refused refused');
  });

  it('when the present one binds again, both are alive', () => {
    const suspected = edgeAfter([[2 * MINUTE, bind(1, 'a', 6)]], state);
    expect(last(suspected, 3 * MINUTE, bind(0, 'b', 2))).toBe(
      'warn credential.two-instances, refused two-instances',
    );
  });

  it('and when its session goes on', () => {
    const suspected = edgeAfter([[2 * MINUTE, bind(1, 'a', 6)]], state);
    expect(stepEdge(suspected, { type: 'alive' }, START + 3 * MINUTE).state.phase).toBe('suspended');
  });

  it('a session that goes on is heard', () => {
    const heard = edgeAfter([[10 * MINUTE, { type: 'alive' }]], state);
    expect(last(heard, 14 * MINUTE, bind(1, 'a', 6))).toBe('refused refused');
    expect(last(state, 14 * MINUTE, bind(1, 'a', 6))).toBe('warn credential.restored, reused');
  });

  it('one that is silent was replaced by a backup: fresh keys', () => {
    expect(last(state, 7 * MINUTE, bind(1, 'a', 6))).toBe('warn credential.restored, reused');
  });
});

describe('an edge', () => {
  it('refuses records outside what it takes on', () => {
    const window = { effectiveAt: START, expiresAt: START + 401 * DAY };
    expect(last(newEdgePair(), 0, { type: 'record', number: 0, window, recordId: 'long' })).toBe(
      'record-refused',
    );
    expect(last(newEdgePair(), 40 * DAY, record(0))).toBe('record-refused');
  });

  it('that wants fresh keys takes an old account for nothing else, until they have bound', () => {
    const reused = edgeAfter([
      [0, record(0)],
      [0, bind(0, 'a', 5)],
      [MINUTE, bind(0, 'a', 5)],
    ]);
    expect(last(reused, 2 * MINUTE, bind(0, 'b', 1))).toBe('reused');
    const fresh = edgeAfter(
      [
        [
          2 * MINUTE,
          {
            type: 'install',
            number: 1,
            window: firstWindow(START),
            recordId: 'record 1',
            session: 0,
            instance: 'b',
          },
        ],
      ],
      reused,
    );
    expect(last(fresh, 3 * MINUTE, bind(0, 'b', 2))).toBe('reused');
    expect(last(fresh, 3 * MINUTE, bind(1, 'b', 2))).toBe('drop-account, ok');
  });

  it('takes no more than sixteen accounts of a pair', () => {
    const full = edgeAfter(Array.from({ length: 20 }, (_, number) => [0, record(number)] as const));
    expect(full.accounts.length).toBe(16);
  });

  it('never installs again what was deleted', () => {
    const deleted = edgeAfter([
      [0, record(0)],
      [0, record(1)],
      [0, { type: 'revoke', number: 0 }],
    ]);
    expect(last(deleted, 0, record(0))).toBe('record-refused');
  });

  it('does not let a session delete its own account, nor one outside its window', () => {
    const two = edgeAfter([
      [0, record(0)],
      [0, record(1)],
    ]);
    expect(stepEdge(two, { type: 'delete', number: 0, session: 0 }, START).state.accounts.length).toBe(2);
    const late = edgeAfter([
      [0, record(0, 20 * DAY)],
      [0, record(1)],
    ]);
    expect(last(late, 30 * DAY - 1, { type: 'delete', number: 0, session: 1 })).toBe('drop-account');
    const tooLate = edgeAfter([[31 * DAY, { type: 'delete', number: 0, session: 1 }]], late);
    expect(tooLate.accounts.map((one) => one.number)).toEqual([0]);
  });

  it('counts a recovery once, however often its answer is lost, and no more than three', () => {
    let state = edgeAfter([[0, record(0)]]);
    for (let round = 1; round <= 4; round++) {
      const at = round * 40 * DAY;
      const request: EdgeEvent = {
        type: 'install',
        number: round,
        window: firstWindow(START + at),
        recordId: `record ${round}`,
        session: undefined,
        instance: 'a',
      };
      expect(last(state, at, request)).toBe(
        round < 4
          ? 'warn credential.recovered, installed, drop-account'
          : 'warn credential.recovery-exhausted, install-refused exhausted',
      );
      state = edgeAfter(
        [
          [at, request],
          [at, request],
        ],
        state,
      );
    }
    expect(state.recoveries).toBe(3);
    const allowed = edgeAfter([[160 * DAY, { type: 'allow-recovery' }]], state);
    const request: EdgeEvent = {
      type: 'install',
      number: 9,
      window: firstWindow(START + 160 * DAY),
      recordId: 'record 9',
      session: undefined,
      instance: 'a',
    };
    expect(last(allowed, 160 * DAY, request)).toBe('warn credential.recovered, installed, drop-account');
  });
});

describe('a hub', () => {
  const begin: HubEvent = { type: 'started', newInstance: 'b' };

  it('says why a successor is not confirmed', () => {
    const state = hubAfter([
      [23 * DAY, begin],
      [23 * DAY, { type: 'observed', own: [0], published: [0] }],
      [23 * DAY, { type: 'contacted', edgeNow: START + 23 * DAY }],
      [23 * DAY, { type: 'bound', number: 0, outcome: 'ok', highest: 0 }],
      [28 * DAY, { type: 'cycle', newInstance: 'c' }],
      [28 * DAY, { type: 'failed', reason: 'the configuration directory does not answer' }],
    ]);
    expect(state.pair.warnings).toEqual({
      'credential.unconfirmed': 'the configuration directory does not answer',
    });
    expect(state.pair.using).toBe(0);
  });

  it('counts each call before it makes it', () => {
    const begun = hubAfter([[0, begin]]);
    const step = stepHub(begun, { type: 'contacted', edgeNow: START }, START);
    expect(step.save).toBe(true);
    expect(step.actions).toEqual([{ type: 'bind', number: 0, instance: 'a', counter: 1 }]);
    expect(step.state.pair.counter).toBe(1);
  });

  it('names both clocks when they differ', () => {
    const state = hubAfter([
      [0, begin],
      [0, { type: 'contacted', edgeNow: START + 11 * MINUTE }],
    ]);
    expect(state.pair.warnings['clock.skew']).toBe(
      'the clock of this hub says 2026-11-01T00:00:00.000Z, that of the edge 2026-11-01T00:11:00.000Z',
    );
    const close = hubAfter([
      [0, begin],
      [0, { type: 'contacted', edgeNow: START - 10 * MINUTE }],
    ]);
    expect(close.pair.warnings).toEqual({});
  });

  it('makes a successor while the edge is away, for others to bring', () => {
    const state = hubAfter([
      [23 * DAY, begin],
      [23 * DAY, { type: 'unreachable', reason: 'no answer' }],
    ]);
    expect(state.pair.generations.map((one) => one.number)).toEqual([0, 1]);
  });

  it('that is suspended says so, and is active again when it is let in', () => {
    const refused = hubAfter([
      [0, begin],
      [0, { type: 'contacted', edgeNow: START }],
      [0, { type: 'refused', number: 0, code: 'two-instances' }],
    ]);
    expect([refused.pair.phase, Object.keys(refused.pair.warnings)]).toEqual([
      'suspended',
      ['credential.two-instances'],
    ]);
    const again = stepHub(refused, { type: 'bound', number: 0, outcome: 'ok', highest: 0 }, START).state;
    expect([again.pair.phase, again.pair.warnings]).toEqual(['active', {}]);
  });

  it('that leaves has left when the edge knows it no more', () => {
    const state = hubAfter([
      [0, { type: 'end' }],
      [0, { type: 'refused', number: 0, code: 'not-admitted' }],
    ]);
    expect([state.pair.phase, state.pair.warnings]).toEqual(['ended', {}]);
  });

  it('writes nothing to the disk when nothing changes', () => {
    const state = hubAfter([
      [0, begin],
      [0, { type: 'contacted', edgeNow: START }],
      [0, { type: 'bound', number: 0, outcome: 'ok', highest: 0 }],
    ]);
    expect(stepHub(state, { type: 'cycle', newInstance: 'c' }, START + MINUTE).save).toBe(false);
    expect(stepHub(state, { type: 'observed', own: [0], published: [0] }, START + MINUTE).save).toBe(false);
  });
});
