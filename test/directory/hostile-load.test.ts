/**
 * Many hostile clients at once against a server in a process of its own. What is asserted: its memory after they came, and that an honest client is served
 * while they are not finished; never how long something takes.
 */
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { decodeBytes } from '../../src/ldap/decode.ts';
import { encodeBytes } from '../../src/ldap/encode.ts';
import { parseFilter } from '../../src/ldap/filter.ts';
import { Framer } from '../../src/ldap/framer.ts';
import type { Message, Operation } from '../../src/ldap/message.ts';
import { RESULT_CODE } from '../../src/ldap/result-code.ts';
import { bind, search } from '../support/directory-requests.ts';
import { HostileSite, lookUp } from '../support/hostile-site.ts';

const MIB = 1 << 20;
const bytesOf = (messageId: number, operation: Operation): Buffer =>
  encodeBytes({ messageId, operation, controls: [] });
/** No index helps, and nothing matches. */
const scan = (messageId: number): Buffer =>
  bytesOf(messageId, search({ filter: parseFilter(`(description=*nobody ${messageId}*)`) }));
const everything = (messageId: number): Buffer => bytesOf(messageId, search({ attributes: ['*', '+'] }));

/** Counts whole answers as they come. */
class Answers {
  finals = 0;
  readonly messages: Message[] = [];

  constructor(socket: Socket, keep = false) {
    const framer = new Framer({ maxMessageBytes: 1 << 24 });
    socket.on('data', (chunk: Buffer) => {
      framer.push(chunk);
      for (const { buffer, start, end } of framer) {
        const message = decodeBytes(buffer.subarray(start, end));
        if (message.operation.op !== 'searchResultEntry') this.finals++;
        if (keep) this.messages.push(message);
      }
    });
  }
}

const totalOf = (answers: readonly Answers[]): number => answers.reduce((sum, { finals }) => sum + finals, 0);
const closed = (socket: Socket): Promise<unknown> =>
  socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve));

