/**
 * A cursor over BER or DER octets (X.690). It owns identifier and length octets and the universal types; it knows no
 * protocol. Nothing is copied: octet strings are views of the input. Every failure is a `DecodeError` with an offset
 * into the buffer, and no element can reach past the one that contains it.
 *
 * Definite lengths and primitive strings only (RFC 4511 §5.1; X.690 §10.1, §10.2).
 */
import { isUtf8 } from 'node:buffer';
import { DecodeError } from '../base/decode-error.ts';
import { internedAscii } from './interned-text.ts';
import { decodeOid } from './oid.ts';
import { TAG, tagName } from './tag.ts';
import { parseGeneralizedTime, parseUtcTime } from './time.ts';

export interface ReaderOptions {
  /** How many constructed elements may be open at once; 64 unless told. */
  maxDepth?: number;
  /** DER: minimal lengths and integers, booleans 00 or FF only. LDAP's BER is laxer (X.690 §8 against §10, §11). */
  der?: boolean;
}

export class BerReader {
  readonly buffer: Buffer;
  /** Offset of the next element. Moving it by hand is for those who remembered an earlier value of it. */
  position: number;
  #end: number;
  #depth = 0;
  readonly #maxDepth: number;
  readonly #der: boolean;

  constructor(buffer: Buffer, start = 0, end = buffer.length, options?: ReaderOptions) {
    this.buffer = buffer;
    this.position = start;
    this.#end = end;
    this.#maxDepth = options?.maxDepth ?? 64;
    this.#der = options?.der ?? false;
  }

  /** Where the element that is open (or the input) ends. */
  get end(): number {
    return this.#end;
  }

  /** True while the open element holds more. */
  get more(): boolean {
    return this.position < this.#end;
  }

  /** The next identifier octet, or -1 at the end of the open element. */
  peek(): number {
    return this.position < this.#end ? (this.buffer[this.position] as number) : -1;
  }

  fail(message: string, offset: number = this.position): never {
    throw new DecodeError(message, offset);
  }

