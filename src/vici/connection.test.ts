import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { hand } from '../../test/support/hand-vici.ts';
import {
  type Answer,
  event,
  PlayedVici,
  response,
  UNKNOWN_COMMAND,
  UNKNOWN_EVENT,
} from '../../test/support/played-vici.ts';
import { until } from '../../test/support/until.ts';
import { systemClock } from '../base/clock.ts';
import type { PosternError } from '../base/error.ts';
import { connectVici, type ViciConnection } from './connection.ts';
import type { ViciSection } from './message.ts';
import { MOST_PACKET_BYTES } from './packet.ts';
import { textOf } from './section.ts';

interface Site extends AsyncDisposable {
  readonly played: PlayedVici;
  readonly charon: ViciConnection;
  readonly lost: PosternError[];
  readonly events: [string, ViciSection][];
  readonly clock: FakeClock;
}

async function site(answer: Answer): Promise<Site> {
  const played = await PlayedVici.open(answer);
  const [lost, events, clock]: [PosternError[], [string, ViciSection][], FakeClock] = [
    [],
    [],
    new FakeClock(),
  ];
  const charon = await connectVici({
    path: played.path,
    clock,
    onEvent: (name, message) => void events.push([name, message]),
    onLost: (error) => void lost.push(error),
  });
  return {
    played,
    charon,
    lost,
    events,
    clock,
    async [Symbol.asyncDispose]() {
      charon.close();
      await played[Symbol.asyncDispose]();
    },
  };
}

/** Answers with the name of the command. */
const echo: Answer = (packet) =>
  packet.kind === 'request' ? response(hand.value('name', packet.name)) : undefined;

describe('a connection', () => {
  it('answers each command with its own answer, one on its way at a time', async () => {
    let onTheWay = 0;
    await using at = await site((packet, socket) => {
      onTheWay += 1;
      expect(onTheWay).toBe(1);
      setImmediate(() => {
        onTheWay -= 1;
        socket.write(echo(packet, socket) ?? Buffer.alloc(0));
      });
      return undefined;
    });
    const names = Array.from({ length: 50 }, (_, n) => `command-${n}`);
    const answers = await Promise.all(names.map((name) => at.charon.call(name)));
    expect(answers.map((answer) => textOf(answer, 'name'))).toEqual(names);
  });

  it('reads an answer that comes byte by byte, and two in one piece', async () => {
    await using at = await site((packet, socket) => {
      for (const byte of echo(packet, socket) ?? []) socket.write(Buffer.of(byte));
      return undefined;
    });
    expect(textOf(await at.charon.call('slow'), 'name')).toBe('slow');
    at.played.answer = (packet) =>
      packet.kind === 'request' ? Buffer.concat([event('log'), response(hand.value('a', 'b'))]) : undefined;
    expect(textOf(await at.charon.call('x'), 'a')).toBe('b');
    expect(at.events.map(([name]) => name)).toEqual(['log']);
  });

  it('says which command or event this charon does not have, and goes on', async () => {
    await using at = await site((packet) =>
      packet.kind === 'register' ? UNKNOWN_EVENT : packet.kind === 'request' ? UNKNOWN_COMMAND : undefined,
    );
    await expect(at.charon.call('new-command')).rejects.toMatchObject({
      code: 'vici.unsupported',
      fields: { command: 'new-command' },
    });
    await expect(at.charon.register('new-event')).rejects.toMatchObject({
      code: 'vici.unsupported',
      fields: { event: 'new-event' },
    });
    at.played.answer = echo;
    expect(textOf(await at.charon.call('old'), 'name')).toBe('old');
    await at.charon.register('log');
    await at.charon.register('log');
    await at.charon.unregister('log');
    await at.charon.unregister('log');
    expect(at.played.asked.slice(-2)).toEqual(['register log', 'unregister log']);
  });

  it.each<[what: string, bytes: Buffer, message: RegExp]>([
    ['bytes that are not vici', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), /not vici/],
    ['an answer of more than 512 KiB', Buffer.of(0, 8, 0, 1), /not vici/],
    ['a message with a fault', hand.packet(1, undefined, Buffer.of(9)), /not vici/],
    ['an answer to something else', hand.packet(5, undefined), /nobody asked for/],
    ['two answers', Buffer.concat([response(), response()]), /nobody asked for/],
  ])('ends on %s', async (_what, bytes, message) => {
    await using at = await site((packet) => (packet.kind === 'request' ? bytes : undefined));
    await Promise.allSettled([at.charon.call('first')]);
    await until(
      'lost',
      () => at.lost.length,
      (count) => count === 1,
    );
    expect(at.lost[0]).toMatchObject({ code: 'vici.closed' });
    expect(at.lost[0]?.message).toMatch(message);
    expect(at.charon.open).toBe(false);
    await expect(at.charon.call('second')).rejects.toBe(at.lost[0]);
  });

  it('tells everybody who waits when charon dies in the middle of an answer', async () => {
    await using at = await site((_packet, socket) => {
      socket.write(response(hand.value('a', 'b')).subarray(0, 7), () => socket.destroy());
      return undefined;
    });
    const results = await Promise.allSettled([
      at.charon.call('a'),
      at.charon.call('b'),
      at.charon.register('c'),
    ]);
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'vici.closed' } });
    expect(at.lost).toHaveLength(1);
  });

  it('is given up when an answer does not come in time: nobody could say whose the next one is', async () => {
    await using at = await site(() => undefined);
    const calls = Promise.allSettled([
      at.charon.call('hang', {}, { timeoutMs: 500 }),
      at.charon.call('next'),
    ]);
    await at.clock.armed('vici.answer');
    await at.clock.advance(499);
    expect(at.charon.open).toBe(true);
    await at.clock.advance(1);
    for (const result of await calls)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'vici.timeout' } });
  });

  it('does not call it lost when we close it', async () => {
    await using at = await site(() => undefined);
    const call = at.charon.call('hang');
    at.charon.close();
    await expect(call).rejects.toMatchObject({ code: 'vici.closed' });
    expect(at.lost).toEqual([]);
  });

  it('refuses to send what charon would not take, and goes on', async () => {
    await using at = await site(echo);
    await expect(at.charon.call('load-conn', { a: 'v'.repeat(65_536) })).rejects.toMatchObject({
      code: 'vici.too-large',
    });
    const large = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [String(n), 'v'.repeat(58_000)]));
    expect(textOf(await at.charon.call('load-conn', large), 'name')).toBe('load-conn');
    await expect(at.charon.call('load-conn', { large, more: large })).rejects.toMatchObject({
      code: 'vici.too-large',
      fields: { most: MOST_PACKET_BYTES },
    });
  });

  it.each<[what: string, path: (folder: string) => Promise<string>, message: RegExp]>([
    ['no socket', (folder) => Promise.resolve(`${folder}/none`), /no such socket/],
    [
      'a file',
      async (folder) => {
        await writeFile(`${folder}/file`, '');
        return `${folder}/file`;
      },
      /nobody listens/,
    ],
  ])('cannot be made: %s', async (_what, path, message) => {
    await using at = await site(echo);
    const folder = at.played.path.slice(0, -'/vici'.length);
    const made = connectVici({ path: await path(folder), clock: systemClock });
    await expect(made).rejects.toThrow(message);
    await expect(made).rejects.toMatchObject({ code: 'vici.unreachable' });
  });

  it('cannot be made by a user who may not open the socket', async () => {
    await using at = await site(echo);
    expect(process.getuid?.()).toBe(0);
    process.seteuid?.(65_534);
    try {
      const made = connectVici({ path: at.played.path, clock: systemClock });
      await expect(made).rejects.toMatchObject({
        code: 'vici.unreachable',
        hint: expect.stringContaining('root') as string,
      });
    } finally {
      process.seteuid?.(0);
    }
  });
});

