/** Secrets are objects that print as `[secret]`, so that no log line, error or JSON document shows one by accident. */
import { timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';

export class Secret {
  readonly #bytes: Buffer;

  /** Takes a copy of `bytes`; a string is kept as UTF-8. */
  constructor(bytes: Uint8Array | string) {
    this.#bytes = Buffer.from(bytes as Uint8Array);
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** The secret itself. Call it only where it is used: hashing, sealing, sending. */
  reveal(): Buffer {
    return this.#bytes;
  }

  revealText(): string {
    return this.#bytes.toString('utf8');
  }

  equals(other: Secret): boolean {
    return this.#bytes.length === other.#bytes.length && timingSafeEqual(this.#bytes, other.#bytes);
  }

  /** Overwrites the bytes; the object must not be used afterwards. */
  erase(): void {
    this.#bytes.fill(0);
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}
