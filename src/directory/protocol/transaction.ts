/** A client's open transaction (RFC 5805): updates gathered in order, bounded; nothing of it is visible before the commit. */
import type { Update } from '../update/context.ts';
import type { ClientLimits } from './limits.ts';

/** What an update costs in memory beside its octets, about. */
const UPDATE_OVERHEAD = 1024;

/** Memory that all transactions of a server share, so that many clients together are bounded, too. */
export class TransactionBudget {
  readonly #most: number;
  #used = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get used(): number {
    return this.#used;
  }

  take(octets: number): boolean {
    if (this.#used + octets > this.#most) return false;
    this.#used += octets;
    return true;
  }

  give(octets: number): void {
    this.#used -= octets;
  }
}

export class Transaction {
  readonly identifier: Buffer;
  readonly #limits: ClientLimits;
  readonly #budget: TransactionBudget;
  readonly updates: Update[] = [];
  #bytes = 0;
  #cost = 0;

  constructor(identifier: Buffer, limits: ClientLimits, budget: TransactionBudget) {
    this.identifier = identifier;
    this.#limits = limits;
    this.#budget = budget;
  }

  /** Takes an update of `bytes` octets; false when the transaction, or all of them together, would become too large. */
  take(update: Update, bytes: number): boolean {
    const cost = bytes + UPDATE_OVERHEAD;
    if (
      this.updates.length >= this.#limits.transactionUpdates ||
      this.#bytes + bytes > this.#limits.transactionBytes ||
      !this.#budget.take(cost)
    )
      return false;
    this.updates.push(update);
    this.#bytes += bytes;
    this.#cost += cost;
    return true;
  }

  /** Its memory is free again: it was carried out, or given up. */
  release(): void {
    this.#budget.give(this.#cost);
    this.#cost = 0;
  }
}
