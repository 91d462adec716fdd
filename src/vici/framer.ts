/**
 * From chunks of a byte stream to whole vici packets (strongSwan's "vici" README, transport protocol): 32 bits of length, then the packet.
 *
 *   framer.push(chunk);
 *   for (const bytes of framer) ...      // ends when more bytes are needed
 *
 * A length over the limit throws `DecodeError`, and again from then on. Memory grows with what has come, not with what was announced.
 */
import { DecodeError } from '../base/decode-error.ts';
import { MOST_PACKET_BYTES } from './packet.ts';

const HEADER_BYTES = 4;

export class ViciFramer implements Iterable<Buffer> {
  readonly #chunks: Buffer[] = [];
  #held = 0;
  #error: DecodeError | undefined;

  push(chunk: Buffer): void {
    if (chunk.length === 0 || this.#error !== undefined) return;
    this.#chunks.push(chunk);
    this.#held += chunk.length;
  }

  /** Bytes that no packet has delivered yet. */
  get buffered(): number {
    return this.#held;
  }

  *[Symbol.iterator](): Generator<Buffer, void> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#held < HEADER_BYTES) return;
      const length = this.#front(HEADER_BYTES).readUInt32BE();
      if (length > MOST_PACKET_BYTES) {
        this.#error = new DecodeError(
          `packet of ${length} bytes is over the limit of ${MOST_PACKET_BYTES}`,
          0,
        );
        this.#chunks.length = this.#held = 0;
        throw this.#error;
      }
      if (this.#held < HEADER_BYTES + length) return;
      const whole = this.#front(HEADER_BYTES + length);
      this.#drop(HEADER_BYTES + length);
      yield whole.subarray(HEADER_BYTES, HEADER_BYTES + length);
    }
  }

  /** At least `count` bytes in one piece; so many are held. */
  #front(count: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    if (first.length >= count) return first;
    const joined = Buffer.concat(this.#chunks);
    this.#chunks.length = 0;
    this.#chunks.push(joined);
    return joined;
  }

  #drop(count: number): void {
    const first = this.#chunks[0] as Buffer;
    if (first.length > count) this.#chunks[0] = first.subarray(count);
    else this.#chunks.shift();
    this.#held -= count;
  }
}
