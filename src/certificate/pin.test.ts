import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  fingerprintLines,
  formatFingerprint,
  isPin,
  matchPin,
  parsePin,
  pinBytes,
  pinFromBytes,
  pinOfSpki,
  pinSchema,
  requirePin,
  samePin,
} from './pin.ts';

const pin = pinFromBytes(Buffer.from(Array.from({ length: 32 }, (_, i) => i)));
const other = pinOfSpki(Buffer.from('another key'));
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

test('text forms', () => {
  expect(pin).toBe('AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=');
  expect(formatFingerprint(pin)).toBe(
    '0001 0203 0405 0607 0809 0a0b 0c0d 0e0f 1011 1213 1415 1617 1819 1a1b 1c1d 1e1f',
  );
  expect(fingerprintLines(pin)).toEqual([
    '0001 0203 0405 0607',
    '0809 0a0b 0c0d 0e0f',
    '1011 1213 1415 1617',
    '1819 1a1b 1c1d 1e1f',
  ]);
});

test('every text form is read back', () => {
  fc.assert(
    fc.property(bytes32, (bytes) => {
      const one = pinFromBytes(bytes);
      const grouped = formatFingerprint(one);
      const forms = [
        one,
        grouped,
        grouped.toUpperCase(),
        grouped.replaceAll(' ', ''),
        grouped.replaceAll(' ', ':'),
        ` ${grouped}\n`,
      ];
      for (const form of [...forms, `sha256//${one}`, `SHA256:${grouped}`, fingerprintLines(one).join('\n')])
        expect(parsePin(form)).toBe(one);
      expect(pinBytes(one)).toEqual(Buffer.from(bytes));
    }),
  );
});

test.each([
  ['', 'nothing'],
  [pin.slice(0, -1), 'base64 without its end'],
  [`${pin.slice(0, 42)}9=`, 'base64 with bits beyond the end'],
  [pin.replaceAll('A', '_'), 'base64url'],
  [formatFingerprint(pin).slice(0, -1), 'a digit too few'],
  [`${formatFingerprint(pin)}0`, 'a digit too many'],
  ['g'.repeat(64), 'no digits'],
])('%j is refused: %s', (text) => {
  expect(() => parsePin(text)).toThrow(expect.objectContaining({ code: 'usage' }));
  expect(isPin(text)).toBe(false);
  expect(pinSchema.safeParse(text).success).toBe(false);
});

test('32 bytes, nothing else', () => {
  expect(() => pinFromBytes(Buffer.alloc(31))).toThrow(expect.objectContaining({ code: 'decode' }));
  expect(pinSchema.parse(pin)).toBe(pin);
});

describe('comparing', () => {
  test('equal only when equal', () => {
    fc.assert(
      fc.property(
        bytes32,
        bytes32,
        (a, b) => samePin(pinFromBytes(a), pinFromBytes(b)) === Buffer.from(a).equals(b),
      ),
    );
    expect(samePin(pin, parsePin(formatFingerprint(pin)))).toBe(true);
    expect(samePin(pin, 'x' as typeof pin)).toBe(false);
  });

  test('a set has a current pin and perhaps a next one', () => {
    expect(matchPin({ current: pin }, pin)).toBe('current');
    expect(matchPin({ current: other, next: pin }, pin)).toBe('next');
    expect(matchPin({ current: other }, pin)).toBe(undefined);
    expect(requirePin({ current: pin, next: other }, other, 'edge1')).toBe('next');
  });

  test('a mismatch names both fingerprints and the peer', () => {
    expect(() => requirePin({ current: pin }, other, 'edge1')).toThrow(
      expect.objectContaining({
        code: 'pin.mismatch',
        message: expect.stringContaining('edge1'),
        fields: { peer: 'edge1', expected: formatFingerprint(pin), found: formatFingerprint(other) },
      }),
    );
  });
});
