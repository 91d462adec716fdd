/**
 * Whose turn it is: long work comes in slices, and all slices of a directory share one queue, in which owners (connections) take turns.
 * Without it a hundred scans would take a hundred slices between two lookups, and a client with many scans would get many times as much
 * as one with a single scan. Knows nothing of the work.
 */
import { type Clock, yieldToLoop } from '../base/clock.ts';
import { endRound } from '../ldap/write-round.ts';

/** Work between two turns of the event loop; the slice that goes over it is the last. */
const BUDGET_MS = 2;

export class Turns {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** Slices by their owners, each list not empty; the owner whose turn it is stands first. */
  readonly #owners = new Map<object, (() => void)[]>();
  #armed = false;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** True when others wait for theirs: whoever begins long work then had better queue, too. */
  get busy(): boolean {
    return this.#armed;
  }

  /** True when slices of this owner wait. */
  has(owner: object): boolean {
    return this.#owners.has(owner);
  }

  /** Runs `slice` when it is its turn: owners one after the other, the slices of one in the order of asking. It must not throw. */
  queue(slice: () => void, owner: object = this): void {
    const waiting = this.#owners.get(owner);
    if (waiting === undefined) this.#owners.set(owner, [slice]);
    else waiting.push(slice);
    this.#arm();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    void yieldToLoop().then(() => this.#run());
  }

  #run(): void {
    // Short work that is done does not wait for long work.
    endRound();
    const end = this.#clock.monotonic() + BUDGET_MS;
    try {
      do this.#next()?.();
      while (this.#owners.size > 0 && this.#clock.monotonic() < end);
    } finally {
      this.#armed = false;
      if (this.#owners.size > 0) this.#arm();
    }
  }

  /** The next slice; its owner then stands behind all others. */
  #next(): (() => void) | undefined {
    for (const [owner, waiting] of this.#owners) {
      const slice = waiting.shift();
      this.#owners.delete(owner);
      if (waiting.length > 0) this.#owners.set(owner, waiting);
      return slice;
    }
    return undefined;
  }
}
