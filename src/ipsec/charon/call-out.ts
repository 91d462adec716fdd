/** When a connection may be called again: a peer that does not answer is given time, one that is up costs nothing. Pure but for the clock's time handed in. */
import { type BackoffOptions, backoffDelay } from '../../base/backoff.ts';
import type { Random } from '../../base/random.ts';

/** The first again soon, since peers restart; the longest short enough for one that comes back. */
const AGAIN: BackoffOptions = { firstMs: 1000, mostMs: 30_000 };

interface Attempt {
  readonly failures: number;
  readonly notBefore: number;
}

export class CallOut {
  readonly #random: Random;
  /** How long charon itself tries. */
  #attemptMs = 5000;
  readonly #attempts = new Map<string, Attempt>();

  constructor(random: Random) {
    this.#random = random;
  }

  set attemptMs(ms: number) {
    this.#attemptMs = ms;
  }

  may(connection: string, now: number): boolean {
    return now >= (this.#attempts.get(connection)?.notBefore ?? 0);
  }

  /** It is being called: what has not come about when charon has given up counts as a failure. */
  called(connection: string, now: number): void {
    const failures = (this.#attempts.get(connection)?.failures ?? 0) + 1;
    const notBefore = now + this.#attemptMs + backoffDelay(failures, AGAIN, this.#random);
    this.#attempts.set(connection, { failures, notBefore });
  }

  /** One of its children is up, or the connection is another one now. */
  forget(connection: string): void {
    this.#attempts.delete(connection);
  }

  /** Failed attempts in a row. */
  failures(connection: string): number {
    return this.#attempts.get(connection)?.failures ?? 0;
  }

  /** When the next attempt is due; undefined when none waits. */
  get next(): number | undefined {
    let next: number | undefined;
    for (const { notBefore } of this.#attempts.values()) next = Math.min(next ?? notBefore, notBefore);
    return next;
  }
}
