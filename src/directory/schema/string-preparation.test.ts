/** String preparation against another implementation: Python's tables of RFC 3454 and Unicode 3.2, for every code point. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { prepare, prepareSubstring } from './string-preparation.ts';

/** Code points assigned in Unicode 3.2, each folded (table B.2) and in form KC; of the ideographs, those that change. */
const ORACLE = `
import stringprep, unicodedata
for c in range(0x110000):
    if 0xd800 <= c < 0xe000 or stringprep.in_table_a1(chr(c)): continue
    form = unicodedata.ucd_3_2_0.normalize('NFKC', stringprep.map_table_b2(chr(c)))
    if form != chr(c) or c < 0x3400: print('%x %s' % (c, ' '.join('%x' % ord(x) for x in form)))
`;
/** Corrected since (Unicode corrigendum 4): ideographs whose decomposition was wrong. */
const CORRECTED = new Set([0x2f868, 0x2f874, 0x2f91f, 0x2f95f, 0x2f9bf]);
const form = (text: string, fold = true): string | undefined => prepare(Buffer.from(text), fold)?.toString();

describe('RFC 4518', () => {
  it('folds and normalises as RFC 3454 says', async () => {
    const { stdout } = await promisify(execFile)('python3', ['-c', ORACLE], { maxBuffer: 64 << 20 });
    const different: string[] = [];
    let looked = 0;
    for (const line of stdout.trim().split('\n')) {
      const [code = 0, ...folded] = line.split(' ').map((hex) => Number.parseInt(hex, 16));
      if (CORRECTED.has(code)) continue;
      looked++;
      const theirs = form(`x${String.fromCodePoint(...folded)}x`, false);
      const ours = form(`x${String.fromCodePoint(code)}x`);
      if (theirs !== ours) different.push(`U+${code.toString(16)}: ${theirs} ${ours}`);
    }
    expect(different).toEqual([]);
    expect(looked).toBeGreaterThan(11_000);
  });

  it.each(
    (
      '00 08 0e 1f 7f 84 86 9f ad 34f 6dd 70f 1806 180b 180e 200b 200c 200f 202a 202e ' +
      '2060 2063 206a 206f fe00 fe0f feff fff9 fffb fffc 1d173 1d17a e0001 e0020 e007f'
    ).split(' '),
  )('U+%s is mapped to nothing', (hex) => {
    expect(form(`a${String.fromCodePoint(Number.parseInt(hex, 16))}b`)).toBe('ab');
  });

  it.each(('09 0a 0b 0c 0d 20 85 a0 1680 ' + '2000 200a 2028 2029 202f 205f 3000').split(' '))(
    'U+%s is mapped to a space',
    (hex) => {
      expect(form(`a${String.fromCodePoint(Number.parseInt(hex, 16))}b`)).toBe('a b');
    },
  );

  it.each(
    (
      'e000 f8ff fdd0 fdef fffd fffe ffff 1fffe ' + '4ffff efffe f0000 ffffd 100000 10fffd 10fffe 10ffff'
    ).split(' '),
  )('U+%s is prohibited (§2.4)', (hex) => {
    expect(form(`a${String.fromCodePoint(Number.parseInt(hex, 16))}b`)).toBeUndefined();
  });

  it.each([
    ['', ''],
    ['   ', ''],
    ['  foo  bar  ', 'foo bar'],
    // A space with a combining mark behind it is none (§2.6.1).
    ['\u0020\u0301x', ' \u0301x'],
    ['a  \u0301b', 'a  \u0301b'],
    ['\u00b4x', ' \u0301x'],
  ])('spaces of %j are prepared to %j', (text, prepared) => {
    expect(form(text)).toBe(prepared);
  });

  it.each([
    // Appendix B: what is looked for in "foo  bar", by place.
    ['initial', 'foo ', ' foo '],
    ['initial', 'foo', ' foo'],
    ['final', ' bar', ' bar '],
    ['final', 'bar', 'bar '],
    ['any', ' ', ' '],
    ['any', '  o  b ', ' o  b '],
    ['any', '\u0020\u0301b', '  \u0301b'],
  ] as const)('%s part %j is prepared to %j', (place, text, prepared) => {
    expect(prepareSubstring(Buffer.from(text), true, place)?.toString()).toBe(prepared);
  });
});
