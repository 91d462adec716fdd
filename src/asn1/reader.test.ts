import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bool, int, seq, set, str, tlv } from '../../test/support/hand-ber.ts';
import { DecodeError } from '../base/decode-error.ts';
import { BerReader, utf8 } from './reader.ts';
import { contextConstructed, contextTag, TAG } from './tag.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const reader = (bytes: Buffer | string, der = false): BerReader =>
  new BerReader(typeof bytes === 'string' ? hex(bytes) : bytes, undefined, undefined, { der });

function decodeError(run: () => unknown): DecodeError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError);
    return error as DecodeError;
  }
  throw new Error('nothing was thrown');
}

describe('integers', () => {
  test.each([
    ['02 01 00', 0],
    ['02 01 7f', 127],
    ['02 01 80', -128],
    ['02 02 00 80', 128],
    ['02 02 ff 7f', -129],
    ['02 04 7f ff ff ff', 2_147_483_647],
    ['02 07 1f ff ff ff ff ff ff', Number.MAX_SAFE_INTEGER],
    ['02 81 01 05', 5],
    ['02 84 00 00 00 01 05', 5],
    ['02 03 00 00 05', 5],
  ])('%s is %d', (bytes, value) => {
    expect(reader(bytes).integer(-1000, Number.MAX_SAFE_INTEGER)).toBe(value);
    expect(reader(bytes).bigInteger()).toBe(BigInt(value));
  });

  test.each([
    ['02 00', 'integer without content'],
    ['02 01 0b', 'integer out of range'],
    ['02 01 ff', 'integer out of range'],
    ['02 08 7f ff ff ff ff ff ff ff', 'integer out of range'],
    ['02 09 00 ff ff ff ff ff ff ff ff', 'integer out of range'],
    ['04 01 05', 'expected integer, found octetString'],
    ['02', 'length octets are missing'],
    ['02 02 05', 'element reaches past the end of what contains it'],
    ['', 'expected integer, found the end'],
  ])('%s as 0 to 10: %s', (bytes, message) => {
    expect(decodeError(() => reader(bytes).integer(0, 10)).message).toBe(message);
  });

  test('big ones are bounded', () => {
    expect(reader(int(2n ** 2047n)).bigInteger(256 + 1)).toBe(2n ** 2047n);
    expect(decodeError(() => reader(int(2n ** 2048n)).bigInteger(256)).message).toBe('integer out of range');
    expect(reader(int(-(2n ** 100n))).bigInteger()).toBe(-(2n ** 100n));
  });
});

describe('DER is strict where BER is not', () => {
  const cases: [string, (r: BerReader) => unknown][] = [
    ['02 02 00 05', (r) => r.integer(0, 10)],
    ['02 02 ff ff', (r) => r.integer(-10, 10)],
    ['02 02 00 05', (r) => r.bigInteger()],
    ['02 81 01 05', (r) => r.integer(0, 10)],
    ['04 82 00 80', (r) => r.octets()],
    ['01 01 01', (r) => r.boolean()],
    ['03 02 04 ff', (r) => r.bitString()],
  ];
  test.each(cases)('%s', (bytes, read) => {
    const padded = Buffer.concat([
      hex(bytes),
      bytes.startsWith('04 82') ? Buffer.alloc(128) : Buffer.alloc(0),
    ]);
    expect(() => read(reader(padded))).not.toThrow();
    decodeError(() => read(reader(padded, true)));
  });
});

