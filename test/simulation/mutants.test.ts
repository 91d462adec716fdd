/** Every rule is needed: without it the simulation of a pair fails, or, where it stops attackers that are not simulated, an edge answers otherwise. */
import { describe, expect, it } from 'vitest';
import { EDGE_RULES, HUB_RULES, stepEdge } from '../../src/credential/lifecycle/lifecycle.ts';
import { type EdgeEvent, newEdgePair } from '../../src/credential/lifecycle/edge-pair.ts';
import { DAY, type Fault, HOUR, MINUTE, type PairPlan } from './plan.ts';
import { planOfRun } from './run-plans.ts';
import { firstViolation } from './simulate.ts';
import { type Machines, WHOLE } from './world.ts';

const YEARS = 3;

function drawn(name: string, others: boolean, faults: readonly Fault[], seed = 7): PairPlan {
  return { name, seed, length: 75 * DAY, others, faults };
}

const unpushed: PairPlan = {
  ...drawn('nothing is pushed for 200 days', true, [{ kind: 'push-down', at: 5 * DAY, ms: 200 * DAY }]),
  length: 400 * DAY,
};

/** Found by drawing, and made as small as they are by leaving faults out (`shrink`). */
const PLANS: ReadonlyMap<string, PairPlan> = new Map([
  ['recovery-refused', unpushed],
  ['recovery-allowed', unpushed],
  ['recovery-exhausted', unpushed],
  ['allow-recovery', unpushed],
  [
    'renewed-bind',
    {
      ...drawn(
        'five long outages of the edge, and normal renewals between them',
        true,
        [0, 1, 2, 3, 4].map((index) => ({ kind: 'edge-down', at: (10 + 75 * index) * DAY, ms: 35 * DAY })),
      ),
      length: 400 * DAY,
    },
  ],
  [
    'left-before',
    drawn('a hub is killed when it has said that it leaves', true, [
      { kind: 'kill-hub', at: 10 * DAY - 1, after: 3 },
      { kind: 'end', at: 10 * DAY, side: 'hub' },
    ]),
  ],
  ['ended-record', drawn('removed on the edge', true, [{ kind: 'end', at: 10 * DAY, side: 'edge' }])],
  [
    'fresh-due',
    drawn(
      'a backup that is restored under a clock that is slow',
      true,
      [
        { kind: 'hub-skew', at: 2072037040, ms: 2919894851, by: -298176214 },
        { kind: 'restore-hub', at: 2641788850, age: 9429139 },
      ],
      14,
    ),
  ],
  [
    'install-number',
    drawn(
      'a restored backup, and an older copy',
      true,
      [
        { kind: 'restore-hub', at: 27 * DAY, age: 385812248 },
        { kind: 'clone', at: 2678324039, age: 2117788068 },
      ],
      20,
    ),
  ],
  [
    'install-fresh',
    drawn(
      'copies, and a lost write',
      true,
      [
        { kind: 'clone', at: 24 * DAY, age: 327086 },
        { kind: 'clone', at: 2315643025, age: 152144629 },
        { kind: 'lost-write', at: 27 * DAY },
      ],
      39,
    ),
  ],
  [
    'installed-before',
    drawn(
      'a push is faster than the answer',
      true,
      [
        { kind: 'lost-write', at: 24 * DAY },
        { kind: 'revoke', at: 27 * DAY, side: 'hub' },
        { kind: 'restore-hub', at: 27 * DAY, age: 382763382 },
      ],
      10030,
    ),
  ],
  [
    'refused-number',
    drawn(
      'revoked on both sides',
      false,
      [
        { kind: 'revoke', at: 2073583610, side: 'edge' },
        { kind: 'revoke', at: 27 * DAY, side: 'hub' },
      ],
      10063,
    ),
  ],
  [
    'former-restored',
    drawn(
      'restored twice, the second time to before the first',
      true,
      [
        { kind: 'restore-hub', at: 864605855, age: 940045854 },
        { kind: 'restore-hub', at: 2333654620, age: 2561596194 },
      ],
      20159,
    ),
  ],
]);

/** Seeds of `run.ts` whose pair, in its first three years, shows that a rule is missing. */
const SEEDS: ReadonlyMap<string, number> = new Map([
  ['begin', 1000],
  ['clock-differs', 1000],
  ['contact', 1000],
  ['no-contact', 1000],
  ['local-failure', 1002],
  ['observe', 1000],
  ['kept', 1008],
  ['restored', 1000],
  ['fresh-proved', 1006],
  ['confirmed', 1000],
  ['suspended', 1000],
  ['not-admitted', 1000],
  ['refused', 1000],
  ['installed', 1002],
  ['number-used', 1000],
  ['deleted', 1000],
  ['rotate-now', 1000],
  ['rotate', 1004],
  ['revoke', 1000],
  ['end', 1001],
  ['left', 1008],
  ['distrust', 1003],
  ['plan', 1000],
  ['prepare', 1000],
  ['switch', 1000],
  ['choose', 1000],
  ['unconfirmed', 1002],
  ['recover', 1000],
  ['keep', 1000],
  ['publish', 1000],
  ['bind', 1000],
  ['install', 1000],
  ['prove', 1000],
  ['retire', 1000],
  ['withdraw', 1000],
  ['leave', 1001],
  ['ended-bind', 1000],
  ['suspended-bind', 1000],
  ['outside-window', 1000],
  ['two-instances', 1000],
  ['reused-counter', 1000],
  ['early-bind', 1000],
  ['fresh-bind', 1000],
  ['accept-bind', 1000],
  ['known-record', 1000],
  ['install-record', 1000],
  ['install-not-allowed', 1000],
  ['other-install', 1000],
  ['recover-pair', 1000],
  ['delete-account', 1000],
  ['end-pair', 1000],
  ['revoke-account', 1001],
  ['resolve-pair', 1000],
  ['delete-expired', 1000],
]);

