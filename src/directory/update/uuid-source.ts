/** Entry UUIDs (RFC 4530), version 4, from randomness fetched in larger portions: asking for 16 octets at a time costs several microseconds. */
import type { Random } from '../../base/random.ts';

const PORTION = 4096;

export class UuidSource {
  readonly #random: Random;
  #pool: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** 16 fresh octets. */
  next(): Buffer {
    if (this.#at + 16 > this.#pool.length) {
      this.#pool = this.#random.bytes(PORTION);
      this.#at = 0;
    }
    const uuid = Buffer.allocUnsafe(16);
    this.#pool.copy(uuid, 0, this.#at, this.#at + 16);
    // What was given out must not stand around.
    this.#pool.fill(0, this.#at, this.#at + 16);
    this.#at += 16;
    uuid[6] = ((uuid[6] as number) & 0x0f) | 0x40;
    uuid[8] = ((uuid[8] as number) & 0x3f) | 0x80;
    return uuid;
  }
}
