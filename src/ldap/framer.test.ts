import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { handEncode, int, seq, str, tlv } from '../../test/support/hand-ber.ts';
import { anyMessage } from '../../test/support/message-arbitrary.ts';
import { DecodeError } from '../base/decode-error.ts';
import { type Frame, Framer } from './framer.ts';

const bytesOf = (frame: Frame): Buffer => frame.buffer.subarray(frame.start, frame.end);
const framer = (maxMessageBytes = 1_000_000): Framer => new Framer({ maxMessageBytes });

/** Frames and the error that ended them, for chunks given one after the other. */
function drain(chunks: readonly Buffer[], maxMessageBytes?: number): { frames: string[]; error?: string } {
  const f = framer(maxMessageBytes);
  const frames: string[] = [];
  try {
    for (const chunk of chunks) {
      f.push(chunk);
      for (const frame of f) frames.push(bytesOf(frame).toString('hex'));
    }
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError);
    return { frames, error: (error as DecodeError).message };
  }
  return { frames };
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const cuts = [0, ...at.map((n) => Math.min(n, bytes.length)).sort((a, b) => a - b), bytes.length];
  // Copies, so that nothing can be read from behind a chunk's end.
  return cuts.slice(1).map((end, i) => Buffer.from(bytes.subarray(cuts[i], end)));
}

const abandon = (id: number): Buffer => seq(int(id), int(1, 0x50));
/** The same with a length in four octets, as Active Directory writes it. */
const padded = Buffer.concat([Buffer.from('308400000006', 'hex'), int(3), int(1, 0x50)]);

