import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { connect as secure } from 'node:tls';
import { Client as Ldapts } from 'ldapts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock, yieldToLoop } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import { Secret } from '../base/secret.ts';
import { makeCertificate, type TestCertificate } from '../../test/support/certificate.ts';
import { runTool } from '../../test/support/slapd.ts';
import { RawConnection } from '../../test/support/raw-connection.ts';
import { SUCCESS, TinyHandler } from '../../test/support/tiny-directory.ts';
import { connectLdap } from './client.ts';
import { EXTENDED } from './control.ts';
import { encodeBytes } from './encode.ts';
import { LdapListener, type ListenerOptions } from './server.ts';

let server: TestCertificate;
let client: TestCertificate;
let folder: string;

beforeAll(async () => {
  [server, client] = await Promise.all([makeCertificate(), makeCertificate({ name: 'hub.example.org' })]);
  folder = await mkdtemp(join(tmpdir(), 'postern-listener-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

interface Started extends AsyncDisposable {
  listener: LdapListener;
  handlers: TinyHandler[];
}

async function listen(options: Partial<ListenerOptions> = {}): Promise<Started> {
  const handlers: TinyHandler[] = [];
  const listener = new LdapListener({
    address: { host: '127.0.0.1', port: 0 },
    clock: systemClock,
    log: silentLog,
    accept: (connection) => {
      const handler = new TinyHandler(connection);
      handlers.push(handler);
      return handler;
    },
    ...options,
  });
  await listener.start();
  return { listener, handlers, [Symbol.asyncDispose]: () => listener.stop() };
}

const pinned = (certificate: TestCertificate) => ({
  trust: {
    kind: 'pinned' as const,
    verifyPeer: (der: Buffer) => {
      if (!der.equals(certificate.der)) throw new Error('another certificate');
    },
  },
});

/** A stream over a socket that passes nothing on while it is held, then all at once. */
function heldStream(raw: Socket): { stream: Duplex; hold: () => void; release: () => void } {
  const held: Buffer[] = [];
  let holds = false;
  const stream = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _encoding, done) {
      if (holds) held.push(chunk);
      else raw.write(chunk);
      done();
    },
  });
  raw.on('data', (chunk) => stream.push(chunk)).on('end', () => stream.push(null));
  return {
    stream,
    hold: () => {
      holds = true;
    },
    release: () => void raw.write(Buffer.concat(held)),
  };
}

test('who asks and in the same breath says that no more will come is answered', async () => {
  await using started = await listen({ tls: { identity: server } });
  const raw = connect({ host: '127.0.0.1', port: started.listener.port });
  const { stream, hold, release } = heldStream(raw);
  const client = secure({ socket: stream, rejectUnauthorized: false });
  await once(client, 'secureConnect');
  const asked = new RawConnection(client);
  hold();
  const operation = { op: 'compareRequest', dn: 'cn=a', attribute: 'cn', value: Buffer.from('yes') } as const;
  client.end(encodeBytes({ messageId: 1, operation, controls: [] }));
  await once(client, 'finish');
  await yieldToLoop();
  release();
  await once(raw, 'end');
  await yieldToLoop();
  expect(asked.messages.map((message) => message.operation.op)).toEqual(['compareResponse']);
  client.destroy();
  raw.destroy();
});

describe('our client and our listener', () => {
  test('plain: bind, who am I, add, compare, search, unbind', async () => {
    await using started = await listen();
    const ldap = await connectLdap({
      target: `ldap://127.0.0.1:${started.listener.port}`,
      clock: systemClock,
    });
    await ldap.bind('cn=me', new Secret('secret'));
    expect(await ldap.whoAmI()).toBe('dn:cn=me');
    const results = await Promise.all([
      ldap.add('cn=a', [{ type: 'cn', values: [Buffer.from('a')] }]).result,
      ldap.compare('cn=a', 'cn', Buffer.from('yes')).result,
      ldap.delete('cn=a').result,
    ]);
    expect(results.map(({ operation }) => operation.result.code)).toEqual([0, 6, 0]);
    const names: string[] = [];
    for await (const { operation } of ldap.search({ base: 'o=x' }))
      if (operation.op === 'searchResultEntry') names.push(operation.dn);
    expect(names).toEqual(['cn=0,o=x']);
    ldap.unbind();
    expect((await ldap.closed).code).toBe('ldap.closed');
  });

  test('ldaps: both ends see the other certificate', async () => {
    await using started = await listen({ tls: { identity: server } });
    await using ldap = await connectLdap({
      target: `ldaps://127.0.0.1:${started.listener.port}`,
      clock: systemClock,
      tls: { ...pinned(server), certificate: client.certificate, key: new Secret(client.key) },
    });
    expect(await ldap.whoAmI()).toBe('');
    expect(ldap.peerCertificate?.equals(server.der)).toBe(true);
    expect(started.handlers[0]?.connection.peerCertificate?.equals(client.der)).toBe(true);
    expect(started.handlers[0]?.connection).toMatchObject({
      secure: true,
      localKind: 'ldaps',
      remoteAddress: '127.0.0.1',
    });
  });

  test('StartTLS', async () => {
    await using started = await listen({ tls: { identity: server, startTls: true } });
    await using ldap = await connectLdap({
      target: `ldap://127.0.0.1:${started.listener.port}`,
      clock: systemClock,
    });
    expect(ldap.secure).toBe(false);
    await ldap.startTls(pinned(server));
    expect(ldap.secure).toBe(true);
    await ldap.bind('cn=me', new Secret('secret'));
    expect(await ldap.whoAmI()).toBe('dn:cn=me');
    expect(started.handlers[0]).toMatchObject({ secured: 1 });
  });

  test('what is sent while TLS begins, on either side, goes over TLS', async () => {
    const notifications: (string | undefined)[] = [];
    await using started = await listen({
      tls: { identity: server, startTls: true },
      accept: (connection) =>
        new TinyHandler(connection, {
          intercept: (message) => {
            if (message.operation.op !== 'extendedRequest' || message.operation.oid !== EXTENDED.startTls)
              return false;
            connection.sendMessage({ ...message, operation: { op: 'extendedResponse', result: SUCCESS } });
            connection.startTls();
            connection.sendMessage({
              messageId: 0,
              operation: { op: 'extendedResponse', result: SUCCESS, oid: '1.2.3' },
              controls: [],
            });
            return true;
          },
        }),
    });
    await using ldap = await connectLdap({
      target: `ldap://127.0.0.1:${started.listener.port}`,
      clock: systemClock,
      onNotification: ({ oid }) => notifications.push(oid),
    });
    let asked: Promise<string> | undefined;
    const { trust } = pinned(server);
    await ldap.startTls({
      trust: {
        kind: 'pinned',
        verifyPeer: (der) => {
          trust.verifyPeer(der);
          asked = ldap.whoAmI();
        },
      },
    });
    expect(await asked).toBe('');
    expect(notifications).toEqual(['1.2.3']);
  });

  test('stopping in the middle of a handshake', async () => {
    await using started = await listen({ tls: { identity: server, startTls: true } });
    const raw = await RawConnection.open({ host: '127.0.0.1', port: started.listener.port });
    await raw.send(1, { op: 'extendedRequest', oid: EXTENDED.startTls });
    await raw.until((messages) => messages.length === 1);
    await started.listener.stop();
    await raw.closed;
    expect(raw.messages.length).toBe(1);
    expect(started.handlers[0]?.closed).toBe(1);
  });

  test('unix socket with its mode; a stale socket file is replaced', async () => {
    const path = join(folder, 'socket');
    for (let round = 0; round < 2; round++) {
      await using started = await listen({ address: { path, mode: 0o660 } });
      expect((await stat(path)).mode & 0o777).toBe(0o660);
      await using ldap = await connectLdap({ target: { kind: 'unix', path }, clock: systemClock });
      expect(await ldap.whoAmI()).toBe('');
      expect(started.handlers[0]?.connection.localKind).toBe('ldapi');
    }
  });
});

test('ldapts', async () => {
  await using started = await listen({ tls: { identity: server, startTls: true } });
  const ldapts = new Ldapts({ url: `ldap://127.0.0.1:${started.listener.port}` });
  await ldapts.startTLS({ rejectUnauthorized: false });
  await ldapts.bind('cn=me', 'x');
  expect(await ldapts.compare('cn=a', 'cn', 'yes')).toBe(true);
  const { searchEntries } = await ldapts.search('o=x');
  expect(searchEntries).toEqual([{ dn: 'cn=0,o=x', cn: '0' }]);
  await ldapts.unbind();
  expect(started.handlers[0]).toMatchObject({ identity: 'cn=me', secured: 1 });
});

test('OpenLDAP tools', async () => {
  await using started = await listen({ tls: { identity: server, startTls: true } });
  const env = { LDAPTLS_REQCERT: 'never' };
  const url = `ldap://127.0.0.1:${started.listener.port}`;
  expect(await runTool('ldapwhoami', ['-x', '-H', url, '-D', 'cn=me', '-w', 'x'])).toBe('dn:cn=me\n');
  expect(await runTool('ldapwhoami', ['-x', '-ZZ', '-H', url, '-D', 'cn=me', '-w', 'x'], { env })).toBe(
    'dn:cn=me\n',
  );
  expect(await runTool('ldapsearch', ['-x', '-H', url, '-LLL', '-b', 'o=x'])).toBe('dn: cn=0,o=x\ncn: 0\n\n');
});
