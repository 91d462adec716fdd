import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecodeError } from '../base/decode-error.ts';
import { readNetstring, writeNetstring } from './netstring.ts';

const read = (text: string, most = 100): unknown => {
  const buffer = Buffer.from(text);
  const found = readNetstring(buffer, 0, most);
  return found === undefined ? undefined : buffer.toString('utf8', found.start, found.end);
};

describe('netstrings', () => {
  it.each([
    ['0:,', ''],
    ['5:hello,', 'hello'],
    ['5:he,lo,x', 'he,lo'],
    ['12:hello world!,', 'hello world!'],
    ['2:ü,', 'ü'],
    ['', undefined],
    ['1', undefined],
    ['12', undefined],
    ['5:', undefined],
    ['5:hello', undefined],
    ['100:', undefined],
  ])('%j holds %j', (text, content) => expect(read(text)).toBe(content));

  it.each([
    'x',
    ':',
    ',',
    ' 5:hello,',
    '-1:',
    '+1:a,',
    '5hello',
    '5;hello,',
    '5:hello;',
    '00:,',
    '05:hello,',
    '101:',
    '999999999999999999999',
    '0x1:a,',
    '1e1:',
  ])('%j is none, and that shows at once', (text) => {
    expect(() => read(text)).toThrow(DecodeError);
  });

  it('comes back as it was written, one after the other', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 30 })), (texts) => {
        const buffer = Buffer.from(texts.map(writeNetstring).join(''));
        const seen: string[] = [];
        let offset = 0;
        for (
          let item = readNetstring(buffer, 0, 1000);
          item !== undefined;
          item = readNetstring(buffer, offset, 1000)
        ) {
          seen.push(buffer.toString('utf8', item.start, item.end));
          offset = item.next;
        }
        expect(seen).toEqual(texts);
        expect(offset).toBe(buffer.length);
      }),
    );
  });

  it('a beginning is never wrong, and never whole', () => {
    const buffer = Buffer.from(writeNetstring('recipients anna@example.org'));
    for (let end = 0; end < buffer.length; end++)
      expect(readNetstring(buffer.subarray(0, end), 0, 100)).toBeUndefined();
  });

  it('any bytes give a netstring within the buffer, a wait, or a DecodeError', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 8 }),
      fc.constantFrom(...['1', '3:', '3:abc', ',', '0:,', '12'].map((s) => Buffer.from(s))),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const buffer = Buffer.concat(pieces);
        try {
          const found = readNetstring(buffer, 0, 50);
          if (found === undefined) return;
          expect(found.start).toBeLessThanOrEqual(found.end);
          expect(found.next).toBeLessThanOrEqual(buffer.length);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
      { numRuns: 5000 },
    );
  });
});
