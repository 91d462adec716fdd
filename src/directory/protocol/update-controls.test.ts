/** Controls of updates through the protocol: assertion, pre- and post-read, tree delete, those refused; and increments. */
import { describe, expect, it } from 'vitest';
import { critical, found, optional, outcome, textsOf } from '../../../test/support/directory-answers.ts';
import { accept, BASE, many } from '../../../test/support/directory-requests.ts';
import {
  addition,
  ADMINISTRATOR,
  type ServedDirectory,
  serveDirectory,
} from '../../../test/support/served-directory.ts';
import { runTool } from '../../../test/support/slapd.ts';
import type { LdapClient, RequestOptions } from '../../ldap/client.ts';
import { CONTROL, EXTENDED } from '../../ldap/control.ts';
import { decodeReadResult, encodeAssertion, encodeReadRequest } from '../../ldap/control-values.ts';
import { parseFilter } from '../../ldap/filter.ts';
import type { Control, Modification, ModifyKind } from '../../ldap/message.ts';
import type { Change } from '../directory.ts';
import { standardSchema } from '../schema/standard.ts';
import { MOST_IN_TREE } from '../update/delete.ts';

const text = (type: string, ...values: string[]) => ({ type, values: values.map((v) => Buffer.from(v)) });
const change = (kind: ModifyKind, type: string, ...values: string[]): Modification => ({
  kind,
  attribute: text(type, ...values),
});
const PERSON = [text('objectClass', 'person'), text('sn', 's')];
const A = `cn=a,${BASE}`;
const entries = [
  addition(BASE, { objectClass: ['domain'] }),
  addition(A, { objectClass: ['person', 'extensibleObject'], sn: ['s', 'S2'], description: ['d'] }),
  addition(`ou=u,${BASE}`, { objectClass: ['organizationalUnit'] }),
  addition(`cn=b,ou=u,${BASE}`, { objectClass: ['person'], sn: ['s'] }),
  addition(`ou=v,ou=u,${BASE}`, { objectClass: ['organizationalUnit'] }),
  addition(`cn=c,ou=v,ou=u,${BASE}`, { objectClass: ['person'], sn: ['s'] }),
];
const asserting = (filter: string): Control =>
  critical(CONTROL.assertion, encodeAssertion(parseFilter(filter)));
const reading = (oid: string, ...names: string[]): Control => critical(oid, encodeReadRequest(names));

/** Every operation with a target, `cn=a`, as a function of its controls; each leaves `cn=a` as it was. */
const OPERATIONS: readonly [string, (client: LdapClient, options: RequestOptions) => Promise<string>][] = [
  ['add', (client, options) => outcome(client.add(`cn=new,${BASE}`, PERSON, options))],
  ['modify', (client, options) => outcome(client.modify(A, [change('replace', 'title', 'x')], options))],
  [
    'modifyDn',
    (client, options) => outcome(client.modifyDn(A, { newRdn: 'cn=z', deleteOldRdn: false }, options)),
  ],
  ['delete', (client, options) => outcome(client.delete(A, options))],
  ['compare', (client, options) => outcome(client.compare(A, 'sn', Buffer.from('s'), options))],
  [
    'search',
    async (client, { controls }) => {
      const { result, diagnostic } = await found(client, { base: A }, controls);
      return diagnostic === '' ? result : `${result}: ${diagnostic}`;
    },
  ],
];

