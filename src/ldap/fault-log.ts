/**
 * What clients do wrong, in the log: some lines a minute one by one, the rest as numbers in one line, so that nobody fills a disk by connecting. Pure but
 * for the log; told what time it is.
 */
import type { Log, LogFields } from '../base/log.ts';

/** `overload`: the system would not give us another connection. */
export type Fault = 'notLdap' | 'timeLimit' | 'handshake' | 'clearText' | 'overload' | 'internal';

const LEVEL: Readonly<Record<Fault, 'info' | 'warn' | 'error'>> = {
  notLdap: 'info',
  timeLimit: 'info',
  handshake: 'info',
  clearText: 'warn',
  overload: 'warn',
  internal: 'error',
};

const WINDOW_MS = 60_000;

export class FaultLog {
  readonly #log: Log;
  readonly #most: number;
  #since: number;
  #lines = 0;
  readonly #counted = new Map<Fault, number>();

  /** `linesPerMinute`: written one by one. `now` in monotonic milliseconds. */
  constructor(log: Log, linesPerMinute: number, now: number) {
    this.#log = log;
    this.#most = linesPerMinute;
    this.#since = now;
  }

  report(fault: Fault, now: number, message: string, fields: LogFields): void {
    this.look(now);
    if (this.#lines >= this.#most) {
      this.#counted.set(fault, (this.#counted.get(fault) ?? 0) + 1);
      return;
    }
    this.#lines++;
    this.#log[LEVEL[fault]](message, fields);
  }

  /** Sums up what was not written, when a minute is over. */
  look(now: number): void {
    if (now - this.#since < WINDOW_MS) return;
    this.#since = now;
    this.#lines = 0;
    if (this.#counted.size === 0) return;
    this.#log.info('more connections with faults', {
      withinSeconds: WINDOW_MS / 1000,
      ...Object.fromEntries(this.#counted),
    });
    this.#counted.clear();
  }
}
