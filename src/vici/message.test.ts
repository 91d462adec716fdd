import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hand } from '../../test/support/hand-vici.ts';
import { DecodeError } from '../base/decode-error.ts';
import { decodeMessage, encodeMessage, MOST_DEPTH, type ViciTree } from './message.ts';
import { bytesOf, listOf, numberOf, plain, saysYes, sectionOf, sectionsOf, textOf } from './section.ts';

describe('messages', () => {
  it('reads and writes the example of the specification, byte for byte', () => {
    const bytes = Buffer.concat([
      hand.value('key1', 'value1'),
      hand.section(
        'section1',
        hand.section('sub-section', hand.value('key2', 'value2')),
        hand.list('list1', 'item1', 'item2'),
      ),
    ]);
    const tree = {
      key1: 'value1',
      section1: { 'sub-section': { key2: 'value2' }, list1: ['item1', 'item2'] },
    };
    expect(bytes.toString('hex')).toBe(
      '03046b657931000676616c756531010873656374696f6e31010b7375622d73656374696f6e03046b657932000676616c75653202' +
        '04056c697374310500056974656d310500056974656d320602',
    );
    expect(plain(decodeMessage(bytes))).toEqual(tree);
    expect(encodeMessage(tree)).toEqual(bytes);
  });

  it('writes numbers, yes and no, bytes, empty things; leaves out what is undefined', () => {
    const bytes = encodeMessage({
      a: 12,
      b: true,
      c: false,
      d: Buffer.of(0, 255),
      e: [],
      f: {},
      g: undefined,
    });
    expect(bytes).toEqual(
      Buffer.concat([
        hand.value('a', '12'),
        hand.value('b', 'yes'),
        hand.value('c', 'no'),
        hand.value('d', Buffer.of(0, 255)),
        hand.list('e'),
        hand.section('f'),
      ]),
    );
  });

  it.each<[what: string, bytes: Buffer, offset: number, message: RegExp]>([
    ['unknown element', Buffer.of(7), 0, /unknown type of element 7/],
    ['type 0', Buffer.of(0), 0, /unknown type of element 0/],
    ['end without a beginning', Buffer.of(2), 0, /not begun/],
    ['section without an end', Buffer.of(1, 1, 0x61), 3, /not ended/],
    ['list item outside of a list', Buffer.of(5, 0, 0), 0, /outside of a list/],
    ['list end outside of a list', Buffer.of(6), 0, /outside of a list/],
    ['list without an end', hand.list('a', 'b').subarray(0, -1), 7, /a list item/],
    ['list in a list', Buffer.concat([Buffer.of(4, 0), hand.list('b')]), 2, /within a list/],
    ['name cut off', Buffer.of(3, 2, 0x61), 2, /within a name/],
    ['no length of a value', Buffer.of(3, 1, 0x61, 0), 4, /length of a value/],
    ['value cut off', Buffer.of(3, 1, 0x61, 0, 2, 0x62), 5, /within a value/],
    ['name twice', Buffer.concat([hand.value('a', '1'), hand.section('a')]), 6, /twice/],
  ])('refuses: %s', (_what, bytes, offset, message) => {
    const refused = (): unknown => decodeMessage(bytes);
    expect(refused).toThrow(message);
    expect(refused).toThrow(DecodeError);
    expect(refused).toThrow(expect.objectContaining({ offset }));
  });

  it('bounds the depth of sections', () => {
    const nested = (depth: number): Buffer =>
      Buffer.concat([Buffer.alloc(depth * 2, Buffer.of(1, 0)), Buffer.alloc(depth, 2)]);
    expect(decodeMessage(nested(MOST_DEPTH)).size).toBe(1);
    expect(() => decodeMessage(nested(MOST_DEPTH + 1))).toThrow(/too deep/);
    expect(() => decodeMessage(nested(100_000))).toThrow(/too deep/);
  });

  it('bounds names and values, as the format does', () => {
    expect(encodeMessage({ [`${'n'.repeat(255)}`]: 'v'.repeat(65_535) }).length).toBe(2 + 255 + 2 + 65_535);
    expect(() => encodeMessage({ ['n'.repeat(256)]: '' })).toThrow(/255/);
    expect(() => encodeMessage({ key: 'v'.repeat(65_536) })).toThrow(/the value of key has 65536 bytes/);
    expect(() => encodeMessage({ list: ['v'.repeat(65_536)] })).toThrow(
      expect.objectContaining({ code: 'vici.too-large' }),
    );
  });

  it('gives back what was sent, whatever the keys are called', () => {
    const name = fc.oneof(fc.constantFrom('__proto__', 'constructor', 'ü'), fc.string({ maxLength: 20 }));
    const { tree } = fc.letrec<{ tree: ViciTree; inner: ViciTree }>((tie) => ({
      inner: tie('tree'),
      tree: fc
        .array(fc.tuple(name, fc.oneof({ maxDepth: 4 }, fc.string(), fc.array(fc.string()), tie('inner'))), {
          maxLength: 5,
        })
        .map((pairs) => {
          const made = Object.create(null) as Record<string, ViciTree[string]>;
          for (const [key, value] of pairs) made[key] = value;
          return made;
        }),
    }));
    fc.assert(
      fc.property(tree, (value) => {
        // Names beyond 255 bytes do not arise; lone surrogates are no text.
        const text = JSON.stringify(value);
        fc.pre(text.isWellFormed() && !text.includes('\\ud'));
        expect(JSON.stringify(plain(decodeMessage(encodeMessage(value))))).toBe(text);
      }),
    );
  });

  it('answers any bytes with a message or a DecodeError within them', () => {
    const pieces = fc.oneof(fc.constantFrom(1, 2, 3, 4, 5, 6, 0), fc.nat(255));
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 200 }), (list) => {
        const bytes = Buffer.from(list);
        try {
          decodeMessage(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
          expect((error as DecodeError).offset).toBeLessThanOrEqual(bytes.length);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('sections', () => {
  const section = decodeMessage(
    Buffer.concat([
      hand.value('text', 'a'),
      hand.value('latin', Buffer.of(0xe9)),
      hand.value('number', '42'),
      hand.value('huge', '99999999999999999999'),
      hand.value('yes', 'yes'),
      hand.list('list', 'a', 'b'),
      hand.section('inner', hand.value('x', '1')),
    ]),
  );

  it('give what they hold, and nothing where it is something else', () => {
    expect(textOf(section, 'text')).toBe('a');
    expect(textOf(section, 'latin')).toBe('é');
    expect(textOf(section, 'list')).toBeUndefined();
    expect(bytesOf(section, 'latin')).toEqual(Buffer.of(0xe9));
    expect(numberOf(section, 'number')).toBe(42);
    expect(numberOf(section, 'text')).toBeUndefined();
    expect(numberOf(section, 'huge')).toBeUndefined();
    expect(saysYes(section, 'yes')).toBe(true);
    expect(saysYes(section, 'no')).toBe(false);
    expect(listOf(section, 'list')).toEqual(['a', 'b']);
    expect(listOf(section, 'text')).toEqual([]);
    expect(textOf(sectionOf(section, 'inner'), 'x')).toBe('1');
    expect(sectionOf(section, 'list').size).toBe(0);
    expect(sectionsOf(section).map(([name]) => name)).toEqual(['inner']);
  });
});
