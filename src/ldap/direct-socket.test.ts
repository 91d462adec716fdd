import { createServer, type AddressInfo, Socket, connect } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate, type TestCertificate } from '../../test/support/certificate.ts';
import { RawConnection } from '../../test/support/raw-connection.ts';
import { encodeBytes } from './encode.ts';
import { systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import { canWriteNow, readShared, writeNow } from './direct-socket.ts';
import { decodeBytes } from './decode.ts';
import type { Frame } from './framer.ts';
import { LdapListener, type ServerConnection } from './server.ts';

let certificate: TestCertificate;

beforeAll(async () => {
  certificate = await makeCertificate();
});

/** A connected pair: what we serve, and the other end. */
async function pair(): Promise<{ ours: Socket; theirs: Socket } & AsyncDisposable> {
  const server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const theirs = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const ours = await accepted;
  return {
    ours,
    theirs,
    async [Symbol.asyncDispose]() {
      ours.destroy();
      theirs.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('this Node has what the short cuts need', () => {
  test('an accepted socket reads into the shared buffer; pausing holds, its end is told', async () => {
    await using sockets = await pair();
    const { ours, theirs } = sockets;
    const received: string[] = [];
    let wake = (): void => undefined;
    const buffers = new Set<Buffer>();
    expect(
      readShared(ours, (buffer, length) => {
        buffers.add(buffer);
        received.push(buffer.toString('latin1', 0, length));
        ours.pause();
        wake();
      }),
    ).toBe(true);
    const next = () =>
      new Promise<void>((resolve) => {
        wake = resolve;
      });
    const ended = new Promise((resolve) => ours.once('end', resolve));
    let turn = next();
    ours.resume();
    theirs.write('one');
    await turn;
    turn = next();
    theirs.end('two');
    ours.resume();
    await turn;
    ours.resume();
    await ended;
    expect(received).toEqual(['one', 'two']);
    expect(buffers.size).toBe(1);
  });

  test('octets are written at once, as many as the system takes', async () => {
    await using sockets = await pair();
    const { ours, theirs } = sockets;
    expect(canWriteNow(ours)).toBe(true);
    let received = 0;
    const chunk = Buffer.alloc(1 << 20, 7);
    let written = 0;
    for (let last = chunk.length; last === chunk.length; written += last) last = writeNow(ours, chunk);
    expect(writeNow(ours, chunk)).toBe(0);
    const all = new Promise<void>((resolve) => {
      theirs.on('data', (bytes) => {
        received += bytes.length;
        if (received === written) resolve();
      });
    });
    await all;
    ours.destroy();
    expect(writeNow(ours, chunk)).toBe(0);
  });

  test('not where TLS is, and not twice', async () => {
    await using sockets = await pair();
    expect(canWriteNow(new TLSSocket(sockets.theirs))).toBe(false);
    expect(readShared(sockets.ours, () => undefined)).toBe(true);
    expect(readShared(sockets.ours, () => undefined)).toBe(false);
  });

  test('a socket that looks otherwise goes the ordinary way', () => {
    expect(readShared(new Socket(), () => undefined)).toBe(false);
    expect(canWriteNow(new Socket())).toBe(false);
    expect(writeNow(new Socket(), Buffer.from('x'))).toBe(0);
  });
});

describe.each(['plain', 'TLS'] as const)('a listener, %s', (kind) => {
  const connections: ServerConnection[] = [];
  const frames: string[] = [];
  let listener: LdapListener;

  beforeAll(async () => {
    listener = new LdapListener({
      address: { host: '127.0.0.1', port: 0 },
      ...(kind === 'TLS' && {
        tls: { identity: { certificate: certificate.certificate, key: certificate.key } },
      }),
      clock: systemClock,
      log: silentLog,
      accept: (accepted) => {
        connections.push(accepted);
        return {
          // One message a turn: the others of its chunk wait in the framer, while other connections use the buffer.
          onFrame({ buffer, start, end }: Frame, connection) {
            const { messageId } = decodeBytes(Buffer.from(buffer.subarray(start, end)));
            frames.push(`${connection.id} ${messageId}`);
            connection.sendMessage({
              messageId,
              operation: { op: 'deleteResponse', result: { code: 0, matchedDn: '', diagnostic: '' } },
              controls: [],
            });
            connection.pause();
          },
        };
      },
    });
    await listener.start();
  });

  afterAll(() => listener.stop());

  test('messages of one read that wait are not those of the next connection', async () => {
    const open = async (): Promise<RawConnection> => {
      if (kind === 'plain') return RawConnection.open({ host: '127.0.0.1', port: listener.port });
      const socket = connectTls({ host: '127.0.0.1', port: listener.port, rejectUnauthorized: false });
      await new Promise((resolve) => socket.once('secureConnect', resolve));
      return new RawConnection(socket);
    };
    const clients = [await open(), await open(), await open()];
    const request = (client: number, n: number): Buffer =>
      encodeBytes({
        messageId: client * 100 + n,
        operation: { op: 'deleteRequest', dn: `cn=${'x'.repeat(client * 10)}` },
        controls: [],
      });
    for (const [index, client] of clients.entries())
      await client.write(Buffer.concat([1, 2, 3, 4].map((n) => request(index + 1, n))));
    for (let turn = 1; turn <= 4; turn++) {
      for (const client of clients) await client.until(() => client.messages.length === turn);
      for (const connection of connections) connection.resume();
    }
    for (const [index, client] of clients.entries()) {
      expect(client.messages.map(({ messageId }) => messageId)).toEqual(
        [1, 2, 3, 4].map((n) => (index + 1) * 100 + n),
      );
      client.socket.destroy();
      await client.closed;
    }
    expect(frames).toHaveLength(12);
  });
});
