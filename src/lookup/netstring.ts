/** Netstrings (D. J. Bernstein, 1997): `<length>:<octets>,`. Pure codec; knows nothing of sockets or of what is inside. */
import { DecodeError } from '../base/decode-error.ts';

const ZERO = 0x30;
const COLON = 0x3a;
const COMMA = 0x2c;

export interface Netstring {
  /** The octets are `start` to `end` of the buffer that was read. */
  readonly start: number;
  readonly end: number;
  /** Where the next netstring begins. */
  readonly next: number;
}

/**
 * Reads the netstring that begins at `offset`; undefined: more bytes are needed. Throws `DecodeError` for what can never
 * become one, or is longer than `most` octets, as soon as that shows.
 */
export function readNetstring(buffer: Buffer, offset: number, most: number): Netstring | undefined {
  let length = 0;
  let at = offset;
  for (; ; at++) {
    if (at >= buffer.length) return undefined;
    const digit = buffer[at]! - ZERO;
    if (digit < 0 || digit > 9) break;
    // A leading zero is the whole length.
    if (at > offset && length === 0) throw new DecodeError('leading zero in the length of a netstring', at);
    length = length * 10 + digit;
    if (length > most) throw new DecodeError(`netstring is longer than ${most} octets`, at);
  }
  if (at === offset || buffer[at] !== COLON) throw new DecodeError('not a netstring', at);
  const start = at + 1;
  const end = start + length;
  if (end >= buffer.length) return undefined;
  if (buffer[end] !== COMMA) throw new DecodeError('netstring does not end with a comma', end);
  return { start, end, next: end + 1 };
}

export function writeNetstring(text: string): string {
  return `${Buffer.byteLength(text)}:${text},`;
}
