/** Whatever the other side sends: a value or a `DecodeError`, in bounded time and memory. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bool, enumerated, handEncode, int, seq, set, str, tlv } from '../../test/support/hand-ber.ts';
import { anyMessage } from '../../test/support/message-arbitrary.ts';
import { DecodeError } from '../base/decode-error.ts';
import { decodeBytes, decodeControlsAt, peekMessage } from './decode.ts';
import { encodeBytes } from './encode.ts';
import { formatFilter } from './filter.ts';
import { CLIENT_LIMITS } from './limits.ts';
import type { Message } from './message.ts';

/** Undefined when refused; any other exception fails the test. */
function decodeOrRefuse(octets: Buffer): Message | undefined {
  const frame = { buffer: octets, start: 0, end: octets.length };
  let message: Message | undefined;
  try {
    message = decodeBytes(octets);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    expect(error.offset).toBeGreaterThanOrEqual(0);
    expect(error.offset).toBeLessThanOrEqual(octets.length);
  }
  try {
    const peek = peekMessage(frame);
    expect(peek.bodyEnd).toBeLessThanOrEqual(octets.length);
    decodeControlsAt(frame, peek);
  } catch (error) {
    // What decodes can be peeked at.
    if (!(error instanceof DecodeError) || message !== undefined) throw error;
  }
  return message;
}

/** What was accepted means something: it encodes, and decodes to the same again. */
function checkMeaning(message: Message | undefined): void {
  if (message === undefined) return;
  const again = encodeBytes(message);
  expect(encodeBytes(decodeBytes(again)).equals(again)).toBe(true);
  if (message.operation.op === 'searchRequest') formatFilter(message.operation.filter);
}

describe('any octets', () => {
  test('at random', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (octets) =>
        checkMeaning(decodeOrRefuse(Buffer.from(octets))),
      ),
      { numRuns: 5000 },
    );
  });

  test('behind a plausible beginning', () => {
    const input = fc.tuple(
      fc.integer({ min: 0x40, max: 0x80 }),
      fc.uint8Array({ maxLength: 60 }),
      fc.uint8Array({ maxLength: 20 }),
    );
    fc.assert(
      fc.property(input, ([tag, body, rest]) =>
        checkMeaning(decodeOrRefuse(seq(int(1), tlv(tag, body), rest))),
      ),
      { numRuns: 5000 },
    );
  });

  test('valid messages with octets changed, cut out and put in', () => {
    const edit = fc.record({
      at: fc.nat(),
      kind: fc.constantFrom('flip', 'set', 'cut', 'put'),
      octet: fc.integer({ min: 0, max: 255 }),
    });
    fc.assert(
      fc.property(anyMessage, fc.array(edit, { minLength: 1, maxLength: 4 }), (message, edits) => {
        let octets = handEncode(message);
        for (const { at, kind, octet } of edits) {
          if (octets.length === 0) break;
          const i = at % octets.length;
          if (kind === 'flip') octets[i] = (octets[i] as number) ^ (1 << (octet & 7));
          else if (kind === 'set') octets[i] = octet;
          else if (kind === 'cut') octets = Buffer.concat([octets.subarray(0, i), octets.subarray(i + 1)]);
          else octets = Buffer.concat([octets.subarray(0, i), Buffer.from([octet]), octets.subarray(i)]);
        }
        checkMeaning(decodeOrRefuse(octets));
      }),
      { numRuns: 4000 },
    );
  });

  test('every single bit of a search request and an add request', () => {
    const filter = tlv(
      0xa0,
      str('cn', 0x87),
      tlv(0xa2, tlv(0xa4, str('sn'), seq(str('a', 0x80), str('b', 0x81), str('c', 0x82)))),
    );
    const search = seq(
      int(2),
      tlv(
        0x63,
        str('dc=a'),
        enumerated(2),
        enumerated(0),
        int(10),
        int(20),
        bool(true),
        filter,
        seq(str('*'), str('+')),
      ),
      tlv(0xa0, seq(str('1.2.840.113556.1.4.319'), bool(true), str(seq(int(100), str(''))))),
    );
    const add = seq(int(300), tlv(0x68, str('cn=x'), seq(seq(str('cn'), set(str('x'), str('y'))))));
    let accepted = 0;
    for (const valid of [search, add]) {
      expect(decodeOrRefuse(valid)).toBeDefined();
      for (let bit = 0; bit < valid.length * 8; bit++) {
        const octets = Buffer.from(valid);
        octets[bit >> 3] = (octets[bit >> 3] as number) ^ (1 << (bit & 7));
        const message = decodeOrRefuse(octets);
        if (message !== undefined) accepted++;
        checkMeaning(message);
      }
      for (let length = 0; length < valid.length; length++)
        expect(decodeOrRefuse(valid.subarray(0, length))).toBeUndefined();
    }
    expect(accepted).toBeGreaterThan(100);
  });
});

