/**
 * HMAC-SHA-256 (RFC 2104) of short messages, many times with one key: two digests in one call each instead of a stream object a
 * message, which costs a quarter of the time. Owns nothing else.
 */
import { hash as digest } from 'node:crypto';

const BLOCK = 64;
const DIGEST = 32;
/** Messages up to this length use the buffer that is kept. */
const SHORT = 1024;

/** A function from message to HMAC, its first `length` octets. Keeps what it needs of `key` (any length). */
export function createHmacSha256(key: Uint8Array, length: number): (message: string | Uint8Array) => Buffer {
  const inner = Buffer.alloc(BLOCK + SHORT, 0x36);
  const outer = Buffer.alloc(BLOCK + DIGEST, 0x5c);
  const short = key.length > BLOCK ? digest('sha256', key, 'buffer') : key;
  for (const [at, octet] of short.entries()) {
    inner[at] = 0x36 ^ octet;
    outer[at] = 0x5c ^ octet;
  }
  return (message) => {
    let input = inner;
    let size: number;
    // Three octets a code unit at most.
    if (message.length * 3 > SHORT) {
      input = Buffer.concat([
        inner.subarray(0, BLOCK),
        typeof message === 'string' ? Buffer.from(message) : message,
      ]);
      size = input.length;
    } else if (typeof message === 'string') size = BLOCK + inner.write(message, BLOCK);
    else {
      inner.set(message, BLOCK);
      size = BLOCK + message.length;
    }
    // Text of one octet a character crosses from the library faster than a buffer does.
    outer.write(digest('sha256', input.subarray(0, size), 'binary'), BLOCK, 'latin1');
    return Buffer.from(digest('sha256', outer, 'binary').slice(0, length), 'latin1');
  };
}