describe('framing', () => {
  test('messages within one chunk are parts of that chunk', () => {
    const chunk = Buffer.concat([abandon(1), padded, abandon(2)]);
    const f = framer();
    f.push(chunk);
    const frames = [...f];
    expect(frames.map(({ start, end }) => [start, end])).toEqual([
      [0, 8],
      [8, 20],
      [20, 28],
    ]);
    for (const frame of frames) expect(frame.buffer).toBe(chunk);
    expect(f.buffered).toBe(0);
  });

  test('split at every octet, and into single octets', () => {
    const messages = [abandon(1), padded, seq(int(2), str('x'.repeat(300), 0x4a)), abandon(7)];
    const stream = Buffer.concat(messages);
    const expected = { frames: messages.map((m) => m.toString('hex')) };
    for (let at = 0; at <= stream.length; at++) expect(drain(cut(stream, [at]))).toEqual(expected);
    expect(drain(Array.from(stream, (octet) => Buffer.from([octet])))).toEqual(expected);
  });

  test('any messages, any chunks', () => {
    const input = fc.tuple(fc.array(anyMessage, { maxLength: 6 }), fc.array(fc.nat(3000), { maxLength: 12 }));
    fc.assert(
      fc.property(input, ([messages, at]) => {
        const encoded = messages.map(handEncode);
        expect(drain(cut(Buffer.concat(encoded), at))).toEqual({
          frames: encoded.map((m) => m.toString('hex')),
        });
      }),
      { numRuns: 300 },
    );
  });

  test('iteration can be left and resumed, and chunks pushed meanwhile', () => {
    const f = framer();
    f.push(Buffer.concat([abandon(1), abandon(2), abandon(3).subarray(0, 3)]));
    for (const frame of f) {
      expect(bytesOf(frame)).toEqual(abandon(1));
      break;
    }
    expect(f.buffered).toBe(11);
    f.push(abandon(3).subarray(3));
    expect([...f].map(bytesOf)).toEqual([abandon(2), abandon(3)]);
    expect([...f]).toEqual([]);
    f.push(Buffer.alloc(0));
    expect([...f]).toEqual([]);
  });

  test('one buffer for all chunks, overwritten as soon as what is left in it was kept', () => {
    const input = fc.tuple(
      fc.array(anyMessage, { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat(3000), { maxLength: 12 }),
      fc.nat(3),
    );
    fc.assert(
      fc.property(input, ([messages, at, most]) => {
        const encoded = messages.map(handEncode);
        const all = Buffer.concat(encoded);
        const shared = Buffer.alloc(all.length + 16);
        const f = framer();
        const frames: string[] = [];
        for (const chunk of cut(all, at)) {
          // What a read left behind the chunk is none of its business.
          shared.fill(0x30);
          chunk.copy(shared);
          f.push(shared, chunk.length);
          // A paused connection leaves messages in the framer.
          for (let n = 0; n < most; n++) {
            const next = f.next();
            if (next.done !== true) frames.push(bytesOf(next.value).toString('hex'));
          }
          f.keep();
        }
        for (const frame of f) frames.push(bytesOf(frame).toString('hex'));
        expect(frames).toEqual(encoded.map((m) => m.toString('hex')));
      }),
      { numRuns: 300 },
    );
  });

  test('a large message in small chunks', () => {
    const message = seq(int(1), str(Buffer.alloc(700_000, 1), 0x4a));
    const chunks: Buffer[] = [];
    for (let i = 0; i < message.length; i += 1000) chunks.push(message.subarray(i, i + 1000));
    expect(drain(chunks).frames).toEqual([message.toString('hex')]);
  });
});

describe('hostile streams', () => {
  test.each([
    ['16030100', 'not an LDAP message'],
    ['3080', 'indefinite length'],
    ['3085000000000100', 'length of more than four octets'],
    ['30ff', 'length of more than four octets'],
    ['3083010000', 'message of 65541 octets is over the limit of 100'],
    ['3084ffffffff', 'message of 4294967301 octets is over the limit of 100'],
    ['3063', 'message of 101 octets is over the limit of 100'],
  ])('%s: %s, however it is split', (hex, error) => {
    const stream = Buffer.concat([abandon(1), Buffer.from(hex, 'hex')]);
    for (let at = 0; at <= stream.length; at++) {
      expect(drain(cut(stream, [at]), 100)).toEqual({ frames: [abandon(1).toString('hex')], error });
    }
  });

  test('the limit itself is allowed, and can be changed', () => {
    const message = seq(int(1), str('x'.repeat(93), 0x4a));
    expect(message.length).toBe(100);
    expect(drain([message], 100).frames.length).toBe(1);
    expect(drain([message], 99).error).toContain('limit of 99');
    const f = framer(50);
    f.maxMessageBytes = 100;
    f.push(message);
    expect([...f].length).toBe(1);
  });

  test('after an error nothing is framed any more', () => {
    const f = framer();
    f.push(Buffer.from('00', 'hex'));
    expect(() => [...f]).toThrow(DecodeError);
    f.push(abandon(1));
    expect(() => [...f]).toThrow('not an LDAP message');
  });

  test('announcing much and sending little takes little memory', () => {
    const before = process.memoryUsage().arrayBuffers;
    const framers = Array.from({ length: 200 }, () => {
      const f = framer(64 << 20);
      f.push(Buffer.from('308403fffff00201', 'hex'));
      expect([...f]).toEqual([]);
      f.push(Buffer.alloc(100));
      expect([...f]).toEqual([]);
      return f;
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(framers.length * 64 * 1024);
  });

  test('any octets: frames or DecodeError, the same however they are split', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 20 }).map((b) => Buffer.from(b)),
      fc.uint8Array({ maxLength: 20 }).map((b) => tlv(0x30, b)),
    );
    const input = fc.tuple(fc.array(piece, { maxLength: 5 }), fc.array(fc.nat(60), { maxLength: 6 }));
    fc.assert(
      fc.property(input, ([pieces, at]) => {
        const stream = Buffer.concat(pieces);
        expect(drain(cut(stream, at), 64)).toEqual(drain([stream], 64));
      }),
      { numRuns: 3000 },
    );
  });
});
