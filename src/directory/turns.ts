/**
 * Whose turn it is: long work comes in slices, and all slices of a directory share one queue. Without it a hundred scans would take a
 * hundred slices between two lookups. Knows nothing of the work.
 */
import { type Clock, yieldToLoop } from '../base/clock.ts';

/** Work between two turns of the event loop; the slice that goes over it is the last. */
const BUDGET_MS = 2;

export class Turns {
  readonly #clock: Pick<Clock, 'monotonic'>;
  #queue: (() => void)[] = [];
  #next = 0;
  #armed = false;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** True when others wait for theirs: whoever begins long work then had better queue, too. */
  get busy(): boolean {
    return this.#armed;
  }

  /** Runs `slice` when it is its turn, in the order of asking. It must not throw. */
  queue(slice: () => void): void {
    this.#queue.push(slice);
    this.#arm();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    void yieldToLoop().then(() => this.#run());
  }

  #run(): void {
    const end = this.#clock.monotonic() + BUDGET_MS;
    try {
      do {
        const slice = this.#queue[this.#next++];
        slice?.();
      } while (this.#next < this.#queue.length && this.#clock.monotonic() < end);
    } finally {
      // The part that is done goes when it is the larger one, so that shifting costs nothing on the whole.
      if (this.#next * 2 >= this.#queue.length) {
        this.#queue = this.#queue.slice(this.#next);
        this.#next = 0;
      }
      this.#armed = false;
      if (this.#queue.length > this.#next) this.#arm();
    }
  }
}
