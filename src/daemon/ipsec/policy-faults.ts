/** Why the policy in force cannot be used, as long as that is so: its file cannot be read (found out again every second), or its keys cannot (tried again). */
import type { Clock, Timer } from '../../base/clock.ts';
import { describeError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';

const AGAIN_MS = 5000;
/** The file is looked at every second: a fault that is not told any more is over. */
const OVER_AFTER_MS = 5000;

export class PolicyFaults {
  readonly #clock: Clock;
  readonly #log: Log;
  #unreadable: { readonly text: string; readonly at: number } | undefined;
  #unusable: string | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  get text(): string | undefined {
    const unreadable = this.#unreadable;
    const lasts = unreadable !== undefined && this.#clock.monotonic() - unreadable.at < OVER_AFTER_MS;
    return lasts ? unreadable.text : this.#unusable;
  }

  /** The file in force could not be read. */
  unreadable(error: unknown): void {
    this.#tell(error);
    this.#unreadable = { text: describeError(error), at: this.#clock.monotonic() };
  }

  /** What it says could not be brought about; `again` is called in a while, unless `used` is before. */
  unusable(error: unknown, again: () => void): void {
    this.#tell(error);
    this.#unusable = describeError(error);
    this.#timer?.cancel();
    this.#timer = this.#clock.after('ipsec.policy', AGAIN_MS, again, { background: true });
  }

  /** Another policy, or this one at last. */
  used(): void {
    this.#unusable = undefined;
    this.stop();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #tell(error: unknown): void {
    if (describeError(error) !== this.text)
      this.#log.error('the policy in force cannot be used: what runs stays as it is', { error });
  }
}
