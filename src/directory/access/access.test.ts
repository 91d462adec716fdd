/** The access table through the protocol: what is not granted does not exist, and secrets stay secret whatever is tried. */
import { describe, expect, it } from 'vitest';
import { ask } from '../../../test/support/directory-questions.ts';
import { addition, type ServedDirectory, serveDirectory } from '../../../test/support/served-directory.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { CONTROL } from '../../ldap/control.ts';
import { decodeReadResult, encodeAssertion, encodeReadRequest } from '../../ldap/control-values.ts';
import { parseFilter } from '../../ldap/filter.ts';
import { decodeSyncDone, encodeSyncRequest } from '../../ldap/sync-values.ts';
import type { AccessRule } from './access.ts';

const BASE = 'dc=example,dc=org';
const EVERY_CODE = Array.from({ length: 130 }, (_, n) => n);
const ANN = `cn=ann,ou=people,${BASE}`;
const RULES: readonly AccessRule[] = [
  // A mail server: may ask by mail and see cn, nothing else.
  { roles: ['reader'], subtree: `ou=people,${BASE}`, attributes: ['mail'], rights: ['search'] },
  { roles: ['reader'], subtree: `ou=people,${BASE}`, attributes: ['cn', 'objectClass'], rights: ['read'] },
  // An operator: everything under people, and its own entry elsewhere.
  {
    roles: ['operator'],
    subtree: `ou=people,${BASE}`,
    rights: ['search', 'read', 'compare', 'write', 'add', 'delete', 'rename'],
  },
  { roles: ['operator'], subtree: BASE, scope: 'base', attributes: ['dc'], rights: ['read'] },
  { roles: ['batch'], subtree: `ou=people,${BASE}`, rights: ['search', 'read'] },
  { roles: ['batch'], subtree: `ou=people,${BASE}`, rights: ['add', 'delete'], inTransaction: true },
  {
    roles: ['self'],
    subtree: `cn={name},ou=people,${BASE}`,
    attributes: ['description'],
    rights: ['read', 'search', 'write'],
  },
];

async function site(): Promise<ServedDirectory> {
  const account = (role: string): { password: string; role: string } => ({ password: 'pw', role });
  return serveDirectory({
    rules: RULES,
    secrets: ['userPassword'],
    accounts: {
      'cn=reader': account('reader'),
      'cn=operator': account('operator'),
      'cn=batch': account('batch'),
      'cn=nobody': account('nobody'),
    },
    entries: [
      addition(BASE, {
        objectClass: ['domain', 'simpleSecurityObject'],
        dc: ['example'],
        userPassword: ['top secret'],
      }),
      addition(`ou=people,${BASE}`, { objectClass: ['organizationalUnit'] }),
      addition(`ou=hidden,${BASE}`, { objectClass: ['organizationalUnit'], description: ['marker-hidden'] }),
      addition(ANN, {
        objectClass: ['inetOrgPerson'],
        sn: ['Lee'],
        mail: ['ann@example.org'],
        userPassword: ['marker-secret'],
        description: ['private'],
      }),
    ],
  });
}

const as = (served: ServedDirectory, role: string): Promise<LdapClient> =>
  served.client({ name: `cn=${role}`, password: 'pw' });
const find = (client: LdapClient, text: string, attributes: string[] = [], base = `ou=people,${BASE}`) =>
  ask(client, { base, filter: parseFilter(text), attributes });