describe('lengths', () => {
  test.each([
    ['30 80 00 00', 'indefinite length', 1],
    ['30 85 00 00 00 00 01 00', 'length of more than four octets', 1],
    ['30 ff 00', 'length of more than four octets', 1],
    ['30 84 ff ff ff ff 00', 'element reaches past the end of what contains it', 1],
    ['30 82 01', 'length octets are missing', 1],
    ['30 03 04 02 41', 'element reaches past the end of what contains it', 3],
  ])('%s: %s', (bytes, message, offset) => {
    const error = decodeError(() => {
      const r = reader(bytes);
      r.enter(TAG.sequence);
      r.octets();
    });
    expect(error.message).toBe(message);
    expect(error.offset).toBe(offset);
    expect(error.fields['offset']).toBe(offset);
  });

  test('an element never reaches into its neighbour', () => {
    const r = reader(seq(seq(str('a')), str('b')));
    r.enter(TAG.sequence);
    const outer = r.enter(TAG.sequence);
    expect(r.octets().toString()).toBe('a');
    expect(r.more).toBe(false);
    expect(r.peek()).toBe(-1);
    decodeError(() => r.octets());
    r.leave(outer);
    expect(r.octets().toString()).toBe('b');
  });
});

describe('structure', () => {
  test('leave refuses leftovers, skipRest passes over well-formed ones of any tag', () => {
    const extended = seq(str('a'), tlv(0x9e, Buffer.from('later')), hex('bf 8f 01 03 04 01 00'));
    const strict = reader(extended);
    const outer = strict.enter(TAG.sequence);
    strict.octets();
    expect(decodeError(() => strict.leave(outer)).message).toBe('unexpected context 30');
    strict.skipRest(outer);
    strict.finish();
    const broken = reader(seq(str('a'), hex('9e 05 00')));
    const start = broken.enter(TAG.sequence);
    broken.octets();
    decodeError(() => broken.skipRest(start));
  });

  test.each(['1f', '1f 80', '1f ff ff ff ff 01 00', '1f 81'])('malformed tag number %s', (bytes) => {
    decodeError(() => reader(bytes).skip());
  });

  test('depth is bounded', () => {
    const bomb = Buffer.alloc(20_000, hex('30 80'));
    decodeError(() => reader(bomb).enter(TAG.sequence));
    let nested: Buffer = Buffer.alloc(0);
    for (let i = 0; i < 65; i++) nested = seq(nested);
    const r = reader(nested);
    for (let i = 0; i < 64; i++) r.enter(TAG.sequence);
    expect(decodeError(() => r.enter(TAG.sequence)).message).toBe('elements are nested too deeply');
  });

  test('views, not copies; raw keeps identifier and length', () => {
    const bytes = seq(str('abc'), bool(true), tlv(0x05));
    const r = reader(bytes);
    r.enter(TAG.sequence);
    const position = r.position;
    expect(r.raw()).toEqual(str('abc'));
    r.position = position;
    const value = r.octets();
    expect(value.buffer).toBe(bytes.buffer);
    expect(r.boolean()).toBe(true);
    r.null();
    r.finish();
  });

  test('starts and ends where told', () => {
    const bytes = Buffer.concat([Buffer.from('xx'), str('a'), Buffer.from('yy')]);
    const r = new BerReader(bytes, 2, 5);
    expect(r.octets().toString()).toBe('a');
    r.finish();
    decodeError(() => new BerReader(bytes, 2, 4).octets());
    expect(decodeError(() => new BerReader(bytes, 2, 6).finish()).message).toBe(
      'unexpected octetString after the end',
    );
  });
});

