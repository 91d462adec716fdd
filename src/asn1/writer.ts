/**
 * Writes DER (which is BER as LDAP wants it: definite, minimal lengths) front to back into one growing buffer. A
 * constructed element reserves one length octet; closing it fills that in, and moves the content only when it turned
 * out to be 128 octets or longer. It owns identifier and length octets and the universal types; it knows no protocol.
 *
 * A writer can be used again and again: `take` hands out what was written since the last `take` and goes on behind it.
 */
import { PosternError } from '../base/error.ts';
import { encodeOid } from './oid.ts';
import { TAG } from './tag.ts';
import { fitsUtcTime, formatGeneralizedTime, formatUtcTime } from './time.ts';

/** Up to here copying octet by octet costs less than a call. */
const SHORT = 24;
/** The same for a slice, where the other way is a call that checks more. */
const SHORT_SLICE = 48;

export class BerWriter {
  #buffer: Buffer;
  /** Where the bytes not yet taken begin; marks are relative to it. */
  #base = 0;
  #position = 0;
  readonly #chunkBytes: number;

  constructor(chunkBytes = 4096) {
    this.#chunkBytes = chunkBytes;
    this.#buffer = Buffer.allocUnsafeSlow(chunkBytes);
  }

  /** Octets written since the last `take`. */
  get length(): number {
    return this.#position - this.#base;
  }

  /** What was written, as a view of a chunk that later output shares but never overwrites: for sending. */
  take(): Buffer {
    const taken = this.#buffer.subarray(this.#base, this.#position);
    this.#base = this.#position;
    return taken;
  }