describe('assertion (RFC 4528)', () => {
  it.each(OPERATIONS)('%s is carried out when it is true, and only then', async (name, run) => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const state = async () => (await found(client, { base: BASE, attributes: ['*', '+'] })).entries;
    const before = await state();
    for (const filter of ['(sn=other)', '(nothing=x)', '(!(nothing=x))', '(|)', '(sn=*other)'])
      expect(await run(client, { controls: [asserting(filter)], accept })).toMatch(/^assertionFailed/);
    const broken = critical(CONTROL.assertion, Buffer.from('x'));
    expect(await run(client, { controls: [broken], accept })).toMatch(/^protocolError/);
    const twice = [asserting('(sn=s)'), asserting('(sn=s)')];
    expect(await run(client, { controls: twice, accept })).toMatch(/^protocolError.*twice/);
    expect(await state()).toEqual(before);
    const done = name === 'compare' ? 'compareTrue' : 'success';
    for (const filter of ['(&)', '(&(sn=S)(objectClass=person))'].slice(name === 'search' ? 0 : 1))
      expect(await run(client, { controls: [asserting(filter)], accept })).toBe(done);
  });

  it('of an extended operation it is refused; of a search it is asked of the base, whatever is looked for', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const refused = client.extended(EXTENDED.whoAmI, undefined, { controls: [asserting('(&)')], accept });
    expect(await outcome(refused)).toMatch(/^unavailableCriticalExtension/);
    const below = { base: BASE, filter: parseFilter('(sn=s)') };
    expect((await found(client, below, [asserting('(objectClass=domain)')])).names).toHaveLength(3);
    expect((await found(client, below, [asserting('(sn=s)')])).result).toBe('assertionFailed');
    const dse = { base: '', scope: 'base' as const };
    expect((await found(client, dse, [asserting('(vendorName=Postern)')])).result).toBe('success');
    expect((await found(client, dse, [asserting('(vendorName=other)')])).result).toBe('assertionFailed');
  });

  it('does not tell what may not be searched', async () => {
    await using served = await serveDirectory({ entries, secrets: ['description'] });
    const client = await served.client();
    for (const filter of ['(description=d)', '(!(description=d))', '(description=*)']) {
      const options = { controls: [asserting(filter)], accept };
      expect(await outcome(client.modify(A, [change('replace', 'title', 'x')], options))).toMatch(
        /^assertionFailed/,
      );
    }
  });
});

describe('pre- and post-read (RFC 4527)', () => {
  const readOf = (controls: readonly Control[], oid: string) => {
    const result = decodeReadResult(controls.find((control) => control.oid === oid)?.value);
    return { dn: result.dn, ...textsOf(result.attributes) };
  };

  it('show the entry before and after', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const both = [reading(CONTROL.preRead, 'sn', 'cn'), reading(CONTROL.postRead, 'sn', 'cn')];
    const modified = await client.modify(A, [change('delete', 'sn', 's2')], { controls: both }).result;
    expect(readOf(modified.controls, CONTROL.preRead)).toEqual({ dn: A, sn: ['s', 'S2'], cn: ['a'] });
    expect(readOf(modified.controls, CONTROL.postRead)).toEqual({ dn: A, sn: ['s'], cn: ['a'] });
    const to = { newRdn: 'cn=B', deleteOldRdn: true, newSuperior: `ou=v,ou=u,${BASE}` };
    const renamed = await client.modifyDn(A, to, { controls: both }).result;
    expect(readOf(renamed.controls, CONTROL.preRead)).toMatchObject({ dn: A, cn: ['a'] });
    const moved = `cn=B,ou=v,ou=u,${BASE}`;
    expect(readOf(renamed.controls, CONTROL.postRead)).toMatchObject({ dn: moved, cn: ['B'] });
    const all = [reading(CONTROL.preRead, '*', 'entryDN')];
    const deleted = await client.delete(moved, { controls: all }).result;
    expect(readOf(deleted.controls, CONTROL.preRead)).toMatchObject({
      dn: moved,
      sn: ['s'],
      entryDN: [moved],
    });
    const added = await client.add(A, PERSON, { controls: [reading(CONTROL.postRead)] }).result;
    expect(readOf(added.controls, CONTROL.postRead)).toMatchObject({ dn: A, cn: ['a'] });
    const none = await client.modify(A, [], { controls: [reading(CONTROL.postRead, '1.1', 'nothing')] })
      .result;
    expect(readOf(none.controls, CONTROL.postRead)).toEqual({ dn: A });
  });

  it('are refused where there is nothing to show, dropped when not critical, silent when the update fails', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const refused = /^unavailableCriticalExtension/;
    const pre = { controls: [reading(CONTROL.preRead)], accept };
    const post = { controls: [reading(CONTROL.postRead)], accept };
    expect(await outcome(client.add(`cn=n,${BASE}`, PERSON, pre))).toMatch(refused);
    expect(await outcome(client.delete(A, post))).toMatch(refused);
    expect(await outcome(client.compare(A, 'sn', Buffer.from('s'), pre))).toMatch(refused);
    expect((await found(client, { base: A }, post.controls)).result).toMatch(refused);
    const dropped = await client.add(`cn=n,${BASE}`, PERSON, {
      controls: [optional(CONTROL.preRead, encodeReadRequest([]))],
    }).result;
    expect(dropped.controls).toEqual([]);
    const failed = await client.add(A, PERSON, post).result;
    expect(failed.controls).toEqual([]);
  });
});

