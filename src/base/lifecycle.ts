/** What was started is stopped in reverse order, once, even when a part fails to stop. */
import type { Log } from './log.ts';

export class Lifecycle implements AsyncDisposable {
  readonly #log: Log;
  readonly #stops: { name: string; stop: () => Promise<void> | void }[] = [];
  #stopping: Promise<void> | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Remembers how to stop a part that has just been started. */
  add(name: string, stop: () => Promise<void> | void): void {
    this.#stops.push({ name, stop });
  }

  get stopping(): boolean {
    return this.#stopping !== undefined;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stopAll(): Promise<void> {
    for (let part = this.#stops.pop(); part !== undefined; part = this.#stops.pop()) {
      try {
        await part.stop();
      } catch (error) {
        this.#log.warn('a part did not stop cleanly', { part: part.name, error });
      }
    }
  }
}
