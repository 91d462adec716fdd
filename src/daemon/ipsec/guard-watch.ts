/**
 * Keeps the guard of the policy in force where it should be, whoever takes it away: before charon is given anything, and every few seconds. The guard's own
 * unit loads it before the network; this is for what happens afterwards (`nft flush ruleset`, another firewall's reload).
 */
import type { IpsecGuardStatus } from '../../admin/ipsec-documents.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { describeError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { Guard } from '../../ipsec/guard/guard.ts';
import type { RunProgram } from '../../ipsec/run-program.ts';
import type { EffectiveState } from '../../ipsec/state/effective-state.ts';

const LOOK_MS = 3000;

export interface GuardWatchOptions {
  readonly run: RunProgram;
  readonly clock: Clock;
  readonly log: Log;
}

export class GuardWatch {
  readonly #options: GuardWatchOptions;
  #guard: Guard | undefined;
  #timer: Timer | undefined;
  #state: IpsecGuardStatus['state'] = 'none';
  #detail: string | undefined;
  #mended = 0;
  /** One look at a time: two scripts at once would each find what the other is just putting there. */
  #last: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: GuardWatchOptions) {
    this.#options = options;
  }

  follow({ folder, state }: EffectiveState): void {
    this.#guard =
      state === undefined || state.guard.mechanism === 'none'
        ? undefined
        : new Guard(this.#options.run, folder);
    if (this.#guard === undefined) [this.#state, this.#detail] = ['none', undefined];
    this.#arm(LOOK_MS);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#last.catch(() => undefined);
  }

  /** Resolves when the guard stands, having put it back where it did not. Rejects with `ipsec.guard`. */
  stands(): Promise<void> {
    const look = this.#last.catch(() => undefined).then(() => this.#look());
    this.#last = look;
    return look;
  }

  /** Packets in clear text on protected ports, seen or stopped; undefined when nobody counts. */
  async clearText(): Promise<number | undefined> {
    if (this.#guard === undefined) return undefined;
    const counters = await this.#guard.counters();
    return Object.values(counters).reduce((sum, packets) => sum + packets, 0);
  }

  async status(): Promise<IpsecGuardStatus> {
    const counters = await this.#guard?.counters().catch(() => undefined);
    return {
      state: this.#state,
      mended: this.#mended,
      counters: counters ?? {},
      ...(this.#detail === undefined ? {} : { detail: this.#detail }),
    };
  }

  async #look(): Promise<void> {
    if (this.#guard === undefined) return;
    try {
      if (await this.#guard.mend()) {
        this.#mended += 1;
        this.#options.log.warn('the guard was missing or altered, and was put back', { times: this.#mended });
      }
      [this.#state, this.#detail] = ['ok', undefined];
    } catch (error) {
      if (this.#state !== 'failed') this.#options.log.error('the guard does not stand', { error });
      [this.#state, this.#detail] = ['failed', describeError(error)];
      throw error;
    }
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    if (this.#stopped) return;
    this.#timer = this.#options.clock.after(
      'ipsec.guard',
      delayMs,
      () => {
        // Kept in the status, and logged once.
        void this.stands()
          .catch(() => undefined)
          .finally(() => this.#arm(LOOK_MS));
      },
      { background: true },
    );
  }
}
