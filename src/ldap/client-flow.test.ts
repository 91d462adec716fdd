import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { bytesOf, entry, pair, SUCCESS } from '../../test/support/played-server.ts';
import { systemClock } from '../base/clock.ts';
import { ClientConnection } from './client-connection.ts';
import { SearchStream } from './client-search.ts';
import { encodedControls } from './encode-control.ts';

describe('back-pressure', () => {
  /** A socket whose other end is the test; counts what is taken from it. */
  function fakeSocket(): Duplex & { taken: number } {
    const socket = new Duplex({
      read: () => undefined,
      write: (_chunk, _encoding, done) => done(),
      highWaterMark: 65_536,
    });
    return Object.assign(socket, { taken: 0, destroySoon: () => socket.destroy() });
  }
  const connection = (socket: Duplex): ClientConnection =>
    new ClientConnection(socket as unknown as Socket, {
      clock: systemClock,
      where: 'test',
      maxMessageBytes: 1 << 20,
    });
  const search = (over: ClientConnection): SearchStream =>
    new SearchStream(
      over,
      {
        op: 'searchRequest',
        base: 'o=x',
        scope: 'subtree',
        derefAliases: 'never',
        sizeLimit: 0,
        timeLimit: 0,
        typesOnly: false,
        filter: { kind: 'present', attribute: 'cn' },
        attributes: [],
      },
      { timeoutMs: undefined, accept: [], signal: undefined },
    ).begin(undefined);
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  /** Pushes entries of 64 KB until the socket is no longer read; says how many were taken. */
  async function fill(socket: Duplex, messageId: number, most: number): Promise<number> {
    const bytes = bytesOf(messageId, entry('a', 65_000));
    for (let count = 0; count < most; count++) {
      if (socket.isPaused()) return count;
      socket.push(bytes);
      await turn();
    }
    return most;
  }

  test('a search that is not consumed stops the reading at about 1 MB, and goes on when it is', async () => {
    const socket = fakeSocket();
    const over = connection(socket);
    const stream = search(over);
    expect(await fill(socket, 1, 10_000)).toBe(17);
    const batches = stream.batches();
    expect(((await batches.next()).value ?? []).length).toBe(17);
    expect(socket.isPaused()).toBe(false);
    expect(await fill(socket, 1, 10_000)).toBe(17);
    await batches.return();
    expect(socket.isPaused()).toBe(false);
  });

  test('a request besides it is answered, up to a bound', async () => {
    const socket = fakeSocket();
    const over = connection(socket);
    search(over);
    expect(await fill(socket, 1, 10_000)).toBe(17);
    let answered = 0;
    over.request({ op: 'deleteRequest', dn: 'cn=a' }, undefined, {
      ends: 'deleteResponse',
      timeoutMs: undefined,
      onMessage: () => void answered++,
      onFailure: () => undefined,
    });
    expect(socket.isPaused()).toBe(false);
    socket.push(bytesOf(2, { op: 'deleteResponse', result: SUCCESS }));
    await turn();
    expect(answered).toBe(1);
    expect(socket.isPaused()).toBe(true);
    over.request({ op: 'deleteRequest', dn: 'cn=a' }, undefined, {
      ends: 'deleteResponse',
      timeoutMs: undefined,
      onMessage: () => undefined,
      onFailure: () => undefined,
    });
    expect(await fill(socket, 1, 10_000)).toBeLessThan(1100);
  });

  test('time does not run while nothing is read', async () => {
    const clock = new FakeClock();
    const socket = fakeSocket();
    const over = new ClientConnection(socket as unknown as Socket, {
      clock,
      where: 'test',
      maxMessageBytes: 1 << 20,
    });
    const stream = new SearchStream(
      over,
      {
        op: 'searchRequest',
        base: 'o=x',
        scope: 'subtree',
        derefAliases: 'never',
        sizeLimit: 0,
        timeLimit: 0,
        typesOnly: false,
        filter: { kind: 'present', attribute: 'cn' },
        attributes: [],
      },
      { timeoutMs: 1000, accept: [], signal: undefined },
    ).begin(undefined);
    await fill(socket, 1, 100);
    for (let second = 0; second < 10; second++) await clock.advance(1000);
    expect(over.outstanding).toBe(1);
    const batches = stream.batches();
    await batches.next();
    await clock.advance(900);
    expect(over.outstanding).toBe(1);
    await clock.advance(1000);
    await expect(batches.next()).rejects.toMatchObject({ code: 'ldap.timeout' });
  });

  test('a pusher waits while the other side does not read', async () => {
    await using both = await pair();
    both.peer.socket.pause();
    const value = Buffer.alloc(10_000, 'x');
    let blocked: Promise<void> | undefined;
    let pushed = 0;
    while (blocked === undefined && pushed < 100_000) {
      both.client.add(`cn=${pushed++}`, [{ type: 'cn', values: [value] }]).result.catch(() => undefined);
      blocked = both.client.window(200_000);
    }
    expect(pushed).toBeLessThan(2000);
    expect(both.client.pendingBytes).toBeLessThan(2 << 20);
    both.peer.socket.resume();
    await blocked;
    expect(both.client.pendingBytes).toBeLessThanOrEqual(1 << 20);
    await both.peer.until((messages) => messages.length === pushed);
  });
});

