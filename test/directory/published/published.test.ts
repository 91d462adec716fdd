/** The RFCs' own examples: we do what the document says, and slapd does the same unless a declared difference says otherwise. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compare, emptyHome } from '../differential/case.ts';
import { Pair } from '../differential/pair.ts';
import { add, person, search } from '../differential/request.ts';
import { runTransaction } from '../differential/transaction.ts';
import { run, sameName } from '../differential/run.ts';
import { HOME } from '../differential/vocabulary.ts';
import { PROTOCOL_CASES, type PublishedCase } from './cases.ts';
import { TEXT_CASES } from './text-cases.ts';
import { TRANSACTIONS } from './transaction-cases.ts';

const PUBLISHED = [...PROTOCOL_CASES, ...TEXT_CASES];

describe('published cases', () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.start();
  });
  afterAll(() => pair?.[Symbol.asyncDispose]());

  it.each(PUBLISHED.map((one): [string, PublishedCase] => [one.clause, one]))('%s', async (_clause, one) => {
    await emptyHome(pair);
    const home = add(HOME, { objectClass: ['organizationalUnit'], ou: ['case'] });
    for (const asked of [home, ...(one.given ?? [])]) {
      const both = await pair.both((client) => run(client, asked));
      expect(both.ours).toMatchObject({ code: 0 });
      expect(compare(asked, both)).toBeUndefined();
    }
    const both = await pair.both((client) => run(client, one.asked));
    expect(both.ours.code).toBe(one.code ?? 0);
    if (one.matchedDn !== undefined) expect(both.ours.matchedDn).toBe(one.matchedDn);
    if (one.finds !== undefined) {
      const wanted = one.finds.includes('*') ? undefined : one.finds.map((rdn) => sameName(`${rdn},${HOME}`));
      const names = Object.keys(both.ours.entries);
      if (wanted === undefined) expect(names).toHaveLength(1);
      else expect(names.toSorted()).toEqual(wanted.toSorted());
    }
    if (one.slapdDiffers === undefined) expect(compare(one.asked, both)).toBeUndefined();
    else expect(both.ours).not.toEqual(both.slapd);
  });

  it.each(TRANSACTIONS)('$clause', async ({ updates, commit, peek, outcome, slapdDiffers, left }) => {
    await emptyHome(pair);
    const given = [
      add(HOME, { objectClass: ['organizationalUnit'], ou: ['case'] }),
      person('a'),
      person('b'),
    ];
    for (const asked of given) await pair.both((client) => run(client, asked));
    const both = await pair.both((client) =>
      runTransaction(client, { updates, commit, peek: peek === true }),
    );
    expect(both.ours).toMatchObject(outcome);
    if (slapdDiffers === undefined) expect(both.ours).toEqual(both.slapd);
    else expect(both.ours).not.toEqual(both.slapd);
    const after = await pair.both((client) => run(client, search('(sn=*)', { base: HOME, scope: 'one' })));
    expect(Object.keys(after.ours.entries).toSorted()).toEqual(left.map((rdn) => `${rdn},${HOME}`));
    if (slapdDiffers === undefined) expect(after.ours).toEqual(after.slapd);
  });

  it('are of many documents', () => {
    const documents = new Set(PUBLISHED.map(({ clause }) => clause.slice(0, 8)));
    expect(PUBLISHED.length).toBeGreaterThan(90);
    expect(documents.size).toBeGreaterThanOrEqual(16);
  });
});
