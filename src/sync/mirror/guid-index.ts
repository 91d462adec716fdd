/** From a GUID to the number of its record, in typed arrays; GUIDs themselves stand in the records only. */
import { HashIndex } from '../../directory/index/hash-index.ts';
import { hashBytes } from '../../directory/index/hash.ts';
import type { BlobView, RecordId, RecordStore } from '../../directory/store/store.ts';
import { GUID_BYTES } from './record.ts';

export class GuidIndex {
  readonly #store: RecordStore;
  readonly #seed: number;
  readonly #index = new HashIndex();
  readonly #several: number[] = [];

  /** `seed`: any number of 32 bits, so that nobody can prepare GUIDs that collide. */
  constructor(store: RecordStore, seed: number) {
    this.#store = store;
    this.#seed = seed;
  }

  get bytes(): number {
    return this.#index.bytes;
  }

  reserve(count: number): void {
    this.#index.reserve(count);
  }

  add(buffer: Buffer, start: number, id: RecordId): void {
    this.#index.add(this.#hash(buffer, start), id);
  }

  remove(buffer: Buffer, start: number, id: RecordId): void {
    this.#index.remove(this.#hash(buffer, start), id);
  }

  /** The record of the GUID that stands at `start`, with its bytes in `view`; 0 when there is none. */
  find(buffer: Buffer, start: number, view: BlobView): RecordId {
    const hash = this.#hash(buffer, start);
    const first = this.#index.first(hash);
    if (first < 0x8000_0000) return first !== 0 && this.#is(first, buffer, start, view) ? first : 0;
    this.#several.length = 0;
    this.#index.collect(hash, this.#several);
    for (const id of this.#several) if (this.#is(id, buffer, start, view)) return id;
    return 0;
  }

  #is(id: RecordId, buffer: Buffer, start: number, view: BlobView): boolean {
    return (
      this.#store.read(id, view) &&
      buffer.compare(view.buffer, view.start, view.start + GUID_BYTES, start, start + GUID_BYTES) === 0
    );
  }

  #hash(buffer: Buffer, start: number): number {
    return hashBytes(buffer, start, start + GUID_BYTES, this.#seed);
  }
}
