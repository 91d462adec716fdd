/**
 * From chunks of a byte stream to whole LDAP messages. It owns the outermost identifier and length octets of LDAPMessage
 * (RFC 4511 §4.1.1) and nothing inside. A message that lies in one chunk is handed out as a part of that chunk, uncopied.
 *
 *   framer.push(chunk);
 *   for (const frame of framer) ...      // ends when more bytes are needed; may be left and resumed
 *
 * Malformed outer octets or a message that is too large throw `DecodeError`, after all whole messages before them; the
 * framer throws the same again from then on, since where the next message begins is unknown.
 */
import { DecodeError } from '../base/decode-error.ts';
import { TAG } from '../asn1/tag.ts';

/** One whole message: octets `start` to `end` of `buffer`. */
export interface Frame {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

export interface FramerOptions {
  /** Longest message, outer octets included. */
  maxMessageBytes: number;
}

/** Identifier, first length octet and four more. */
const LONGEST_HEADER = 6;
const EMPTY = Buffer.alloc(0);

export class Framer implements Iterable<Frame>, Iterator<Frame, undefined> {
  #maxMessageBytes: number;
  #chunk: Buffer = EMPTY;
  #position = 0;
  #end = 0;
  /** The beginning of a message that came in pieces; `#have` octets of it are filled. */
  #partial: Buffer = EMPTY;
  #have = 0;
  #error: DecodeError | undefined;

  constructor(options: FramerOptions) {
    this.#maxMessageBytes = options.maxMessageBytes;
  }

  /** Changes the limit: a server allows less before a bind than after it. */
  set maxMessageBytes(bytes: number) {
    this.#maxMessageBytes = bytes;
  }

  /** Octets received that no frame has delivered yet. Not 0 when StartTLS begins: somebody injected clear text. */
  get buffered(): number {
    return this.#have + this.#end - this.#position;
  }

  /** Takes a chunk (or its first `length` octets), which must not be changed as long as it or its frames are used, or until `keep`. */
  push(chunk: Buffer, length = chunk.length): void {
    if (this.#position === this.#end) {
      this.#chunk = chunk;
      this.#end = length;
    } else {
      const rest = this.#chunk.subarray(this.#position, this.#end);
      this.#chunk = Buffer.concat([rest, chunk.subarray(0, length)]);
      this.#end = this.#chunk.length;
    }
    this.#position = 0;
  }

  /** What was not delivered yet is copied: the chunk may be used for something else. */
  keep(): void {
    if (this.#position === this.#end) this.#chunk = EMPTY;
    else this.#chunk = Buffer.from(this.#chunk.subarray(this.#position, this.#end));
    this.#position = 0;
    this.#end = this.#chunk.length;
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<Frame, undefined> {
    if (this.#error !== undefined) throw this.#error;
    const frame = this.#have > 0 ? this.#continue() : this.#whole();
    return frame === undefined ? { done: true, value: undefined } : { done: false, value: frame };
  }

  /** A message that begins in this chunk. */
  #whole(): Frame | undefined {
    const buffer = this.#chunk;
    const start = this.#position;
    const total = this.#total(buffer, start, this.#end);
    if (total !== undefined && total <= this.#end - start) {
      this.#position = start + total;
      return { buffer, start, end: start + total };
    }
    this.#collect(this.#end - start, total);
    return undefined;
  }

  /** A message that began in an earlier chunk. */
  #continue(): Frame | undefined {
    let total = this.#total(this.#partial, 0, this.#have);
    while (total === undefined && this.#position < this.#end) {
      this.#collect(1, undefined);
      total = this.#total(this.#partial, 0, this.#have);
    }
    if (total === undefined) return undefined;
    this.#collect(Math.min(total - this.#have, this.#end - this.#position), total);
    if (this.#have < total) return undefined;
    const buffer = this.#partial;
    this.#partial = EMPTY;
    this.#have = 0;
    return { buffer, start: 0, end: total };
  }

  /** Moves `count` octets from the chunk to the partial message. Memory grows with what was sent, not with what was announced. */
  #collect(count: number, total: number | undefined): void {
    const needed = this.#have + count;
    if (needed > this.#partial.length) {
      const room = total === undefined ? Math.max(needed, 64) : Math.min(total, Math.max(needed * 2, 16_384));
      const larger = Buffer.allocUnsafeSlow(room);
      larger.set(this.#partial.subarray(0, this.#have));
      this.#partial = larger;
    }
    this.#partial.set(this.#chunk.subarray(this.#position, this.#position + count), this.#have);
    this.#have = needed;
    this.#position += count;
    if (this.#position === this.#end) {
      this.#chunk = EMPTY;
      this.#position = this.#end = 0;
    }
  }

  /** Length of the message that begins at `start`, or undefined when its header isn't complete. */
  #total(buffer: Buffer, start: number, end: number): number | undefined {
    if (start >= end) return undefined;
    if (buffer[start] !== TAG.sequence) this.#fail('not an LDAP message', 0);
    if (start + 1 >= end) return undefined;
    const first = buffer[start + 1] as number;
    let header = 2;
    let length = first;
    if (first >= 0x80) {
      const count = first & 0x7f;
      if (count === 0) this.#fail('indefinite length', 1);
      if (count > LONGEST_HEADER - 2) this.#fail('length of more than four octets', 1);
      header = 2 + count;
      if (start + header > end) return undefined;
      length = 0;
      for (let i = start + 2; i < start + header; i++) length = length * 256 + (buffer[i] as number);
    }
    if (header + length > this.#maxMessageBytes)
      this.#fail(`message of ${header + length} octets is over the limit of ${this.#maxMessageBytes}`, 1);
    return header + length;
  }

  #fail(message: string, offset: number): never {
    this.#error = new DecodeError(message, offset);
    this.#chunk = EMPTY;
    this.#partial = EMPTY;
    this.#position = this.#end = this.#have = 0;
    throw this.#error;
  }
}
