/**
 * RFC 4518 string preparation, for matching only: values are stored as they were given. Printable ASCII, which is
 * nearly everything, never leaves the byte domain, and a value that is already prepared is returned as it is.
 */

const EMPTY = Buffer.alloc(0);
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of valid UTF-8, else undefined. */
export function decodeUtf8(value: Uint8Array): string | undefined {
  try {
    return decoder.decode(value);
  } catch {
    return undefined;
  }
}

// Mapped to nothing: RFC 4518 §2.2 (soft hyphen, joiners, variation selectors, object replacement, controls, zero width space).
const TO_NOTHING =
  /[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\u00ad\u034f\u06dd\u070f\u1806\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2063\u206a-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffc\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}]/gu;
// Mapped to SPACE: RFC 4518 §2.2 (tab to carriage return, next line, and every separator).
const TO_SPACE = /[\u0009-\u000d\u0085\p{Z}]/gu;
// RFC 4518 §2.4, without the clause on code points that Unicode 3.2 did not know: names with newer characters must stay findable.
const PROHIBITED = /[\p{Co}\p{Noncharacter_Code_Point}\ufffd]/u;

/** Final sigma, and the iota below, which is a letter when folded. */
const FOLDED: ReadonlyMap<string, string> = new Map([
  ['\u03c2', '\u03c3'],
  ['\u0345', '\u03b9'],
]);

/** RFC 3454 table B.2: lower case, with the characters whose folding is longer than themselves. */
function foldCase(text: string): string {
  let out = '';
  for (const character of text) {
    let lower = character.toLowerCase();
    const upper = lower.toUpperCase();
    if (upper.length > lower.length) lower = Array.from(upper, (c) => c.toLowerCase()).join('');
    out += FOLDED.get(lower) ?? lower;
  }
  return out;
}

/**
 * Transcode, map, normalise, prohibit (RFC 4518 §2.1 to §2.4); spaces are left alone. Undefined when the value is not
 * UTF-8 or has prohibited characters: such a comparison is Undefined.
 */
function prepareText(value: Uint8Array, fold: boolean): string | undefined {
  const text = decodeUtf8(value);
  if (text === undefined) return undefined;
  let mapped = text.replace(TO_NOTHING, '').replace(TO_SPACE, ' ');
  if (fold) mapped = foldCase(foldCase(mapped).normalize('NFKC'));
  mapped = mapped.normalize('NFKC');
  return PROHIBITED.test(mapped) ? undefined : mapped;
}

/**
 * A value prepared for equality and ordering: case folded when `fold`, outer spaces removed, inner runs of spaces made
 * one. (RFC 4518 §2.6.1 writes one outer and two inner spaces: the same relation; `spaced` gives that form.)
 */
export function prepare(value: Buffer, fold: boolean): Buffer | undefined {
  const length = value.length;
  let clean = true;
  let previous = 0x20;
  for (let i = 0; i < length; i++) {
    const byte = value[i] as number;
    if (byte >= 0x80) return prepareUnicode(value, fold);
    if (byte < 0x21 || byte === 0x7f || (fold && byte >= 0x41 && byte <= 0x5a)) {
      if (byte === 0x20 && previous !== 0x20) {
        previous = byte;
        continue;
      }
      clean = false;
    }
    previous = byte;
  }
  if (clean && (length === 0 || previous !== 0x20)) return value;
  const out = Buffer.allocUnsafe(length);
  let at = 0;
  for (let i = 0; i < length; i++) {
    let byte = value[i] as number;
    if (byte < 0x20 || byte === 0x7f) {
      if (byte < 0x09 || byte > 0x0d) continue;
      byte = 0x20;
    } else if (fold && byte >= 0x41 && byte <= 0x5a) byte += 0x20;
    if (byte === 0x20 && (at === 0 || out[at - 1] === 0x20)) continue;
    out[at++] = byte;
  }
  if (at > 0 && out[at - 1] === 0x20) at--;
  return at === 0 ? EMPTY : out.subarray(0, at);
}

/** True when octets are printable ASCII that `prepare` would hand back as they are: for whoever wants to spare the copy. */
export function isPrepared(bytes: Uint8Array, start: number, end: number, fold: boolean): boolean {
  let previous = 0x20;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte < 0x20 || byte > 0x7e || (fold && byte >= 0x41 && byte <= 0x5a)) return false;
    if (byte === 0x20 && previous === 0x20) return false;
    previous = byte;
  }
  return start === end || previous !== 0x20;
}

function prepareUnicode(value: Buffer, fold: boolean): Buffer | undefined {
  const text = prepareText(value, fold);
  return text === undefined ? undefined : Buffer.from(collapse(text));
}

/** RFC 4518 §2.6.1: what is followed by a combining mark is no space. */
const collapse = (text: string): string => text.replace(/ +(?!\p{M})/gu, ' ').replace(/^ (?!\p{M})| $/gu, '');
const LEADING_SPACE = /^ (?!\p{M})/u;

/** The form of a prepared value in which substrings are looked for: one outer, two inner spaces (RFC 4518 §2.6.1). */
export function spaced(prepared: Buffer): Buffer {
  let spaces = 0;
  for (const byte of prepared) if (byte === 0x20) spaces++;
  const out = Buffer.allocUnsafe(prepared.length + spaces + 2);
  let at = 0;
  out[at++] = 0x20;
  for (const byte of prepared) {
    out[at++] = byte;
    if (byte === 0x20) out[at++] = byte;
  }
  out[at] = 0x20;
  return out;
}

/** A substring of an assertion prepared as RFC 4518 §2.6.1 says of its place. */
export function prepareSubstring(
  value: Buffer,
  fold: boolean,
  place: 'initial' | 'any' | 'final',
): Buffer | undefined {
  const text = prepareText(value, fold);
  if (text === undefined) return undefined;
  const inner = collapse(text);
  if (inner === '') return Buffer.from(' ');
  const before = place === 'initial' || LEADING_SPACE.test(text) ? ' ' : '';
  const after = place === 'final' || text.endsWith(' ') ? ' ' : '';
  return Buffer.from(before + inner.replace(/ /g, '  ') + after);
}

/** RFC 4518 §2.6.2 and §2.6.3: every space removed (numericString), hyphens too (telephoneNumber). */
export function prepareWithout(value: Buffer, fold: boolean, characters: RegExp): Buffer | undefined {
  const text = prepareText(value, fold);
  return text === undefined ? undefined : Buffer.from(text.replace(characters, ''));
}