describe('streamed answers', () => {
  /** `list` streams so many items before it ends. */
  const streaming =
    (count: number): Answer =>
    (packet) =>
      packet.kind !== 'request'
        ? undefined
        : packet.name === 'list'
          ? Buffer.concat([
              ...Array.from({ length: count }, (_, n) => event('item', hand.value('n', String(n)))),
              response(),
            ])
          : response(hand.value('name', packet.name));

  const numbers = async (stream: AsyncIterable<ViciSection>): Promise<number[]> => {
    const seen: number[] = [];
    for await (const message of stream) seen.push(Number(textOf(message, 'n')));
    return seen;
  };

  it('come whole and in order, the registration made once', async () => {
    await using at = await site(streaming(1000));
    const all = Array.from({ length: 1000 }, (_, n) => n);
    expect(await numbers(at.charon.stream('list', 'item'))).toEqual(all);
    expect(await numbers(at.charon.stream('list', 'item'))).toEqual(all);
    expect(at.played.asked).toEqual(['register item', 'request list', 'request list']);
    expect(at.events).toEqual([]);
  });

  it('are held up by a slow reader, and no time runs out meanwhile', async () => {
    await using at = await site(streaming(20_000));
    let seen = 0;
    for await (const message of at.charon.stream('list', 'item', {}, { timeoutMs: 1000 })) {
      if (seen === 0) {
        // Once the reader has been given the first ones, nothing is due from charon.
        await until(
          'charon is held up',
          () => [...at.played.sockets].some((socket) => socket.writableLength > 0),
          (held) => held,
        );
        await at.clock.advance(60_000);
      }
      expect(textOf(message, 'n')).toBe(String(seen));
      seen += 1;
    }
    expect(seen).toBe(20_000);
  });

  it('may be left early; the rest is not mistaken for anything else', async () => {
    await using at = await site(streaming(20_000));
    for await (const message of at.charon.stream('list', 'item')) {
      expect(textOf(message, 'n')).toBe('0');
      break;
    }
    expect(textOf(await at.charon.call('after'), 'name')).toBe('after');
    expect(at.events).toEqual([]);
  });

  it('fail where charon dies in their middle: never a short list that looks whole', async () => {
    await using at = await site((packet, socket) => {
      if (packet.kind === 'request')
        socket.write(Buffer.concat([event('item', hand.value('n', '0')), event('item')]), () =>
          socket.destroy(),
        );
      return undefined;
    });
    const seen: unknown[] = [];
    const read = async (): Promise<void> => {
      for await (const message of at.charon.stream('list', 'item')) seen.push(message);
    };
    await expect(read()).rejects.toMatchObject({ code: 'vici.closed' });
    expect(seen).toHaveLength(2);
  });

  it('fail in time when they stop coming', async () => {
    await using at = await site((packet) =>
      packet.kind === 'request' ? event('item', hand.value('n', '0')) : undefined,
    );
    const reader = Promise.allSettled([numbers(at.charon.stream('list', 'item', {}, { timeoutMs: 700 }))]);
    await until(
      'asked',
      () => at.played.asked,
      (asked) => asked.includes('request list'),
    );
    // The first item may still be on its way when this time has passed: it arms the timer anew.
    while (at.charon.open) {
      await at.clock.armed('vici.answer');
      await at.clock.advance(700);
    }
    expect(await reader).toMatchObject([{ reason: { code: 'vici.timeout' } }]);
  });
});