describe('tree delete', () => {
  const TREE = critical(CONTROL.treeDelete);
  const left = async (client: LdapClient): Promise<readonly string[]> =>
    (await found(client, { base: BASE, attributes: ['1.1'] })).names;
  const account = { password: 'x', role: 'keeper' };
  const RIGHTS = ['search', 'read', 'delete', 'write'] as const;

  it('takes an entry with all below it, children first, in one group', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const groups: (readonly Change[])[] = [];
    served.directory.onChange((changes) => groups.push(changes));
    expect(await outcome(client.delete(`ou=u,${BASE}`, { accept }))).toMatch(/^notAllowedOnNonLeaf/);
    expect(await outcome(client.delete(`ou=u,${BASE}`, { controls: [TREE], accept }))).toBe('success');
    expect(await left(client)).toEqual([BASE, A]);
    expect(groups).toHaveLength(1);
    const names = groups[0]?.map(({ kind, before }) => `${kind} ${before?.dn.split(',')[0]}`);
    expect(names?.indexOf('delete cn=c')).toBeLessThan(names?.indexOf('delete ou=v') ?? -1);
    expect(names?.at(-1)).toBe('delete ou=u');
    expect(names).toHaveLength(4);
    expect(await served.directory.verify()).toMatchObject({ problems: [] });
    // A leaf is a small tree; what isn't there is not.
    expect(await outcome(client.delete(A, { controls: [TREE], accept }))).toBe('success');
    expect(await outcome(client.delete(A, { controls: [TREE], accept }))).toMatch(/^noSuchObject/);
    expect(await outcome(client.delete(BASE, { controls: [TREE], accept }))).toBe('success');
    expect(served.directory.stats.entries).toBe(0);
  });

  it('as ldapdelete asks', async () => {
    await using served = await serveDirectory({ entries });
    const login = ['-x', '-D', ADMINISTRATOR.dn, '-w', ADMINISTRATOR.password, '-H', served.url];
    await runTool('ldapdelete', [...login, '-e', `!${CONTROL.treeDelete}`, `ou=u,${BASE}`]);
    expect(await left(await served.client())).toEqual([BASE, A]);
  });

  it('wants a right of its own, and the right to delete each entry: else nothing is gone', async () => {
    await using served: ServedDirectory = await serveDirectory({
      entries,
      accounts: { 'cn=keeper': account, 'cn=half': { password: 'x', role: 'half' } },
      rules: [
        { roles: ['keeper'], subtree: '', rights: RIGHTS },
        { roles: ['half'], subtree: '', rights: ['search', 'read', 'deleteTree'] },
        { roles: ['half'], subtree: `ou=v,ou=u,${BASE}`, scope: 'base', rights: ['delete'] },
        { roles: ['half'], subtree: `ou=u,${BASE}`, scope: 'base', rights: ['delete'] },
      ],
    });
    for (const name of ['cn=keeper', 'cn=half']) {
      const client = await served.client({ name, password: 'x' });
      const all = await left(client);
      const tried = client.delete(`ou=u,${BASE}`, { controls: [TREE], accept });
      expect(await outcome(tried)).toMatch(/^insufficientAccessRights: no right to delete/);
      expect(await left(client)).toEqual(all);
      expect(all).toHaveLength(6);
    }
    const administrator = await served.client();
    const listed = async (client: LdapClient): Promise<boolean | undefined> =>
      (await found(client, { base: '', scope: 'base', attributes: ['supportedControl'] })).entries['']?.[
        'supportedControl'
      ]?.includes(CONTROL.treeDelete);
    expect(await listed(administrator)).toBe(true);
    expect(await listed(await served.client({ name: 'cn=keeper', password: 'x' }))).toBe(false);
  });

  it('is bounded', async () => {
    await using served = await serveDirectory({ entries: many(MOST_IN_TREE) });
    const client = await served.client();
    const tried = client.delete(BASE, { controls: [TREE], accept });
    expect(await outcome(tried)).toMatch(/^adminLimitExceeded: the tree has more than 5000 entries/);
    await client.delete(`cn=p7,${BASE}`).result;
    expect(await outcome(client.delete(BASE, { controls: [TREE], accept }))).toBe('success');
  });

  it('stands with deletes only, without a value', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const valued = { controls: [critical(CONTROL.treeDelete, Buffer.from('x'))], accept };
    expect(await outcome(client.delete(A, valued))).toMatch(/^protocolError/);
    const options = { controls: [TREE], accept };
    expect(await outcome(client.modify(A, [], options))).toMatch(/^unavailableCriticalExtension/);
  });
});