  /** What was written, in a buffer of its own; the writer starts over in its chunk. For values that are kept. */
  toBuffer(): Buffer {
    const copy = Buffer.from(this.#buffer.subarray(this.#base, this.#position));
    this.#position = this.#base;
    return copy;
  }

  /** Drops what was written since `length` was `mark`: for giving up on a half-written element. */
  rewind(mark = 0): void {
    this.#position = this.#base + mark;
  }

  /** Opens a constructed element; hand the result to `close`. */
  open(tag: number): number {
    this.#ensure(2);
    this.#buffer[this.#position] = tag;
    this.#position += 2;
    return this.#position - this.#base;
  }

  close(mark: number): void {
    const start = this.#base + mark;
    const length = this.#position - start;
    if (length < 0x80) {
      this.#buffer[start - 1] = length;
      return;
    }
    const extra = lengthOctets(length) - 1;
    this.#ensure(extra);
    const moved = this.#base + mark;
    this.#buffer.copyWithin(moved + extra, moved, this.#position);
    this.#position += extra;
    writeLength(this.#buffer, moved - 1, length);
  }

  /** Identifier and length octets of an element whose content (`length` octets) is written next, piece by piece. */
  header(tag: number, length: number): void {
    this.#ensure(6 + length);
    this.#buffer[this.#position] = tag;
    this.#position = writeLength(this.#buffer, this.#position + 1, length);
  }

  /** Octets as they are: an element encoded elsewhere, or content after `header`. */
  raw(bytes: Uint8Array): void {
    const length = bytes.length;
    this.#ensure(length);
    const buffer = this.#buffer;
    let at = this.#position;
    if (length <= SHORT) for (let i = 0; i < length; i++) buffer[at++] = bytes[i] as number;
    else buffer.set(bytes, at);
    this.#position += length;
  }

  /** As `raw`, from `start` to `end`, without a view being made. */
  slice(bytes: Buffer, start: number, end: number): void {
    this.#ensure(end - start);
    const buffer = this.#buffer;
    let at = this.#position;
    if (end - start <= SHORT_SLICE) for (let i = start; i < end; i++) buffer[at++] = bytes[i] as number;
    else bytes.copy(buffer, at, start, end);
    this.#position += end - start;
  }

  octets(bytes: Uint8Array, tag: number = TAG.octetString): void {
    const length = bytes.length;
    if (length >= 0x80) {
      this.header(tag, length);
      this.#buffer.set(bytes, this.#position);
      this.#position += length;
      return;
    }
    this.#ensure(2 + length);
    const buffer = this.#buffer;
    let at = this.#position;
    buffer[at++] = tag;
    buffer[at++] = length;
    if (length <= SHORT) for (let i = 0; i < length; i++) buffer[at + i] = bytes[i] as number;
    else buffer.set(bytes, at);
    this.#position = at + length;
  }

  /** A string as UTF-8. A lone surrogate becomes U+FFFD, so the output is always valid. */
  text(value: string, tag: number = TAG.octetString): void {
    const length = value.length;
    if (length < 0x80) {
      this.#ensure(2 + length);
      const buffer = this.#buffer;
      let at = this.#position + 2;
      let i = 0;
      for (; i < length; i++) {
        const code = value.charCodeAt(i);
        if (code >= 0x80) break;
        buffer[at++] = code;
      }
      if (i === length) {
        buffer[this.#position] = tag;
        buffer[this.#position + 1] = length;
        this.#position = at;
        return;
      }
    }
    this.header(tag, Buffer.byteLength(value));
    this.#position += this.#buffer.write(value, this.#position);
  }

  utf8String(value: string): void {
    this.text(value, TAG.utf8String);
  }

  /** A safe integer or a bigint, in as few octets as possible (X.690 §8.3.2). */
  integer(value: number | bigint, tag: number = TAG.integer): void {
    if (typeof value === 'number' && value >= -0x80 && value < 0x80 && Number.isInteger(value)) {
      this.#ensure(3);
      const buffer = this.#buffer;
      buffer[this.#position++] = tag;
      buffer[this.#position++] = 1;
      buffer[this.#position++] = value & 0xff;
      return;
    }
    if (typeof value === 'number' && value >= 0 && value < 0x8000_0000 && Number.isInteger(value))
      return this.#int32(value, tag);
    this.octets(integerOctets(value), tag);
  }

  enumerated(value: number): void {
    this.integer(value, TAG.enumerated);
  }

  boolean(value: boolean, tag: number = TAG.boolean): void {
    this.#ensure(3);
    this.#buffer[this.#position++] = tag;
    this.#buffer[this.#position++] = 1;
    this.#buffer[this.#position++] = value ? 0xff : 0;
  }

  null(tag: number = TAG.null): void {
    this.header(tag, 0);
  }

  /** From dotted decimal. */
  oid(dotted: string, tag: number = TAG.oid): void {
    this.octets(encodeOid(dotted), tag);
  }

  bitString(bytes: Uint8Array, unusedBits = 0, tag: number = TAG.bitString): void {
    this.header(tag, bytes.length + 1);
    this.#buffer[this.#position++] = unusedBits;
    this.raw(bytes);
  }

  /** Milliseconds since 1970 as RFC 5280 §4.1.2.5 wants it: UTCTime through 2049, then GeneralizedTime. Seconds resolution. */
  time(ms: number): void {
    if (fitsUtcTime(ms)) this.text(formatUtcTime(ms), TAG.utcTime);
    else this.generalizedTime(ms);
  }

  generalizedTime(ms: number): void {
    this.text(formatGeneralizedTime(ms), TAG.generalizedTime);
  }

  #int32(value: number, tag: number): void {
    const count = value < 0x8000 ? 2 : value < 0x80_0000 ? 3 : 4;
    this.#ensure(2 + count);
    const buffer = this.#buffer;
    buffer[this.#position++] = tag;
    buffer[this.#position++] = count;
    for (let shift = (count - 1) * 8; shift >= 0; shift -= 8)
      buffer[this.#position++] = (value >>> shift) & 0xff;
  }

  #ensure(more: number): void {
    if (this.#position + more > this.#buffer.length) this.#grow(more);
  }

  #grow(more: number): void {
    const pending = this.#position - this.#base;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#chunkBytes, pending * 2 + more));
    larger.set(this.#buffer.subarray(this.#base, this.#position), 0);
    this.#buffer = larger;
    this.#base = 0;
    this.#position = pending;
  }
}

/** How many length octets a content of `length` octets needs. */
export function lengthOctets(length: number): number {
  return length < 0x80 ? 1 : length < 0x100 ? 2 : length < 0x1_0000 ? 3 : length < 0x100_0000 ? 4 : 5;
}

/** Writes length octets at `at`; returns the offset behind them. */
function writeLength(buffer: Buffer, at: number, length: number): number {
  if (length < 0x80) {
    buffer[at] = length;
    return at + 1;
  }
  const count = lengthOctets(length) - 1;
  buffer[at] = 0x80 | count;
  for (let i = 1, shift = (count - 1) * 8; i <= count; i++, shift -= 8)
    buffer[at + i] = (length >>> shift) & 0xff;
  return at + 1 + count;
}

/** Two's complement, minimal. */
function integerOctets(value: number | bigint): Buffer {
  if (typeof value === 'number' && !Number.isSafeInteger(value))
    throw new PosternError('usage', 'not an integer that can be encoded');
  const big = BigInt(value);
  let bytes = 1;
  while (BigInt.asIntN(bytes * 8, big) !== big) bytes++;
  return Buffer.from(
    BigInt.asUintN(bytes * 8, big)
      .toString(16)
      .padStart(bytes * 2, '0'),
    'hex',
  );
}

/** Encodes one value with a writer of its own. */
export function encodeDer(write: (writer: BerWriter) => void): Buffer {
  const writer = new BerWriter(512);
  write(writer);
  return writer.toBuffer();
}
