/**
 * The same entries in slapd and here, asked the same questions: results are compared entry by entry. What differs on purpose is left
 * out of the questions, with the clause that allows it.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ask,
  BASE,
  CONTAINERS,
  filter,
  leaf,
  PEOPLE,
  type Question,
} from '../../test/support/directory-questions.ts';
import { addition, type ServedDirectory, serveDirectory } from '../../test/support/served-directory.ts';
import { type Slapd, startSlapd } from '../../test/support/slapd.ts';
import { systemClock } from '../base/clock.ts';
import { Secret } from '../base/secret.ts';
import { connectLdap, type LdapClient } from '../ldap/client.ts';
import { formatFilter } from '../ldap/filter.ts';

let slapd: Slapd;
let served: ServedDirectory;
let theirs: LdapClient;
let ours: LdapClient;

beforeAll(async () => {
  slapd = await startSlapd({ suffix: BASE, ldif: `dn: ${BASE}\nobjectClass: domain\ndc: example\n` });
  served = await serveDirectory({ entries: [addition(BASE, { objectClass: ['domain'], dc: ['example'] })] });
  theirs = await connectLdap({ target: slapd.url, clock: systemClock });
  await theirs.bind(slapd.adminDn, new Secret(slapd.adminPassword));
  ours = await served.client();
  for (const { dn, attributes } of [...CONTAINERS, ...PEOPLE]) {
    const list = Object.entries(attributes).map(([type, values]) => ({
      type,
      values: values.map((v) => Buffer.from(v)),
    }));
    await theirs.add(dn, list).result;
    await ours.add(dn, list).result;
  }
});

afterAll(async () => {
  theirs?.destroy();
  await served?.[Symbol.asyncDispose]();
  await slapd?.[Symbol.asyncDispose]();
});

async function same(question: Question): Promise<void> {
  const [a, b] = await Promise.all([ask(theirs, question), ask(ours, question)]);
  expect({ question: formatFilter(question.filter), ...b }).toEqual({
    question: formatFilter(question.filter),
    ...a,
  });
}

describe('searches answered as slapd answers them', () => {
  it('one assertion at a time', async () => {
    await fc.assert(
      fc.asyncProperty(leaf, (f) => same({ filter: f, attributes: ['1.1'] })),
      { numRuns: 400 },
    );
  });

  it('composed filters', async () => {
    await fc.assert(
      fc.asyncProperty(filter, (f) => same({ filter: f, attributes: ['cn'] })),
      { numRuns: 150 },
    );
  });
});
