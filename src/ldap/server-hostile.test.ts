import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { makeCertificate } from '../../test/support/certificate.ts';
import { RawConnection } from '../../test/support/raw-connection.ts';
import { TinyHandler, type TinyOptions } from '../../test/support/tiny-directory.ts';
import { systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import { encodeBytes } from './encode.ts';
import type { Message, Operation } from './message.ts';
import { LdapListener, type ListenerOptions } from './server.ts';

interface Started extends AsyncDisposable {
  listener: LdapListener;
  handlers: TinyHandler[];
  open(localAddress?: string): Promise<RawConnection>;
}

async function listen(options: Partial<ListenerOptions> = {}, tiny: TinyOptions = {}): Promise<Started> {
  const handlers: TinyHandler[] = [];
  const listener = new LdapListener({
    address: { host: '127.0.0.1', port: 0 },
    clock: systemClock,
    log: silentLog,
    accept: (connection) => {
      const handler = new TinyHandler(connection, tiny);
      handlers.push(handler);
      return handler;
    },
    ...options,
  });
  await listener.start();
  return {
    listener,
    handlers,
    open: (localAddress = '127.0.0.1') =>
      RawConnection.open({ host: '127.0.0.1', port: listener.port, localAddress }),
    [Symbol.asyncDispose]: () => listener.stop(),
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const bytesOf = (messageId: number, operation: Operation): Buffer =>
  encodeBytes({ messageId, operation, controls: [] });
const BIND: Operation = {
  op: 'bindRequest',
  version: 3,
  name: 'cn=me',
  authentication: { kind: 'simple', password: Buffer.from('x') },
};
const WHO: Operation = { op: 'extendedRequest', oid: '1.3.6.1.4.1.4203.1.11.3' };
const search = (base: string): Operation => ({
  op: 'searchRequest',
  base,
  scope: 'base',
  derefAliases: 'never',
  sizeLimit: 0,
  timeLimit: 0,
  typesOnly: false,
  filter: { kind: 'present', attribute: 'cn' },
  attributes: [],
});

function noticeOf(messages: readonly Message[]): { code: number; diagnostic: string } | undefined {
  const last = messages.at(-1)?.operation;
  return messages.at(-1)?.messageId === 0 &&
    last?.op === 'extendedResponse' &&
    last.oid === '1.3.6.1.4.1.1466.20036'
    ? { code: last.result.code, diagnostic: last.result.diagnostic }
    : undefined;
}

describe('bytes', () => {
  const table: [what: string, hex: string, answered: number][] = [
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n').toString('hex'), 0],
    ['a TLS hello', '16030100', 0],
    ['an indefinite length', '3080', 0],
    ['a length of five octets', '308500', 0],
    ['a message over the limit before a bind', '30840001ffff', 0],
    ['an unknown operation', '3005020101ff00', 0],
    ['an empty message', '3000', 0],
    ['a good message, then garbage', `${bytesOf(1, WHO).toString('hex')}ff`, 1],
    ['a bind whose name is cut short', '300c02010160070201030405abcd', 0],
  ];
  test.each(table)('%s: notice of disconnection, then closed', async (_what, hex, answered) => {
    await using started = await listen();
    const raw = await started.open();
    await raw.write(Buffer.from(hex, 'hex'));
    await raw.closed;
    expect(raw.messages.length).toBe(answered + 1);
    expect(noticeOf(raw.messages)).toMatchObject({ code: 2 });
    expect(started.handlers[0]?.closed).toBe(1);
  });

  test('any bytes at all: closed or still waiting, and the listener goes on', async () => {
    await using started = await listen();
    const good = [bytesOf(1, BIND), bytesOf(2, WHO), bytesOf(3, search('o=x'))];
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(...good),
      fc.tuple(fc.constantFrom(...good), fc.nat(), fc.nat(7)).map(([bytes, at, bit]) => {
        const flipped = Buffer.from(bytes);
        const index = at % flipped.length;
        flipped[index] = (flipped[index] ?? 0) ^ (1 << bit);
        return flipped;
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 6 }), async (parts) => {
        const raw = await started.open();
        await raw.write(Buffer.concat(parts));
        raw.socket.end();
        await raw.closed;
      }),
      { numRuns: 200 },
    );
    const raw = await started.open();
    await raw.send(1, WHO);
    await raw.until((messages) => messages.length === 1);
    expect(started.handlers.slice(0, -1).every((handler) => handler.closed === 1)).toBe(true);
  });

  test('requests split at every byte are answered as if they came whole', async () => {
    await using started = await listen();
    const stream = Buffer.concat([bytesOf(1, BIND), bytesOf(200, search('o=x')), bytesOf(3, WHO)]);
    const whole = await started.open();
    await whole.write(stream);
    await whole.until((messages) => messages.length === 4);
    const expected = whole.received;
    const single = await started.open();
    for (const byte of stream) await single.write(Buffer.of(byte));
    await single.until((messages) => messages.length === 4);
    expect(single.received.equals(expected)).toBe(true);
    for (let at = 1; at < stream.length; at++) {
      const raw = await started.open();
      await raw.write(stream.subarray(0, at));
      await raw.write(stream.subarray(at));
      await raw.until((messages) => messages.length === 4);
      expect(raw.received.equals(expected)).toBe(true);
      raw.socket.destroy();
    }
  });

  test('the limit is small before a bind and larger after it', async () => {
    await using started = await listen();
    const big = search(`o=${'x'.repeat(100_000)}`);
    const bound = await started.open();
    await bound.write(Buffer.concat([bytesOf(1, BIND), bytesOf(2, big)]));
    await bound.until((messages) => messages.length === 3);
    const unbound = await started.open();
    await unbound.send(2, big);
    await unbound.closed;
    expect(noticeOf(unbound.messages)).toMatchObject({ code: 2 });
  });
});

test('a handler that throws ends its connection with a notice, not the process', async () => {
  await using started = await listen(
    {},
    {
      intercept: () => {
        throw new Error('secret details');
      },
    },
  );
  const raw = await started.open();
  await raw.send(1, WHO);
  await raw.closed;
  expect(noticeOf(raw.messages)).toEqual({ code: 80, diagnostic: 'internal error' });
});

test('paused by its handler a connection gets no frames until it resumes', async () => {
  await using started = await listen(
    {},
    {
      intercept: (message, connection) => {
        if (message.messageId === 2) connection.pause();
        return false;
      },
    },
  );
  const raw = await started.open();
  await raw.write(Buffer.concat([1, 2, 3, 4].map((id) => bytesOf(id, WHO))));
  await raw.until((messages) => messages.length === 2);
  const [handler] = started.handlers;
  expect(handler?.requests.length).toBe(2);
  handler?.connection.resume();
  await raw.until((messages) => messages.length === 4);
});

describe('clear text behind StartTLS', () => {
  test('never passes for protected', async () => {
    const identity = await makeCertificate();
    await using started = await listen({ tls: { identity, startTls: true } });
    const raw = await started.open();
    await raw.write(
      Buffer.concat([bytesOf(1, { op: 'extendedRequest', oid: '1.3.6.1.4.1.1466.20037' }), bytesOf(2, BIND)]),
    );
    await raw.closed;
    expect(started.handlers[0]?.requests.map(({ operation }) => operation.op)).toEqual(['extendedRequest']);
    expect(started.handlers[0]).toMatchObject({ identity: '', secured: 0, closed: 1 });
  });

  test('where there is no certificate StartTLS is refused', async () => {
    await using started = await listen();
    const raw = await started.open();
    await raw.send(1, WHO);
    await raw.until((messages) => messages.length === 1);
    expect(() => started.handlers[0]?.connection.startTls()).toThrow('StartTLS is not available');
  });
});

describe('a reader that does not read', () => {
  test('stops being served at the mark, and is closed when it stays so', async () => {
    const clock = new FakeClock();
    await using started = await listen({ clock }, { entries: 1000 });
    const raw = await started.open();
    raw.socket.pause();
    // Each answer is about 40 KB: asking for 2,000 of them would be 80 MB.
    await raw.write(bytesOf(1, BIND));
    const requests = Buffer.concat(Array.from({ length: 2000 }, (_, i) => bytesOf(i + 2, search('o=x'))));
    raw.socket.write(requests);
    const handler = await served(started);
    await standsStill(handler);
    expect(handler.requests.length).toBeLessThan(1500);
    expect(handler.connection.congested).toBe(true);
    expect(handler.connection.pendingBytes).toBeLessThan(1 << 20);
    const before = handler.requests.length;
    for (let second = 0; second < 59; second++) await clock.advance(1000);
    expect(handler.connection.open).toBe(true);
    expect(handler.requests.length).toBe(before);
    await clock.advance(2000);
    expect(handler.connection.open).toBe(false);
    expect(handler.closed).toBe(1);
  });

  test('gets everything once it reads', async () => {
    await using started = await listen({}, { entries: 1000 });
    const raw = await started.open();
    raw.socket.pause();
    raw.socket.write(Buffer.concat(Array.from({ length: 300 }, (_, i) => bytesOf(i + 1, search('o=x')))));
    const handler = await served(started);
    await standsStill(handler);
    expect(handler.requests.length).toBeLessThan(300);
    raw.socket.resume();
    let seen = 0;
    for (
      let total = 0;
      handler.requests.length < 300 || handler.connection.pendingBytes > 0 || total !== seen;
    ) {
      await turn();
      total = seen;
      seen = raw.socket.bytesRead;
    }
    await raw.until((messages) => messages.length === 300 * 1001);
  });

  async function served(started: Started): Promise<TinyHandler> {
    while (started.handlers[0] === undefined || started.handlers[0].requests.length === 0) await turn();
    return started.handlers[0];
  }

  /** Until the server has had 50 turns of the event loop in which it handled nothing. */
  async function standsStill(handler: TinyHandler): Promise<void> {
    for (let still = 0, last = -1; still < 50; ) {
      await turn();
      still = handler.requests.length === last ? still + 1 : 0;
      last = handler.requests.length;
    }
  }
});

describe('time limits', () => {
  test('a message that does not become complete', async () => {
    const clock = new FakeClock();
    await using started = await listen({ clock });
    const raw = await started.open();
    await raw.write(Buffer.concat([bytesOf(1, WHO), bytesOf(2, WHO).subarray(0, 7)]));
    await raw.until((messages) => messages.length === 1);
    for (let second = 0; second < 30; second++) await clock.advance(1000);
    expect(started.handlers[0]?.connection.open).toBe(true);
    await clock.advance(1000);
    await raw.closed;
    expect(noticeOf(raw.messages)).toEqual({ code: 2, diagnostic: 'message not completed in time' });
  });

  test('an idle connection, unless its handler lets it be', async () => {
    const clock = new FakeClock();
    await using started = await listen({ clock, limits: { idleTimeoutMs: 10_000 } });
    const [idle, waiting] = [await started.open(), await started.open()];
    for (const raw of [idle, waiting]) {
      await raw.send(1, WHO);
      await raw.until((messages) => messages.length === 1);
    }
    const [first, second] = started.handlers;
    if (second !== undefined) second.connection.idleTimeoutMs = undefined;
    for (let tick = 0; tick < 12; tick++) await clock.advance(1000);
    await idle.closed;
    expect(noticeOf(idle.messages)).toEqual({ code: 52, diagnostic: 'idle for too long' });
    expect([first?.connection.open, second?.connection.open]).toEqual([false, true]);
  });

  test('who never closes after a notice is cut off', async () => {
    const clock = new FakeClock();
    await using started = await listen({ clock });
    const raw = await RawConnection.open({
      host: '127.0.0.1',
      port: started.listener.port,
      allowHalfOpen: true,
    } as never);
    await raw.send(1, WHO);
    await raw.until((messages) => messages.length === 1);
    started.handlers[0]?.connection.noticeOfDisconnection(52, 'bye');
    await raw.until((messages) => messages.length === 2);
    expect(started.listener.counts.connections).toBe(1);
    for (let second = 0; second < 4; second++) await clock.advance(1000);
    while (started.listener.counts.connections > 0) await turn();
    raw.socket.end();
    await raw.closed;
  });
});

describe('numbers of connections', () => {
  const works = async (raw: RawConnection, messageId = 1): Promise<boolean> => {
    await raw.send(messageId, WHO);
    return raw
      .until((messages) => messages.length === messageId)
      .then(
        () => true,
        () => false,
      );
  };

  test('a crowd of strangers makes room for whoever comes from elsewhere, known clients never', async () => {
    await using started = await listen({ limits: { connections: 3, connectionsPerSource: 3 } });
    const [known, eldest, younger] = [await started.open(), await started.open(), await started.open()];
    for (const raw of [known, eldest, younger]) expect(await works(raw)).toBe(true);
    const [first] = started.listener.connections;
    if (first !== undefined) first.known = true;
    expect(await works(await started.open('127.0.0.2'))).toBe(true);
    await eldest.closed;
    expect(await works(known, 2)).toBe(true);
    // Two strangers from two sources: nobody is of a crowd any more.
    expect(await works(await started.open('127.0.0.3'))).toBe(false);
    expect(await works(younger, 2)).toBe(true);
  });

  test('all together and from one source', async () => {
    await using started = await listen({ limits: { connections: 3, connectionsPerSource: 2 } });
    const first = await started.open();
    expect(await works(first)).toBe(true);
    expect(await works(await started.open())).toBe(true);
    expect(await works(await started.open())).toBe(false);
    expect(await works(await started.open('127.0.0.2'))).toBe(true);
    for (const connection of started.listener.connections) connection.known = true;
    expect(await works(await started.open('127.0.0.3'))).toBe(false);
    first.socket.destroy();
    while (started.listener.counts.connections > 2) await turn();
    expect(await works(await started.open('127.0.0.3'))).toBe(true);
    expect(started.listener.counts).toMatchObject({ accepted: 4, refused: 2 });
  });
});

test('stopping gives notice to everybody', async () => {
  const started = await listen();
  const raw = await started.open();
  await raw.send(1, BIND);
  await raw.until((messages) => messages.length === 1);
  await started.listener.stop();
  await raw.closed;
  expect(noticeOf(raw.messages)).toEqual({ code: 52, diagnostic: 'server is stopping' });
  expect(started.listener.counts.connections).toBe(0);
});
