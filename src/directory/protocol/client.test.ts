/** A client's side of the protocol: binds, StartTLS, abandon and cancel. */
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { makeCertificate } from '../../../test/support/certificate.ts';
import { accept, BASE, bind, codes, raw, search } from '../../../test/support/directory-requests.ts';
import { addition, ADMINISTRATOR, serveDirectory } from '../../../test/support/served-directory.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { connectLdap } from '../../ldap/client.ts';
import { CONTROL, EXTENDED } from '../../ldap/control.ts';
import { encodeBytes } from '../../ldap/encode.ts';
import { encodeCancelRequest } from '../../ldap/extended-values.ts';
import type { Operation } from '../../ldap/message.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import { encodeSyncRequest } from '../../ldap/sync-values.ts';
import { type AuthenticateResult } from '../directory.ts';

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
