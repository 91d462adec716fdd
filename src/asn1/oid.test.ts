import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isPosternError } from '../base/error.ts';
import { DecodeError } from '../base/decode-error.ts';
import { decodeOid, encodeOid, isOid } from './oid.ts';

describe('object identifiers', () => {
  test.each([
    ['2.5.4.3', '550403'],
    ['1.2.840.113549.1.1.11', '2a864886f70d01010b'],
    ['0.9.2342.19200300.100.1.25', '0992268993f22c640119'],
    ['2.999.3', '883703'],
    ['2.100.3', '813403'],
    ['0.0', '00'],
    ['2.0', '50'],
    // X.667: 2.25 and a UUID, here f81d4fae-7dec-11d0-a765-00a0c91e6bf6, the example of ITU-T X.667 §8
    ['2.25.329800735698586629295641978511506172918', '6983f09da7ebcfdee0c7a1a7b2c0948cc8f9d776'],
  ])('%s', (text, octets) => {
    expect(encodeOid(text).toString('hex')).toBe(octets);
    expect(decodeOid(Buffer.from(octets, 'hex'))).toBe(text);
  });

  test.each([
    '',
    '1',
    '1.',
    '.1',
    '3.1',
    '1.40',
    '0.40',
    '1.02',
    '01.2',
    '1.2.',
    '1..2',
    '1.2.x',
    '1.2 ',
    '-1.2',
    `1.2.${'9'.repeat(85)}`,
  ])('"%s" is none', (text) => {
    expect(isOid(text)).toBe(false);
    let thrown: unknown;
    try {
      encodeOid(text);
    } catch (error) {
      thrown = error;
    }
    expect(isPosternError(thrown, 'usage')).toBe(true);
  });

  test.each(['', '80', '8001', '2a80', '2aff', '2a8001', 'ff'.repeat(41) + '01', '01'.repeat(513)])(
    'octets %s are refused',
    (octets) => {
      expect(() => decodeOid(Buffer.from(octets, 'hex'))).toThrow(DecodeError);
    },
  );

  test('round trip, arcs up to 2^200', () => {
    const arc = fc.oneof(fc.bigInt(0n, 200n), fc.bigInt(0n, 2n ** 64n), fc.bigInt(0n, 2n ** 200n));
    const arcs = fc.tuple(
      fc.oneof(fc.tuple(fc.constantFrom(0n, 1n), fc.bigInt(0n, 39n)), fc.tuple(fc.constant(2n), arc)),
      fc.array(arc, { maxLength: 10 }),
    );
    fc.assert(
      fc.property(arcs, ([first, rest]) => {
        const text = [...first, ...rest].join('.');
        expect(decodeOid(encodeOid(text))).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });

  test('what decodes encodes to the same octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (octets) => {
        let text: string;
        try {
          text = decodeOid(octets);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
          return;
        }
        expect(encodeOid(text)).toEqual(Buffer.from(octets));
      }),
      { numRuns: 3000 },
    );
  });
});