describe('controls that are refused, or mean nothing here', () => {
  const PROXY = [CONTROL.proxiedAuthorization, CONTROL.proxiedAuthorization1];

  it.each(OPERATIONS)('%s for somebody else, or with something unknown', async (_name, run) => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const who = Buffer.from('dn:cn=somebody');
    for (const oid of PROXY) {
      expect(await run(client, { controls: [critical(oid, who)], accept })).toBe(
        'unavailableCriticalExtension: proxied authorization is not supported',
      );
      // Carrying it out as somebody else than was meant would be worse.
      expect(await run(client, { controls: [optional(oid, who)], accept })).toBe(
        'authorizationDenied: proxied authorization is not supported',
      );
    }
    expect(await run(client, { controls: [critical('1.2.3.4')], accept })).toBe(
      'unavailableCriticalExtension: control 1.2.3.4 is not supported here',
    );
    const subentries = critical(CONTROL.subentries, Buffer.from([1, 1, 0xff]));
    expect(await run(client, { controls: [subentries], accept })).toMatch(/^unavailableCriticalExtension/);
    const valued = critical(CONTROL.manageDsaIT, Buffer.from('x'));
    expect(await run(client, { controls: [valued], accept })).toMatch(/^protocolError/);
    const harmless = [critical(CONTROL.manageDsaIT), optional('1.2.3.4', Buffer.from('x'))];
    expect(await run(client, { controls: harmless, accept })).toMatch(/^success$|^compareTrue$/);
  });

  it('binds and extended operations take none of them', async () => {
    await using served = await serveDirectory();
    const client = await served.client();
    for (const oid of [...PROXY, CONTROL.manageDsaIT, '1.2.3.4']) {
      const options = { controls: [critical(oid, Buffer.from('dn:'))], accept };
      for (const extended of [EXTENDED.whoAmI, EXTENDED.startTransaction])
        expect(await outcome(client.extended(extended, undefined, options))).toMatch(
          /^unavailableCriticalExtension/,
        );
    }
    const optionally = { controls: PROXY.map((oid) => optional(oid, Buffer.from('dn:'))), accept };
    expect(await outcome(client.extended(EXTENDED.whoAmI, undefined, optionally))).toMatch(
      /^authorizationDenied/,
    );
    expect(await outcome(client.extended('1.2.3.4', undefined, { accept }))).toBe(
      'protocolError: extended operation 1.2.3.4 is not supported',
    );
  });

  it('no objects that would have to be followed can be made', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const alias = [text('objectClass', 'alias', 'extensibleObject'), text('aliasedObjectName', A)];
    expect(await outcome(client.add(`cn=x,${BASE}`, alias, { accept }))).toMatch(
      /^unwillingToPerform: objectClass: alias entries/,
    );
    const referral = [text('objectClass', 'referral', 'extensibleObject')];
    expect(await outcome(client.add(`cn=x,${BASE}`, referral, { accept }))).toMatch(
      /^unwillingToPerform: objectClass: referral objects/,
    );
    const into = [change('add', 'objectClass', '2.5.6.1')];
    expect(await outcome(client.modify(A, into, { accept }))).toMatch(/^unwillingToPerform/);
  });
});

