/** Every declared difference really occurs, exactly as declared; there are few. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compare, emptyHome } from './case.ts';
import type { Witness } from './difference.ts';
import { UNSEEN } from './difference-searches.ts';
import { DIFFERENCES } from './differences.ts';
import { PLANS } from './many.ts';
import { Pair } from './pair.ts';
import { add } from './request.ts';
import { type Outcome, run } from './run.ts';
import { runTransaction } from './transaction.ts';
import { HOME } from './vocabulary.ts';

describe('declared differences from slapd', () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.start();
  });
  afterAll(() => pair?.[Symbol.asyncDispose]());

  it('are at most twenty, each with a clause and a witness', () => {
    expect(DIFFERENCES.length).toBeLessThanOrEqual(20);
    for (const { clause, witnesses } of DIFFERENCES.filter((one) => one !== UNSEEN)) {
      expect(clause).toMatch(/^RFC \d{4} (§\d|appendix)/);
      expect(witnesses.length).toBeGreaterThan(0);
    }
    expect(new Set(DIFFERENCES.map(({ name }) => name)).size).toBe(DIFFERENCES.length);
  });

  it('the generated cases are at least a thousand', () => {
    const cases = Object.values(PLANS).reduce((sum, plan) => sum + plan.cases, 0);
    expect(cases).toBeGreaterThanOrEqual(1000);
  });

  const rows = DIFFERENCES.flatMap(({ name, clause, witnesses }) =>
    witnesses.map((witness, n): [string, number, string, Witness] => [clause, n + 1, name, witness]),
  );
  it.each(rows)('%s, case %i: %s', async (_clause, _n, _name, witness) => {
    await emptyHome(pair);
    const home = add(HOME, { objectClass: ['organizationalUnit'], ou: ['case'] });
    for (const asked of [home, ...witness.given])
      expect(compare(asked, await pair.both((client) => run(client, asked)))).toBeUndefined();
    const { asked } = witness;
    if (!('request' in asked)) {
      const planned = { updates: asked, commit: true, peek: false };
      const { slapd, ours } = await pair.both((client) => runTransaction(client, planned));
      expect([[slapd.end], [ours.end]]).toEqual([witness.slapd, witness.ours]);
      expect(ours).not.toEqual(slapd);
      return;
    }
    const both = await pair.both((client) => run(client, asked));
    const shown = ({ code, entries }: Outcome, like: readonly number[]): number[] =>
      like.length === 1 ? [code] : [code, Object.keys(entries).length];
    expect(shown(both.slapd, witness.slapd)).toEqual(witness.slapd);
    expect(shown(both.ours, witness.ours)).toEqual(witness.ours);
    expect(both.ours).not.toEqual(both.slapd);
  });
});
