/**
 * Who is whose child, by record number, in typed arrays: 12 bytes an entry, and 8 up to the highest number that has children (containers
 * are older than what they contain). Number 0 stands above the naming contexts. Knows numbers only.
 */

export class Tree {
  #parent = new Uint32Array(64);
  #next = new Uint32Array(64);
  #previous = new Uint32Array(64);
  /** By parent. */
  #first = new Uint32Array(64);
  #count = new Uint32Array(64);

  get bytes(): number {
    return this.#parent.byteLength * 3 + this.#first.byteLength * 2;
  }

  /** Makes room for numbers below `limit`. */
  reserve(limit: number): void {
    if (limit <= this.#parent.length) return;
    const capacity = Math.max(limit, Math.ceil(this.#parent.length * 1.5));
    this.#parent = grown(this.#parent, capacity);
    this.#next = grown(this.#next, capacity);
    this.#previous = grown(this.#previous, capacity);
  }

  #reserveParent(parent: number): void {
    if (parent < this.#first.length) return;
    const capacity = Math.max(parent + 1, Math.ceil(this.#first.length * 1.5));
    this.#first = grown(this.#first, capacity);
    this.#count = grown(this.#count, capacity);
  }

  add(id: number, parent: number): void {
    this.reserve(Math.max(id, parent) + 1);
    this.#reserveParent(parent);
    const next = this.#first[parent] as number;
    this.#parent[id] = parent;
    this.#next[id] = next;
    this.#previous[id] = 0;
    if (next !== 0) this.#previous[next] = id;
    this.#first[parent] = id;
    this.#count[parent] = (this.#count[parent] as number) + 1;
  }

  /** Takes an entry out; its own children stay linked to it. */
  remove(id: number): void {
    const parent = this.#parent[id] as number;
    const next = this.#next[id] as number;
    const previous = this.#previous[id] as number;
    if (previous === 0) this.#first[parent] = next;
    else this.#next[previous] = next;
    if (next !== 0) this.#previous[next] = previous;
    this.#count[parent] = (this.#count[parent] as number) - 1;
    this.#next[id] = this.#previous[id] = this.#parent[id] = 0;
  }

  /** 0 for naming contexts, and for numbers that are no entry. */
  parent(id: number): number {
    return this.#parent[id] ?? 0;
  }

  childCount(id: number): number {
    return this.#count[id] ?? 0;
  }

  firstChild(id: number): number {
    return this.#first[id] ?? 0;
  }

  nextSibling(id: number): number {
    return this.#next[id] ?? 0;
  }

  /** True when `ancestor` is `id` or stands above it. */
  isWithin(id: number, ancestor: number): boolean {
    for (let at = id; at !== 0; at = this.#parent[at] as number) if (at === ancestor) return true;
    return ancestor === 0;
  }

  /** Appends `base`'s subtree, itself included, parents before children; false when it has more than `most` entries. */
  collect(base: number, most: number, out: number[]): boolean {
    out.push(base);
    for (let i = out.length - 1; i < out.length; i++) {
      const id = out[i] as number;
      if (out.length + this.childCount(id) > most) return false;
      for (let child = this.firstChild(id); child !== 0; child = this.nextSibling(child)) out.push(child);
    }
    return true;
  }
}

function grown(old: Uint32Array, capacity: number): Uint32Array<ArrayBuffer> {
  const array = new Uint32Array(capacity);
  array.set(old);
  return array;
}
