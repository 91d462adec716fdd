import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecodeError } from '../base/decode-error.ts';
import { decodeIdentities, encodeIdentities } from './identity-values.ts';

const octets = (length?: number): fc.Arbitrary<Buffer> =>
  fc
    .uint8Array(length === undefined ? { maxLength: 300 } : { minLength: length, maxLength: length })
    .map((bytes) => Buffer.from(bytes));

describe('the value of the identities operation', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(
        fc.array(octets(), { maxLength: 16 }),
        fc.array(octets(32), { maxLength: 4 }),
        (statements, holds) => {
          expect(decodeIdentities(encodeIdentities({ statements, holds }))).toEqual({ statements, holds });
        },
      ),
    );
  });

  it.each([
    ['too many statements', { statements: Array.from({ length: 17 }, () => Buffer.of(1)), holds: [] }],
    ['too many pins', { statements: [], holds: Array.from({ length: 5 }, () => Buffer.alloc(32)) }],
    ['a short pin', { statements: [], holds: [Buffer.alloc(31)] }],
  ])('%s: refused', (_what, value) => {
    expect(() => decodeIdentities(encodeIdentities(value))).toThrow(DecodeError);
  });

  it('any bytes are read or refused', () => {
    fc.assert(
      fc.property(octets(), (bytes) => {
        try {
          decodeIdentities(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
    );
    expect(() => decodeIdentities(undefined)).toThrow(DecodeError);
  });
});