describe('access rules', () => {
  it('the default denies: without a rule nothing exists', async () => {
    await using served = await site();
    const nobody = await as(served, 'nobody');
    for (const base of [BASE, `ou=people,${BASE}`, ANN, `cn=missing,${BASE}`]) {
      const reply = await nobody.search({ base }, { accept: EVERY_CODE }).done;
      expect(reply.operation.result).toMatchObject({ code: 32, matchedDn: '', diagnostic: '' });
    }
    const anonymous = await served.client('anonymous');
    expect((await find(anonymous, '(objectClass=*)', [], BASE)).code).toBe(32);
    const dse = await ask(anonymous, {
      base: '',
      scope: 'base',
      filter: parseFilter('(objectClass=*)'),
      attributes: ['namingContexts'],
    });
    expect(Object.keys(dse.entries)).toEqual(['']);
  });

  it('a reader finds by what it may search and sees what it may read', async () => {
    await using served = await site();
    const reader = await as(served, 'reader');
    expect(await find(reader, '(mail=ann@example.org)', ['*', '+', 'mail', 'description'])).toEqual({
      code: 0,
      entries: { [ANN]: { cn: ['ann'], objectClass: ['inetOrgPerson'] } },
    });
  });

  it.each([
    '(description=private)',
    '(!(description=private))',
    '(!(description=other))',
    '(description=*)',
    '(!(description=*))',
    '(description>=a)',
    '(description=p*)',
    '(description:caseExactMatch:=private)',
    '(:caseIgnoreMatch:=private)',
    '(&(mail=ann@example.org)(description=private))',
    '(&(mail=ann@example.org)(!(description=wrong)))',
    '(sn=lee)',
    '(cn=ann)',
    '(cn:dn:=ann)',
    '(:dn:caseIgnoreMatch:=ann)',
    '(entryDN=cn=ann,ou=people,dc=example,dc=org)',
    '(creatorsName=*)',
    '(name=ann)',
    '(userPassword=marker-secret)',
  ])('a reader learns nothing by probing with %s', async (text) => {
    await using served = await site();
    const reader = await as(served, 'reader');
    expect(await find(reader, text)).toEqual({ code: 0, entries: {} });
  });

  it('a branch without rights cannot be told from one that does not exist', async () => {
    await using served = await site();
    const operator = await as(served, 'operator');
    const hidden = await operator.search({ base: `cn=x,ou=hidden,${BASE}` }, { accept: EVERY_CODE }).done;
    const missing = await operator.search({ base: `cn=x,ou=missing,${BASE}` }, { accept: EVERY_CODE }).done;
    expect(hidden.operation.result).toEqual(missing.operation.result);
    expect(hidden.operation.result.matchedDn).toBe(BASE);
    for (const branch of ['hidden', 'missing']) {
      const dn = `ou=${branch},${BASE}`;
      const results = await Promise.all([
        operator.compare(dn, 'description', Buffer.from('marker-hidden'), { accept: EVERY_CODE }).result,
        operator.delete(dn, { accept: EVERY_CODE }).result,
        operator.modify(dn, [], { accept: EVERY_CODE }).result,
      ]);
      expect(results.map((r) => r.operation.result.code)).toEqual([32, 32, 32]);
    }
  });

  it('may write where it may, and nowhere else', async () => {
    await using served = await site();
    const operator = await as(served, 'operator');
    const person = [
      { type: 'objectClass', values: [Buffer.from('person')] },
      { type: 'sn', values: [Buffer.from('x')] },
    ];
    await operator.add(`cn=bo,ou=people,${BASE}`, person).result;
    const outside = await operator.add(`cn=bo,${BASE}`, person, { accept: EVERY_CODE }).result;
    expect(outside.operation.result.code).toBe(50);
    expect(served.directory.readEntry(`cn=bo,${BASE}`)).toBeUndefined();
    const away = await operator.modifyDn(
      `cn=bo,ou=people,${BASE}`,
      { newRdn: 'cn=bo', deleteOldRdn: false, newSuperior: BASE },
      { accept: EVERY_CODE },
    ).result;
    expect(away.operation.result.code).toBe(50);
    expect(served.directory.readEntry(`cn=bo,ou=people,${BASE}`)).toBeDefined();
  });

  it('rights of transactions hold in transactions only', async () => {
    await using served = await site();
    const batch = await as(served, 'batch');
    const alone = await batch.delete(ANN, { accept: EVERY_CODE }).result;
    expect(alone.operation.result.code).toBe(50);
    const started = await batch.extended('1.3.6.1.1.21.1').result;
    const identifier = started.operation.value as Buffer;
    await batch.delete(ANN, {
      controls: [{ oid: CONTROL.transactionSpecification, critical: true, value: identifier }],
    }).result;
    const { encodeEndTransactionRequest } = await import('../../ldap/extended-values.ts');
    await batch.extended('1.3.6.1.1.21.3', encodeEndTransactionRequest({ commit: true, identifier })).result;
    expect(served.directory.readEntry(ANN)).toBeUndefined();
  });

  it('placeholders stand for parameters of the identity, escaped', async () => {
    await using served = await serveDirectory({
      rules: RULES,
      entries: [
        addition(BASE, { objectClass: ['domain'] }),
        addition(`ou=people,${BASE}`, { objectClass: ['organizationalUnit'] }),
        addition(ANN, { objectClass: ['person'], sn: ['x'], description: ['d'] }),
        addition(`cn=bob,ou=people,${BASE}`, { objectClass: ['person'], sn: ['x'], description: ['d'] }),
      ],
      hooks: {
        authenticate: ({ name }) => ({
          identity: { role: 'self', authorizationId: `u:${name}`, dn: `cn=${name}`, parameters: { name } },
        }),
      },
    });
    const readable = async (name: string): Promise<string[]> => {
      const client = await served.client({ name, password: 'x' });
      const codes: string[] = [];
      for (const dn of [ANN, `cn=bob,ou=people,${BASE}`]) {
        const { code, entries } = await find(client, '(objectClass=*)', ['*'], dn);
        const own = await find(client, '(description=d)', ['*'], dn);
        codes.push(`${code} ${Object.keys(entries).length} ${JSON.stringify(own.entries[dn] ?? {})}`);
      }
      return codes;
    };
    expect(await readable('ann')).toEqual(['0 0 {"description":["d"]}', '32 0 {}']);
    expect(await readable('ann,ou=people')).toEqual(['32 0 {}', '32 0 {}']);
    expect(await readable('*')).toEqual(['32 0 {}', '32 0 {}']);
  });

  it('changes of the tree change what rules cover', async () => {
    await using served = await site();
    const reader = await as(served, 'reader');
    expect(Object.keys((await find(reader, '(mail=*)', ['1.1'])).entries)).toEqual([ANN]);
    await served.directory.apply([
      {
        request: { op: 'modifyDnRequest', dn: `ou=people,${BASE}`, newRdn: 'ou=former', deleteOldRdn: true },
      },
    ]);
    expect((await find(reader, '(mail=*)', [], `ou=former,${BASE}`)).code).toBe(32);
    await served.directory.apply([addition(`ou=people,${BASE}`, { objectClass: ['organizationalUnit'] })]);
    expect((await find(reader, '(mail=*)')).entries).toEqual({});
    await served.directory.apply([
      {
        request: {
          op: 'modifyDnRequest',
          dn: `cn=ann,ou=former,${BASE}`,
          newRdn: 'cn=ann',
          deleteOldRdn: false,
          newSuperior: `ou=people,${BASE}`,
        },
      },
    ]);
    expect(Object.keys((await find(reader, '(mail=*)', ['1.1'])).entries)).toEqual([ANN]);
  });
});

