import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { makeCertificate } from '../../test/support/certificate.ts';
import { bytesOf, entry, pair, SUCCESS } from '../../test/support/played-server.ts';
import { rawServer } from '../../test/support/raw-connection.ts';
import { systemClock } from '../base/clock.ts';
import { Secret } from '../base/secret.ts';
import { connectLdap } from './client.ts';
import type { SearchStream } from './client-search.ts';
import type { ExtendedResponse } from './message.ts';

/** What a promise is rejected with, awaited later. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a server that misbehaves', () => {
  const table: [what: string, bytes: Buffer, code: string][] = [
    ['garbage', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'ldap.protocol'],
    ['a truncated message', Buffer.from('3003020101', 'hex'), 'ldap.protocol'],
    ['a message over the limit', Buffer.from('3084ffffffff', 'hex'), 'ldap.protocol'],
    [
      'the answer to another kind of request',
      bytesOf(1, { op: 'addResponse', result: SUCCESS }),
      'ldap.protocol',
    ],
    ['an entry where none was asked for', bytesOf(1, entry('a')), 'ldap.protocol'],
    ['a request', bytesOf(1, { op: 'deleteRequest', dn: 'cn=a' }), 'ldap.protocol'],
    ['a result with message id 0', bytesOf(0, { op: 'addResponse', result: SUCCESS }), 'ldap.protocol'],
  ];
  test.each(table)('%s ends the connection', async (_what, bytes, code) => {
    await using both = await pair();
    const who = both.client.whoAmI();
    await both.peer.write(bytes);
    await expect(who).rejects.toMatchObject({ code });
    expect((await both.client.closed).code).toBe(code);
    await both.peer.closed;
  });

  test('answers to nobody are passed over', async () => {
    await using both = await pair();
    const who = both.client.whoAmI();
    await both.peer.write(
      Buffer.concat([bytesOf(77, entry('a')), bytesOf(78, { op: 'addResponse', result: SUCCESS })]),
    );
    await both.peer.send(1, { op: 'extendedResponse', result: SUCCESS, value: Buffer.from('u:me') });
    expect(await who).toBe('u:me');
  });

  test('any bytes at all leave every promise settled', async () => {
    const server = await rawServer();
    const good = [
      bytesOf(1, entry('a')),
      bytesOf(2, { op: 'addResponse', result: SUCCESS }),
      bytesOf(1, { op: 'searchResultDone', result: SUCCESS }),
    ];
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
        const client = await connectLdap({ target: server.url, clock: systemClock });
        const peer = await server.next();
        const search = client.search({ base: 'o=x' });
        const all = Promise.allSettled([client.add('cn=a', []).result, search.done, collect(search)]);
        await peer.write(Buffer.concat(parts));
        peer.socket.end();
        await all;
        expect(['ldap.closed', 'ldap.protocol']).toContain((await client.closed).code);
        await peer.closed;
      }),
      { numRuns: 200 },
    );
    await server[Symbol.asyncDispose]();
  });

  test('answers split at every byte', async () => {
    const stream = Buffer.concat([
      bytesOf(1, entry('a', 300)),
      bytesOf(1, { op: 'searchResultReference', urls: ['ldap://x/'] }),
      bytesOf(1, { op: 'intermediateResponse', oid: '1.2', value: Buffer.from('v') }),
      bytesOf(1, { op: 'searchResultDone', result: SUCCESS }),
    ]);
    for (let at = 0; at < stream.length; at += 7) {
      await using both = await pair();
      const seen = collect(both.client.search({ base: 'o=x' }));
      if (at === 0) for (const byte of stream) await both.peer.write(Buffer.of(byte));
      else await both.peer.write(stream.subarray(0, at));
      if (at !== 0) await both.peer.write(stream.subarray(at));
      expect(await seen).toEqual(['searchResultEntry', 'searchResultReference', 'intermediateResponse']);
    }
  });

  async function collect(search: SearchStream): Promise<string[]> {
    const seen: string[] = [];
    for await (const { operation } of search) seen.push(operation.op);
    return seen;
  }
});

describe('notifications', () => {
  test('a notice of disconnection says why everything ends', async () => {
    const notifications: ExtendedResponse[] = [];
    await using both = await pair({ onNotification: (notification) => notifications.push(notification) });
    const who = both.client.whoAmI();
    await both.peer.send(0, { op: 'extendedResponse', result: SUCCESS, oid: '1.2.3' });
    await both.peer.send(0, {
      op: 'extendedResponse',
      result: { ...SUCCESS, code: 52, diagnostic: 'going\ndown' },
      oid: '1.3.6.1.4.1.1466.20036',
    });
    await expect(who).rejects.toMatchObject({
      code: 'ldap.closed',
      fields: { result: 'unavailable', resultCode: 52, diagnostic: 'going down' },
    });
    expect(notifications.map(({ oid }) => oid)).toEqual(['1.2.3', '1.3.6.1.4.1.1466.20036']);
  });
});

describe('time', () => {
  test('a request without an answer ends, is abandoned, and its late answer passed over', async () => {
    const clock = new FakeClock();
    await using both = await pair({ clock, operationTimeoutMs: 5000 });
    const [slow, patient] = [both.client.whoAmI(), both.client.whoAmI({ timeoutMs: 'never' })];
    const failed = failure(slow);
    await both.peer.until((messages) => messages.length === 2);
    await clock.advance(5000);
    expect(await failed).toMatchObject({ code: 'ldap.timeout' });
    const requests = await both.peer.until((messages) => messages.length === 3);
    expect(requests[2]?.operation).toEqual({ op: 'abandonRequest', messageId: 1 });
    await both.peer.send(1, { op: 'extendedResponse', result: SUCCESS });
    await both.peer.send(2, { op: 'extendedResponse', result: SUCCESS, value: Buffer.from('u:x') });
    expect(await patient).toBe('u:x');
  });

  test('a search lives as long as something comes', async () => {
    const clock = new FakeClock();
    await using both = await pair({ clock, operationTimeoutMs: 5000 });
    const iterator = both.client.search({ base: 'o=x' })[Symbol.asyncIterator]();
    for (let round = 0; round < 4; round++) {
      await both.peer.send(1, entry(`${round}`));
      expect((await iterator.next()).done).toBe(false);
      await clock.advance(4000);
    }
    const failed = failure(iterator.next());
    await clock.advance(2000);
    expect(await failed).toMatchObject({ code: 'ldap.timeout' });
  });

  test('a shorter time than that of the request before is kept', async () => {
    const clock = new FakeClock();
    await using both = await pair({ clock });
    const long = both.client.whoAmI({ timeoutMs: 60_000 });
    const short = both.client.whoAmI({ timeoutMs: 1000 });
    const failed = failure(short);
    await clock.advance(1000);
    expect(await failed).toMatchObject({ code: 'ldap.timeout' });
    const late = failure(long);
    await clock.advance(60_000);
    expect(await late).toMatchObject({ code: 'ldap.timeout' });
  });
});

test('an abandoned request rejects and tells the server', async () => {
  await using both = await pair();
  const { messageId, result } = both.client.delete('cn=a');
  both.client.abandon(messageId);
  await expect(result).rejects.toMatchObject({ code: 'canceled' });
  const requests = await both.peer.until((messages) => messages.length === 2);
  expect(requests[1]?.operation).toEqual({ op: 'abandonRequest', messageId });
});

test('requests of one turn leave in one write; unbind says goodbye', async () => {
  await using both = await pair();
  for (let i = 0; i < 50; i++) both.client.delete(`cn=${i}`);
  await both.peer.until((messages) => messages.length === 50);
  expect(both.peer.chunks.length).toBe(1);
  both.client.unbind();
  await both.peer.closed;
  expect(both.peer.messages.at(-1)?.operation.op).toBe('unbindRequest');
});

test('a name without a password is never sent', async () => {
  await using both = await pair();
  await expect(both.client.bind('cn=a', new Secret(''))).rejects.toMatchObject({ code: 'usage' });
  both.client.unbind();
  await both.peer.closed;
  expect(both.peer.messages.map(({ operation }) => operation.op)).toEqual(['unbindRequest']);
});

describe('StartTLS', () => {
  test('with clear text injected behind its answer is refused', async () => {
    await using both = await pair();
    const started = both.client.startTls({ trust: { kind: 'pinned', verifyPeer: () => undefined } });
    await both.peer.until((messages) => messages.length === 1);
    await both.peer.write(
      Buffer.concat([
        bytesOf(1, { op: 'extendedResponse', result: SUCCESS }),
        bytesOf(2, { op: 'addResponse', result: SUCCESS }),
      ]),
    );
    await expect(started).rejects.toMatchObject({ code: 'ldap.protocol' });
    await both.peer.closed;
    expect(both.peer.messages.length).toBe(1);
  });

  test('refused by the server leaves nothing in the clear behind it', async () => {
    await using both = await pair();
    const started = both.client.startTls({ trust: { kind: 'pinned', verifyPeer: () => undefined } });
    await both.peer.until((messages) => messages.length === 1);
    await both.peer.send(1, { op: 'extendedResponse', result: { ...SUCCESS, code: 52 } });
    await expect(started).rejects.toMatchObject({ code: 'ldap.result' });
    await expect(both.client.bind('cn=a', new Secret('secret'))).rejects.toMatchObject({
      code: 'ldap.closed',
    });
    await both.peer.closed;
    expect(both.peer.received.includes('secret')).toBe(false);
  });

  test('is refused while a request is outstanding', async () => {
    const certificate = await makeCertificate();
    await using both = await pair();
    const who = both.client.whoAmI();
    const started = both.client.startTls({
      trust: { kind: 'pinned', verifyPeer: () => undefined },
      certificate: certificate.certificate,
      key: certificate.key,
    });
    await expect(started).rejects.toMatchObject({ code: 'internal' });
    await both.peer.send(1, { op: 'extendedResponse', result: SUCCESS });
    expect(await who).toBe('');
  });
});
