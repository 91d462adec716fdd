import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hand } from '../../test/support/hand-vici.ts';
import { DecodeError } from '../base/decode-error.ts';
import { ViciFramer } from './framer.ts';
import {
  decodePacket,
  encodeRegister,
  encodeRequest,
  encodeUnregister,
  MOST_PACKET_BYTES,
  type ViciPacket,
} from './packet.ts';

const EVERY_KIND: readonly (readonly [bytes: Buffer, packet: ViciPacket])[] = [
  [hand.packet(0, 'version'), { kind: 'request', name: 'version', message: new Map() }],
  [
    hand.packet(1, undefined, hand.value('a', 'b')),
    { kind: 'response', message: new Map([['a', Buffer.from('b')]]) },
  ],
  [hand.packet(2, undefined), { kind: 'unknownCommand' }],
  [hand.packet(3, 'list-sa'), { kind: 'register', name: 'list-sa' }],
  [hand.packet(4, 'list-sa'), { kind: 'unregister', name: 'list-sa' }],
  [hand.packet(5, undefined), { kind: 'confirmed' }],
  [hand.packet(6, undefined), { kind: 'unknownEvent' }],
  [hand.packet(7, 'log', hand.list('l')), { kind: 'event', name: 'log', message: new Map([['l', []]]) }],
];

const withoutLength = (bytes: Buffer): Buffer => bytes.subarray(4);

describe('packets', () => {
  it.each(EVERY_KIND.map(([bytes, packet]) => [packet.kind, bytes, packet] as const))(
    'reads %s',
    (_kind, bytes, packet) => {
      expect(decodePacket(withoutLength(bytes))).toEqual(packet);
    },
  );

  it('writes requests and registrations as they are written by hand', () => {
    expect(encodeRequest('version')).toEqual(hand.packet(0, 'version'));
    expect(encodeRequest('x', { a: 'b' })).toEqual(hand.packet(0, 'x', hand.value('a', 'b')));
    expect(encodeRegister('log')).toEqual(hand.packet(3, 'log'));
    expect(encodeUnregister('log')).toEqual(hand.packet(4, 'log'));
  });

  it.each<[what: string, bytes: Buffer, message: RegExp]>([
    ['empty', Buffer.alloc(0), /empty/],
    ['unknown type', Buffer.of(8), /unknown type of packet 8/],
    ['no name', Buffer.of(0), /within a name/],
    ['name cut off', Buffer.of(7, 3, 0x61), /within a name/],
    ['more than a registration has', Buffer.of(3, 1, 0x61, 1), /more bytes/],
    ['more than a confirmation has', Buffer.of(5, 0), /more bytes/],
    ['bad message', Buffer.of(1, 9), /unknown type of element/],
  ])('refuses: %s', (_what, bytes, message) => {
    expect(() => decodePacket(bytes)).toThrow(message);
    expect(() => decodePacket(bytes)).toThrow(DecodeError);
  });

  it('counts offsets from the beginning of the packet', () => {
    expect(() => decodePacket(Buffer.of(7, 1, 0x61, 9))).toThrow(expect.objectContaining({ offset: 3 }));
  });

  it('writes as much as charon takes, and no byte more', () => {
    // Nine values of 58,252 bytes and one that fills up: each with its type, name (2) and length (2).
    const value = 'v'.repeat(58_000);
    const tree = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [String(n), value]));
    const used = encodeRequest('load-conn', tree).length - 4;
    const rest = MOST_PACKET_BYTES - used - 5;
    const full = encodeRequest('load-conn', { ...tree, x: 'v'.repeat(rest) });
    expect(full.length).toBe(4 + MOST_PACKET_BYTES);
    expect(decodePacket(withoutLength(full)).kind).toBe('request');
    expect(() => encodeRequest('load-conn', { ...tree, x: 'v'.repeat(rest + 1) })).toThrow(
      expect.objectContaining({ code: 'vici.too-large' }),
    );
  });
});

describe('framing', () => {
  const stream = Buffer.concat(EVERY_KIND.map(([bytes]) => bytes));
  const expected = EVERY_KIND.map(([bytes]) => withoutLength(bytes));

  const framed = (chunks: readonly Buffer[]): Buffer[] => {
    const framer = new ViciFramer();
    return chunks.flatMap((chunk) => {
      framer.push(chunk);
      return [...framer];
    });
  };

  it('gives the same packets wherever the stream is cut', () => {
    for (let cut = 0; cut <= stream.length; cut++)
      expect(framed([stream.subarray(0, cut), stream.subarray(cut)])).toEqual(expected);
    expect(framed([...stream].map((byte) => Buffer.of(byte)))).toEqual(expected);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 6 }), (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
        const chunks = at.slice(1).map((end, i) => stream.subarray(at[i], end));
        expect(framed(chunks)).toEqual(expected);
      }),
    );
  });

  it('takes the largest packet and refuses a larger one by its length alone, for good', () => {
    const framer = new ViciFramer();
    const large = Buffer.alloc(4 + MOST_PACKET_BYTES);
    large.writeUInt32BE(MOST_PACKET_BYTES);
    framer.push(large);
    expect([...framer].map((bytes) => bytes.length)).toEqual([MOST_PACKET_BYTES]);
    framer.push(Buffer.concat([hand.packet(5, undefined), Buffer.of(0, 8, 0, 1)]));
    const taken: Buffer[] = [];
    expect(() => {
      for (const bytes of framer) taken.push(bytes);
    }).toThrow(/524289 bytes is over the limit/);
    expect(taken).toHaveLength(1);
    framer.push(hand.packet(5, undefined));
    expect(() => [...framer]).toThrow(DecodeError);
    expect(framer.buffered).toBe(0);
  });
});
