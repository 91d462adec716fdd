/** Mutations of texts with words, delimiters and brackets. */
import type { FuzzRandom } from './random.ts';

const PIECES = /[A-Za-z0-9._-]+|\s+|[^A-Za-z0-9._\s-]/gu;
const OPEN = '([{<"\'';
const CLOSE = ')]}>"\'';
const ODD = [
  '',
  '\0',
  '\u00e9',
  'e\u0301',
  '\ufffd',
  '\u{10ffff}',
  '\u2028',
  '\r\n',
  '\n ',
  '\\',
  '\\5c',
  '\\zz',
  '%00',
  '%zz',
  '*',
  '&amp;',
  '#',
  '1',
  '-1',
  '00',
  '2147483648',
  '99999999999999999999',
];

export function mutateText(
  input: Buffer,
  other: Buffer,
  words: readonly Buffer[],
  random: FuzzRandom,
): Buffer {
  // One character a byte, so that what is no UTF-8 stays as it is.
  const pieces: string[] = [...(input.toString('latin1').match(PIECES) ?? [])];
  for (let n = 1 + random.below(3); n > 0; n--) {
    const at = random.below(pieces.length + 1);
    const end = Math.min(pieces.length, at + random.below(6));
    switch (random.below(8)) {
      case 0:
        pieces.splice(at, end - at);
        break;
      case 1: {
        const part = pieces.slice(at, end + 1);
        const times = random.oneIn(10) ? 2 + random.below(200) : 1;
        if (part.length * times < 20_000)
          pieces.splice(at, 0, ...Array.from({ length: times }, () => part).flat());
        break;
      }
      case 2: {
        const theirs = other.toString('latin1').match(PIECES) ?? [];
        const from = random.below(theirs.length + 1);
        pieces.splice(at, end - at, ...theirs.slice(from, from + 1 + random.below(12)));
        break;
      }
      case 3:
        pieces.splice(at, random.below(2), Buffer.from(random.pick(ODD)).toString('latin1'));
        break;
      case 4: {
        // What stands in brackets (or one piece), wrapped in brackets of its own, again and again.
        const from = pieces.findIndex((piece, i) => i >= at && OPEN.includes(piece));
        if (from < 0) break;
        const open = pieces[from] as string;
        const close = CLOSE[OPEN.indexOf(open)] as string;
        const to = pieces.lastIndexOf(close);
        if (to <= from) break;
        const times = random.oneIn(5) ? 1 + random.below(120) : 1;
        const mark = random.pick(['', '&', '|', '!']);
        pieces.splice(to + 1, 0, close.repeat(times));
        pieces.splice(from, 0, `${open}${mark}`.repeat(times));
        break;
      }
      case 5: {
        const b = random.below(pieces.length);
        const kept = pieces[b];
        if (kept === undefined || at >= pieces.length) break;
        pieces[b] = pieces[at] as string;
        pieces[at] = kept;
        break;
      }
      case 6:
        if (at < pieces.length)
          pieces[at] = (pieces[at] as string)
            .repeat(2 + random.below(random.oneIn(10) ? 300 : 4))
            .slice(0, 8192);
        break;
      default:
        if (words.length > 0) pieces.splice(at, random.below(2), random.pick(words).toString('latin1'));
    }
  }
  return Buffer.from(pieces.join(''), 'latin1');
}
