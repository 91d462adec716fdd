/**
 * Time is handed in. `Clock` is what the rest of the code knows; `systemClock` is the only place that reads the
 * machine's clocks or arms its timers.
 */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock: milliseconds since 1970-01-01 UTC. */
  now(): number;
  /** Monotonic milliseconds (fractions allowed), for intervals; its zero means nothing. */
  monotonic(): number;
  /** Calls `run` once after `delayMs`. `name` lets a test wait until this very timer is armed. Keeps no process alive when `background`. */
  after(name: string, delayMs: number, run: () => void, options?: { background?: boolean }): Timer;
  /** Resolves after `delayMs`, or rejects with the signal's reason. */
  sleep(name: string, delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** Longest delay that the platform's timers keep exactly. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(_name, delayMs, run, options) {
    const deadline = performance.now() + delayMs;
    let handle: NodeJS.Timeout;
    const arm = (): void => {
      const left = deadline - performance.now();
      handle =
        left > LONGEST_DELAY_MS ? setTimeout(arm, LONGEST_DELAY_MS) : setTimeout(run, Math.max(0, left));
      if (options?.background === true) handle.unref();
    };
    arm();
    return { cancel: () => clearTimeout(handle) };
  },
  sleep(name, delayMs, signal) {
    return sleepOn(this, name, delayMs, signal);
  },
};

/** `sleep` in terms of `after`, shared by the system clock and the fake one. */
export function sleepOn(
  clock: Pick<Clock, 'after'>,
  name: string,
  delayMs: number,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error);
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = clock.after(name, delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Lets other work of the event loop run: for long scans cut into slices. */
export function yieldToLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
