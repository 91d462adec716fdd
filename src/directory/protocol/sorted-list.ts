/**
 * Sorted results that a client pages through (RFC 2891 §3): their order as record numbers, kept between two pages, few for each client and
 * within memory that all share.
 */
import type { MemoryBudget } from './memory-budget.ts';

/** Paged sorted searches that a client may have open; the oldest goes first. */
const MOST_LISTS = 4;

export interface SortedList {
  readonly order: Uint32Array;
  /** Tells this list from others of the same search. */
  readonly serial: number;
}

export class SortedLists {
  readonly #budget: MemoryBudget;
  readonly #lists = new Map<string, SortedList>();
  #serial = 0;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  get(fingerprint: string): SortedList | undefined {
    return this.#lists.get(fingerprint);
  }

  /** Keeps the order of a search; undefined when there is no memory for it. */
  keep(fingerprint: string, order: Uint32Array): SortedList | undefined {
    this.drop(fingerprint);
    for (const oldest of this.#lists.keys()) {
      if (this.#lists.size < MOST_LISTS) break;
      this.drop(oldest);
    }
    if (!this.#budget.take(order.byteLength)) return undefined;
    const list = { order, serial: ++this.#serial };
    this.#lists.set(fingerprint, list);
    return list;
  }

  drop(fingerprint: string): void {
    const list = this.#lists.get(fingerprint);
    if (list === undefined) return;
    this.#budget.give(list.order.byteLength);
    this.#lists.delete(fingerprint);
  }

  clear(): void {
    for (const fingerprint of this.#lists.keys()) this.drop(fingerprint);
  }
}
