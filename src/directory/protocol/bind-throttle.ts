/**
 * Failed binds slow their source down and never lock an account: names of accounts can be guessed (DESIGN: edge directory).
 * Pure counting; whoever asks waits.
 */
import { sourceOf } from '../../ldap/server-limits.ts';

const FREE_FAILURES = 3;
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 8000;
/** A source without failures for so long starts afresh. */
const FORGET_MS = 10 * 60_000;
/** Sources remembered; the oldest are forgotten first. */
const MOST_SOURCES = 10_000;

interface Failures {
  count: number;
  at: number;
}

export class BindThrottle {
  readonly #sources = new Map<string, Failures>();

  /** Milliseconds to wait before the answer to a bind that failed; counts the failure. `now`: monotonic ms. */
  failed(address: string, now: number): number {
    const source = sourceOf(address);
    const known = this.#sources.get(source);
    const count = known === undefined || now - known.at > FORGET_MS ? 1 : known.count + 1;
    this.#sources.delete(source);
    if (this.#sources.size >= MOST_SOURCES) this.#sources.delete(this.#sources.keys().next().value ?? '');
    this.#sources.set(source, { count, at: now });
    return delayOf(count);
  }

  /** Milliseconds that a source has to wait before its next bind is looked at: parallel connections gain nothing. */
  waiting(address: string, now: number): number {
    const known = this.#sources.get(sourceOf(address));
    return known === undefined ? 0 : Math.max(0, known.at + delayOf(known.count) - now);
  }

  succeeded(address: string): void {
    this.#sources.delete(sourceOf(address));
  }
}

function delayOf(failures: number): number {
  return failures <= FREE_FAILURES
    ? 0
    : Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - FREE_FAILURES - 1));
}
