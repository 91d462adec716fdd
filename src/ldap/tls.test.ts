import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import {
  type CertificateOptions,
  makeCertificate,
  type TestCertificate,
} from '../../test/support/certificate.ts';
import { RawConnection, rawServer } from '../../test/support/raw-connection.ts';
import { TinyHandler } from '../../test/support/tiny-directory.ts';
import { systemClock } from '../base/clock.ts';
import { PosternError } from '../base/error.ts';
import { silentLog } from '../base/log.ts';
import { Secret } from '../base/secret.ts';
import { connectLdap, type LdapClient } from './client.ts';
import { decodeBytes } from './decode.ts';
import { LdapListener, type ListenerOptions } from './server.ts';
import { encodeBytes } from './encode.ts';
import type { Message } from './message.ts';
import type { TlsClientOptions } from './tls.ts';

let server: TestCertificate;
let other: TestCertificate;
let folder: string;

beforeAll(async () => {
  [server, other] = await Promise.all([makeCertificate(), makeCertificate()]);
  folder = await mkdtemp(join(tmpdir(), 'postern-tls-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const WHO_AM_I: Message = {
  messageId: 1,
  operation: { op: 'extendedRequest', oid: '1.3.6.1.4.1.4203.1.11.3' },
  controls: [],
};

const pinned = (to: TestCertificate): TlsClientOptions => ({
  trust: {
    kind: 'pinned',
    verifyPeer: (der) => {
      if (!der.equals(to.der)) throw new PosternError('pin.mismatch', 'another certificate');
    },
  },
});

interface Started extends AsyncDisposable {
  listener: LdapListener;
  handlers: TinyHandler[];
  connect(tls: TlsClientOptions): Promise<LdapClient>;
}

async function listen(options: Partial<ListenerOptions> = {}): Promise<Started> {
  const handlers: TinyHandler[] = [];
  const listener = new LdapListener({
    address: { host: '127.0.0.1', port: 0 },
    clock: systemClock,
    log: silentLog,
    tls: { identity: server },
    accept: (connection) => {
      const handler = new TinyHandler(connection);
      handlers.push(handler);
      return handler;
    },
    ...options,
  });
  await listener.start();
  return {
    listener,
    handlers,
    connect: (tls) =>
      connectLdap({
        target: { kind: 'tcp', host: '127.0.0.1', port: listener.port, tls: true },
        clock: systemClock,
        tls,
      }),
    [Symbol.asyncDispose]: () => listener.stop(),
  };
}

/** What a promise is rejected with, awaited later. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a pinned peer', () => {
  const kinds: CertificateOptions[] = [
    { algorithm: 'P-256' },
    { algorithm: 'P-384' },
    { algorithm: 'RSA' },
    { algorithm: 'Ed25519' },
    { expired: true },
    { name: 'elsewhere.example.org' },
  ];
  test.each(kinds)('may have any certificate, on both ends: %j', async (kind) => {
    const [own, peer] = await Promise.all([makeCertificate(kind), makeCertificate(kind)]);
    await using started = await listen({
      tls: { identity: { certificate: peer.certificate, key: new Secret(peer.key) } },
    });
    await using client = await started.connect({
      ...pinned(peer),
      certificate: own.certificate,
      key: own.key,
    });
    expect(await client.whoAmI()).toBe('');
    expect(started.handlers[0]?.connection.peerCertificate?.equals(own.der)).toBe(true);
  });

  test('yields keying material that both ends know, and no other session', async () => {
    const own = await makeCertificate();
    await using started = await listen({ tls: { identity: { certificate: own.certificate, key: own.key } } });
    await using first = await started.connect(pinned(own));
    await using second = await started.connect(pinned(own));
    // The server has finished both handshakes.
    for (const client of [first, second]) expect(await client.whoAmI()).toBe('');
    const label = 'EXPERIMENTAL-test';
    const [one, two] = [first, second].map((client) => client.exportKeyingMaterial(32, label));
    expect(one).toHaveLength(32);
    expect(started.handlers[0]?.connection.exportKeyingMaterial(32, label)).toEqual(one);
    expect(started.handlers[1]?.connection.exportKeyingMaterial(32, label)).toEqual(two);
    expect(two).not.toEqual(one);
    expect(first.exportKeyingMaterial(32, `${label}-other`)).not.toEqual(one);
  });

  test('that is a man in the middle gets not a byte of LDAP', async () => {
    const seen: Buffer[] = [];
    const closed: Promise<void>[] = [];
    const middle = createServer(
      { key: other.key, cert: other.certificate, requestCert: true, rejectUnauthorized: false },
      (socket) => {
        socket.on('data', (chunk) => seen.push(chunk)).on('error', () => undefined);
      },
    );
    middle.on('connection', (socket: Socket) =>
      closed.push(new Promise((resolve) => socket.once('close', () => resolve()))),
    );
    await new Promise<void>((resolve) => {
      middle.listen(0, '127.0.0.1', resolve);
    });
    try {
      const target = {
        kind: 'tcp',
        host: '127.0.0.1',
        port: (middle.address() as AddressInfo).port,
        tls: true,
      } as const;
      // The same client against the right pin does send: this test can fail.
      const honest = await connectLdap({ target, clock: systemClock, tls: pinned(other) });
      honest.unbind();
      await honest.closed;
      await expect(connectLdap({ target, clock: systemClock, tls: pinned(server) })).rejects.toMatchObject({
        code: 'pin.mismatch',
      });
      while (closed.length < 2) await new Promise((resolve) => setImmediate(resolve));
      await Promise.all(closed);
      expect(seen.map((chunk) => decodeBytes(chunk).operation.op)).toEqual(['unbindRequest']);
    } finally {
      middle.close();
    }
  });

  test('no certificate of the client is undefined on the server', async () => {
    await using started = await listen();
    await using client = await started.connect(pinned(server));
    await client.whoAmI();
    expect(started.handlers[0]?.connection.peerCertificate).toBe(undefined);
  });
});

describe('sessions are not resumed', () => {
  /** Two connections of openssl, the second offering the first one's session; says what the second became. */
  async function resumed(port: number, name: string): Promise<'Reused' | 'New'> {
    const file = join(folder, name);
    await sClient(port, ['-sess_out', file]);
    const session = await readFile(file).catch(() => undefined);
    const said = await sClient(port, session === undefined ? [] : ['-sess_in', file]);
    return /^Reused, TLS/m.test(said) ? 'Reused' : 'New';
  }

  /** Says unbind after the handshake; the server then closes, whatever session tickets it sends have arrived by then. */
  function sClient(port: number, args: string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_3', ...args]);
      let said = '';
      let asked = false;
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString('latin1');
        if (asked || !/Verify return code/.test(said)) return;
        asked = true;
        // Who am I, so that the server's answer comes behind its tickets; then unbind.
        child.stdin.write(
          Buffer.concat([
            encodeBytes(WHO_AM_I),
            encodeBytes({ ...WHO_AM_I, operation: { op: 'unbindRequest' } }),
          ]),
        );
      });
      child.stdin.on('error', () => undefined);
      child.once('error', reject);
      child.once('close', () => resolve(said));
    });
  }

  test('an openssl client cannot; with a server of default settings it can', async () => {
    await using started = await listen();
    expect(await resumed(started.listener.port, 'ours')).toBe('New');
    expect(started.handlers.length).toBe(2);
    const usual = createServer({ key: server.key, cert: server.certificate }, (socket) => {
      socket.on('error', () => undefined).on('data', () => socket.end('answer'));
    });
    await new Promise<void>((resolve) => {
      usual.listen(0, '127.0.0.1', resolve);
    });
    try {
      expect(await resumed((usual.address() as AddressInfo).port, 'usual')).toBe('Reused');
    } finally {
      usual.close();
    }
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'a client that offers every session it got is made to prove its key again: %s',
    async (version) => {
      await using started = await listen({ tls: { identity: server, minVersion: 'TLSv1.2' } });
      const sessions: Buffer[] = [];
      for (let round = 0; round < 3; round++) {
        const session = sessions.at(-1);
        const socket = await new Promise<TLSSocket>((resolve, reject) => {
          const options = {
            host: '127.0.0.1',
            port: started.listener.port,
            rejectUnauthorized: false,
            maxVersion: version,
          };
          const secured = connect({ ...options, ...(session === undefined ? {} : { session }) }, () =>
            resolve(secured),
          );
          secured.on('session', (bytes: Buffer) => sessions.push(bytes)).once('error', reject);
        });
        const raw = new RawConnection(socket);
        await raw.write(encodeBytes(WHO_AM_I));
        await raw.until((messages) => messages.length === 1);
        expect(socket.isSessionReused()).toBe(false);
        socket.destroy();
      }
    },
  );
});

