/** A clock that moves only when told, and that can wait until a named timer is armed: no test sleeps. */
import { type Clock, sleepOn, type Timer } from '../../src/base/clock.ts';

interface Armed {
  name: string;
  at: number;
  run: () => void;
}

export class FakeClock implements Clock {
  #now: number;
  readonly #start: number;
  readonly #timers = new Set<Armed>();
  readonly #waiters: { name: string; resolve: () => void }[] = [];

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#now = startMs;
    this.#start = startMs;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now - this.#start;
  }

  after(name: string, delayMs: number, run: () => void): Timer {
    const armed: Armed = { name, at: this.#now + Math.max(0, delayMs), run };
    this.#timers.add(armed);
    for (const waiter of this.#waiters.filter((w) => w.name === name)) {
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      waiter.resolve();
    }
    return { cancel: () => void this.#timers.delete(armed) };
  }

  sleep(name: string, delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, name, delayMs, signal);
  }

  /** Resolves as soon as a timer of that name is armed (at once when one is). */
  armed(name: string): Promise<void> {
    for (const timer of this.#timers) if (timer.name === name) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ name, resolve }));
  }

  /** Moves on by `ms`, running due timers in order and letting promises settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.run();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#now = end;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
