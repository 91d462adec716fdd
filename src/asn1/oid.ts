/** OBJECT IDENTIFIER content octets (X.690 §8.19) to and from dotted decimal; arcs of any size (X.667 needs 128 bits). */
import { PosternError } from '../base/error.ts';
import { DecodeError } from '../base/decode-error.ts';

/** Bounds what an attacker can make us compute: arcs of more than this many octets (7 bits each) are refused. */
const MOST_ARC_OCTETS = 40;
const MOST_OCTETS = 512;
/** As text: what is read can be written again. */
const MOST_CHARACTERS = 1024;
const LARGEST_ARC = 10n ** 84n - 1n;

/** Content octets `start` to `end` as dotted decimal. */
export function decodeOid(buffer: Uint8Array, start = 0, end = buffer.length): string {
  if (start >= end) throw new DecodeError('object identifier without content', start);
  if (end - start > MOST_OCTETS) throw new DecodeError('object identifier is too long', start);
  let text = '';
  for (let at = start; at < end; ) {
    const arcStart = at;
    if (buffer[at] === 0x80) throw new DecodeError('object identifier arc is not minimal', at);
    while (((buffer[at] ?? 0) & 0x80) !== 0 && at < end) at++;
    if (at >= end) throw new DecodeError('object identifier ends within an arc', arcStart);
    at++;
    text += text === '' ? firstArcs(buffer, arcStart, at) : `.${arc(buffer, arcStart, at)}`;
  }
  if (text.length > MOST_CHARACTERS) throw new DecodeError('object identifier is too long', start);
  return text;
}

/** X.690 §8.19.4: the first two arcs share one number. */
function firstArcs(buffer: Uint8Array, start: number, end: number): string {
  const value = arc(buffer, start, end);
  if (typeof value === 'bigint') return `2.${value - 80n}`;
  const first = Math.min(2, Math.floor(value / 40));
  return `${first}.${value - first * 40}`;
}

function arc(buffer: Uint8Array, start: number, end: number): number | bigint {
  if (end - start > MOST_ARC_OCTETS) throw new DecodeError('object identifier arc is too large', start);
  if (end - start <= 7) {
    let value = 0;
    for (let i = start; i < end; i++) value = value * 128 + ((buffer[i] as number) & 0x7f);
    return value;
  }
  let value = 0n;
  for (let i = start; i < end; i++) value = (value << 7n) | BigInt((buffer[i] as number) & 0x7f);
  if (value > LARGEST_ARC) throw new DecodeError('object identifier arc is too large', start);
  return value;
}

/** Numericoid of RFC 4512 §1.4: at least two arcs, no leading zeros; arcs of up to 84 digits. */
export function isOid(text: string): boolean {
  return (
    text.length <= MOST_CHARACTERS &&
    /^(?:[01]\.(?:\d|[1-3]\d)|2\.(?:0|[1-9]\d{0,83}))(?:\.(?:0|[1-9]\d{0,83}))*$/.test(text)
  );
}

/** Dotted decimal to content octets. Throws `usage` for anything that isn't an object identifier. */
export function encodeOid(text: string): Buffer {
  if (!isOid(text))
    throw new PosternError('usage', 'not an object identifier', { fields: { oid: text.slice(0, 80) } });
  const [first = '', second = '', ...rest] = text.split('.');
  const octets: number[] = [];
  pushArc(octets, BigInt(first) * 40n + BigInt(second));
  for (const part of rest) pushArc(octets, BigInt(part));
  return Buffer.from(octets);
}

function pushArc(octets: number[], value: bigint): void {
  const digits: number[] = [Number(value & 0x7fn)];
  for (let left = value >> 7n; left > 0n; left >>= 7n) digits.push(Number(left & 0x7fn) | 0x80);
  octets.push(...digits.reverse());
}
