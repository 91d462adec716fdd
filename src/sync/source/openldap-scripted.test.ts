/** The feed against a provider that says what the test wants: what a real one cannot be made to say. */
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { CONTROL, findControl, INTERMEDIATE } from '../../ldap/control.ts';
import { decodeMessage } from '../../ldap/decode.ts';
import { encodeBytes } from '../../ldap/encode.ts';
import { Framer } from '../../ldap/framer.ts';
import type { Control, Response } from '../../ldap/message.ts';
import {
  decodeSyncRequest,
  encodeSyncDone,
  encodeSyncInfo,
  encodeSyncState,
} from '../../ldap/sync-values.ts';
import { openLdapFeed } from './openldap.ts';
import type { FeedEvent } from './source.ts';

interface Search {
  readonly cookie: string | undefined;
  readonly persist: boolean;
  readonly socket: Socket;
  send(operation: Response, ...controls: Control[]): void;
}

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

/** Calls `answer` for each synchronisation search. */
async function provider(answer: (search: Search) => void): Promise<string> {
  const server = createServer((socket) => {
    const framer = new Framer({ maxMessageBytes: 1 << 20 });
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      framer.push(chunk);
      for (const frame of framer) {
        const { messageId, operation, controls } = decodeMessage(frame);
        const send: Search['send'] = (response, ...more) =>
          void socket.write(encodeBytes({ messageId, operation: response, controls: more }));
        if (operation.op === 'bindRequest') {
          send({ op: 'bindResponse', result: { code: 0, matchedDn: '', diagnostic: '' } });
        } else if (operation.op === 'searchRequest') {
          const request = decodeSyncRequest(findControl(controls, CONTROL.syncRequest)?.value);
          answer({
            cookie: request.cookie?.toString(),
            persist: request.mode === 'refreshAndPersist',
            socket,
            send,
          });
        }
      }
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `ldap://127.0.0.1:${(server.address() as { port: number }).port}`;
}

const entry = (n: number): [Response, Control] => [
  { op: 'searchResultEntry', dn: `cn=${n}`, attributes: [] },
  {
    oid: CONTROL.syncState,
    critical: false,
    value: encodeSyncState({ state: 'add', entryUuid: Buffer.alloc(16, n) }),
  },
];
const refreshed = (cookie: string): Response => ({
  op: 'intermediateResponse',
  oid: INTERMEDIATE.syncInfo,
  value: encodeSyncInfo({ kind: 'refreshDelete', refreshDone: true, cookie: Buffer.from(cookie) }),
});
const done = (code: number, cookie?: string, refreshDeletes = true): [Response, ...Control[]] => [
  { op: 'searchResultDone', result: { code, matchedDn: '', diagnostic: '' } },
  ...(cookie === undefined
    ? []
    : [
        {
          oid: CONTROL.syncDone,
          critical: false,
          value: encodeSyncDone({ refreshDeletes, cookie: Buffer.from(cookie) }),
        },
      ]),
];

/** Everything said until the feed ends, and how it ended. */
async function follow(
  url: string,
  cookie?: string,
  signal = new AbortController().signal,
  bindDn = '',
): Promise<{ said: string[]; failure: unknown }> {
  const feed = openLdapFeed({
    url,
    startTls: false,
    trust: { kind: 'authorities' },
    bindDn,
    password: () => Promise.resolve(new Secret('x')),
    base: 'dc=x',
    filter: '(objectClass=*)',
    attributes: [],
    mapping: '',
    clock: systemClock,
  });
  const said: string[] = [];
  try {
    const from = cookie === undefined ? undefined : Buffer.from(cookie);
    for await (const events of feed.follow(from, signal))
      said.push(...events.map((event: FeedEvent) => event.kind));
  } catch (failure) {
    return { said, failure };
  }
  return { said, failure: undefined };
}

describe('a provider', () => {
  test('that never answers is left at once', async () => {
    let abort = new AbortController();
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => abort.abort());
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `ldap://127.0.0.1:${(server.address() as { port: number }).port}`;
    for (const bindDn of ['', 'cn=hub']) {
      abort = new AbortController();
      expect(await follow(url, undefined, abort.signal, bindDn)).toMatchObject({
        said: [],
        failure: { code: 'canceled' },
      });
    }
  });

  test('that asks for a full refresh is asked again without the cookie, on the same connection', async () => {
    const cookies: (string | undefined)[] = [];
    const sockets = new Set<Socket>();
    const url = await provider(({ cookie, persist, socket, send }) => {
      cookies.push(cookie);
      sockets.add(socket);
      expect(persist).toBe(true);
      if (cookie !== undefined) {
        send(...entry(9));
        send(...done(4096));
        return;
      }
      send(...entry(1));
      send(refreshed('c2'));
      socket.end();
    });
    const { said, failure } = await follow(url, 'c1');
    expect(cookies).toEqual(['c1', undefined]);
    expect(sockets.size).toBe(1);
    expect(said).toEqual(['upsert', 'restart', 'upsert', 'complete']);
    expect(failure).toMatchObject({ code: 'source.unavailable' });
  });

  test('that only refreshes ends the feed in good order', async () => {
    const url = await provider(({ send }) => {
      send(...entry(1));
      send(...done(0, 'c1'));
    });
    expect(await follow(url)).toEqual({ said: ['upsert', 'complete'], failure: undefined });
  });

  test.each<[string, (search: Search) => void, string]>([
    [
      'ends in the middle of a message',
      ({ socket }) => void socket.end(Buffer.from([0x30, 0x20, 0x02])),
      'source.unavailable',
    ],
    ['resets the connection', ({ socket }) => void socket.resetAndDestroy(), 'source.unavailable'],
    [
      'sends what is not LDAP',
      ({ socket }) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
      'source.invalid',
    ],
    ['forgets the state of an entry', ({ send }) => send(entry(1)[0]), 'source.invalid'],
    ['says the search succeeded and nothing else', ({ send }) => send(...done(0)), 'source.invalid'],
    ['reaches a limit', ({ send }) => send(...done(4)), 'source.incomplete'],
    [
      'gives notice',
      ({ socket }) => {
        const operation: Response = {
          op: 'extendedResponse',
          oid: '1.3.6.1.4.1.1466.20036',
          result: { code: 52, matchedDn: '', diagnostic: 'shutting down' },
        };
        socket.write(encodeBytes({ messageId: 0, operation, controls: [] }));
      },
      'source.unavailable',
    ],
  ])('that %s: nothing is complete', async (_name, act, code) => {
    const url = await provider((search) => {
      search.send(...entry(1));
      act(search);
    });
    const { said, failure } = await follow(url);
    expect(said.filter((kind) => kind !== 'upsert')).toEqual([]);
    expect(failure).toMatchObject({ code });
  });
});
