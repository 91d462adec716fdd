/** Filters on hashed addresses, on computed attributes, and filters that nobody in his senses would send. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ask } from '../../../test/support/directory-questions.ts';
import { arbitraryFilter, octets } from '../../../test/support/message-arbitrary.ts';
import { addition, serveDirectory, testDirectory } from '../../../test/support/served-directory.ts';
import { parseFilter } from '../../ldap/filter.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import { Refusal } from '../refusal.ts';
import { compileFilter } from './filter.ts';

const BASE = 'dc=example,dc=org';
/** Never an address itself. */
const hash = (text: string): Buffer => Buffer.from(`h:${text.toLowerCase()}`.padEnd(16, '#').slice(0, 16));
const RECIPIENT = `cn=r,${BASE}`;

const site = () =>
  serveDirectory({
    directory: {
      addressHasher: (assertion) => {
        const text = assertion.toString().replace(/^smtp:/i, '');
        return /^[^:]+@[^:]+$/.test(text) ? hash(text) : undefined;
      },
      virtualAttributes: [
        { attribute: 'posternResult', subtree: RECIPIENT, compute: () => [Buffer.from('OK')] },
        {
          attribute: 'posternLeaseState',
          subtree: BASE,
          compute: (entry) => (entry.isA('domain') ? [Buffer.from('free')] : []),
        },
      ],
    },
    entries: [
      addition(BASE, { objectClass: ['domain'] }),
      addition(RECIPIENT, { objectClass: ['posternRecipient'], posternAddress: [hash('ann@example.org')] }),
      addition(`cn=empty,${BASE}`, { objectClass: ['posternRecipient'] }),
    ],
  });

describe('hashed addresses', () => {
  it.each([
    ['(mail=ann@example.org)', 1],
    ['(mail=ANN@EXAMPLE.ORG)', 1],
    ['(proxyAddresses=smtp:ann@example.org)', 1],
    ['(proxyAddresses=SMTP:ann@example.org)', 1],
    ['(posternAddress=ann@example.org)', 1],
    ['(mail~=ann@example.org)', 1],
    ['(posternAddress:posternAddressMatch:=ann@example.org)', 1],
    ['(&(objectClass=posternRecipient)(|(mail=x@y.z)(mail=ann@example.org)))', 1],
    ['(proxyAddresses=x500:ann@example.org)', 0],
    ['(mail=bob@example.org)', 0],
    // What is stored is not what may be asserted.
    [`(posternAddress=${hash('ann@example.org').toString()})`, 0],
    ['(posternAddress:octetStringMatch:=h:ann@example.or)', 0],
    ['(:octetStringMatch:=h:ann@example.or)', 0],
    ['(mail:caseIgnoreIA5Match:=ann@example.org)', 1],
    ['(mail:caseIgnoreMatch:=ann@example.org)', 0],
    ['(mail=*)', 1],
    ['(proxyAddresses=*)', 1],
    ['(!(mail=*))', 2],
    ['(!(mail=bob@example.org))', 3],
    ['(!(mail=no address))', 0],
  ])('%s finds %i', async (text, count) => {
    await using served = await site();
    const { code, entries } = await ask(await served.client(), {
      filter: parseFilter(text),
      attributes: ['1.1'],
    });
    expect([code, Object.keys(entries).length]).toEqual([0, count]);
  });

  it.each([
    '(mail=a*)',
    '(proxyAddresses=*@example.org)',
    '(posternAddress=*a*)',
    '(mail>=a)',
    '(mail<=a)',
    '(|(cn=r)(!(mail=a*)))',
  ])('%s is inappropriate matching', async (text) => {
    await using served = await site();
    const { code, entries } = await ask(await served.client(), { filter: parseFilter(text) });
    expect([code, entries]).toEqual([RESULT_CODE.inappropriateMatching, {}]);
  });

  it('compare asks for the address as well', async () => {
    await using served = await site();
    const client = await served.client();
    const accept = Array.from({ length: 130 }, (_, n) => n);
    const compared = async (attribute: string, value: string): Promise<number> =>
      (await client.compare(RECIPIENT, attribute, Buffer.from(value), { accept }).result).operation.result
        .code;
    expect(await compared('mail', 'Ann@example.org')).toBe(6);
    expect(await compared('proxyAddresses', 'SMTP:ann@example.org')).toBe(6);
    expect(await compared('mail', 'bob@example.org')).toBe(5);
    expect(await compared('mail', 'no address')).toBe(RESULT_CODE.invalidAttributeSyntax);
  });
});