describe('bombs', () => {
  const search = (filter: Buffer): Buffer =>
    seq(int(1), tlv(0x63, str(''), enumerated(0), enumerated(0), int(0), int(0), bool(false), filter, seq()));

  test('a filter nested 200,000 deep', () => {
    // Built from the inside out with four length octets each, so that building it is cheap.
    const depth = 200_000;
    const filter = Buffer.alloc(depth * 6);
    for (let i = 0; i < depth; i++) {
      filter[i * 6] = 0xa2;
      filter[i * 6 + 1] = 0x84;
      filter.writeUInt32BE((depth - i - 1) * 6, i * 6 + 2);
    }
    expect(() => decodeBytes(search(filter))).toThrow('filter is nested too deeply');
  });

  test('nesting without lengths that fit', () => {
    expect(() => decodeBytes(search(Buffer.alloc(100_000, Buffer.from('a082', 'hex'))))).toThrow(DecodeError);
    expect(() => decodeBytes(search(Buffer.alloc(100_000, 0xa1)))).toThrow(DecodeError);
  });

  test('a filter of a million components', () => {
    expect(() => decodeBytes(search(tlv(0xa1, Buffer.alloc(4_000_000, str('cn', 0x87)))))).toThrow(
      'filter has too many components',
    );
  });

  test('100,000 attributes, and as many values', () => {
    const attribute = seq(str('cn'), set());
    const many = seq(int(1), tlv(0x68, str(''), seq(Buffer.alloc(100_000 * attribute.length, attribute))));
    expect(() => decodeBytes(many)).toThrow('too many attributes');
    const value = str('v');
    const values = (count: number): Buffer =>
      seq(
        int(1),
        tlv(0x64, str(''), seq(seq(str('member'), set(Buffer.alloc(count * value.length, value))))),
      );
    expect(() => decodeBytes(values(100_001))).toThrow('too many values');
    const { operation } = decodeBytes(values(100_001), CLIENT_LIMITS);
    expect(operation.op === 'searchResultEntry' && operation.attributes[0]?.values.length).toBe(100_001);
  });

  test('100,000 controls, requested attributes, referrals', () => {
    const fill = (count: number, element: Buffer): Buffer => Buffer.alloc(count * element.length, element);
    const bombs = [
      seq(int(1), tlv(0x42), tlv(0xa0, fill(100_000, seq(str('1.2'))))),
      seq(
        int(1),
        tlv(
          0x63,
          str(''),
          enumerated(0),
          enumerated(0),
          int(0),
          int(0),
          bool(false),
          str('a', 0x87),
          seq(fill(100_000, str('cn'))),
        ),
      ),
      seq(int(1), tlv(0x65, enumerated(10), str(''), str(''), tlv(0xa3, fill(100_000, str('ldap:'))))),
      seq(int(1), tlv(0x73, fill(100_000, str('ldap:')))),
    ];
    for (const bomb of bombs) expect(() => decodeBytes(bomb)).toThrow(/too many/);
  });

  test('lengths that lie, at every level', () => {
    const valid = seq(int(1), tlv(0x68, str('cn=x'), seq(seq(str('cn'), set(str('x'), str('y'))))));
    for (let at = 0; at < valid.length; at++) {
      for (const lie of ['80', '8100', '81ff', '82ffff', '84ffffffff', '85ffffffffff', 'ff', '7f']) {
        decodeOrRefuse(
          Buffer.concat([valid.subarray(0, at), Buffer.from(lie, 'hex'), valid.subarray(at + 1)]),
        );
      }
    }
  });
});