describe('other types', () => {
  test('booleans, null', () => {
    expect(reader('01 01 00').boolean()).toBe(false);
    expect(reader('01 01 01').boolean()).toBe(true);
    expect(reader('84 01 ff').boolean(contextTag(4))).toBe(true);
    decodeError(() => reader('01 00').boolean());
    decodeError(() => reader('01 02 ff ff').boolean());
    decodeError(() => reader('05 01 00').null());
  });

  test('bit strings', () => {
    expect(reader('03 03 04 ff f0', true).bitString()).toEqual({ bytes: hex('ff f0'), unusedBits: 4 });
    expect(reader('03 01 00').bitString()).toEqual({ bytes: hex(''), unusedBits: 0 });
    for (const bad of ['03 00', '03 01 01', '03 02 08 ff']) decodeError(() => reader(bad).bitString());
  });

  test('times', () => {
    expect(reader(tlv(0x17, Buffer.from('260131235959Z'))).time()).toBe(Date.UTC(2026, 0, 31, 23, 59, 59));
    expect(reader(tlv(0x18, Buffer.from('20500101000000Z'))).time()).toBe(Date.UTC(2050, 0, 1));
    decodeError(() => reader(tlv(0x17, Buffer.from('2601312359Z'))).time());
    decodeError(() => reader(tlv(0x18, Buffer.alloc(100_000, '1'))).time());
    decodeError(() => reader(str('20500101000000Z')).time());
  });

  test('constructed context tags', () => {
    const r = reader(tlv(0xa3, set(str('a'))));
    const outer = r.enter(contextConstructed(3));
    const inner = r.enter(TAG.set);
    expect(r.text()).toBe('a');
    r.leave(inner);
    r.leave(outer);
    r.finish();
  });
});

describe('text', () => {
  test.each(['c3 28', 'c0 80', 'ed a0 80', 'f4 90 80 80', 'e2 82', 'ff', '61 80'])(
    '%s is not UTF-8',
    (bytes) => {
      expect(decodeError(() => reader(tlv(0x04, hex(bytes))).text()).message).toBe('text is not valid UTF-8');
    },
  );

  test('a replacement character that is really there is fine', () => {
    expect(utf8(Buffer.from('a\ufffdb'))).toBe('a\ufffdb');
    expect(utf8(Buffer.from('\ufeffa'))).toBe('\ufeffa');
  });
});

test('names are texts, however they collide in the table', () => {
  const name = fc.oneof(fc.stringMatching(/^[ab]{0,34}$/), fc.string({ unit: 'binary', maxLength: 33 }));
  fc.assert(
    fc.property(fc.array(name, { maxLength: 200, size: 'max' }), (names) => {
      const r = reader(seq(names.map((text) => str(text))));
      r.enter(TAG.sequence);
      expect(names.map(() => r.name())).toEqual(names);
    }),
    { numRuns: 200 },
  );
  decodeError(() => reader(tlv(0x04, hex('ff'))).name());
});

test('any bytes, any sequence of reads: values or DecodeError', () => {
  const actions: ((r: BerReader) => unknown)[] = [
    (r) => r.integer(-1e15, 1e15),
    (r) => r.bigInteger(),
    (r) => r.boolean(),
    (r) => r.null(),
    (r) => r.octets(),
    (r) => r.text(),
    (r) => r.name(),
    (r) => r.oid(),
    (r) => r.bitString(),
    (r) => r.time(),
    (r) => r.skip(),
    (r) => r.raw(),
    (r) => r.enter(TAG.sequence),
    (r) => r.enumerated(10),
    (r) => r.skipRest(r.end),
    (r) => r.leave(r.end),
    (r) => r.octets(r.peek()),
    (r) => r.enter(r.peek()),
  ];
  const tagged = fc
    .tuple(fc.constantFrom(1, 2, 3, 4, 5, 6, 10, 12, 0x17, 0x18, 0x30), fc.uint8Array({ maxLength: 20 }))
    .map(([tag, content]) => tlv(tag, content));
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.array(tagged, { maxLength: 4 }).map((all) => Buffer.concat(all)),
  );
  const property = fc.property(
    bytes,
    fc.boolean(),
    fc.array(fc.nat(actions.length - 1), { maxLength: 12 }),
    (input, der, chosen) => {
      const r = new BerReader(Buffer.from(input), 0, input.length, { der });
      for (const index of chosen) {
        const before = r.position;
        try {
          actions[index]?.(r);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
          return;
        }
        expect(r.position).toBeGreaterThanOrEqual(before);
        expect(r.position).toBeLessThanOrEqual(input.length);
      }
    },
  );
  fc.assert(property, { numRuns: 5000 });
});