describe('computed attributes', () => {
  it.each([
    ['(posternResult=ok)', [RECIPIENT]],
    ['(posternResult=*)', [RECIPIENT]],
    ['(posternLeaseState=FREE)', [BASE]],
    ['(!(posternLeaseState=*))', [RECIPIENT, `cn=empty,${BASE}`]],
    ['(hasSubordinates=TRUE)', [BASE]],
    [`(entryDN=CN=R, ${BASE})`, [RECIPIENT]],
    ['(subschemaSubentry=cn=subschema)', [BASE, RECIPIENT, `cn=empty,${BASE}`]],
    ['(createTimestamp>=99991231235959Z)', []],
    ['(modifyTimestamp<=99991231235959Z)', [BASE, RECIPIENT, `cn=empty,${BASE}`]],
    ['(creatorsName=CN=system)', [BASE, RECIPIENT, `cn=empty,${BASE}`]],
  ])('%s', async (text, names) => {
    await using served = await site();
    const { entries } = await ask(await served.client(), { filter: parseFilter(text), attributes: ['1.1'] });
    expect(Object.keys(entries).sort()).toEqual([...names].sort());
  });

  it('cannot be written, and are shown when asked for', async () => {
    await using served = await site();
    const client = await served.client();
    const accept = Array.from({ length: 130 }, (_, n) => n);
    const change = {
      kind: 'replace' as const,
      attribute: { type: 'posternLeaseState', values: [Buffer.from('x')] },
    };
    const refused = await client.modify(BASE, [change], { accept }).result;
    expect(refused.operation.result.code).toBe(RESULT_CODE.constraintViolation);
    const seen = await ask(client, {
      base: RECIPIENT,
      filter: parseFilter('(cn=r)'),
      attributes: ['posternResult', 'cn'],
    });
    expect(seen.entries).toEqual({ [RECIPIENT]: { cn: ['r'], posternResult: ['OK'] } });
  });
});

it('any filter is answered or refused, and costs no more than its size', async () => {
  const directory = testDirectory();
  await directory.apply([addition(BASE, { objectClass: ['domain'], description: ['x'] })]);
  const name = fc.constantFrom(
    'cn',
    'description',
    'objectClass',
    'entryDN',
    'createTimestamp',
    'member',
    'x',
    '',
    'cn;;',
    '2.5.4.3',
    'integerMatch',
  );
  const view = directory.readEntry(BASE)?.view;
  if (view === undefined) throw new Error('no entry');
  const { database, computed, system, filterOptions } = directory;
  const context = {
    database,
    computed,
    session: system,
    view,
    id: 1,
    access: directory.access.view(system, 1),
  };
  fc.assert(
    fc.property(arbitraryFilter(name, octets), (filter) => {
      try {
        const matcher = compileFilter(filter, filterOptions);
        expect([0, 1, 2]).toContain(matcher.match(context));
        const offered = matcher.candidates(database);
        // An index offers at least every entry that matches.
        const found: number[] = [];
        if (offered?.collect(found) === true && matcher.match(context) === 1) expect(found).toContain(1);
      } catch (error) {
        expect(error).toBeInstanceOf(Refusal);
      }
    }),
    { numRuns: 500 },
  );
});
