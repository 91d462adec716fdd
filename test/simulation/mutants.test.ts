/** Renewal rules are needed: without one of them, the simulation of a pair fails. The seed says which pair shows it. */
import { describe, expect, it } from 'vitest';
import { EDGE_RULES, HUB_RULES } from '../../src/credential/lifecycle/lifecycle.ts';
import type { PairPlan } from './plan.ts';
import { firstViolation, samplePairs } from './simulate.ts';
import { type Machines, WHOLE } from './world.ts';

const SEEN_BY: ReadonlyMap<string, number> = new Map([
  ['begin', 1000],
  ['clock-differs', 1000],
  ['contact', 1000],
  ['observe', 1000],
  ['kept', 1005],
  ['restored', 1000],
  ['confirmed', 1000],
  ['refused', 1000],
  ['installed', 1003],
  ['number-used', 1000],
  ['deleted', 1000],
  ['rotate-now', 1000],
  ['rotate', 1003],
  ['revoke', 1000],
  ['end', 1001],
  ['distrust', 1002],
  ['plan', 1000],
  ['prepare', 1000],
  ['switch', 1000],
  ['choose', 1000],
  ['unconfirmed', 1003],
  ['recover', 1000],
  ['refused-number', 1002],
  ['keep', 1000],
  ['publish', 1000],
  ['bind', 1000],
  ['install', 1000],
  ['prove', 1000],
  ['retire', 1000],
  ['withdraw', 1000],
  ['leave', 1001],
  ['suspended-bind', 1000],
  ['outside-window', 1000],
  ['two-instances', 1000],
  ['reused-counter', 1000],
  ['early-bind', 1000],
  ['fresh-bind', 1000],
  ['accept-bind', 1000],
  ['ended-record', 1009],
  ['known-record', 1000],
  ['install-record', 1000],
  ['install-not-allowed', 1000],
  ['other-install', 1000],
  ['recover-pair', 1000],
  ['delete-account', 1000],
  ['end-pair', 1000],
  ['revoke-account', 1001],
  ['resolve-pair', 1000],
]);

/** What the simulation does not show (yet), and why. They have tests in lifecycle/*.test.ts, most of them. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ['no-contact', 'without it a hub that is cut off recovers where others could have brought its successor'],
  ['local-failure', 'words of a warning only'],
  ['suspended', 'the request that follows is refused with the same code'],
  ['not-admitted', 'the request that follows is refused with the same code'],
  ['recovery-refused', 'words of a warning only'],
  ['left', 'the next bind says the same'],
  ['left-before', 'the answer to one message must be lost'],
  ['ended-bind', 'there is no account: it is refused with another code'],
  ['alive', 'each simulated cycle binds anew'],
  ['former-instance', 'only an edge that was restored from a backup has an account for a former instance'],
  ['former-restored', 'the same'],
  ['fresh-due', 'both sides must be interrupted within one cycle'],
  ['renewed-bind', 'four recoveries within these three years'],
  ['record-times', 'hubs make no such records; attackers may'],
  ['installed-before', 'not shown by these pairs'],
  ['install-number', 'not shown by these pairs'],
  ['install-times', 'not shown by these pairs'],
  ['install-fresh', 'not shown by these pairs'],
  ['recovery-allowed', 'not shown by these pairs'],
  ['recovery-in-use', 'not shown by these pairs'],
  ['recovery-exhausted', 'not shown by these pairs'],
  ['allow-recovery', 'not shown by these pairs'],
  ['delete-expired', 'not shown by these pairs'],
]);

function pairOf(seed: number): PairPlan {
  const site = { seed, hubs: seed % 2 === 0 ? 1 : 50, edges: 1000, years: 3 };
  return samplePairs(site, 1)[0] as PairPlan;
}

const without = (name: string): Machines => ({
  hub: HUB_RULES.filter((rule) => rule.name !== name),
  edge: EDGE_RULES.filter((rule) => rule.name !== name),
});

it.each([...new Set(SEEN_BY.values())])('with all rules nothing is violated (seed %d)', (seed) => {
  expect(firstViolation(pairOf(seed), WHOLE)).toBeUndefined();
});

describe('without the rule', () => {
  it.each([...SEEN_BY])('%s something is violated (seed %d)', (name, seed) => {
    expect(firstViolation(pairOf(seed), without(name))).toBeDefined();
  });

  it('each rule is in one of the lists', () => {
    const names = [...HUB_RULES, ...EDGE_RULES].map((rule) => rule.name);
    expect([...SEEN_BY.keys(), ...ELSEWHERE.keys()].sort()).toEqual(names.sort());
  });
});
