/** Server-side sorting (RFC 2891) through the protocol: orders, faults by criticality, pages, and what it may cost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { critical, found, optional } from '../../../test/support/directory-answers.ts';
import { BASE, bind, many, raw, search } from '../../../test/support/directory-requests.ts';
import { addition, ADMINISTRATOR, serveDirectory } from '../../../test/support/served-directory.ts';
import { runTool } from '../../../test/support/slapd.ts';
import { until } from '../../../test/support/until.ts';
import { systemClock } from '../../base/clock.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { CONTROL, EXTENDED } from '../../ldap/control.ts';
import {
  decodePagedResults,
  decodeSortResult,
  encodePagedResults,
  encodeSortRequest,
  type SortKey,
} from '../../ldap/control-values.ts';
import { encodeCancelRequest } from '../../ldap/extended-values.ts';
import { parseFilter } from '../../ldap/filter.ts';
import type { Control } from '../../ldap/message.ts';
import { RESULT_CODE, resultName } from '../../ldap/result-code.ts';
import { TRUSTED_LIMITS } from './limits.ts';

const key = (text: string): SortKey => {
  const [, minus = '', attribute = '', , orderingRule] = /^(-?)([^:]+)(:(.*))?$/.exec(text) ?? [];
  return { attribute, reverse: minus !== '', ...(orderingRule !== undefined && { orderingRule }) };
};
const by = (...keys: string[]): Buffer => encodeSortRequest(keys.map(key));
const sortedBy = (...keys: string[]): Control => critical(CONTROL.sortRequest, by(...keys));
const page = (size: number, cookie: Buffer = Buffer.alloc(0)): Control =>
  critical(CONTROL.pagedResults, encodePagedResults({ size, cookie }));
const answerOf = (controls: readonly Control[]): string | undefined => {
  const control = controls.find(({ oid }) => oid === CONTROL.sortResponse);
  if (control === undefined) return undefined;
  const { code, attribute } = decodeSortResult(control.value);
  return attribute === undefined ? resultName(code) : `${resultName(code)} ${attribute}`;
};
const cookieOf = (controls: readonly Control[]): Buffer =>
  Buffer.from(decodePagedResults(controls.find(({ oid }) => oid === CONTROL.pagedResults)?.value).cookie);

const people = {
  a: { sn: ['Zimmer', 'Apfel'], employeeNumber: ['10'], 'description;lang-de': ['x'] },
  b: { sn: ['birne'], employeeNumber: ['9'] },
  c: { sn: ['Citrone', 'blau'] },
  d: { sn: ['birne extra'], description: ['A', 'zz'] },
  e: { sn: ['Ähre'], description: ['b'] },
};
const entries = [
  addition(BASE, { objectClass: ['domain'] }),
  ...Object.entries(people).map(([cn, more]) =>
    addition(`cn=${cn},${BASE}`, { objectClass: ['inetOrgPerson'], ...more }),
  ),
];
const onPeople = { base: BASE, filter: parseFilter('(objectClass=person)'), attributes: ['1.1'] };
const letters = (names: readonly string[]): string => names.map((dn) => dn.charAt(3)).join('');

describe('orders', () => {
  it.each([
    ['the least value counts, case apart', ['sn'], 'abdce'],
    ['reversed', ['-sn'], 'ecdba'],
    ['case exactly, by name of the rule', ['sn:caseExactOrderingMatch'], 'acbde'],
    ['and by its OID', ['sn:2.5.13.6'], 'acbde'],
    ['a second key where the first is equal', ['description', '-cn'], 'deacb'],
    ['missing ones last', ['employeeNumber'], 'abcde'],
    ['missing ones first when reversed', ['-employeeNumber', 'cn'], 'cdeba'],
    ['options ask for what has them', ['description;lang-de', '-cn'], 'aedcb'],
    ['operational attributes', ['-entryCSN'], 'edcba'],
    ['by OID of the type', ['-2.5.4.3'], 'edcba'],
    ['when they were made, then by name', ['createTimestamp', '-cn'], 'edcba'],
  ])('%s', async (_name, keys, expected) => {
    await using served = await serveDirectory({ entries });
    const got = await found(await served.client(), onPeople, [sortedBy(...keys)]);
    expect([got.result, answerOf(got.controls)]).toEqual(['success', 'success']);
    expect(letters(got.names)).toBe(expected);
  });

  it('any integers, present or not, twice the same, either way', async () => {
    const row = fc.record({
      size: fc.option(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), { nil: undefined }),
      text: fc.option(fc.constantFrom('a', 'B', 'aa', 'b c', 'ü'), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 40 }), fc.boolean(), fc.boolean(), async (rows, x, y) => {
        await using served = await serveDirectory({
          entries: [
            addition(BASE, { objectClass: ['domain'] }),
            ...rows.map(({ size, text }, n) =>
              addition(`cn=${n},${BASE}`, {
                objectClass: ['person', 'extensibleObject'],
                sn: ['s'],
                ...(size !== undefined && { msExchRecipientTypeDetails: [String(size)] }),
                ...(text !== undefined && { title: [text] }),
              }),
            ),
          ],
        });
        const keys = [`${x ? '-' : ''}title`, `${y ? '-' : ''}msExchRecipientTypeDetails`];
        const got = await found(await served.client(), onPeople, [sortedBy(...keys)]);
        const compare = <T extends string | bigint>(
          a: T | undefined,
          b: T | undefined,
          reverse: boolean,
        ): number => {
          if (a === b) return 0;
          const less = b === undefined || (a !== undefined && a < b);
          return less === reverse ? 1 : -1;
        };
        const expected = rows
          .map((one, n) => ({ ...one, text: one.text?.toLowerCase(), n }))
          .sort((a, b) => compare(a.text, b.text, x) || compare(a.size, b.size, y) || a.n - b.n);
        expect(got.names).toEqual(expected.map(({ n }) => `cn=${n},${BASE}`));
      }),
      { numRuns: 40 },
    );
  });

  it('as ldapsearch asks', async () => {
    await using served = await serveDirectory({ entries });
    const ask = async (...more: string[]): Promise<string> => {
      const login = ['-x', '-D', ADMINISTRATOR.dn, '-w', ADMINISTRATOR.password, '-H', served.url];
      const options = [...login, '-LLL', '-b', BASE, ...more, '(objectClass=person)', '1.1'];
      const text = await runTool('ldapsearch', options);
      return [...text.matchAll(/^dn: cn=(.)/gm)].map(([, letter]) => letter).join('');
    };
    expect(await ask('-E', '!sss=sn')).toBe('abdce');
    expect(await ask('-E', '!sss=-sn')).toBe('ecdba');
    expect(await ask('-E', 'sss=sn:caseExactOrderingMatch')).toBe('acbde');
    expect(await ask('-E', 'sss=-employeeNumber/cn')).toBe('cdeba');
    expect(await ask('-E', '!sss=-sn', '-E', 'pr=2/noprompt')).toBe('ecdba');
  });

  it('an attribute that may not be searched puts nothing in order', async () => {
    await using served = await serveDirectory({
      entries,
      secrets: ['description'],
      accounts: { 'cn=half': { password: 'x', role: 'half' } },
      rules: [
        { roles: ['half'], subtree: BASE, attributes: ['objectClass'], rights: ['search'] },
        { roles: ['half'], subtree: BASE, attributes: ['cn', 'sn'], rights: ['read'] },
      ],
    });
    const plain = await found(await served.client(), onPeople);
    const secret = await found(await served.client(), onPeople, [sortedBy('-description')]);
    expect(secret.names).toEqual(plain.names);
    const half = await served.client({ name: 'cn=half', password: 'x' });
    expect((await found(half, onPeople, [sortedBy('-sn')])).names).toEqual(plain.names);
  });
});

describe('what cannot be sorted', () => {
  it.each([
    ['an unknown attribute', ['nothing'], 'noSuchAttribute nothing'],
    ['an unknown rule', ['sn:nothing'], 'inappropriateMatching sn'],
    ['a rule that orders nothing', ['sn:caseIgnoreMatch'], 'inappropriateMatching sn'],
    ['a rule of other values', ['cn', 'sn:integerOrderingMatch'], 'inappropriateMatching sn'],
    ['a type without order', ['jpegPhoto'], 'inappropriateMatching jpegPhoto'],
    ['a key given twice', ['cn', '-commonName'], 'unwillingToPerform commonName'],
    ['no key', [], 'unwillingToPerform'],
    ['hashed addresses', ['mail'], 'inappropriateMatching mail'],
    ['hashed addresses by their own name', ['posternAddress'], 'inappropriateMatching posternAddress'],
  ])('%s: critical fails, else it comes unsorted', async (_name, keys, fault) => {
    const addressHasher = (value: Buffer): Buffer => Buffer.alloc(16, value);
    await using served = await serveDirectory({ entries, directory: { addressHasher } });
    const client = await served.client();
    const refused = await found(client, onPeople, [sortedBy(...keys)]);
    expect([refused.result, refused.names]).toEqual(['unavailableCriticalExtension', []]);
    expect(refused.diagnostic).toMatch(/sort/);
    expect(answerOf(refused.controls)).toBe(fault);
    const unsorted = await found(client, onPeople, [optional(CONTROL.sortRequest, by(...keys))]);
    expect([unsorted.result, unsorted.names.length]).toEqual(['success', 5]);
    expect(answerOf(unsorted.controls)).toBe(fault);
  });

  it('a malformed value is a protocol error; where nothing is found nothing is said of the order', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const broken = await found(client, onPeople, [critical(CONTROL.sortRequest, Buffer.from('x'))]);
    expect(broken.result).toBe('protocolError');
    const nothing = { ...onPeople, filter: parseFilter('(cn=none)') };
    expect(answerOf((await found(client, nothing, [sortedBy('cn')])).controls)).toBeUndefined();
    const missing = await found(client, { ...onPeople, base: `cn=none,${BASE}` }, [sortedBy('cn')]);
    expect([missing.result, missing.controls]).toEqual(['noSuchObject', []]);
    const dse = await found(client, { base: '', scope: 'base' }, [sortedBy('cn')]);
    expect([dse.result, answerOf(dse.controls)]).toEqual(['success', 'success']);
  });

  it('too many results: critical fails, else all come, unsorted, in pages too', async () => {
    const limits = { ...TRUSTED_LIMITS, sortEntries: 20 };
    await using served = await serveDirectory({ entries: many(30), server: { limits: () => limits } });
    const client = await served.client();
    const all = { base: BASE, attributes: ['1.1'] };
    const refused = await found(client, all, [sortedBy('-cn')]);
    expect([refused.result, answerOf(refused.controls)]).toEqual([
      'unavailableCriticalExtension',
      'adminLimitExceeded',
    ]);
    const wish = optional(CONTROL.sortRequest, by('-cn'));
    const plain = await found(client, all);
    const unsorted = await found(client, all, [wish]);
    expect([unsorted.names, answerOf(unsorted.controls)]).toEqual([plain.names, 'adminLimitExceeded']);
    const paged: string[] = [];
    for (let cookie = Buffer.alloc(0), first = true; first || cookie.length > 0; first = false) {
      const got = await found(client, all, [wish, page(7, cookie)]);
      expect(answerOf(got.controls)).toBe('adminLimitExceeded');
      paged.push(...got.names);
      cookie = Buffer.from(cookieOf(got.controls));
    }
    expect(paged).toEqual(plain.names);
    expect(served.server.sortBudget.used).toBe(0);
    const few = await found(client, { ...all, filter: parseFilter('(cn=p1)') }, [sortedBy('-cn')]);
    expect(answerOf(few.controls)).toBe('success');
  });
});

describe('limits', () => {
  it('sizes are cut after sorting; time, looks and memory before', async () => {
    await using served = await serveDirectory({ entries: many(300) });
    const client = await served.client();
    const three = await found(client, { base: BASE, sizeLimit: 3, filter: parseFilter('(sn=*)') }, [
      sortedBy('-sn'),
    ]);
    expect([three.result, answerOf(three.controls)]).toEqual(['sizeLimitExceeded', 'success']);
    expect(three.names).toEqual(['99', '98', '97'].map((n) => `cn=p${n},${BASE}`));
    expect(served.server.sortBudget.take(64 << 20)).toBe(true);
    const busy = await found(client, { base: BASE }, [sortedBy('-sn')]);
    expect([busy.result, answerOf(busy.controls)]).toEqual(['unavailableCriticalExtension', 'busy']);
    served.server.sortBudget.give(64 << 20);
    expect(served.server.sortBudget.used).toBe(0);
  });

  it('looks and time end the search', async () => {
    let now = 0;
    const clock = { ...systemClock, monotonic: () => (now += 300) };
    const limits = { ...TRUSTED_LIMITS, lookThrough: 20 };
    await using slow = await serveDirectory({ entries: many(300), directory: { clock } });
    const late = await found(await slow.client(), { base: BASE, timeLimit: 1 }, [sortedBy('-sn')]);
    expect([late.result, late.names]).toEqual(['timeLimitExceeded', []]);
    expect(slow.server.sortBudget.used).toBe(0);
    await using narrow = await serveDirectory({ entries: many(30), server: { limits: () => limits } });
    const far = await found(await narrow.client(), { base: BASE, filter: parseFilter('(sn=*)') }, [
      sortedBy('sn'),
    ]);
    expect([far.result, far.names]).toEqual(['adminLimitExceeded', []]);
    expect(narrow.server.sortBudget.used).toBe(0);
  });

  it('cancel ends it while it sorts', async () => {
    await using served = await serveDirectory({ entries: many(5000) });
    const connection = await raw(served);
    await connection.send(1, bind(ADMINISTRATOR.dn, ADMINISTRATOR.password));
    await connection.until((m) => m.length === 1);
    // Two of them: the first makes the other wait for its turn.
    for (const id of [2, 3]) await connection.send(id, search({ attributes: ['1.1'] }), [sortedBy('-sn')]);
    const cancel = { op: 'extendedRequest', oid: EXTENDED.cancel, value: encodeCancelRequest(3) } as const;
    await connection.send(4, cancel);
    const messages = await connection.until((m) => m.some((one) => one.messageId === 4));
    const codes = messages.flatMap(({ messageId, operation }) =>
      messageId > 2 && 'result' in operation ? [[messageId, operation.result.code]] : [],
    );
    expect(codes).toEqual([
      [3, RESULT_CODE.canceled],
      [4, 0],
    ]);
    connection.socket.destroy();
    await until(
      'memory given back',
      () => served.server.sortBudget.used,
      (used) => used === 0,
    );
  });
});

describe('sorted pages', () => {
  const sizes = { base: BASE, filter: parseFilter('(sn=*)'), attributes: ['1.1'] };
  const pages = async (client: LdapClient, size: number, between?: () => Promise<unknown>) => {
    const names: string[] = [];
    const cookies: Buffer[] = [];
    let cookie = Buffer.alloc(0);
    do {
      const got = await found(client, sizes, [sortedBy('-sn'), page(size, cookie)]);
      expect([got.result, answerOf(got.controls)]).toEqual(['success', 'success']);
      expect(got.names.length).toBeLessThanOrEqual(size);
      names.push(...got.names);
      cookie = Buffer.from(cookieOf(got.controls));
      cookies.push(cookie);
      if (cookie.length > 0) await between?.();
    } while (cookie.length > 0);
    return { names, cookies };
  };

  it.each([30, 1500])('of %i results give each once, in order', async (total) => {
    await using served = await serveDirectory({ entries: many(total) });
    const client = await served.client();
    const { names, cookies } = await pages(client, Math.ceil(total / 7));
    const whole = await found(client, sizes, [sortedBy('-sn')]);
    expect(names).toEqual(whole.names);
    expect(names).toHaveLength(total);
    // All of it is given back with the last page, and its cookies are worth nothing then.
    expect(served.server.sortBudget.used).toBe(0);
    const late = await found(client, sizes, [sortedBy('-sn'), page(5, cookies[0])]);
    expect(late.result).toBe('unwillingToPerform');
  });

  it('what was deleted between two pages is left out, and nobody else gets its place', async () => {
    await using served = await serveDirectory({ entries: many(30) });
    const client = await served.client();
    let gone = 0;
    const { names } = await pages(client, 10, async () => {
      await client.delete(`cn=p${gone},${BASE}`).result;
      // The new one gets the record number of the old one, and may match or not.
      await client.add(`cn=new${gone},${BASE}`, [{ type: 'objectClass', values: [Buffer.from('device')] }])
        .result;
      gone++;
    });
    expect(names).not.toContain(`cn=new0,${BASE}`);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThanOrEqual(28);
  });

  it('fit their own search, keys and session only, and end with a bind', async () => {
    await using served = await serveDirectory({ entries: many(30) });
    const client = await served.client();
    const cookie = async (): Promise<Buffer> =>
      cookieOf((await found(client, sizes, [sortedBy('-sn'), page(5)])).controls);
    const first = await cookie();
    for (const [keys, on] of [
      [['sn'], client],
      [['-sn'], await served.client()],
    ] as const)
      expect((await found(on, sizes, [sortedBy(...keys), page(5, first)])).result).toBe('unwillingToPerform');
    expect((await found(client, sizes, [page(5, first)])).result).toBe('unwillingToPerform');
    // A second run of the same search is another list.
    const second = await cookie();
    expect((await found(client, sizes, [sortedBy('-sn'), page(5, first)])).result).toBe('unwillingToPerform');
    expect((await found(client, sizes, [sortedBy('-sn'), page(5, second)])).result).toBe('success');
    const given = await found(client, sizes, [sortedBy('-sn'), page(0, second)]);
    expect([given.result, cookieOf(given.controls).length]).toEqual(['success', 0]);
    expect(served.server.sortBudget.used).toBe(0);
    const third = await cookie();
    const { Secret } = await import('../../base/secret.ts');
    await client.bind(ADMINISTRATOR.dn, new Secret(ADMINISTRATOR.password));
    expect(served.server.sortBudget.used).toBe(0);
    expect((await found(client, sizes, [sortedBy('-sn'), page(5, third)])).result).toBe('unwillingToPerform');
  });

  it('whose rest cannot be kept end with an error, not as if that had been all', async () => {
    await using served = await serveDirectory({ entries: many(30) });
    const client = await served.client();
    const { sortBudget } = served.server;
    const take = sortBudget.take.bind(sortBudget);
    // Keys find room, the list of 30 record numbers does not.
    sortBudget.take = (octets) => octets !== 30 * 4 && take(octets);
    const got = await found(client, sizes, [sortedBy('-sn'), page(5)]);
    expect([got.result, got.names.length, cookieOf(got.controls).length]).toEqual(['busy', 5, 0]);
    expect(got.diagnostic).toMatch(/next page/);
    expect(sortBudget.used).toBe(0);
    // What fits a page needs no keeping.
    expect((await found(client, sizes, [sortedBy('-sn'), page(30)])).result).toBe('success');
  });

  it('few are kept for each client', async () => {
    await using served = await serveDirectory({ entries: many(30) });
    const client = await served.client();
    for (let n = 0; n < 10; n++) {
      const filter = parseFilter(`(|(sn=*)(cn=x${n}))`);
      await found(client, { ...sizes, filter }, [sortedBy('-sn'), page(5)]);
    }
    expect(served.server.sortBudget.used).toBe(4 * 30 * 4);
  });
});
