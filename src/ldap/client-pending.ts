/**
 * The requests of one connection that wait for answers: message ids, deadlines, and whose turn an answer is. One timer for all
 * of them, so a hundred thousand outstanding requests cost one timer. No sockets.
 */
import type { Clock, Timer } from '../base/clock.ts';
import type { PosternError } from '../base/error.ts';
import { MAX_INT } from './max-int.ts';
import type { Message, Response } from './message.ts';

/** A request that waits for its answers. */
export interface Exchange {
  /** The response that ends it. */
  readonly ends: Response['op'];
  /** Without an answer for so long it ends with `ldap.timeout`; undefined: it may wait for ever. */
  readonly timeoutMs: number | undefined;
  /** Identifier octet of its response when nobody wants to hear of a plain success. */
  readonly quietTag?: number;
  onMessage(message: Message, bytes: number): void;
  onFailure(error: PosternError): void;
}

interface Pending {
  readonly exchange: Exchange;
  deadline: number;
}

export class PendingRequests {
  readonly #clock: Clock;
  readonly #onExpired: (messageId: number, exchange: Exchange) => void;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #plain = 0;
  #timer: Timer | undefined;
  #timerAt = 0;

  /** @param onExpired must forget the request, or `touch` it */
  constructor(clock: Clock, onExpired: (messageId: number, exchange: Exchange) => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Requests other than searches. */
  get plain(): number {
    return this.#plain;
  }

  nextId(): number {
    do this.#lastId = this.#lastId >= MAX_INT ? 1 : this.#lastId + 1;
    while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }

  add(messageId: number, exchange: Exchange): void {
    const { timeoutMs } = exchange;
    const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : this.#clock.monotonic() + timeoutMs;
    this.#pending.set(messageId, { exchange, deadline });
    if (exchange.ends !== 'searchResultDone') this.#plain++;
    if (timeoutMs !== undefined && (this.#timer === undefined || deadline < this.#timerAt))
      this.#arm(deadline);
  }

  get(messageId: number): Exchange | undefined {
    return this.#pending.get(messageId)?.exchange;
  }

  forget(messageId: number): Exchange | undefined {
    const exchange = this.get(messageId);
    if (exchange === undefined) return undefined;
    this.#pending.delete(messageId);
    if (exchange.ends !== 'searchResultDone') this.#plain--;
    return exchange;
  }

  /** An answer came that is not the last. */
  touch(messageId: number): void {
    const pending = this.#pending.get(messageId);
    if (pending?.exchange.timeoutMs === undefined) return;
    pending.deadline = this.#clock.monotonic() + pending.exchange.timeoutMs;
  }

  /** Every request gets its whole time again: nobody could be answered while nothing was read. */
  touchAll(): void {
    const now = this.#clock.monotonic();
    for (const pending of this.#pending.values()) {
      if (pending.exchange.timeoutMs !== undefined) pending.deadline = now + pending.exchange.timeoutMs;
    }
  }

  /** Forgets all, and fails each. */
  failAll(error: PosternError): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const all = [...this.#pending.values()];
    this.#pending.clear();
    this.#plain = 0;
    for (const { exchange } of all) exchange.onFailure(error);
  }

  /** Armed for the earliest deadline; it may be late by an eighth of a request's time. */
  #arm(deadline: number): void {
    this.#timer?.cancel();
    this.#timerAt = deadline;
    const delayMs = deadline - this.#clock.monotonic();
    this.#timer = this.#clock.after('ldap.operation', delayMs, () => this.#expire(), { background: true });
  }

  #expire(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    for (const [messageId, pending] of this.#pending) {
      if (pending.deadline <= now) this.#onExpired(messageId, pending.exchange);
      if (this.#pending.get(messageId) !== pending) continue;
      next = Math.min(next, Math.max(pending.deadline, now + (pending.exchange.timeoutMs ?? 0) / 8));
    }
    if (next !== Number.POSITIVE_INFINITY && this.#pending.size > 0) this.#arm(next);
  }
}
