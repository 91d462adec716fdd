/** Each rule is needed: without it, the simulation of some pair fails. */
import { describe, expect, it } from 'vitest';
import { EDGE_RULES, HUB_RULES } from '../../src/credential/lifecycle.ts';
import { samplePairs, simulatePair } from './simulate.ts';
import { type Machines, WHOLE } from './world.ts';

const YEARS = 3;
const plans = Array.from({ length: 14 }, (_, index) =>
  samplePairs({ seed: 1000 + index, hubs: index % 2 === 0 ? 1 : 50, edges: 1000, years: YEARS }, 1),
).flat();

/** What the simulation cannot see, and where it is tested instead. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([]);

const without = (name: string): Machines => ({
  hub: HUB_RULES.filter((rule) => rule.name !== name),
  edge: EDGE_RULES.filter((rule) => rule.name !== name),
});

/** The first violation, or none. A machine that runs wild is a violation, too. */
function firstViolation(rules: Machines): string | undefined {
  for (const plan of plans) {
    const found = simulatePair(plan, rules).violations[0];
    if (found !== undefined) return found.what;
  }
  return undefined;
}

it('with all rules nothing is violated', () => {
  for (const plan of plans) expect(simulatePair(plan, WHOLE).violations.slice(0, 3), plan.name).toEqual([]);
});

describe('without the rule', () => {
  const names = [...HUB_RULES, ...EDGE_RULES].map((rule) => rule.name);

  it.each(names.filter((name) => !ELSEWHERE.has(name)))('%s something is violated', (name) => {
    expect(firstViolation(without(name))).toBeDefined();
  });

  it('only rules that exist are tested elsewhere', () => {
    expect([...ELSEWHERE.keys()].filter((name) => !names.includes(name))).toEqual([]);
  });
});