describe('the listener', () => {
  test('refuses TLS 1.2 unless told otherwise', async () => {
    await using started = await listen();
    const old = new Promise((resolve, reject) => {
      const socket = connect(
        { host: '127.0.0.1', port: started.listener.port, rejectUnauthorized: false, maxVersion: 'TLSv1.2' },
        () => resolve(socket),
      );
      socket.once('error', reject);
    });
    await expect(old).rejects.toThrow(/protocol version/i);
    expect(started.handlers.length).toBe(0);
  });

  test('takes a new certificate while it runs, and keeps the old one when the new one does not fit', async () => {
    await using started = await listen();
    await using before = await started.connect(pinned(server));
    started.listener.setIdentity(other);
    await using after = await started.connect(pinned(other));
    expect([await before.whoAmI(), await after.whoAmI()]).toEqual(['', '']);
    expect(() => started.listener.setIdentity({ certificate: server.certificate, key: other.key })).toThrow(
      expect.objectContaining({ code: 'certificate.invalid' }) as Error,
    );
    await using again = await started.connect(pinned(other));
    expect(await again.whoAmI()).toBe('');
  });

  test('survives clients that do not speak TLS, and forgets those that say nothing', async () => {
    const clock = new FakeClock();
    await using started = await listen({ clock });
    const open = (): Promise<RawConnection> =>
      RawConnection.open({ host: '127.0.0.1', port: started.listener.port });
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.from('160301ffff', 'hex'),
      Buffer.alloc(70_000, 0x16),
    ]) {
      const raw = await open();
      await raw.write(bytes);
      raw.socket.end();
      await raw.closed;
    }
    const silent = await open();
    while (started.listener.counts.handshakes === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(10_000);
    await silent.closed;
    expect(started.listener.counts).toMatchObject({ connections: 0, handshakes: 0, failedHandshakes: 4 });
    await using client = await started.connect(pinned(server));
    expect(await client.whoAmI()).toBe('');
  });

  test('does no more handshakes a second than it may; the others wait their turn', async () => {
    const clock = new FakeClock();
    await using started = await listen({ clock, limits: { handshakesPerSecond: 3 } });
    let done = 0;
    const clients = Array.from({ length: 7 }, () =>
      started.connect(pinned(server)).then((client) => {
        done++;
        return client;
      }),
    );
    const settled = async (count: number): Promise<void> => {
      while (done < count || started.handlers.length < count)
        await new Promise((resolve) => setImmediate(resolve));
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    };
    await settled(3);
    expect([done, started.listener.counts.handshakes]).toEqual([3, 4]);
    await clock.advance(1100);
    await settled(6);
    expect(done).toBe(6);
    await clock.advance(1100);
    await settled(7);
    for (const client of await Promise.all(clients)) client.unbind();
  });

  test('says what is wrong with its address', async () => {
    await using started = await listen();
    const address = { host: '127.0.0.1', port: started.listener.port };
    await expect(listen({ address })).rejects.toMatchObject({
      code: 'listen.failed',
      fields: { systemCode: 'EADDRINUSE' },
    });
    await expect(listen({ address: { path: join(folder, 'none', 'socket') } })).rejects.toMatchObject({
      fields: { systemCode: 'EACCES' },
    });
    await expect(listen({ address: { host: '192.0.2.1', port: 0 } })).rejects.toMatchObject({
      fields: { systemCode: 'EADDRNOTAVAIL' },
    });
  });
});

