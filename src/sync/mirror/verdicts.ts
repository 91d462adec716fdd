/**
 * What a refresh has said about each record so far: one number of 16 bits a record. Removals wait here until the refresh is complete,
 * so that they are carried out together and their number is known before the first of them (the edges' removal guard).
 */
import type { RecordId } from '../../directory/store/store.ts';

const UNSEEN = 0;
const KEEP = 1;
const DELETE = 2;
/** Values from here on: becomes no recipient; the state octet, and above it the number of dropped addresses. */
const MARK = 3;
const STATE_BITS = 3;
const MOST_DROPPED = 0xffff >>> STATE_BITS;

export type Verdict =
  | { readonly kind: 'unseen' | 'keep' | 'delete' }
  | { readonly kind: 'mark'; readonly state: number; readonly dropped: number };

export class Verdicts {
  #table = new Uint16Array(0);
  /** Records with a verdict that takes something away. */
  #removals = 0;

  get removals(): number {
    return this.#removals;
  }

  /** Back to nothing seen, in memory too. */
  clear(): void {
    this.#table = new Uint16Array(0);
    this.#removals = 0;
  }

  keep(id: RecordId, idLimit: number): void {
    this.#set(id, KEEP, idLimit);
  }

  delete(id: RecordId, idLimit: number): void {
    this.#set(id, DELETE, idLimit);
  }

  /** The recipient becomes the mark of an entry that is none; `state` from 1 on. */
  mark(id: RecordId, state: number, dropped: number, idLimit: number): void {
    this.#set(id, MARK - 1 + state + (Math.min(dropped, MOST_DROPPED) << STATE_BITS), idLimit);
  }

  get(id: RecordId): Verdict {
    const value = this.#table[id] ?? UNSEEN;
    if (value === UNSEEN) return { kind: 'unseen' };
    if (value === KEEP) return { kind: 'keep' };
    if (value === DELETE) return { kind: 'delete' };
    return {
      kind: 'mark',
      state: (value & ((1 << STATE_BITS) - 1)) - (MARK - 1),
      dropped: value >>> STATE_BITS,
    };
  }

  /** Whether the record loses something: by its verdict, or because nobody spoke of it and `sweep` is set. */
  removes(id: RecordId, sweep: boolean): boolean {
    const value = this.#table[id] ?? UNSEEN;
    return value > KEEP || (sweep && value === UNSEEN);
  }

  #set(id: RecordId, value: number, idLimit: number): void {
    if (id >= this.#table.length) {
      const grown = new Uint16Array(Math.max(id + 1, idLimit, Math.ceil(this.#table.length * 1.5), 1024));
      grown.set(this.#table);
      this.#table = grown;
    }
    const before = this.#table[id] as number;
    if (before > KEEP) this.#removals--;
    if (value > KEEP) this.#removals++;
    this.#table[id] = value;
  }
}
