/** The changes that wait for one edge, in order: bounded, and slowing the feed down before it comes to that. */
import type { MirrorChange, MirrorPosition } from './mirror-view.ts';

export interface ChangeBatch {
  readonly changes: readonly MirrorChange[];
  readonly position: MirrorPosition;
  readonly plannedRemovals: number;
}

export interface QueueLimits {
  /** Changes from which on the feed is asked to wait. */
  readonly room: number;
  /** Changes at which the queue is given up: the edge will be compared as a whole. */
  readonly most: number;
}

export const QUEUE_LIMITS: QueueLimits = { room: 20_000, most: 200_000 };

export class ChangeQueue {
  readonly #limits: QueueLimits;
  #batches: ChangeBatch[] = [];
  /** Index of the first batch not yet taken: shifting a long array for each would cost its length. */
  #first = 0;
  #changes = 0;
  #overflowed = false;
  #roomWaiters: (() => void)[] = [];

  constructor(limits: QueueLimits = QUEUE_LIMITS) {
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#first === this.#batches.length;
  }

  /** True once too much had gathered; nothing is kept from then on. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  push(batch: ChangeBatch): void {
    if (this.#overflowed) return;
    const last = this.#batches.at(-1);
    // Of positions without changes between them only the last one matters: they must not pile up behind a stuck edge.
    if (batch.changes.length === 0 && !this.isEmpty && last?.changes.length === 0)
      this.#batches[this.#batches.length - 1] = batch;
    else this.#batches.push(batch);
    this.#changes += batch.changes.length;
    if (this.#changes <= this.#limits.most) return;
    this.#overflowed = true;
    this.#batches = [];
    this.#first = 0;
    this.#changes = 0;
    this.#makeRoom();
  }

  shift(): ChangeBatch | undefined {
    const batch = this.#batches[this.#first];
    if (batch === undefined) return undefined;
    this.#first++;
    if (this.#first === this.#batches.length) {
      this.#batches = [];
      this.#first = 0;
    } else if (this.#first >= 1024) {
      this.#batches.splice(0, this.#first);
      this.#first = 0;
    }
    this.#changes -= batch.changes.length;
    if (this.#changes < this.#limits.room) this.#makeRoom();
    return batch;
  }

  /** Undefined while more may come; else a promise of the moment when it may. */
  room(): Promise<void> | undefined {
    if (this.#overflowed || this.#changes < this.#limits.room) return undefined;
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  #makeRoom(): void {
    for (const resolve of this.#roomWaiters.splice(0)) resolve();
  }
}
