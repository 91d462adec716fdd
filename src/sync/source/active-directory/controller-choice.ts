/** Which of a domain's controllers is asked. */
import type { Clock } from '../../../base/clock.ts';

/** The one that worked last, until it has failed for `nextAfterMs`; then the next one, and after the last the first. */
export class ControllerChoice {
  readonly #urls: readonly [string, ...string[]];
  readonly #nextAfterMs: number;
  readonly #clock: Clock;
  #at = 0;
  #failingSince: number | undefined;

  constructor(urls: readonly [string, ...string[]], nextAfterMs: number, clock: Clock) {
    this.#urls = urls;
    this.#nextAfterMs = nextAfterMs;
    this.#clock = clock;
  }

  get url(): string {
    return this.#urls[this.#at] ?? this.#urls[0];
  }

  works(): void {
    this.#failingSince = undefined;
  }

  failed(): void {
    const now = this.#clock.monotonic();
    this.#failingSince ??= now;
    if (now - this.#failingSince < this.#nextAfterMs) return;
    this.#at = (this.#at + 1) % this.#urls.length;
    this.#failingSince = undefined;
  }
}
