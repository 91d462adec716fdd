import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  edgeAttributes,
  guidBytes,
  guidText,
  packRecipient,
  packRecipientInto,
  type Recipient,
  RECIPIENT_KINDS,
  unpackRecipient,
} from './recipient.ts';

const recipient: fc.Arbitrary<Recipient> = fc.record({
  kind: fc.constantFrom(...RECIPIENT_KINDS),
  addresses: fc.array(
    fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !text.includes('\0')),
    { minLength: 1, maxLength: 8 },
  ),
});

test('a packed recipient comes back, and is packed alike into a larger buffer', () => {
  fc.assert(
    fc.property(recipient, fc.nat(20), (given, at) => {
      const packed = packRecipient(given);
      expect(unpackRecipient(packed)).toEqual(given);
      const exact = Buffer.alloc(at + packed.length, 0xee);
      expect(packRecipientInto(given, exact, at)).toBe(packed.length);
      expect(exact.subarray(at)).toEqual(packed);
      const short = Buffer.alloc(at + packed.length - 1, 0xee);
      expect(packRecipientInto(given, short, at)).toBe(0);
      expect(short.every((byte) => byte === 0xee)).toBe(true);
    }),
  );
});

test('an edge gets hashes and the kind, nothing else', () => {
  const attributes = edgeAttributes({ kind: 'group', addresses: ['a@x', 'b@x'] }, (address) =>
    Buffer.from(`#${address.length}`),
  );
  expect(attributes.map(({ type, values }) => `${type}: ${values.join()}`)).toEqual([
    'posternAddress: #3,#3',
    'posternRecipientKind: group',
  ]);
});

test('GUIDs as text', () => {
  const text = '00112233-4455-6677-8899-aabbccddeeff';
  const bytes = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
  expect(guidText(bytes)).toBe(text);
  expect(guidBytes(text)).toEqual(bytes);
  expect(guidBytes(text.toUpperCase())).toEqual(bytes);
  for (const other of ['', text.slice(1), `${text}0`, text.replaceAll('-', ''), text.replace('0', 'g')])
    expect(guidBytes(other)).toBe(undefined);
});