describe('our client', () => {
  test('says when the server does not speak TLS', async () => {
    await using plain = await rawServer();
    const target = { kind: 'tcp', host: '127.0.0.1', port: plain.port, tls: true } as const;
    const attempt = connectLdap({ target, clock: systemClock, tls: pinned(server) });
    const peer = await plain.next();
    await peer.write(Buffer.from('300c02010161070a010004000400', 'hex'));
    await expect(attempt).rejects.toMatchObject({
      code: 'tls.failed',
      hint: expect.stringContaining('does not speak TLS') as string,
    });
  });

  test('gives up a handshake that gets no answer', async () => {
    await using plain = await rawServer();
    const clock = new FakeClock();
    const target = { kind: 'tcp', host: '127.0.0.1', port: plain.port, tls: true } as const;
    const attempt = connectLdap({ target, clock, tls: pinned(server) });
    const refused = failure(attempt);
    await clock.armed('ldap.tls');
    await clock.advance(10_000);
    expect(await refused).toMatchObject({ code: 'tls.failed' });
    await (await plain.next()).closed;
  });

  test('gives up when told to, and when the server hangs up', async () => {
    await using plain = await rawServer();
    const target = { kind: 'tcp', host: '127.0.0.1', port: plain.port, tls: true } as const;
    const abort = new AbortController();
    const attempt = connectLdap({ target, clock: systemClock, tls: pinned(server), signal: abort.signal });
    const peer = await plain.next();
    abort.abort();
    await expect(attempt).rejects.toMatchObject({ code: 'canceled' });
    await peer.closed;
    const second = connectLdap({ target, clock: systemClock, tls: pinned(server) });
    (await plain.next()).socket.destroy();
    await expect(second).rejects.toMatchObject({
      code: 'tls.failed',
      hint: expect.stringContaining('ended the handshake') as string,
    });
  });
});
