/** Groups of changes to entries: one batch of the store, with the indexes kept in step both ways. Knows no rules and no rights. */
import { PosternError } from '../base/error.ts';
import type { Database } from './database.ts';
import { type Draft, encodeDraft } from './entry/draft.ts';
import { EntryView } from './entry/layout.ts';
import type { Batch } from './store/contract.ts';

/** One entry's part in a group of changes. */
export interface EntryChange {
  readonly id: number;
  /** The entry before, as stored; undefined when it was added. */
  readonly before: Buffer | undefined;
  /** Its DN before; undefined when it was added. */
  readonly dnBefore: Buffer | undefined;
}

/** A group of changes: visible at once, durable together or undone together. */
export class DatabaseChange {
  readonly #database: Database;
  readonly #batch: Batch;
  /** Entries touched, with their state before the group. */
  readonly entries = new Map<number, EntryChange>();
  /** Change number of the entry stored last. */
  #time = 0;
  #count = 0;

  constructor(database: Database, batch: Batch) {
    this.#database = database;
    this.#batch = batch;
  }

  add(draft: Draft): number {
    const { buffer, length } = encodeDraft(draft);
    const id = this.#batch.add(buffer, 0, length);
    // Record numbers come back: an entry deleted in this very group may have had this one.
    if (!this.entries.has(id)) this.entries.set(id, { id, before: undefined, dnBefore: undefined });
    this.#database.link(id);
    this.#stored(draft);
    return id;
  }

  put(id: number, draft: Draft): void {
    this.#remember(id);
    const stays = this.#database.standsAt(id, draft);
    const { buffer, length } = encodeDraft(draft);
    if (stays) this.#database.linkValues(id, false);
    else this.#database.unlink(id);
    this.#batch.put(id, buffer, 0, length);
    if (stays) this.#database.linkValues(id, true);
    else this.#database.link(id);
    this.#stored(draft);
  }

  delete(id: number): void {
    this.#remember(id);
    this.#database.unlink(id);
    this.#batch.delete(id);
  }

  setMeta(name: string, bytes: Uint8Array | undefined): void {
    this.#batch.setMeta(name, bytes);
  }

  /** False when the store refuses the group (`store.full`...): it is undone, and `onDurable` is told why. */
  commit(onDurable: (error?: Error) => void): boolean {
    const { time, count } = this.#database.lastChange;
    // A later delete has a number of its own.
    this.#database.saveState(this.#batch, this.#time === time && this.#count === count);
    const { refusal } = this.#batch;
    if (refusal === undefined) {
      this.#batch.commit(onDurable);
      return true;
    }
    // The indexes go back with the entries.
    this.rollback();
    this.#database.dictionary.keepChanges();
    queueMicrotask(() => onDurable(refusal));
    return false;
  }

  rollback(): void {
    const database = this.#database;
    for (const id of this.entries.keys()) database.unlink(id);
    this.#batch.rollback();
    for (const id of this.entries.keys()) database.link(id);
    database.structure++;
  }

  #stored({ changed, changeCount }: Draft): void {
    this.#time = changed;
    this.#count = changeCount;
  }

  #remember(id: number): void {
    if (this.entries.has(id)) return;
    const view = new EntryView();
    if (!this.#database.read(id, view))
      throw new PosternError('internal', 'change of an entry that does not exist', { fields: { id } });
    const before = Buffer.from(view.buffer.subarray(view.start, view.end));
    this.entries.set(id, { id, before, dnBefore: this.#database.dn(id) });
  }
}
