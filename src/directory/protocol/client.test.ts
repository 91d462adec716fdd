/** A client's side of the protocol: binds, abandon and cancel, limits, and what happens to those who don't speak LDAP. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { makeCertificate } from '../../../test/support/certificate.ts';
import { RawConnection } from '../../../test/support/raw-connection.ts';
import {
  addition,
  ADMINISTRATOR,
  type ServedDirectory,
  serveDirectory,
} from '../../../test/support/served-directory.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { connectLdap } from '../../ldap/client.ts';
import { CONTROL, EXTENDED } from '../../ldap/control.ts';
import { encodePagedResults } from '../../ldap/control-values.ts';
import { encodeBytes } from '../../ldap/encode.ts';
import { encodeCancelRequest } from '../../ldap/extended-values.ts';
import { parseFilter } from '../../ldap/filter.ts';
import { Framer } from '../../ldap/framer.ts';
import type { Message, Operation, SearchRequest } from '../../ldap/message.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import { encodeSyncRequest } from '../../ldap/sync-values.ts';
import { type AuthenticateResult, resultOf } from '../directory.ts';
import { TRUSTED_LIMITS } from './limits.ts';

const BASE = 'dc=example,dc=org';
const accept = Array.from({ length: 5000 }, (_, n) => n);
const raw = (served: ServedDirectory): Promise<RawConnection> =>
  RawConnection.open({ host: '127.0.0.1', port: served.listener.port });
const codes = (messages: readonly Message[]): (number | undefined)[] =>
  messages.map(({ operation }) => ('result' in operation ? operation.result.code : undefined));
const bind = (name: string, password: string): Operation => ({
  op: 'bindRequest',
  version: 3,
  name,
  authentication: { kind: 'simple', password: Buffer.from(password) },
});
const search = (more: Partial<SearchRequest> = {}): SearchRequest => ({
  op: 'searchRequest',
  base: BASE,
  scope: 'subtree',
  derefAliases: 'never',
  sizeLimit: 0,
  timeLimit: 0,
  typesOnly: false,
  filter: parseFilter('(objectClass=*)'),
  attributes: [],
  ...more,
});
const many = (count: number) => [
  addition(BASE, { objectClass: ['domain'] }),
  ...Array.from({ length: count }, (_, n) =>
    addition(`cn=p${n},${BASE}`, { objectClass: ['person'], sn: [`s${n}`] }),
  ),
];

describe('bind', () => {
  it.each([
    ['anonymous', bind('', ''), 0],
    ['right password', bind(ADMINISTRATOR.dn, ADMINISTRATOR.password), 0],
    ['wrong password', bind(ADMINISTRATOR.dn, 'no'), RESULT_CODE.invalidCredentials],
    ['unknown name', bind('cn=nobody', 'no'), RESULT_CODE.invalidCredentials],
    ['a name without password', bind(ADMINISTRATOR.dn, ''), RESULT_CODE.unwillingToPerform],
    ['a password without name', bind('', 'x'), RESULT_CODE.invalidCredentials],
    ['version 2', { ...bind('', ''), version: 2 } as Operation, RESULT_CODE.protocolError],
    [
      'SASL',
      {
        op: 'bindRequest',
        version: 3,
        name: '',
        authentication: { kind: 'sasl', mechanism: 'EXTERNAL' },
      } as Operation,
      RESULT_CODE.authMethodNotSupported,
    ],
  ])('%s', async (_name, operation, code) => {
    await using served = await serveDirectory();
    const connection = await raw(served);
    await connection.send(1, operation);
    expect(codes(await connection.until((m) => m.length === 1))).toEqual([code]);
    connection.socket.destroy();
  });

  it('a failed bind leaves nobody', async () => {
    await using served = await serveDirectory();
    const client = await served.client();
    expect(await client.whoAmI()).toBe(`dn:${ADMINISTRATOR.dn}`);
    await client.bind(ADMINISTRATOR.dn, new Secret('wrong'), { accept });
    expect(await client.whoAmI()).toBe('');
    const { operation } = await client.search({ base: BASE }, { accept }).done;
    expect(operation.result.code).toBe(RESULT_CODE.noSuchObject);
  });

  it('requests behind a bind wait for its outcome', async () => {
    let decide: (outcome: AuthenticateResult) => void = () => undefined;
    await using served = await serveDirectory({
      hooks: {
        authenticate: () =>
          new Promise<AuthenticateResult>((resolve) => {
            decide = resolve;
          }),
      },
    });
    const connection = await raw(served);
    await connection.write(
      Buffer.concat([
        encodeBytes({ messageId: 1, operation: bind('cn=x', 'y'), controls: [] }),
        encodeBytes({
          messageId: 2,
          operation: { op: 'extendedRequest', oid: EXTENDED.whoAmI },
          controls: [],
        }),
      ]),
    );
    for (const session of served.directory.sessions) expect(session.identity.role).toBe('anonymous');
    await systemClock.sleep('test', 20);
    expect(connection.messages).toEqual([]);
    decide({ identity: { role: 'administrator', authorizationId: 'u:x', dn: 'cn=x' } });
    const messages = await connection.until((m) => m.length === 2);
    expect(messages.map((m) => m.messageId)).toEqual([1, 2]);
    expect(messages[1]?.operation).toMatchObject({ value: Buffer.from('u:x') });
    connection.socket.destroy();
  });

  it('failures slow their source down, on all its connections', async () => {
    const clock = new FakeClock();
    await using served = await serveDirectory({ directory: { clock } });
    const connection = await raw(served);
    for (let n = 1; n <= 3; n++) {
      await connection.send(n, bind('cn=x', 'wrong'));
      await connection.until((m) => m.length === n);
    }
    await connection.send(4, bind('cn=x', 'wrong'));
    await clock.armed('directory.bind-throttle');
    expect(connection.messages).toHaveLength(3);
    // Another connection does not get round the waiting, not even with the right password.
    const second = await raw(served);
    await second.send(1, bind(ADMINISTRATOR.dn, ADMINISTRATOR.password));
    await systemClock.sleep('test', 20);
    expect(second.messages).toEqual([]);
    await clock.advance(250);
    expect(codes(await connection.until((m) => m.length === 4))[3]).toBe(RESULT_CODE.invalidCredentials);
    expect(codes(await second.until((m) => m.length === 1))).toEqual([0]);
    connection.socket.destroy();
    second.socket.destroy();
  });

  it('an error inside authenticate is no success and tells nothing', async () => {
    await using served = await serveDirectory({
      hooks: {
        authenticate() {
          throw new Error('marker');
        },
      },
    });
    const connection = await raw(served);
    await connection.send(1, bind('cn=x', 'y'));
    const [message] = await connection.until((m) => m.length === 1);
    expect(message?.operation).toMatchObject({
      result: { code: RESULT_CODE.other, diagnostic: 'internal error' },
    });
    connection.socket.destroy();
  });
});

describe('StartTLS', () => {
  it('protects what follows, once', async () => {
    const { certificate, key } = await makeCertificate();
    await using served = await serveDirectory({
      server: { startTls: true },
      listener: { tls: { identity: { key, certificate }, startTls: true } },
    });
    const client = await connectLdap({ target: served.url, clock: systemClock });
    await client.startTls({ trust: { kind: 'pinned', verifyPeer: () => undefined } });
    await client.bind(ADMINISTRATOR.dn, new Secret(ADMINISTRATOR.password));
    expect(await client.whoAmI()).toBe(`dn:${ADMINISTRATOR.dn}`);
    const again = await client.extended(EXTENDED.startTls, undefined, { accept }).result;
    expect(again.operation.result.code).toBe(RESULT_CODE.operationsError);
    client.destroy();
  });

  it('is refused where there is none', async () => {
    await using served = await serveDirectory();
    const client = await served.client();
    const { operation } = await client.extended(EXTENDED.startTls, undefined, { accept }).result;
    expect(operation.result.code).toBe(RESULT_CODE.protocolError);
  });
});

describe('abandon and cancel', () => {
  const persist = {
    oid: CONTROL.syncRequest,
    critical: true,
    value: encodeSyncRequest({ mode: 'refreshAndPersist', reloadHint: false }),
  };

  it('cancel ends a search with canceled, itself with success; unknown ones are unknown', async () => {
    await using served = await serveDirectory();
    const client = await served.client();
    const stream = client.search({ base: BASE }, { controls: [persist], accept });
    await stream[Symbol.asyncIterator]().next();
    const cancel = client.extended(EXTENDED.cancel, encodeCancelRequest(stream.messageId), { accept });
    expect((await cancel.result).operation.result.code).toBe(0);
    expect((await stream.done).operation.result.code).toBe(RESULT_CODE.canceled);
    const again = await client.extended(EXTENDED.cancel, encodeCancelRequest(stream.messageId), { accept })
      .result;
    expect(again.operation.result.code).toBe(RESULT_CODE.noSuchOperation);
  });

  it('abandon ends it without an answer, and a bind ends everything', async () => {
    await using served = await serveDirectory();
    const connection = await raw(served);
    await connection.send(1, bind(ADMINISTRATOR.dn, ADMINISTRATOR.password));
    await connection.until((m) => m.length === 1);
    await connection.send(2, search(), [persist]);
    await connection.until((m) => m.length === 3);
    await connection.send(3, { op: 'abandonRequest', messageId: 2 });
    await connection.send(4, search(), [persist]);
    await connection.until((m) => m.length === 5);
    await connection.send(5, bind(ADMINISTRATOR.dn, ADMINISTRATOR.password));
    await connection.until((m) => m.length === 6);
    await served.directory.apply([addition(`cn=new,${BASE}`, { objectClass: ['person'], sn: ['x'] })]);
    await connection.send(6, { op: 'extendedRequest', oid: EXTENDED.whoAmI });
    const messages = await connection.until((m) => m.some((one) => one.messageId === 6));
    expect(messages.map((m) => m.messageId)).toEqual([1, 2, 2, 4, 4, 5, 6]);
    connection.socket.destroy();
  });
});

describe('searches', () => {
  it('keep to the limits of size, of pages, and of entries looked at', async () => {
    const limits = { ...TRUSTED_LIMITS, sizeLimit: 5, pageSize: 7, lookThrough: 20 };
    await using served = await serveDirectory({ entries: many(30), server: { limits: () => limits } });
    const client = await served.client();
    const count = async (options: Partial<SearchRequest>): Promise<[number, number]> => {
      let entries = 0;
      const stream = client.search({ base: BASE, ...options }, { accept });
      for await (const item of stream) if (item.operation.op === 'searchResultEntry') entries++;
      return [(await stream.done).operation.result.code, entries];
    };
    expect(await count({})).toEqual([RESULT_CODE.sizeLimitExceeded, 5]);
    expect(await count({ sizeLimit: 3 })).toEqual([RESULT_CODE.sizeLimitExceeded, 3]);
    expect(await count({ sizeLimit: 1, filter: parseFilter('(cn=p1)') })).toEqual([0, 1]);
    expect(await count({ filter: parseFilter('(sn=none)') })).toEqual([RESULT_CODE.adminLimitExceeded, 0]);
    const page = {
      oid: CONTROL.pagedResults,
      critical: true,
      value: encodePagedResults({ size: 100, cookie: Buffer.alloc(0) }),
    };
    const stream = client.search({ base: BASE }, { controls: [page], accept });
    let entries = 0;
    for await (const _ of stream) entries++;
    expect(entries).toBe(7);
  });

  it('end when their time is over', async () => {
    // Every look at the clock takes 0.3 s.
    let now = 0;
    const clock = { ...systemClock, monotonic: () => (now += 300) };
    await using served = await serveDirectory({ entries: many(300), directory: { clock } });
    const client = await served.client();
    const count = async (timeLimit: number): Promise<[number, number]> => {
      const stream = client.search({ base: BASE, timeLimit }, { accept });
      let entries = 0;
      for await (const _ of stream) entries++;
      return [(await stream.done).operation.result.code, entries];
    };
    const [code, entries] = await count(1);
    expect(code).toBe(RESULT_CODE.timeLimitExceeded);
    expect(entries).toBeGreaterThan(0);
    expect(entries).toBeLessThan(301);
    expect(await count(0)).toEqual([0, 301]);
  });

  // So many that they are listed, and so many that they are scanned.
  it.each([50, 1200])(
    'a paged search of %i takes every entry once, and its cookie fits no other',
    async (total) => {
      await using served = await serveDirectory({ entries: many(total) });
      const size = Math.ceil(total / 8);
      const client = await served.client();
      const { decodePagedResults } = await import('../../ldap/control-values.ts');
      const page = async (cookie: Buffer, filter = '(objectClass=*)', on = client) => {
        const control = {
          oid: CONTROL.pagedResults,
          critical: true,
          value: encodePagedResults({ size, cookie }),
        };
        const stream = on.search(
          { base: BASE, filter: parseFilter(filter), attributes: ['1.1'] },
          { controls: [control], accept },
        );
        const names: string[] = [];
        for await (const { operation } of stream)
          if (operation.op === 'searchResultEntry') names.push(operation.dn);
        const done = await stream.done;
        const value = done.controls[0]?.value;
        return {
          names,
          code: done.operation.result.code,
          cookie: value === undefined ? Buffer.alloc(0) : Buffer.from(decodePagedResults(value).cookie),
        };
      };
      const names: string[] = [];
      let cookie = Buffer.alloc(0);
      let stolen = Buffer.alloc(0);
      do {
        const got = await page(cookie);
        expect(got.names.length).toBeLessThanOrEqual(size);
        names.push(...got.names);
        stolen = cookie.length > 0 ? cookie : stolen;
        cookie = got.cookie;
      } while (cookie.length > 0);
      expect(new Set(names).size).toBe(total + 1);
      expect(names).toHaveLength(total + 1);
      expect((await page(stolen, '(sn=*)')).code).toBe(RESULT_CODE.unwillingToPerform);
      const altered = Buffer.from(stolen);
      altered[3] = (altered[3] as number) ^ 1;
      expect((await page(altered)).code).toBe(RESULT_CODE.unwillingToPerform);
      expect((await page(Buffer.from('x'))).code).toBe(RESULT_CODE.unwillingToPerform);
      expect((await page(stolen, '(objectClass=*)', await served.client())).code).toBe(
        RESULT_CODE.unwillingToPerform,
      );
    },
  );

  it('searchGate stands in for "nothing found"', async () => {
    await using served = await serveDirectory({
      hooks: {
        authenticate: () => ({ identity: { role: 'administrator', authorizationId: 'u:a', dn: '' } }),
        searchGate: (_session, base) => (base.startsWith('dc=') ? resultOf('busy', 'first load') : undefined),
      },
    });
    const client = await served.client();
    const asked = async (text: string, base = BASE) => {
      const { operation } = await client.search({ base, filter: parseFilter(text) }, { accept }).done;
      return operation.result;
    };
    for (const filter of ['(cn=p1)', '(mail=x)', '(&(cn=p1))'])
      expect(await asked(filter)).toMatchObject({ code: RESULT_CODE.busy, diagnostic: 'first load' });
    expect((await asked('(objectClass=*)', `dc=missing,${BASE}`)).code).toBe(RESULT_CODE.busy);
    expect((await asked('(objectClass=*)')).code).toBe(0);
    const dse = await client.search({ base: '', scope: 'base' }, { accept }).done;
    expect(dse.operation.result.code).toBe(0);
    const compared = await client.compare(BASE, 'dc', Buffer.from('example'), { accept }).result;
    expect(compared.operation.result.code).toBe(RESULT_CODE.busy);
  });

  it('a slow reader holds up nobody but itself', async () => {
    await using served = await serveDirectory({ entries: many(2000) });
    const slow = await raw(served);
    await slow.send(1, bind(ADMINISTRATOR.dn, ADMINISTRATOR.password));
    await slow.until((m) => m.length === 1);
    slow.socket.pause();
    for (let n = 2; n < 30; n++) await slow.send(n, search({ attributes: ['*', '+'] }));
    const client = await served.client();
    for (let n = 0; n < 20; n++) expect(await client.whoAmI()).toBe(`dn:${ADMINISTRATOR.dn}`);
    const [connection] = [...served.listener.connections].filter((one) => one.pendingBytes > 0);
    // What waits for it is bounded, however much it asked for.
    expect(connection?.pendingBytes).toBeGreaterThan(0);
    expect(connection?.pendingBytes).toBeLessThan(4 << 20);
    const framer = new Framer({ maxMessageBytes: 1 << 20 });
    let messages = 0;
    const all = new Promise<void>((resolve) => {
      slow.socket.on('data', (chunk: Buffer) => {
        framer.push(chunk);
        for (const _ of framer) messages++;
        if (messages === 28 * 2002) resolve();
      });
    });
    slow.socket.resume();
    await all;
    slow.socket.destroy();
  });
});

describe('hostile clients', () => {
  it.each([
    ['not LDAP at all', Buffer.from('GET / HTTP/1.0\r\n\r\n')],
    [
      'a response instead of a request',
      encodeBytes({
        messageId: 1,
        operation: { op: 'searchResultDone', result: { code: 0, matchedDn: '', diagnostic: '' } },
        controls: [],
      }),
    ],
    ['message id 0', encodeBytes({ messageId: 0, operation: search(), controls: [] })],
    ['an unknown operation', Buffer.from('300702010147020000', 'hex')],
    ['an oversized message', Buffer.from('308401000000', 'hex')],
    ['an indefinite length', Buffer.from('3080', 'hex')],
  ])('%s gets a notice of disconnection', async (_name, bytes) => {
    await using served = await serveDirectory();
    const connection = await raw(served);
    await connection.write(bytes);
    const messages = await connection.until((m) => m.length >= 1);
    expect(messages[0]).toMatchObject({
      messageId: 0,
      operation: { oid: EXTENDED.noticeOfDisconnection, result: { code: RESULT_CODE.protocolError } },
    });
    await connection.closed;
  });

  it.each([
    [
      'a filter nested too deeply',
      encodeBytes({ messageId: 9, operation: search({ filter: nested(200) }), controls: [] }),
    ],
    ['a modify whose body is garbage', Buffer.from('300702010966020404', 'hex')],
    [
      'a search whose scope is 7',
      encodeBytes({ messageId: 9, operation: { ...search(), scope: 'base' }, controls: [] }).map(
        (b, i, all) => (all[i - 2] === 0x0a && all[i - 1] === 1 && b === 0 && i < 40 ? 7 : b),
      ),
    ],
  ])('%s gets protocolError and may go on', async (_name, bytes) => {
    await using served = await serveDirectory();
    const connection = await raw(served);
    await connection.write(bytes);
    const [message] = await connection.until((m) => m.length === 1);
    expect(message).toMatchObject({
      messageId: 9,
      operation: { result: { code: RESULT_CODE.protocolError } },
    });
    await connection.send(10, bind('', ''));
    expect(codes(await connection.until((m) => m.length === 2))[1]).toBe(0);
    connection.socket.destroy();
  });

  it('survives any bytes, and serves others meanwhile', async () => {
    await using served = await serveDirectory({
      entries: many(5),
      server: { initialIdentity: () => ({ role: 'administrator', authorizationId: '', dn: '' }) },
    });
    const client = await served.client();
    const valid = [
      encodeBytes({
        messageId: 1,
        operation: search({ filter: parseFilter('(&(cn=p1)(!(sn=a*b*c))(name:dn:2.5.13.2:=x))') }),
        controls: [],
      }),
      encodeBytes({ messageId: 2, operation: search({ filter: parseFilter('(cn=p1)') }), controls: [] }),
      encodeBytes({
        messageId: 3,
        operation: {
          op: 'modifyRequest',
          dn: `cn=p1,${BASE}`,
          changes: [{ kind: 'add', attribute: { type: 'description', values: [Buffer.from('d')] } }],
        },
        controls: [],
      }),
      encodeBytes({
        messageId: 4,
        operation: { op: 'modifyDnRequest', dn: `cn=p2,${BASE}`, newRdn: 'cn=q', deleteOldRdn: true },
        controls: [],
      }),
      encodeBytes({
        messageId: 5,
        operation: { op: 'extendedRequest', oid: EXTENDED.endTransaction, value: Buffer.from('3000', 'hex') },
        controls: [],
      }),
      encodeBytes({
        messageId: 6,
        operation: search(),
        controls: [
          { oid: CONTROL.pagedResults, critical: true, value: Buffer.from('30060201050401ff', 'hex') },
        ],
      }),
    ];
    const mutated = fc
      .tuple(
        fc.constantFrom(...valid),
        fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      )
      .map(([bytes, flips]) => {
        const copy = Buffer.from(bytes);
        for (const [at, value] of flips) copy[at % copy.length] = value;
        return copy;
      });
    await fc.assert(
      fc.asyncProperty(fc.array(mutated, { minLength: 1, maxLength: 8 }), async (messages) => {
        const connection = await raw(served);
        await connection.write(Buffer.concat(messages));
        connection.socket.end();
        await connection.closed;
        expect(await client.whoAmI()).toBe(`dn:${ADMINISTRATOR.dn}`);
      }),
      { numRuns: 150 },
    );
    for (const session of served.directory.sessions) expect(session.ended).toBe(false);
    expect(served.directory.sessions.size).toBe(1);
  });

  it('an owner ends the sessions of an identity', async () => {
    await using served = await serveDirectory({
      accounts: { 'cn=other': { password: 'pw', role: 'administrator' } },
    });
    const [first, second] = [
      await served.client(),
      await served.client({ name: 'cn=other', password: 'pw' }),
    ];
    expect(served.directory.terminate((session) => session.identity.dn === 'cn=other')).toBe(1);
    await second.closed;
    expect(await first.whoAmI()).toBe(`dn:${ADMINISTRATOR.dn}`);
  });
});

function nested(depth: number): SearchRequest['filter'] {
  let filter: SearchRequest['filter'] = { kind: 'present', attribute: 'cn' };
  for (let n = 0; n < depth; n++) filter = { kind: 'not', filter };
  return filter;
}
