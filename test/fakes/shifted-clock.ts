/**
 * The machine's clock with its hands set by the test: months pass at once, or it goes wrong. Intervals and timers go on as they do, so that real sockets
 * live through it; what waits for the time of day has to be looked at again by whoever shifts.
 */
import { type Clock, systemClock, type Timer } from '../../src/base/clock.ts';

export class ShiftedClock implements Clock {
  #byMs = 0;

  now(): number {
    return systemClock.now() + this.#byMs;
  }

  monotonic(): number {
    return systemClock.monotonic();
  }

  after(name: string, delayMs: number, run: () => void, options?: { background?: boolean }): Timer {
    return systemClock.after(name, delayMs, run, options);
  }

  sleep(name: string, delayMs: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(name, delayMs, signal);
  }

  shift(ms: number): void {
    this.#byMs += ms;
  }
}