  /** Consumes identifier and length octets; returns where the content ends. `position` is then the content's start. */
  header(tag: number): number {
    const at = this.position;
    if (at >= this.#end) this.fail(`expected ${tagName(tag)}, found the end`);
    const found = this.buffer[at] as number;
    if (found !== tag) this.fail(`expected ${tagName(tag)}, found ${tagName(found)}`);
    this.position = at + 1;
    return this.#length();
  }

  /** Opens a constructed element; hand the returned number to `leave` or `skipRest`. */
  enter(tag: number): number {
    const end = this.header(tag);
    if (++this.#depth > this.#maxDepth) this.fail('elements are nested too deeply');
    const outer = this.#end;
    this.#end = end;
    return outer;
  }

  /** Closes what `enter` opened; content left over is an error. */
  leave(outer: number): void {
    if (this.position !== this.#end) this.fail(`unexpected ${tagName(this.peek())}`);
    this.#end = outer;
    this.#depth--;
  }

  /** Closes what `enter` opened and ignores elements of later versions at its end (RFC 4511 §4), if well-formed. */
  skipRest(outer: number): void {
    while (this.position < this.#end) this.skip();
    this.#end = outer;
    this.#depth--;
  }

  /** Fails unless everything was read. */
  finish(): void {
    if (this.position !== this.#end) this.fail(`unexpected ${tagName(this.peek())} after the end`);
  }

  /** Passes over one element of any tag. */
  skip(): void {
    const at = this.position;
    if (at >= this.#end) this.fail('expected an element, found the end');
    if (((this.buffer[at] as number) & 0x1f) === 0x1f) this.#highTag(at);
    else this.position = at + 1;
    this.position = this.#length();
  }

  /** One whole element, identifier and length octets included. */
  raw(): Buffer {
    const start = this.position;
    this.skip();
    return this.buffer.subarray(start, this.position);
  }

  /** The content of a primitive element. */
  octets(tag: number = TAG.octetString): Buffer {
    const end = this.header(tag);
    const start = this.position;
    this.position = end;
    return this.buffer.subarray(start, end);
  }

  /** The content of a string type as UTF-8; anything malformed is refused (RFC 3629). */
  text(tag: number = TAG.octetString): string {
    const end = this.header(tag);
    const start = this.position;
    this.position = end;
    return utf8(this.buffer, start, end);
  }

  /** Like `text`, for names that come again and again: no new string is made for a short one seen before. */
  name(tag: number = TAG.octetString): string {
    const end = this.header(tag);
    const start = this.position;
    this.position = end;
    return internedAscii(this.buffer, start, end) ?? utf8(this.buffer, start, end);
  }

  /** An integer between `least` and `most` (both safe integers). */
  integer(least: number, most: number, tag: number = TAG.integer): number {
    const end = this.header(tag);
    const start = this.position;
    const { buffer } = this;
    if (end === start) this.fail('integer without content', start);
    if (this.#der) this.#minimal(start, end);
    let value = ((buffer[start] as number) << 24) >> 24;
    for (let i = start + 1; i < end; i++) {
      value = value * 256 + (buffer[i] as number);
      if (!Number.isSafeInteger(value)) this.fail('integer out of range', start);
    }
    if (value < least || value > most) this.fail('integer out of range', start);
    this.position = end;
    return value;
  }

  /** An ENUMERATED value from 0 to `most`. */
  enumerated(most: number): number {
    return this.integer(0, most, TAG.enumerated);
  }

  /** An integer of any size up to `mostBytes` octets. */
  bigInteger(mostBytes = 1024, tag: number = TAG.integer): bigint {
    const end = this.header(tag);
    const start = this.position;
    if (end === start) this.fail('integer without content', start);
    if (end - start > mostBytes) this.fail('integer out of range', start);
    if (this.#der) this.#minimal(start, end);
    this.position = end;
    const magnitude = BigInt(`0x${this.buffer.toString('hex', start, end)}`);
    return BigInt.asIntN((end - start) * 8, magnitude);
  }

  boolean(tag: number = TAG.boolean): boolean {
    const end = this.header(tag);
    const start = this.position;
    if (end - start !== 1) this.fail('boolean is not one octet long', start);
    const value = this.buffer[start] as number;
    if (this.#der && value !== 0 && value !== 0xff) this.fail('boolean is neither 00 nor FF', start);
    this.position = end;
    return value !== 0;
  }

  null(tag: number = TAG.null): void {
    if (this.header(tag) !== this.position) this.fail('null has content');
  }

  /** Dotted decimal. */
  oid(tag: number = TAG.oid): string {
    const end = this.header(tag);
    const start = this.position;
    this.position = end;
    return decodeOid(this.buffer, start, end);
  }

  /** Octets of a BIT STRING and how many bits of the last are unused. */
  bitString(tag: number = TAG.bitString): { bytes: Buffer; unusedBits: number } {
    const end = this.header(tag);
    const start = this.position;
    const unusedBits = end > start ? (this.buffer[start] as number) : 8;
    if (unusedBits > 7 || (unusedBits > 0 && end - start === 1)) this.fail('malformed bit string', start);
    if (this.#der && ((this.buffer[end - 1] as number) & ((1 << unusedBits) - 1)) !== 0 && unusedBits > 0) {
      this.fail('unused bits are not zero', end - 1);
    }
    this.position = end;
    return { bytes: this.buffer.subarray(start + 1, end), unusedBits };
  }

  /** UTCTime or GeneralizedTime in the profile of RFC 5280 §4.1.2.5: milliseconds since 1970. */
  time(): number {
    const tag = this.peek() === TAG.utcTime ? TAG.utcTime : TAG.generalizedTime;
    const end = this.header(tag);
    const start = this.position;
    this.position = end;
    if (end - start > 32) this.fail('time is too long', start);
    const text = this.buffer.toString('latin1', start, end);
    const value = tag === TAG.utcTime ? parseUtcTime(text) : parseGeneralizedTime(text);
    if (value === undefined) this.fail('malformed time', start);
    return value;
  }

  #length(): number {
    const { buffer } = this;
    const at = this.position;
    if (at >= this.#end) this.fail('length octets are missing');
    const first = buffer[at] as number;
    let length = first;
    let content = at + 1;
    if (first >= 0x80) {
      const count = first & 0x7f;
      if (count === 0) this.fail('indefinite length');
      if (count > 4) this.fail('length of more than four octets');
      if (content + count > this.#end) this.fail('length octets are missing');
      length = 0;
      for (const stop = content + count; content < stop; content++)
        length = length * 256 + (buffer[content] as number);
      if (this.#der && (length < 0x80 || length < 256 ** (count - 1))) this.fail('length is not minimal', at);
    }
    if (length > this.#end - content) this.fail('element reaches past the end of what contains it', at);
    this.position = content;
    return content + length;
  }

  /** Tag numbers above 30 (X.690 §8.1.2.4): only ever passed over. */
  #highTag(at: number): void {
    for (let i = at + 1; i <= at + 4; i++) {
      if (i >= this.#end) break;
      if ((this.buffer[i] as number) < 0x80) {
        this.position = i + 1;
        return;
      }
    }
    this.fail('malformed tag number', at);
  }

  /** X.690 §8.3.2: the first nine bits are not all equal. */
  #minimal(start: number, end: number): void {
    if (end - start < 2) return;
    const first = this.buffer[start] as number;
    const signBit = (this.buffer[start + 1] as number) >> 7;
    if ((first === 0 && signBit === 0) || (first === 0xff && signBit === 1))
      this.fail('integer is not minimal', start);
  }
}

/** Decodes UTF-8 strictly. Cheap when valid: only a replacement character in the result makes a second look needed. */
export function utf8(buffer: Buffer, start = 0, end = buffer.length): string {
  const text = buffer.toString('utf8', start, end);
  if (text.includes('\ufffd') && !isUtf8(buffer.subarray(start, end)))
    throw new DecodeError('text is not valid UTF-8', start);
  return text;
}
