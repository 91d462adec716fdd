/** A client's open transaction (RFC 5805): updates gathered in order, bounded; nothing of it is visible before the commit. */
import type { Timer } from '../../base/clock.ts';
import type { Update } from '../update/context.ts';
import type { ClientLimits } from './limits.ts';
import type { MemoryBudget } from './memory-budget.ts';

/** What an update costs in memory beside its octets, about. */
const UPDATE_OVERHEAD = 1024;

export class Transaction {
  readonly identifier: Buffer;
  readonly #limits: ClientLimits;
  readonly #budget: MemoryBudget;
  readonly updates: Update[] = [];
  /** Ends it when it is open for too long. */
  expiry: Timer | undefined;
  #bytes = 0;
  #cost = 0;
  #highestId = 0;

  constructor(identifier: Buffer, limits: ClientLimits, budget: MemoryBudget) {
    this.identifier = identifier;
    this.#limits = limits;
    this.#budget = budget;
  }

  /** RFC 5805 §3.3: each update has a message id of its own, or the answer could not name the one that failed. */
  has(messageId: number): boolean {
    return messageId <= this.#highestId && this.updates.some((update) => update.messageId === messageId);
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
    this.#highestId = Math.max(this.#highestId, update.messageId ?? 0);
    this.#bytes += bytes;
    this.#cost += cost;
    return true;
  }

  /** Its memory is free again: it was carried out, or given up. */
  release(): void {
    this.expiry?.cancel();
    this.#budget.give(this.#cost);
    this.#cost = 0;
  }
}