describe('increment (RFC 4525)', () => {
  const NUMBER = 'msExchRecipientTypeDetails';
  const start = async (value?: string): Promise<{ served: ServedDirectory; client: LdapClient }> => {
    const more = value === undefined ? {} : { [NUMBER]: [value] };
    const served = await serveDirectory({
      entries: [
        addition(BASE, { objectClass: ['domain'] }),
        addition(A, { objectClass: ['person', 'extensibleObject'], sn: ['s'], ...more }),
      ],
    });
    return { served, client: await served.client() };
  };

  it.each([
    ['5', '1', '6'],
    ['5', '-6', '-1'],
    ['-1', '0', '-1'],
    ['9223372036854775807', '1', '9223372036854775808'],
    [`${'9'.repeat(99)}8`, '1', '9'.repeat(100)],
    [`-${'9'.repeat(99)}8`, '-1', `-${'9'.repeat(100)}`],
  ])('%s and %s make %s', async (value, by, sum) => {
    const { served, client } = await start(value);
    await using _ = served;
    const controls = [reading(CONTROL.postRead, NUMBER)];
    await client.modify(A, [change('increment', NUMBER, by)], { controls }).result;
    expect(served.directory.readEntry(A)?.texts(NUMBER)).toEqual([sum]);
  });

  it.each([
    [
      'beyond 100 digits',
      '9'.repeat(100),
      change('increment', NUMBER, '1'),
      /^constraintViolation.*100 digits/,
    ],
    [
      'below that',
      `-${'9'.repeat(100)}`,
      change('increment', NUMBER, '-1'),
      /^constraintViolation.*100 digits/,
    ],
    [
      'of a value too long to count with',
      '1'.repeat(500),
      change('increment', NUMBER, '1'),
      /^constraintViol/,
    ],
    [
      'by one too long',
      '1',
      change('increment', NUMBER, '1'.repeat(500)),
      /^constraintViolation.*100 digits/,
    ],
    ['by no number', '1', change('increment', NUMBER, 'x'), /^invalidAttributeSyntax/],
    ['by two numbers', '1', change('increment', NUMBER, '1', '2'), /^protocolError.*exactly one/],
    ['by none', '1', change('increment', NUMBER), /^protocolError.*exactly one/],
    ['of text', '1', change('increment', 'sn', '1'), /^constraintViolation.*no integer/],
    ['of nothing', undefined, change('increment', NUMBER, '1'), /^noSuchAttribute/],
    ['of what nobody knows', '1', change('increment', 'nothing', '1'), /^undefinedAttributeType/],
    ['of what nobody may write', '1', change('increment', 'createTimestamp', '1'), /^constraintViolation/],
  ])('%s is refused, and nothing changes', async (_name, value, modification, refusal) => {
    const { served, client } = await start(value);
    await using _ = served;
    expect(await outcome(client.modify(A, [modification], { accept }))).toMatch(refusal);
    expect(served.directory.readEntry(A)?.text(NUMBER)).toBe(value);
  });

  it('counts every value of an attribute', async () => {
    const schema = standardSchema([
      `attributetype ( 1.2.3.4.5 NAME 'numbers' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )`,
    ]);
    await using served = await serveDirectory({
      directory: { schema },
      entries: [
        addition(BASE, { objectClass: ['domain'] }),
        addition(A, { objectClass: ['person', 'extensibleObject'], sn: ['s'], numbers: ['1', '2', '-7'] }),
      ],
    });
    const client = await served.client();
    await client.modify(A, [change('increment', 'numbers', '1')]).result;
    expect(served.directory.readEntry(A)?.texts('numbers')).toEqual(['2', '3', '-6']);
    expect((await found(client, { base: BASE, filter: parseFilter('(numbers=3)') })).names).toEqual([A]);
  });
});
