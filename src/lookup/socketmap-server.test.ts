import { chmod, lstat, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { FakeRecipientIndex } from '../../test/fakes/recipient-index.ts';
import { SocketmapClient } from '../../test/support/socketmap-client.ts';
import { createLog } from '../base/log.ts';
import { type SocketmapAddress, SocketmapServer, type SocketmapServerOptions } from './socketmap-server.ts';
import { type SocketmapTable, socketmapTables } from './socketmap-table.ts';
import { LONGEST_REQUEST } from './socketmap-connection.ts';

let folder: string;
let clock: FakeClock;
let index: FakeRecipientIndex;
let lines: string[];
let server: SocketmapServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-socketmap-'));
  clock = new FakeClock();
  lines = [];
  index = new FakeRecipientIndex(clock.now())
    .addDomain('example.org', { recipientDelimiter: '+' })
    .add('anna@example.org');
});
afterEach(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const unix = (name = 'map', mode = 0o660): SocketmapAddress => ({
  kind: 'unix',
  path: join(folder, name),
  mode,
});

async function start(options: Partial<SocketmapServerOptions> = {}): Promise<void> {
  server = new SocketmapServer({
    listen: [unix()],
    tables: socketmapTables({ index, hasher: index.hasher, now: () => clock.now() }),
    clock,
    log: createLog({ write: (line) => void lines.push(line), clock }),
    ...options,
  });
  await server.start();
}
const client = (name = 'map'): Promise<SocketmapClient> =>
  SocketmapClient.connect({ path: join(folder, name) });

describe('answers', () => {
  it.each([
    ['recipients', 'Anna+x@Example.org', 'OK 1'],
    ['recipients', 'nobody@example.org', 'NOTFOUND '],
    ['recipients', 'anna@elsewhere.example', 'NOTFOUND '],
    ['recipients', '@example.org', 'NOTFOUND '],
    ['recipients', 'anna', 'NOTFOUND '],
    ['recipients', '', 'NOTFOUND '],
    ['domains', 'example.org', 'OK authoritative'],
    ['domains', 'sub.example.org', 'NOTFOUND '],
    ['domains', '', 'NOTFOUND '],
    ['nonsense', 'anna@example.org', 'TEMP no such map'],
    ['', 'anna@example.org', 'TEMP no such map'],
    ['__proto__', 'x', 'TEMP no such map'],
  ])('%s %s: %s', async (map, key, reply) => {
    await start();
    await using asker = await client();
    expect(await asker.ask(map, key)).toBe(reply);
  });

  it('data that are missing or old are TEMP', async () => {
    await start();
    await using asker = await client();
    index.recipientsLoaded = { loadState: 'loading', generation: 0, lastConfirmedMs: undefined };
    expect(await asker.ask('recipients', 'nobody@example.org')).toBe('TEMP recipients are not loaded yet');
    index.recipientsLoaded = { loadState: 'complete', generation: 1, lastConfirmedMs: 0 };
    expect(await asker.ask('recipients', 'nobody@example.org')).toBe(
      'TEMP recipients were not confirmed for too long',
    );
    index.domainsLoaded = { loadState: 'none', generation: 0, lastConfirmedMs: undefined };
    expect(await asker.ask('domains', 'elsewhere.example')).toBe('TEMP accepted domains are not loaded yet');
    expect(await asker.ask('recipients', 'anna@elsewhere.example')).toBe(
      'TEMP accepted domains are not loaded yet',
    );
    expect(await asker.ask('recipients', 'anna@example.org')).toBe('OK 1');
  });

  it('a table that fails is TEMP, and the next question is answered', async () => {
    const tables = new Map<string, SocketmapTable>([
      [
        'broken',
        (): string => {
          throw new Error('disk on fire');
        },
      ],
      ['good', () => 'OK yes'],
    ]);
    await start({ tables });
    await using asker = await client();
    expect(await asker.ask('broken', 'x')).toBe('TEMP internal error');
    expect(await asker.ask('good', 'x')).toBe('OK yes');
    expect(lines.join('')).toContain('disk on fire');
  });

  it('counts answers without telling the key', async () => {
    const seen: string[] = [];
    await start({
      tables: socketmapTables({
        index,
        hasher: index.hasher,
        now: () => clock.now(),
        onAnswer: (map, { verdict, rule }) => void seen.push(`${map} ${verdict} ${rule}`),
      }),
    });
    await using asker = await client();
    await asker.ask('recipients', 'anna+x@example.org');
    await asker.ask('domains', 'other.example');
    expect(seen).toEqual(['recipients known withoutExtension', 'domains notOurs foreignDomain']);
  });
});

describe('the byte stream', () => {
  const first = SocketmapClient.request('recipients', 'anna@example.org');
  const second = SocketmapClient.request('domains', 'nowhere.example');

  it('may be cut anywhere', async () => {
    await start();
    const both = Buffer.from(first + second);
    await using asker = await client();
    for (let cut = 1; cut < both.length; cut++) {
      asker.socket.write(both.subarray(0, cut));
      // The answer to another client shows that the server has read the first piece.
      await using other = await client();
      await other.ask('domains', 'example.org');
      asker.socket.write(both.subarray(cut));
      expect(await asker.replies(2)).toEqual(['OK 1', 'NOTFOUND ']);
    }
    for (const byte of both) asker.socket.write(Buffer.of(byte));
    expect(await asker.replies(2)).toEqual(['OK 1', 'NOTFOUND ']);
  });

  it('many requests at once are answered in order, also when the client has closed its side', async () => {
    await start();
    await using asker = await client();
    const asked = Array.from({ length: 20_000 }, (_, i) => (i % 3 === 0 ? first : second));
    asker.socket.end(asked.join(''));
    expect(await asker.rest()).toEqual(asked.map((request) => (request === first ? 'OK 1' : 'NOTFOUND ')));
  });

  it('a client that does not read stops being answered, and is served on when it reads', async () => {
    await start();
    let answered = 0;
    await server.stop();
    await start({
      tables: new Map([
        [
          'm',
          () => {
            answered++;
            return `OK ${'x'.repeat(1000)}`;
          },
        ],
      ]),
    });
    await using asker = await client();
    asker.socket.pause();
    const count = 20_000;
    asker.socket.write(SocketmapClient.request('m', 'k').repeat(count));
    // Another client's turn comes again and again meanwhile; the first one's answers come to a halt.
    await using other = await client();
    let before = -1;
    for (let still = 0; still < 20; still = answered === before ? still + 1 : 0) {
      before = answered + 1;
      await other.ask('m', 'k');
    }
    expect(answered).toBeLessThan(count / 2);
    asker.socket.resume();
    expect(await asker.replies(count)).toHaveLength(count);
  });

  it.each([
    ['GET / HTTP/1.0\r\n\r\n', 'no netstring'],
    [`${LONGEST_REQUEST + 1}:`, 'too long'],
    ['05:a b c,', 'leading zero'],
    ['3:a b;', 'no comma'],
  ])('%j closes the connection: %s', async (bytes) => {
    await start();
    await using asker = await client();
    asker.socket.write(first + bytes);
    asker.socket.write(first.repeat(1000));
    const replies = await asker.rest();
    expect(replies.slice(0, 2)).toEqual(['OK 1', 'TEMP not a socketmap request']);
    expect(replies).toHaveLength(2);
    expect(lines.join('')).toMatch(/does not speak the protocol/);
    await using next = await client();
    expect(await next.ask('recipients', 'anna@example.org')).toBe('OK 1');
  });

  it('the longest request is answered', async () => {
    await start();
    await using asker = await client();
    expect(await asker.ask('recipients', 'a'.repeat(LONGEST_REQUEST - 'recipients '.length))).toBe(
      'NOTFOUND ',
    );
    asker.socket.write('5:hello,');
    expect(await asker.replies(1)).toEqual(['TEMP a request is a map, a space and a key']);
  });
});

describe('clients', () => {
  /** A round trip: what was sent before it has been read. */
  const settle = async (): Promise<void> => {
    await using other = await client();
    await other.ask('domains', 'example.org');
  };

  it('that never finish a request are cut off; idle ones stay longer', async () => {
    await start();
    await using slow = await client();
    await using idle = await client();
    expect(await idle.ask('domains', 'example.org')).toMatch(/^OK/);
    slow.socket.write('20:recip');
    await settle();
    for (let i = 0; i < 3; i++) {
      await clock.advance(10_000);
      slow.socket.write('i');
      await settle();
    }
    expect(await slow.rest()).toEqual([]);
    expect(await idle.ask('domains', 'example.org')).toMatch(/^OK/);
    await clock.advance(310_000);
    expect(await idle.rest()).toEqual([]);
  });

  it('that keep asking stay, even when each chunk ends within a request', async () => {
    await start();
    await using asker = await client();
    const request = SocketmapClient.request('domains', 'example.org');
    asker.socket.write(request.slice(0, 5));
    for (let i = 0; i < 8; i++) {
      asker.socket.write(request.slice(5) + request.slice(0, 5));
      expect(await asker.replies(1)).toEqual(['OK authoritative']);
      await clock.advance(9_000);
    }
    expect(server.connectionCount).toBe(1);
  });

  it('that do not read their replies are cut off', async () => {
    await start({ tables: new Map([['m', () => `OK ${'x'.repeat(60_000)}`]]) });
    await using asker = await client();
    asker.socket.pause();
    asker.socket.write(SocketmapClient.request('m', 'k').repeat(1000));
    const closed = new Promise((resolve) => asker.socket.once('close', resolve));
    while (server.connectionCount === 0) await client().then((c) => c[Symbol.asyncDispose]());
    for (let i = 0; i < 5; i++) {
      await using other = await client();
      await other.ask('m', 'k');
      await clock.advance(10_000);
    }
    asker.socket.resume();
    await closed;
    expect((await asker.rest()).length).toBeLessThan(1000);
  });

  it('too many of them: the one that has been idle for longest makes room', async () => {
    await start({ maxConnections: 2 });
    await using a = await client();
    await a.ask('domains', 'example.org');
    await clock.advance(500);
    await using b = await client();
    await b.ask('domains', 'example.org');
    {
      await using refused = await client();
      expect(await refused.rest()).toEqual([]);
      expect(lines.join('')).toMatch(/too many socketmap clients/);
    }
    await clock.advance(600);
    await using c = await client();
    expect(await c.ask('domains', 'example.org')).toMatch(/^OK/);
    expect(await a.rest()).toEqual([]);
    expect(await b.ask('domains', 'example.org')).toMatch(/^OK/);
    expect(server.connectionCount).toBe(2);
  });

  it('are answered and then closed when the server stops', async () => {
    await start();
    await using busy = await client();
    await using idle = await client();
    await idle.ask('domains', 'example.org');
    busy.socket.write(SocketmapClient.request('domains', 'example.org').repeat(3000) + '9:rest');
    await busy.replies(1);
    await server.stop();
    const rest = await busy.rest();
    expect(rest.every((reply) => reply === 'OK authoritative')).toBe(true);
    expect(await idle.rest()).toEqual([]);
    expect(server.connectionCount).toBe(0);
    await expect(client()).rejects.toThrow(/ENOENT/);
  });

  it('that hold on when the server stops are dropped after a second', async () => {
    await start();
    await using stubborn = await client();
    stubborn.socket.allowHalfOpen = true;
    await stubborn.ask('domains', 'example.org');
    const stopped = server.stop();
    await clock.armed('socketmap-finish');
    await clock.advance(1000);
    await stopped;
    expect(server.connectionCount).toBe(0);
  });
});

describe('listeners', () => {
  it('unix socket with its mode, and loopback, together', async () => {
    await start({
      listen: [unix('a', 0o600), unix('b', 0o666), { kind: 'tcp', host: '127.0.0.1', port: 0 }],
    });
    expect((await lstat(join(folder, 'a'))).mode & 0o777).toBe(0o600);
    expect((await lstat(join(folder, 'b'))).mode & 0o777).toBe(0o666);
    expect((await readdir(folder)).sort()).toEqual(['a', 'b']);
    const tcp = server.addresses[2];
    if (tcp?.kind !== 'tcp') return expect.fail('no port');
    await using asker = await SocketmapClient.connect({ host: '127.0.0.1', port: tcp.port });
    expect(await asker.ask('recipients', 'anna@example.org')).toBe('OK 1');
    await server.stop();
    expect(await readdir(folder)).toEqual([]);
  });

  it.each(['0.0.0.0', '::', '192.0.2.1', 'example.org', '127.example.org'])('%s is refused', async (host) => {
    await expect(start({ listen: [unix(), { kind: 'tcp', host, port: 0 }] })).rejects.toMatchObject({
      code: 'config.invalid',
    });
    expect(await readdir(folder)).toEqual([]);
  });

  it('a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await expect(start({ listen: [{ kind: 'tcp', host: '127.0.0.1', port }] })).rejects.toMatchObject({
      code: 'daemon.running',
    });
    await new Promise((resolve) => other.close(resolve));
  });

  it('a socket left by a killed daemon is replaced, a live one and a file are not', async () => {
    await start();
    await expect(
      new SocketmapServer({
        listen: [unix()],
        tables: new Map(),
        clock,
        log: createLog({ write: () => {}, clock }),
      }).start(),
    ).rejects.toMatchObject({ code: 'daemon.running' });
    expect(await (await client()).ask('domains', 'example.org')).toMatch(/^OK/);

    await writeFile(join(folder, 'file'), 'mine');
    await expect(
      new SocketmapServer({
        listen: [unix('file')],
        tables: new Map(),
        clock,
        log: createLog({ write: () => {}, clock }),
      }).start(),
    ).rejects.toMatchObject({ code: 'file.unwritable' });
    expect(await readdir(folder)).toEqual(['file', 'map']);
    await chmod(join(folder, 'file'), 0o600);
  });
});