describe('work for the server', () => {
  it('hundreds of unindexed searches, from one connection and from many: one lookup after the other is answered', async () => {
    await using site = await HostileSite.start(12_000);
    const honest = await site.client();
    const sockets = await site.attackers(60, { each: 30 });
    const answers = sockets.map((socket) => new Answers(socket));
    // 600 from the first, 5 from each of the others.
    sockets.forEach((socket, i) =>
      socket.write(Buffer.concat(Array.from({ length: i === 0 ? 600 : 5 }, (_, n) => scan(n + 1)))),
    );
    const all = 600 + 59 * 5;
    await lookUp(honest, 30);
    // One that no index serves alone, but the name does.
    await lookUp(honest, 3, (n) => `(&(cn=p${n})(description=*number*))`);
    expect(totalOf(answers)).toBeLessThan(all / 2);
    // The one with 600 does not keep the others waiting for its own.
    const others = answers.slice(1);
    while (totalOf(others) < 59 * 5) await closedOrData(sockets);
    expect(answers[0]?.finals).toBeLessThan(600 / 2);
  });

  it('filters of thousands of components from hundreds of connections at once', async () => {
    await using site = await HostileSite.start(12_000);
    const honest = await site.client();
    const sockets = await site.attackers(200, { each: 100 });
    const answers = sockets.map((socket) => new Answers(socket));
    const filter = parseFilter(`(|${'(sn=*x*)(cn=nobody)'.repeat(1000)})`);
    const wide = bytesOf(1, search({ filter }));
    expect(wide.length).toBeGreaterThan(20_000);
    expect(wide.length).toBeLessThan(65_536);
    for (const socket of sockets) socket.write(wide);
    await lookUp(honest, 30);
    expect(totalOf(answers)).toBeLessThan(100);
  });

  it('searches that are begun and abandoned without end leave nothing behind', async () => {
    await using site = await HostileSite.start(12_000);
    const honest = await site.client();
    const before = await site.state();
    const [socket] = await site.attackers(1);
    const answers = new Answers(socket as Socket);
    for (let round = 0; round < 50; round++) {
      const messages = Array.from({ length: 100 }, (_, n) => {
        const messageId = round * 200 + n * 2 + 1;
        return [scan(messageId), bytesOf(messageId + 1, { op: 'abandonRequest', messageId })];
      });
      socket?.write(Buffer.concat(messages.flat()));
      await lookUp(honest, 1);
    }
    socket?.write(bytesOf(1_000_000, { op: 'extendedRequest', oid: '1.3.6.1.4.1.4203.1.11.3' }));
    while (answers.finals === 0) await closedOrData([socket as Socket]);
    // Each was abandoned before its second slice.
    expect(answers.finals).toBeLessThan(5);
    const after = await site.state();
    expect(after.heap - before.heap).toBeLessThan(16 * MIB);
  });

  it('pipelines without end, whose answers nobody reads: memory is bounded, others are served', async () => {
    await using site = await HostileSite.start(2000);
    const honest = await site.client();
    const before = await site.state();
    const sockets = await site.attackers(40, { each: 40 });
    for (const socket of sockets) {
      socket.pause();
      const requests = Buffer.concat(Array.from({ length: 1000 }, (_, n) => everything(n + 1)));
      socket.write(requests);
    }
    await lookUp(honest, 50);
    const during = await site.state();
    expect(during.connections).toBe(41);
    // The mark of 256 KiB each, what one slice adds, and what is unread of the requests.
    expect(during.heap - before.heap).toBeLessThan(80 * MIB);
    await site.goAway();
    const after = await site.until(({ connections }) => connections === 1);
    expect(after.heap - before.heap).toBeLessThan(16 * MIB);
    expect(after.sessions).toBe(1);
  });

  it('an entry of 100,000 attributes, one of 100,001 values, a filter nested 100,000 deep: refused by name, and on it goes', async () => {
    await using site = await HostileSite.start(10);
    const [socket] = await site.attackers(1);
    const answers = new Answers(socket as Socket, true);
    const value = Buffer.from('v');
    const attributes = Array.from({ length: 100_000 }, (_, n) => ({ type: `a${n}`, values: [value] }));
    const values = [{ type: 'member', values: Array.from({ length: 100_001 }, () => value) }];
    const add = (messageId: number, list: typeof attributes): Buffer =>
      bytesOf(messageId, { op: 'addRequest', dn: 'cn=x,dc=example,dc=org', attributes: list });
    const depth = 100_000;
    const nested = Buffer.alloc(depth * 6);
    for (let i = 0; i < depth; i++) {
      nested[i * 6] = 0xa2;
      nested[i * 6 + 1] = 0x84;
      nested.writeUInt32BE((depth - i - 1) * 6, i * 6 + 2);
    }
    const harmless = bytesOf(4, search({ filter: { kind: 'present', attribute: 'cn' } }));
    const at = harmless.indexOf(Buffer.from('8702636e', 'hex'));
    const body = Buffer.concat([
      harmless.subarray(harmless.indexOf(0x63) + 2, at),
      nested,
      harmless.subarray(at + 4),
    ]);
    const framed = (tag: number, content: Buffer): Buffer => {
      const head = Buffer.from([tag, 0x84, 0, 0, 0, 0]);
      head.writeUInt32BE(content.length, 2);
      return Buffer.concat([head, content]);
    };
    const bomb = framed(0x30, Buffer.concat([Buffer.from('020104', 'hex'), framed(0x63, body)]));
    socket?.write(bytesOf(1, bind('cn=a', 'right')));
    for (const message of [add(2, attributes), add(3, values), bomb]) socket?.write(message);
    socket?.write(bytesOf(5, { op: 'extendedRequest', oid: '1.3.6.1.4.1.4203.1.11.3' }));
    while (answers.finals < 5) await closedOrData([socket as Socket]);
    expect(
      answers.messages.map(({ messageId, operation }) => [
        messageId,
        'result' in operation ? [operation.result.code, operation.result.diagnostic] : [],
      ]),
    ).toEqual([
      [1, [RESULT_CODE.success, '']],
      [2, [RESULT_CODE.protocolError, expect.stringContaining('too many attributes')]],
      [3, [RESULT_CODE.protocolError, expect.stringContaining('too many values')]],
      [4, [RESULT_CODE.protocolError, expect.stringContaining('nested too deeply')]],
      [5, [RESULT_CODE.success, '']],
    ]);
  });
});

