import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { freePorts } from '../../test/support/slapd.ts';
import { rawServer } from '../../test/support/raw-connection.ts';
import { systemClock } from '../base/clock.ts';
import { connectError, openTransport } from './transport.ts';
import { Output } from './transport-output.ts';
import { describeTarget, type LdapTarget, parseTarget } from './transport-target.ts';

/** What a promise is rejected with, awaited later. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('parseTarget', () => {
  const table: [url: string, target: LdapTarget, described: string][] = [
    ['ldap://edge', { kind: 'tcp', host: 'edge', port: 389, tls: false }, 'edge:389'],
    [
      'LDAPS://edge.example.org:50636/',
      { kind: 'tcp', host: 'edge.example.org', port: 50636, tls: true },
      'edge.example.org:50636',
    ],
    ['ldap://[::1]:1389', { kind: 'tcp', host: '::1', port: 1389, tls: false }, '[::1]:1389'],
    ['ldapi://%2Frun%2Fslapd%2Fldapi', { kind: 'unix', path: '/run/slapd/ldapi' }, '/run/slapd/ldapi'],
  ];
  test.each(table)('%s', (url, target, described) => {
    expect(parseTarget(url)).toEqual(target);
    expect(describeTarget(target)).toBe(described);
  });

  test.each([
    '',
    'edge',
    'http://edge',
    'ldap://',
    'ldap://a:0',
    'ldap://a:65536',
    'ldap://a:x',
    'ldap://::1',
    'ldap://a/dc=x',
    'ldapi://',
    'ldapi://%',
    'ldapi://relative',
    'ldap://a b',
  ])('not an address: %j', (url) =>
    expect(() => parseTarget(url)).toThrow(expect.objectContaining({ code: 'usage' }) as Error),
  );
});

describe('openTransport', () => {
  const tcp = (port: number, host = '127.0.0.1'): LdapTarget => ({ kind: 'tcp', host, port, tls: false });
  const open = (target: LdapTarget): Promise<unknown> =>
    openTransport({ target, clock: systemClock, timeoutMs: 10_000 });

  test('refused, no socket file, no name: each with its hint', async () => {
    const [port] = await freePorts();
    await expect(open(tcp(port))).rejects.toMatchObject({
      code: 'connect.failed',
      hint: expect.stringContaining('nothing listens') as string,
      fields: { systemCode: 'ECONNREFUSED', port },
    });
    await expect(open({ kind: 'unix', path: '/nonexistent/socket' })).rejects.toMatchObject({
      code: 'connect.failed',
      fields: { systemCode: 'ENOENT' },
    });
    // A label of more than 63 octets is refused by every resolver without asking anybody.
    await expect(open(tcp(port, `${'x'.repeat(64)}.invalid`))).rejects.toMatchObject({
      code: 'name.unresolvable',
    });
  });

  test('no answer in time, and told to stop', async () => {
    await using server = await rawServer();
    const clock = new FakeClock();
    const late = failure(openTransport({ target: tcp(server.port), clock, timeoutMs: 500 }));
    // The timer runs before the event loop has had a chance to report the connection.
    void clock.advance(500);
    expect(await late).toMatchObject({ code: 'connect.failed', fields: { systemCode: 'ETIMEDOUT' } });
    const abort = new AbortController();
    const stopped = openTransport({ target: tcp(server.port), clock, timeoutMs: 500, signal: abort.signal });
    abort.abort();
    await expect(stopped).rejects.toMatchObject({ code: 'canceled' });
    await expect(
      openTransport({ target: tcp(server.port), clock, timeoutMs: 500, signal: abort.signal }),
    ).rejects.toMatchObject({ code: 'canceled' });
  });

  test.each(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'ENODATA'])(
    '%s means that the name does not resolve',
    (code) => {
      const error = connectError(Object.assign(new Error('getaddrinfo'), { code }), tcp(389, 'edge'));
      expect(error).toMatchObject({ code: 'name.unresolvable', fields: { host: 'edge', systemCode: code } });
      expect(error.hint).toBeDefined();
    },
  );

  test('an error nobody knows keeps its words', () => {
    expect(connectError(new Error('Strange'), tcp(389)).message).toBe(
      'cannot connect to 127.0.0.1:389: strange',
    );
  });
});

describe('Output', () => {
  class Sink extends Writable {
    readonly writes: string[] = [];
    release: (() => void) | undefined;

    override _write(chunk: Buffer, _encoding: string, done: () => void): void {
      this.writes.push(chunk.toString());
      this.release = done;
    }

    override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
      this.writes.push(Buffer.concat(chunks.map(({ chunk }) => chunk)).toString());
      this.release = done;
    }
  }

  test('what is gathered leaves in one write, however two connections take turns', () => {
    const [first, second] = [new Sink(), new Sink()];
    const [a, b] = [new Output(first), new Output(second)];
    for (let i = 0; i < 5; i++) {
      a.append(Buffer.from(`a${i}`));
      b.append(Buffer.from(`b${i}`));
      b.append(Buffer.from('+'));
    }
    expect([a.gathered, b.gathered, first.writes.length]).toEqual([10, 15, 0]);
    a.flush();
    b.flush();
    expect([first.writes, second.writes]).toEqual([['a0a1a2a3a4'], ['b0+b1+b2+b3+b4+']]);
    expect([a.gathered, a.pending, b.pending]).toEqual([0, 10, 15]);
    first.release?.();
    second.release?.();
  });

  test('flushSoon flushes once, after the code that runs now', async () => {
    const sink = new Sink();
    const output = new Output(sink);
    output.append(Buffer.from('1'));
    output.flushSoon();
    output.append(Buffer.from('2'));
    output.flushSoon();
    expect(sink.writes).toEqual([]);
    await null;
    expect(sink.writes).toEqual(['12']);
  });

  test('what has to wait does not keep the shared chunk alive', () => {
    const sink = new Sink();
    const output = new Output(sink);
    const written: Buffer[] = [];
    const write = sink.write.bind(sink);
    sink.write = ((chunk: Buffer) => {
      written.push(chunk);
      return write(chunk);
    }) as typeof sink.write;
    for (const text of ['first', 'second', 'third']) {
      output.append(Buffer.from(text));
      output.flush();
    }
    expect(written.map((chunk) => chunk.buffer.byteLength === chunk.length)).toEqual([false, true, true]);
  });

  test('drop forgets, and a destroyed socket takes nothing', () => {
    const sink = new Sink();
    const output = new Output(sink);
    output.append(Buffer.from('1'));
    output.drop();
    output.flush();
    sink.destroy();
    output.append(Buffer.from('2'));
    output.flush();
    expect([sink.writes, output.gathered]).toEqual([[], 0]);
  });
});
