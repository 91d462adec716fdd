/**
 * Gives record numbers and takes them back. Numbers of deleted records are given again, oldest first, but not while somebody
 * holds numbers that were seen before the deletion.
 */
import { PosternError } from '../../base/error.ts';

const MOST = 0xffff_fffe;

export class RecordIds {
  #limit = 1;
  /** Ring of free numbers; `#taken` and `#freed` count since the beginning, so their difference is the ring's content. */
  #ring = new Uint32Array(64);
  #taken = 0;
  #freed = 0;
  readonly #holds = new Set<{ freed: number }>();

  /** Above every number ever given. */
  get limit(): number {
    return this.#limit;
  }

  get tableBytes(): number {
    return this.#ring.byteLength;
  }

  allocate(): number {
    const oldest = this.#holds.size === 0 ? undefined : this.#holds.values().next().value;
    if (this.#taken < (oldest?.freed ?? this.#freed)) {
      const id = this.#ring[this.#taken % this.#ring.length] ?? 0;
      this.#taken += 1;
      return id;
    }
    if (this.#limit > MOST) throw new PosternError('internal', 'record numbers are used up');
    this.#limit += 1;
    return this.#limit - 1;
  }

  free(id: number): void {
    if (this.#freed - this.#taken === this.#ring.length) this.#grow();
    this.#ring[this.#freed % this.#ring.length] = id;
    this.#freed += 1;
  }

  /** Numbers freed from now on stay unused until the returned function is called. */
  hold(): () => void {
    const hold = { freed: this.#freed };
    this.#holds.add(hold);
    return () => void this.#holds.delete(hold);
  }

  /** After recovery: everything below `limit` that `inUse` denies is free. */
  restore(limit: number, inUse: (id: number) => boolean): void {
    this.#limit = limit;
    this.#taken = 0;
    this.#freed = 0;
    for (let id = 1; id < limit; id += 1) if (!inUse(id)) this.free(id);
  }

  #grow(): void {
    const grown = new Uint32Array(this.#ring.length * 2);
    for (let n = this.#taken; n < this.#freed; n += 1)
      grown[n % grown.length] = this.#ring[n % this.#ring.length] ?? 0;
    this.#ring = grown;
  }
}