describe('connections', () => {
  it('10,000 that do nothing', async () => {
    await using site = await HostileSite.start(100, { connections: 10_050, connectionsPerSource: 256 });
    const honest = await site.client();
    const before = await site.state();
    await site.attackers(10_000, { each: 250 });
    const during = await site.until(({ connections }) => connections >= 10_001);
    expect(during.refused).toBe(0);
    expect((during.heap - before.heap) / 10_000).toBeLessThan(16 * 1024);
    await lookUp(honest, 50);
    // One source has no more than its share, others still find a place.
    const more = await site.attackers(7, { each: 7, first: 1 });
    await closed(more.at(-1) as Socket);
    await lookUp(await site.client(), 1);
    await site.goAway();
    const after = await site.until(({ connections }) => connections <= 2);
    expect(after.heap - before.heap).toBeLessThan(24 * MIB);
  });

  it('a flood of those that speak something else: a bounded number of log lines', async () => {
    await using site = await HostileSite.start(100);
    const honest = await site.client();
    const before = await site.state();
    for (let wave = 0; wave < 10; wave++) {
      const sockets = await site.attackers(250, { each: 125, first: 1 + wave * 2 });
      for (const socket of sockets) socket.end('GET / HTTP/1.1\r\nhost: x\r\n\r\n').resume();
      await lookUp(honest, 5);
      await Promise.all(sockets.map(closed));
    }
    const after = await site.until(({ connections }) => connections === 1);
    expect(after.logLines - before.logLines).toBeLessThanOrEqual(41);
    expect(after.logLines).toBeGreaterThan(before.logLines);
    expect(after.heap - before.heap).toBeLessThan(16 * MIB);
  });

  it('TLS handshakes that are begun and not finished hold nobody up and end by themselves', async () => {
    await using site = await HostileSite.start(100, { handshakeTimeoutMs: 3000 });
    const sockets = await site.attackers(300, { port: site.edgePort, each: 150 });
    // A third says nothing, a third begins a record, a third says something else.
    sockets.forEach((socket, i) => {
      socket.resume();
      if (i % 3 === 1) socket.write(Buffer.from('160301020001000', 'hex'));
      if (i % 3 === 2) socket.write('EHLO me\r\n');
    });
    const good = connectTls({ host: '127.0.0.1', port: site.edgePort, rejectUnauthorized: false });
    const answers = new Answers(good);
    good.write(bytesOf(1, { op: 'extendedRequest', oid: '1.3.6.1.4.1.4203.1.11.3' }));
    while (answers.finals === 0) await closedOrData([good]);
    await Promise.all(sockets.map(closed));
    await site.until(({ handshakes }) => handshakes === 0);
    good.destroy();
  });

  it('senders of a byte now and then: served between the bytes, ended when a message takes too long', async () => {
    await using site = await HostileSite.start(100, { partialMessageTimeoutMs: 1500 });
    const honest = await site.client();
    const sockets = await site.attackers(200, { each: 200 });
    const notices = sockets.map((socket) => new Answers(socket, true));
    const message = scan(1);
    for (const byte of message.subarray(0, message.length - 1)) {
      for (const socket of sockets) socket.write(Buffer.of(byte));
      await lookUp(honest, 1);
    }
    await Promise.all(sockets.map(closed));
    const told = notices.filter(({ messages: [first] }) => first?.messageId === 0).length;
    expect(told).toBe(200);
  });
});

describe('passwords', () => {
  it('50,000 wrong ones: few are looked at, who knows the right one gets in meanwhile', async () => {
    await using site = await HostileSite.start(10);
    const before = await site.state();
    const sockets = await site.attackers(250, { each: 50 });
    const answers = sockets.map((socket) => new Answers(socket));
    const guesses = Buffer.concat(
      Array.from({ length: 200 }, (_, n) => bytesOf(n + 1, bind('cn=a', `wrong ${n}`))),
    );
    for (const socket of sockets) socket.write(guesses);
    const [honest] = await site.attackers(1, { first: 200 });
    const own = new Answers(honest as Socket, true);
    honest?.write(bytesOf(1, bind('cn=a', 'right')));
    while (own.finals === 0) await closedOrData([honest as Socket]);
    expect(own.messages[0]?.operation).toMatchObject({ result: { code: RESULT_CODE.success } });
    // The first ones of each source are free; those on other connections may have come at the same moment.
    const during = await site.state();
    expect(during.judged - before.judged).toBeLessThan(2000);
    expect(totalOf(answers)).toBeLessThan(2000);
    expect(during.heap - before.heap).toBeLessThan(64 * MIB);
  });
});

/** Until something arrives on one of them, or one closes. */
function closedOrData(sockets: readonly Socket[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const socket of sockets) socket.off('data', done).off('close', done);
      resolve();
    };
    for (const socket of sockets) socket.on('data', done).once('close', done);
  });
}
