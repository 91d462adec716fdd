/** What a search returns (RFC 4511 §4.5, RFC 4512 §2.5): attributes asked for in every way, every kind of filter, limits, aliases. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { critical, found } from '../../../test/support/directory-answers.ts';
import { BASE, many } from '../../../test/support/directory-requests.ts';
import {
  addition,
  ADMINISTRATOR,
  type ServedDirectory,
  serveDirectory,
} from '../../../test/support/served-directory.ts';
import { runTool } from '../../../test/support/slapd.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { CONTROL } from '../../ldap/control.ts';
import { encodeSyncRequest } from '../../ldap/sync-values.ts';
import { encodePagedResults, encodeSortRequest } from '../../ldap/control-values.ts';
import { parseFilter } from '../../ldap/filter.ts';
import type { DerefAliases } from '../../ldap/message.ts';
import { READER_LIMITS, TRUSTED_LIMITS } from './limits.ts';

const ANN = `cn=Ann,ou=Sales,${BASE}`;
const entries = [
  addition(BASE, { objectClass: ['domain'] }),
  addition(`ou=Sales,${BASE}`, { objectClass: ['organizationalUnit'] }),
  addition(ANN, {
    objectClass: ['inetOrgPerson', 'extensibleObject'],
    sn: ['Smith'],
    'cn;lang-de': ['Anna'],
    'cn;lang-de;lang-nds': ['Anni'],
    description: ['plain'],
    'description;lang-en': ['english'],
    mail: ['ann@example.org'],
    employeeNumber: ['7'],
    msExchRecipientTypeDetails: ['6'],
    telephoneNumber: ['+49 30 1234'],
  }),
  addition(`cn=Bob,${BASE}`, { objectClass: ['person'], sn: ['Jones'], description: ['Ann'] }),
];
const OPERATIONAL = [
  'createTimestamp',
  'creatorsName',
  'entryCSN',
  'entryDN',
  'entryUUID',
  'hasSubordinates',
  'modifiersName',
  'modifyTimestamp',
  'structuralObjectClass',
  'subschemaSubentry',
];
const CN = ['cn', 'cn;lang-de', 'cn;lang-de;lang-nds'];
const DESCRIPTION = ['description', 'description;lang-en'];
const USER = [
  ...CN,
  ...DESCRIPTION,
  'employeeNumber',
  'mail',
  'msExchRecipientTypeDetails',
  'objectClass',
  'sn',
  'telephoneNumber',
];

let served: ServedDirectory;
let client: LdapClient;
beforeAll(async () => {
  served = await serveDirectory({ entries });
  client = await served.client();
});
afterAll(() => served?.[Symbol.asyncDispose]());

const ldapsearch = async (...more: string[]): Promise<string> => {
  const login = ['-x', '-D', ADMINISTRATOR.dn, '-w', ADMINISTRATOR.password, '-H', served.url];
  return runTool('ldapsearch', [...login, '-LLL', '-o', 'ldif-wrap=no', '-b', BASE, ...more]);
};

describe('attributes', () => {
  it.each([
    ['none named: all user attributes', [], USER],
    ['*', ['*'], USER],
    ['+', ['+'], OPERATIONAL],
    ['* and +', ['*', '+'], [...USER, ...OPERATIONAL]],
    ['1.1: none', ['1.1'], []],
    ['1.1 beside others means nothing', ['1.1', 'sn'], ['sn']],
    ['* and one operational', ['*', 'entryUUID'], [...USER, 'entryUUID']],
    ['a name: with its options', ['cn'], CN],
    ['any case', ['CN', 'SURNAME'], [...CN, 'sn']],
    ['by OID', ['2.5.4.3', '2.5.4.4'], [...CN, 'sn']],
    ['by OID with options', ['2.5.4.3;lang-de'], ['cn;lang-de', 'cn;lang-de;lang-nds']],
    ['with an option: those that have it', ['cn;lang-de'], ['cn;lang-de', 'cn;lang-de;lang-nds']],
    ['with two, in any order and case', ['cn;LANG-nds;lang-DE'], ['cn;lang-de;lang-nds']],
    ['with an option that none has', ['cn;lang-fr'], []],
    ['a language range', ['cn;lang-'], ['cn;lang-de', 'cn;lang-de;lang-nds']],
    ['a supertype: its subtypes', ['name'], [...CN, 'sn']],
    ['a supertype with an option', ['name;lang-de'], ['cn;lang-de', 'cn;lang-de;lang-nds']],
    ['unknown ones beside known ones', ['nothing', 'sn', '1.2.3.4', 'no such;x', ''], ['sn']],
    ['the same one twice', ['sn', 'surname', 'sn'], ['sn']],
    ['@class (RFC 4529)', ['@person'], [...CN, ...DESCRIPTION, 'objectClass', 'sn', 'telephoneNumber']],
    [
      '@class in any case, by OID',
      ['@2.5.6.6'],
      [...CN, ...DESCRIPTION, 'objectClass', 'sn', 'telephoneNumber'],
    ],
    ['@class that is unknown', ['@nothing'], []],
    ['@extensibleObject: all user attributes', ['@EXTENSIBLEobject'], USER],
    ['@class and a name', ['@domain', 'mail'], [...DESCRIPTION, 'mail', 'objectClass', 'telephoneNumber']],
  ])('%s', async (_name, attributes, expected) => {
    for (const typesOnly of [false, true]) {
      const got = await found(client, { base: ANN, scope: 'base', attributes, typesOnly });
      const entry = got.entries[ANN] ?? {};
      expect(Object.keys(entry).sort()).toEqual([...expected].sort());
      for (const values of Object.values(entry)) expect(values.length > 0).toBe(!typesOnly);
    }
    // On the way that is made for speed, too.
    const fast = await found(client, {
      base: BASE,
      filter: parseFilter('(mail=ann@example.org)'),
      attributes,
    });
    expect(Object.keys(fast.entries[ANN] ?? {}).sort()).toEqual([...expected].sort());
  });

  it('as ldapsearch asks', async () => {
    const lines = (text: string) => text.trim().split('\n').slice(1).sort();
    expect(lines(await ldapsearch('(cn=ann)', 'cn;lang-de', '2.5.4.4'))).toEqual([
      'cn;lang-de: Anna',
      'cn;lang-de;lang-nds: Anni',
      'sn: Smith',
    ]);
    expect(lines(await ldapsearch('-A', '(sn=smith)', 'cn', 'sn'))).toEqual([
      ...CN.map((cn) => `${cn}:`),
      'sn:',
    ]);
    expect(lines(await ldapsearch('(sn=smith)', '1.1'))).toEqual([]);
    expect(lines(await ldapsearch('(sn=smith)', '@groupOfNames'))).toEqual([
      'cn: Ann',
      'cn;lang-de: Anna',
      'cn;lang-de;lang-nds: Anni',
      'description: plain',
      'description;lang-en: english',
      'objectClass: extensibleObject',
      'objectClass: inetOrgPerson',
    ]);
  });

  it('a list longer than any is refused, not cut', async () => {
    const attributes = Array.from({ length: 5000 }, (_, n) => `x${n}`);
    expect((await found(client, { base: ANN, attributes })).result).toBe('adminLimitExceeded');
  });
});

describe('filters', () => {
  it.each([
    ['equality', '(cn=ANN)', 'Ann'],
    ['equality by OID', '(2.5.4.3=ann)', 'Ann'],
    ['of what has an option too', '(cn=anna)', 'Ann'],
    ['with an option', '(cn;lang-de=anna)', 'Ann'],
    ['with an option that this value lacks', '(cn;lang-de=ann)', ''],
    ['with two options', '(cn;lang-nds;lang-de=anni)', 'Ann'],
    ['of a supertype', '(name=jones)', 'Bob'],
    ['approximate: as equality', '(sn~=SMITH)', 'Ann'],
    ['approximate is no more than equality', '(sn~=smyth)', ''],
    ['substrings', '(sn=*mi*h)', 'Ann'],
    ['substrings with an option', '(cn;lang-de=a*)', 'Ann'],
    ['presence', '(employeeNumber=*)', 'Ann'],
    ['presence with an option', '(description;lang-en=*)', 'Ann'],
    ['presence of what nobody has', '(carLicense=*)', ''],
    ['ordering', '(createTimestamp>=20000101000000Z)', 'Ann,Bob'],
    ['ordering the other way', '(createTimestamp<=20000101000000Z)', ''],
    ['ordering without a rule is Undefined', '(sn>=a)', ''],
    ['and so is its negation', '(!(sn>=a))', ''],
    ['absolute true', '(&)', 'Ann,Bob'],
    ['absolute false', '(|)', ''],
    ['their negations', '(!(|))', 'Ann,Bob'],
    ['an unknown type is Undefined', '(nothing=x)', ''],
    ['and its negation', '(!(nothing=x))', ''],
    ['Undefined beside true', '(|(nothing=x)(sn=jones))', 'Bob'],
    ['Undefined and true', '(&(nothing=x)(sn=jones))', ''],
    ['Undefined and false, negated', '(!(&(nothing=x)(sn=jones)))', 'Ann'],
    ['a value that is none of the syntax', '(msExchRecipientTypeDetails=x)', ''],
    ['its negation', '(!(msExchRecipientTypeDetails=x))', ''],
    ['extensible: by the type alone', '(cn:=ann)', 'Ann'],
    ['extensible: by a rule', '(cn:caseExactMatch:=Ann)', 'Ann'],
    ['extensible: by a rule, other case', '(cn:caseExactMatch:=ann)', ''],
    ['extensible: by the OID of a rule', '(cn:2.5.13.5:=Ann)', 'Ann'],
    ['extensible: by a rule, of any type', '(:caseExactMatch:=Ann)', 'Ann,Bob'],
    ['extensible: in the name too', '(ou:dn:=sales)', 'Ann'],
    ['extensible: in the entry alone', '(ou:=sales)', ''],
    ['extensible: in the name, by a rule', '(ou:dn:caseExactMatch:=sales)', ''],
    ['extensible: in the name, any type', '(:dn:2.5.13.2:=SALES)', 'Ann'],
    ['extensible: ordering', '(msExchRecipientTypeDetails:integerOrderingMatch:=7)', 'Ann'],
    ['extensible: ordering, not before', '(msExchRecipientTypeDetails:integerOrderingMatch:=6)', ''],
    ['extensible: bits', '(msExchRecipientTypeDetails:1.2.840.113556.1.4.803:=2)', 'Ann'],
    ['extensible: an unknown rule', '(!(cn:1.9.9:=ann))', ''],
    ['extensible: a rule for others', '(!(cn:integerMatch:=1))', ''],
    ['computed', '(hasSubordinates=FALSE)', 'Ann,Bob'],
    ['a class above', '(objectClass=organizationalPerson)', 'Ann'],
    ['a class by OID', '(objectClass=2.5.6.6)', 'Ann,Bob'],
    ['an escaped value', '(telephoneNumber=\\2b49301234)', 'Ann'],
  ])('%s: %s', async (_name, filter, expected) => {
    const people = `(&(sn=*)${filter})`;
    const got = await found(client, { base: BASE, filter: parseFilter(people), attributes: ['1.1'] });
    const names = got.names.map((dn) => dn.slice(3, 6));
    expect([got.result, names.sort().join()]).toEqual(['success', expected]);
    const text = await ldapsearch(people, '1.1');
    expect(
      [...text.matchAll(/^dn: cn=(...)/gm)]
        .map(([, name]) => name)
        .sort()
        .join(),
    ).toBe(expected);
  });
});

describe('scopes, bases and aliases', () => {
  it.each(['never', 'searching', 'findingBase', 'always'] satisfies DerefAliases[])(
    'there are no aliases: dereferencing "%s" finds the same',
    async (derefAliases) => {
      const got = await found(client, { base: BASE, derefAliases, attributes: ['1.1'] });
      expect([got.result, got.names.length]).toEqual(['success', 4]);
      const option = { never: 'never', searching: 'search', findingBase: 'find', always: 'always' }[
        derefAliases
      ];
      expect((await ldapsearch('-a', option, '1.1')).match(/^dn:/gm)).toHaveLength(4);
    },
  );

  it.each([
    [BASE, 'base', 1],
    [BASE, 'one', 2],
    [BASE, 'subtree', 4],
    ['', 'one', 1],
    ['', 'subtree', 4],
    [`OU=sales , ${BASE}`, 'one', 1],
  ] as const)('below "%s", %s: %i', async (base, scope, count) => {
    expect((await found(client, { base, scope })).names).toHaveLength(count);
  });

  it.each([
    [`cn=x,cn=y,ou=sales,${BASE}`, 'noSuchObject', `ou=Sales,${BASE}`],
    ['dc=com', 'noSuchObject', ''],
    ['nonsense', 'invalidDNSyntax', ''],
    [' ', 'invalidDNSyntax', ''],
    [`foo=x,${BASE}`, 'invalidDNSyntax', ''],
  ])('no referrals: "%s" is %s below "%s"', async (base, result, matchedDn) => {
    expect(await found(client, { base })).toMatchObject({ result, matchedDn, names: [] });
  });
});

describe('limits', () => {
  it('of the client and of the server: the narrower one counts', async () => {
    const limits = { ...TRUSTED_LIMITS, sizeLimit: 5 };
    await using narrow = await serveDirectory({ entries: many(9), server: { limits: () => limits } });
    const asked = async (sizeLimit: number, filter = '(sn=*)') => {
      const got = await found(await narrow.client(), { base: BASE, sizeLimit, filter: parseFilter(filter) });
      return `${got.result} ${got.names.length}`;
    };
    expect(await asked(0)).toBe('sizeLimitExceeded 5');
    expect(await asked(3)).toBe('sizeLimitExceeded 3');
    expect(await asked(50)).toBe('sizeLimitExceeded 5');
    // As many as are allowed are no more than allowed.
    expect(await asked(0, '(|(sn=s1)(sn=s2)(sn=s3)(sn=s4)(sn=s5))')).toBe('success 5');
    expect(await asked(1, '(sn=s1)')).toBe('success 1');
  });

  it('as ldapsearch sets them', async () => {
    await expect(ldapsearch('-z', '2')).rejects.toThrow(/Size limit exceeded \(4\)/);
    expect(await ldapsearch('-z', '4', '-l', '10', '1.1')).toContain(ANN);
  });

  it('of looking through: each kind of client has its own, and is told what to do', async () => {
    const entriesOf = many(60);
    await using busy = await serveDirectory({
      entries: entriesOf,
      accounts: { 'cn=few': { password: 'x', role: 'few' } },
      rules: [{ roles: ['few'], subtree: '', rights: ['search', 'read'] }],
      server: {
        limits: ({ identity }) =>
          identity.role === 'few' ? { ...READER_LIMITS, lookThrough: 20 } : TRUSTED_LIMITS,
      },
    });
    const few = await busy.client({ name: 'cn=few', password: 'x' });
    const unindexed = { base: BASE, filter: parseFilter('(sn=s59)') };
    const got = await found(few, unindexed);
    expect(got).toMatchObject({ result: 'adminLimitExceeded', names: [] });
    expect(got.diagnostic).toMatch(/too many entries: use an indexed attribute/);
    expect((await found(few, { base: BASE, filter: parseFilter('(cn=p59)') })).names).toHaveLength(1);
    expect((await found(few, { base: `cn=p59,${BASE}`, filter: unindexed.filter })).names).toHaveLength(1);
    expect((await found(await busy.client(), unindexed)).names).toHaveLength(1);
    // The next search begins anew.
    expect((await found(few, { base: BASE, sizeLimit: 1, filter: parseFilter('(cn=p1)') })).result).toBe(
      'success',
    );
  });
});

describe('content synchronisation', () => {
  const sync = critical(CONTROL.syncRequest, encodeSyncRequest({ mode: 'refreshOnly', reloadHint: false }));

  it('has an order of its own: pages and sorting are refused beside it when critical, else dropped', async () => {
    for (const [oid, value] of [
      [CONTROL.pagedResults, encodePagedResults({ size: 2, cookie: Buffer.alloc(0) })],
      [CONTROL.sortRequest, encodeSortRequest([{ attribute: 'cn', reverse: true }])],
    ] as const) {
      const refused = await found(client, { base: BASE }, [sync, critical(oid, value)]);
      expect([refused.result, refused.diagnostic]).toEqual([
        'protocolError',
        expect.stringMatching(/cannot be combined/),
      ]);
      const dropped = await found(client, { base: BASE }, [sync, { oid, critical: false, value }]);
      expect([dropped.result, dropped.names.length, dropped.controls.map((c) => c.oid)]).toEqual([
        'success',
        4,
        [CONTROL.syncDone],
      ]);
    }
  });
});