describe('content synchronisation', () => {
  it('names no hidden entry, be it changed or gone', async () => {
    await using served = await site();
    const follower = (client: LdapClient) => async (cookie: Buffer) => {
      const value = encodeSyncRequest({ mode: 'refreshOnly', reloadHint: false, cookie });
      const controls = [{ oid: CONTROL.syncRequest, critical: true, value }];
      const stream = client.search({ base: client === admin ? BASE : `ou=people,${BASE}` }, { controls });
      let seen = '';
      for await (const { operation, controls: states } of stream) {
        if (operation.op === 'intermediateResponse') seen += operation.value?.toString('hex');
        for (const { value: state } of states) seen += state?.toString('hex');
      }
      const done = decodeSyncDone((await stream.done).controls[0]?.value);
      return { seen, cookie: done.cookie ?? Buffer.alloc(0) };
    };
    const admin = await served.client();
    const followers = [follower(admin), follower(await as(served, 'operator'))] as const;
    const cookies = [
      (await followers[0](Buffer.alloc(0))).cookie,
      (await followers[1](Buffer.alloc(0))).cookie,
    ] as const;
    const uuid = (name: string): string => served.directory.readEntry(name)?.uuid.toString('hex') ?? 'none';
    const [hidden, ann] = [uuid(`ou=hidden,${BASE}`), uuid(ANN)];
    const attribute = { type: 'description', values: [Buffer.from('other')] };
    const dn = `ou=hidden,${BASE}`;
    await served.directory.apply([
      { request: { op: 'modifyRequest', dn, changes: [{ kind: 'replace', attribute }] } },
      { request: { op: 'deleteRequest', dn } },
    ]);
    expect((await followers[0](cookies[0])).seen).toContain(hidden);
    const { seen } = await followers[1](cookies[1]);
    expect(seen).toContain(ann);
    expect(seen).not.toContain(hidden);
  });
});