const START = Date.UTC(2026, 10, 1);
const window = (from: number): { effectiveAt: number; expiresAt: number } => ({
  effectiveAt: START + from,
  expiresAt: START + from + 30 * DAY,
});
const record = (number: number, from = 0): EdgeEvent => ({
  type: 'record',
  number,
  window: window(from),
  recordId: `record ${number}`,
});
const bind = (number: number, instance: string, counter: number): EdgeEvent => ({
  type: 'bind',
  number,
  instance,
  counter,
});
const request = (number: number, instance: string, from: number): EdgeEvent => ({
  type: 'install',
  number,
  window: window(from),
  recordId: `record ${number}`,
  session: undefined,
  instance,
});

type Script = readonly (readonly [number, EdgeEvent])[];

/** What an attacker, or a hub gone mad, may send, and the last answers with and without the rule. */
const SCRIPTS: ReadonlyMap<string, { script: Script; whole: string; without: string }> = new Map([
  [
    'alive',
    {
      script: [
        [0, record(0)],
        [0, bind(0, 'a', 1)],
        [4 * MINUTE, { type: 'alive' }],
        [8 * MINUTE, request(1, 'a', 0)],
      ],
      whole: 'install-refused in-use',
      without: 'warn credential.recovered, installed',
    },
  ],
  [
    'recovery-in-use',
    {
      script: [
        [0, record(0)],
        [0, bind(0, 'a', 1)],
        [4 * MINUTE, request(1, 'a', 0)],
      ],
      whole: 'install-refused in-use',
      without: 'warn credential.recovered, installed',
    },
  ],
  [
    'former-instance',
    {
      script: [
        [0, record(0)],
        [0, record(1)],
        [0, bind(0, 'a', 5)],
        [MINUTE, bind(0, 'b', 1)],
        [2 * MINUTE, bind(1, 'a', 6)],
        [3 * MINUTE, bind(0, 'b', 2)],
      ],
      whole: 'warn credential.two-instances, refused two-instances',
      without: 'bound reused',
    },
  ],
  [
    'record-times',
    {
      script: [
        [0, record(0, -40 * DAY)],
        [HOUR, { type: 'delete', number: 1, session: 0 }],
        [HOUR, record(0, -40 * DAY)],
      ],
      whole: 'record-refused',
      without: '',
    },
  ],
  [
    'install-times',
    {
      script: [[0, request(0, 'a', DAY)]],
      whole: 'install-refused clock',
      without: 'warn credential.recovered, installed',
    },
  ],
]);

const without = (name: string): Machines => ({
  hub: HUB_RULES.filter((rule) => rule.name !== name),
  edge: EDGE_RULES.filter((rule) => rule.name !== name),
});

function lastAnswers(script: Script, { edge }: Machines): string {
  let state = newEdgePair();
  let said = '';
  for (const [at, event] of script) {
    const step = stepEdge(state, event, START + at, undefined, edge);
    state = step.state;
    said = step.actions
      .map((action) =>
        [action.type, 'code' in action ? action.code : 'outcome' in action ? action.outcome : '']
          .join(' ')
          .trim(),
      )
      .join(', ');
  }
  return said;
}

describe('with all rules nothing is violated', () => {
  it.each([...new Set(SEEDS.values())])('seed %d', (seed) => {
    expect(firstViolation(planOfRun(seed, YEARS), WHOLE)).toBeUndefined();
  });

  it.each([...new Set(PLANS.values())])('$name', (plan) => {
    expect(firstViolation(plan, WHOLE)).toBeUndefined();
  });
});

describe('without the rule', () => {
  it.each([...SEEDS])('%s something is violated (seed %d)', (name, seed) => {
    expect(firstViolation(planOfRun(seed, YEARS), without(name))).toBeDefined();
  });

  it.each([...PLANS])('%s something is violated', (name, plan) => {
    expect(firstViolation(plan, without(name))).toBeDefined();
  });

  it.each([...SCRIPTS])('%s an edge answers otherwise', (name, { script, ...answers }) => {
    expect({
      whole: lastAnswers(script, WHOLE),
      without: lastAnswers(script, without(name)),
    }).toEqual(answers);
  });

  it('each rule is shown once', () => {
    const names = [...HUB_RULES, ...EDGE_RULES].map((rule) => rule.name);
    expect([...SEEDS.keys(), ...PLANS.keys(), ...SCRIPTS.keys()].sort()).toEqual(names.sort());
  });
});