describe('quiet updates', () => {
  test('tell of failures only: of a request, and of the connection', async () => {
    await using both = await pair();
    const failures: unknown[] = [];
    const updates = both.client.quietUpdates((error) => failures.push(error));
    updates.add('cn=a', [{ type: 'cn', values: [Buffer.from('a')] }], []);
    updates.delete('cn=b', []);
    updates.modify('cn=c', [], []);
    updates.delete('cn=d', []);
    const last = both.client.extended('1.2.3');
    expect(both.client.outstanding).toBe(5);
    await both.peer.send(1, { op: 'addResponse', result: SUCCESS });
    await both.peer.send(2, { op: 'deleteResponse', result: { ...SUCCESS, code: 53, diagnostic: 'no' } });
    await both.peer.send(3, { op: 'modifyResponse', result: SUCCESS });
    await both.peer.send(last.messageId, { op: 'extendedResponse', result: SUCCESS });
    await last.result;
    expect(failures).toMatchObject([{ code: 'ldap.result' }]);
    expect(both.client.outstanding).toBe(1);
    both.peer.socket.destroy();
    await both.client.closed;
    expect(failures).toMatchObject([{ code: 'ldap.result' }, { code: 'ldap.closed' }]);
  });

  test('plain successes end them, whatever the length of their ids', async () => {
    await using both = await pair();
    const failures: unknown[] = [];
    const updates = both.client.quietUpdates((error) => failures.push(error));
    for (let n = 1; n <= 70_000; n++) updates.delete('cn=a', []);
    const last = both.client.extended('1.2.3');
    const success = { op: 'deleteResponse', result: SUCCESS } as const;
    const answers = Array.from({ length: 70_000 }, (_, n) => bytesOf(n + 1, success));
    await both.peer.write(Buffer.concat([...answers, bytesOf(3, success)]));
    await both.peer.send(last.messageId, { op: 'extendedResponse', result: SUCCESS });
    await last.result;
    expect(both.client.outstanding).toBe(0);
    expect(failures).toEqual([]);
  });

  test('the answer of another operation ends the connection', async () => {
    await using both = await pair();
    const failures: unknown[] = [];
    both.client.quietUpdates((error) => failures.push(error)).add('cn=a', [], Buffer.alloc(0));
    await both.peer.send(1, { op: 'deleteResponse', result: SUCCESS });
    expect(await both.client.closed).toMatchObject({ code: 'ldap.protocol' });
    expect(failures).toMatchObject([{ code: 'ldap.protocol' }]);
  });

  test('encoded controls are sent as they are', async () => {
    await using both = await pair();
    const controls = [
      { oid: '1.2.3', critical: true, value: Buffer.from('v') },
      { oid: '1.2.4', critical: false },
    ];
    both.client.quietUpdates(() => undefined).delete('cn=a', encodedControls(controls));
    const [message] = await both.peer.until((messages) => messages.length === 1);
    expect(message).toEqual({ messageId: 1, operation: { op: 'deleteRequest', dn: 'cn=a' }, controls });
  });
});
