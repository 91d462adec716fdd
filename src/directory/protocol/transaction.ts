/** A client's open transaction (RFC 5805): updates gathered in order, bounded; nothing of it is visible before the commit. */
import type { Update } from '../update/context.ts';
import type { ClientLimits } from './limits.ts';

export class Transaction {
  readonly identifier: Buffer;
  readonly #limits: ClientLimits;
  readonly updates: Update[] = [];
  #bytes = 0;

  constructor(identifier: Buffer, limits: ClientLimits) {
    this.identifier = identifier;
    this.#limits = limits;
  }

  /** Takes an update of `bytes` octets; false when the transaction would become too large. */
  take(update: Update, bytes: number): boolean {
    if (
      this.updates.length >= this.#limits.transactionUpdates ||
      this.#bytes + bytes > this.#limits.transactionBytes
    )
      return false;
    this.updates.push(update);
    this.#bytes += bytes;
    return true;
  }
}