describe('secrets', () => {
  it('are not read, searched, compared, or seen through controls, by anybody', async () => {
    await using served = await site();
    const admin = await served.client();
    const everything = await ask(admin, {
      filter: parseFilter('(objectClass=*)'),
      attributes: ['*', '+', 'userPassword', '2.5.4.35'],
    });
    expect(JSON.stringify(everything)).not.toContain('secret');
    expect(Object.keys(everything.entries)).toContain(ANN);
    for (const text of [
      '(userPassword=marker-secret)',
      '(!(userPassword=wrong))',
      '(userPassword=*)',
      '(!(userPassword=*))',
      '(userPassword=m*)',
      '(userPassword>=a)',
      '(userPassword:octetStringMatch:=marker-secret)',
      '(:octetStringMatch:=marker-secret)',
      '(2.5.4.35=marker-secret)',
    ]) {
      expect((await ask(admin, { filter: parseFilter(text) })).entries).toEqual({});
    }
    const right = await admin.compare(ANN, 'userPassword', Buffer.from('marker-secret'), {
      accept: EVERY_CODE,
    }).result;
    const wrong = await admin.compare(ANN, 'userPassword', Buffer.from('wrong'), { accept: EVERY_CODE })
      .result;
    const missing = await admin.compare(`ou=people,${BASE}`, 'userPassword', Buffer.from('x'), {
      accept: EVERY_CODE,
    }).result;
    expect(right.operation.result).toEqual(wrong.operation.result);
    expect(right.operation.result).toEqual(missing.operation.result);
    const assertion = {
      oid: CONTROL.assertion,
      critical: true,
      value: encodeAssertion(parseFilter('(userPassword=marker-secret)')),
    };
    const asserted = await admin.modify(ANN, [], { controls: [assertion], accept: EVERY_CODE }).result;
    expect(asserted.operation.result.code).toBe(122);
    const read = { oid: CONTROL.preRead, critical: true, value: encodeReadRequest(['*', 'userPassword']) };
    const change = {
      kind: 'replace' as const,
      attribute: { type: 'userPassword', values: [Buffer.from('marker-secret-2')] },
    };
    const modified = await admin.modify(ANN, [change], {
      controls: [read, { ...read, oid: CONTROL.postRead }],
    }).result;
    for (const control of modified.controls) {
      expect(decodeReadResult(control.value).attributes.map((a) => a.type)).not.toContain('userPassword');
    }
    expect(modified.controls).toHaveLength(2);
    expect(served.directory.readEntry(ANN)?.text('userPassword')).toBe('marker-secret-2');
  });

  it('do not cross content synchronisation', async () => {
    await using served = await site();
    const admin = await served.client();
    const value = encodeSyncRequest({ mode: 'refreshOnly', reloadHint: false });
    const stream = admin.search(
      { base: BASE, attributes: ['*', '+', 'userPassword'] },
      { controls: [{ oid: CONTROL.syncRequest, critical: true, value }] },
    );
    let bytes = '';
    let entries = 0;
    for await (const item of stream) {
      if (item.operation.op === 'searchResultEntry') entries++;
      bytes += JSON.stringify(item, (_key, v: unknown) => (Buffer.isBuffer(v) ? v.toString('latin1') : v));
    }
    expect(entries).toBe(4);
    expect(bytes).not.toContain('secret');
  });

  it('can only be replaced as a whole: anything else would tell whether a value is there', async () => {
    await using served = await site();
    const admin = await served.client();
    const change = async (
      kind: 'add' | 'delete' | 'replace',
      values: readonly string[],
      dn = ANN,
    ): Promise<{ code: number; diagnostic: string }> => {
      const attribute = { type: 'userPassword', values: values.map((v) => Buffer.from(v)) };
      const { operation } = await admin.modify(dn, [{ kind, attribute }], { accept: EVERY_CODE }).result;
      return { code: operation.result.code, diagnostic: operation.result.diagnostic };
    };
    const refused = { code: 50, diagnostic: 'userPassword can only be replaced as a whole' };
    for (const dn of [ANN, `ou=people,${BASE}`]) {
      for (const values of [['marker-secret'], ['wrong'], []]) {
        expect(await change('delete', values, dn)).toEqual(refused);
        if (values.length > 0) expect(await change('add', values, dn)).toEqual(refused);
      }
    }
    expect(await change('replace', ['marker-secret'])).toEqual({ code: 0, diagnostic: '' });
    expect(await change('replace', [])).toEqual({ code: 0, diagnostic: '' });
    expect(await change('replace', [])).toEqual({ code: 0, diagnostic: '' });
  });

  it('cannot stand in a name, where they would be seen', async () => {
    await using served = await site();
    const admin = await served.client();
    const where = { newRdn: 'cn=ann+userPassword=marker-secret', deleteOldRdn: false };
    const renamed = await admin.modifyDn(ANN, where, { accept: EVERY_CODE }).result;
    expect(renamed.operation.result.code).toBe(64);
    const added = await admin.add(
      `userPassword=x,${BASE}`,
      [
        { type: 'objectClass', values: [Buffer.from('organization')] },
        { type: 'o', values: [Buffer.from('x')] },
      ],
      { accept: EVERY_CODE },
    ).result;
    expect(added.operation.result.code).toBe(64);
  });
});
