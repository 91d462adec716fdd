/** The life of this hub's credentials on all edges: a driver a pair, and one timer for whichever is due next. Knows no rules. */
import type { Timer } from '../../base/clock.ts';
import { isPosternError, PosternError } from '../../base/error.ts';
import { nameKey } from '../../credential/account-name.ts';
import type { SubscribedEdge } from '../../subscription/trust-state.ts';
import { PairDriver, type PairDriverOptions } from './pair-driver.ts';

export interface RenewalsOptions
  extends Omit<PairDriverOptions, 'edge' | 'address' | 'onPublished' | 'onSwitched' | 'onChanged'> {
  /** Throws `subscription.unknown`. */
  readonly edge: (name: string) => SubscribedEdge;
  readonly address: (name: string) => ReturnType<PairDriverOptions['address']>;
  readonly onPublished: (edge: string) => void;
  readonly onSwitched: (edge: string) => void;
}

/** Pairs that are looked at by the timer at a time: all edges of a site may have been subscribed on one day. */
const MOST_AT_ONCE = 16;

export class Renewals {
  readonly #options: RenewalsOptions;
  readonly #drivers = new Map<string, PairDriver>();
  readonly #looking = new Set<PairDriver>();
  readonly #stop = new AbortController();
  #timer: Timer | undefined;
  #armed = false;
  #running = false;

  constructor(options: RenewalsOptions) {
    this.#options = options;
  }

  /** The driver of an edge, made when it is asked for first. */
  of(name: string): PairDriver {
    const known = this.#drivers.get(nameKey(name));
    if (known !== undefined) return known;
    const { edge, address, onPublished, onSwitched, ...rest } = this.#options;
    const driver = new PairDriver(name, {
      ...rest,
      edge: () => edge(name),
      address: () => address(name),
      onPublished: () => onPublished(name),
      onSwitched: () => onSwitched(name),
      onChanged: () => this.#arm(),
    });
    this.#drivers.set(nameKey(name), driver);
    // Its first credential was written by an import, or when the edge was taken on.
    if (driver.pair === undefined) this.#options.records.lookAgain();
    this.#arm();
    return driver;
  }

  find(name: string): PairDriver | undefined {
    return this.#drivers.get(nameKey(name));
  }

  /** From now on pairs are looked at when they are due. */
  start(): void {
    this.#running = true;
    this.#arm();
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stop.abort(new PosternError('canceled', 'the hub is stopping'));
    this.#timer?.cancel();
    await Promise.all([...this.#drivers.values()].map((driver) => driver.settled()));
  }

  /** Aborted when this hub stops. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /**
   * Tells an edge that the pair ends, within `withinMs`; remembered before it is tried, so that nothing of it is renewed any more. False when the
   * edge could not be told: what it has of this hub ends by itself.
   */
  async end(name: string, withinMs: number): Promise<boolean> {
    const driver = this.of(name);
    const late = new AbortController();
    const timer = this.#options.clock.after('renewal.end', withinMs, () =>
      late.abort(new PosternError('canceled', 'the edge did not answer in time')),
    );
    try {
      await driver.command({ type: 'end' }, AbortSignal.any([this.signal, late.signal]));
    } catch (error) {
      if (!isPosternError(error)) throw error;
    } finally {
      timer.cancel();
    }
    return driver.pair?.phase === 'ended';
  }

  /** The subscription is gone: so is the pair. */
  async forget(name: string): Promise<void> {
    const driver = this.find(name);
    this.#drivers.delete(nameKey(name));
    await driver?.close();
    await this.#options.store.delete(name);
  }

  /** Once for all changes of one turn. */
  #arm(): void {
    if (this.#armed || !this.#running) return;
    this.#armed = true;
    queueMicrotask(() => {
      this.#armed = false;
      if (this.signal.aborted) return;
      const { clock, timings } = this.#options;
      const now = clock.now();
      let next = Number.POSITIVE_INFINITY;
      for (const driver of this.#drivers.values())
        if (!this.#looking.has(driver)) next = Math.min(next, driver.wakeAt);
      this.#timer?.cancel();
      if (next <= now && this.#looking.size >= MOST_AT_ONCE) return;
      // Not further than a cycle: the wall clock may be set meanwhile.
      const delay = Math.min(Math.max(0, next - now), timings.cycleMs);
      this.#timer = clock.after('renewal.due', delay, () => this.#look(), { background: true });
    });
  }

  #look(): void {
    const now = this.#options.clock.now();
    for (const driver of this.#drivers.values()) {
      if (this.#looking.size >= MOST_AT_ONCE) break;
      if (driver.wakeAt > now || this.#looking.has(driver)) continue;
      this.#looking.add(driver);
      void driver
        .look(this.signal)
        .catch((error: unknown) => {
          if (!this.signal.aborted)
            this.#options.log.warn('credentials could not be looked after', { edge: driver.name, error });
        })
        .finally(() => {
          this.#looking.delete(driver);
          this.#arm();
        });
    }
    this.#arm();
  }
}
