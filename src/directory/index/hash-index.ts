/**
 * A multimap from 32-bit hashes to record numbers in typed arrays: 8 bytes a slot, no objects. It knows hashes only: whoever
 * asks compares the octets of what it finds (two values may share a hash).
 *
 * Open addressing with linear probing and backward-shift deletion; split into segments by the hash's top bits, so that
 * growing never stops the event loop for long. A slot holds the one record number of its hash, or points to a chain. A hash
 * with more than `MOST_CHAINED` records is only counted: such a value selects nothing worth an index.
 */

const SEGMENT_BITS = 6;
const SEGMENTS = 1 << SEGMENT_BITS;
const FIRST_CAPACITY = 8;
/** Grow above this share of used slots. */
const MOST_LOAD = 0.75;
/** By this factor: doubling would leave half of the memory unused on average. */
const GROWTH = 1.5;

/** Longest chain kept; beyond it only a count. */
export const MOST_CHAINED = 1000;
const CHAIN = 0x8000_0000;
/** In a node's id: this chain overflowed, `next` is the count. */
const OVERFLOWED = 0xffff_ffff;

/** [hash, reference] pairs; reference 0 is an empty slot. */
interface Segment {
  slots: Uint32Array;
  used: number;
  /** [hash, id] pairs that `finish` brings in; `used` counts words. */
  later: { pairs: Uint32Array; used: number };
}

const NOTHING = new Uint32Array(0);
/** Words of one segment's gathered pairs. */
const LATER_WORDS = 8192;

/** The bits of a hash that its segment does not stand for, and how many values they have. */
const LOW_MASK = 2 ** (32 - SEGMENT_BITS) - 1;
const LOW_VALUES = LOW_MASK + 1;

export class HashIndex {
  readonly #segments: Segment[] = [];
  /** [id, next] pairs; node 0 is never used. */
  #nodes = new Uint32Array(16);
  #nodeLimit = 1;
  #freeNode = 0;

  constructor() {
    for (let i = 0; i < SEGMENTS; i++)
      this.#segments.push({
        slots: new Uint32Array(FIRST_CAPACITY * 2),
        used: 0,
        later: { pairs: NOTHING, used: 0 },
      });
  }

  get bytes(): number {
    let total = this.#nodes.byteLength;
    for (const segment of this.#segments) total += segment.slots.byteLength;
    return total;
  }

  /** Makes room for about `count` different hashes at once. */
  reserve(count: number): void {
    // Segments differ a little in size; some more room spares most of them a growth.
    const capacity = Math.max(FIRST_CAPACITY, Math.ceil(((count / SEGMENTS) * 1.06) / MOST_LOAD));
    for (const segment of this.#segments) if (segment.slots.length < capacity * 2) grow(segment, capacity);
  }

  /**
   * As `add`, but it may not be found before `finish`. Pairs are gathered by segment and brought in many at a time, which costs a
   * third of the time where the table is larger than the processor's cache.
   */
  addLater(hash: number, id: number): void {
    const { later } = this.#segments[hash >>> (32 - SEGMENT_BITS)] as Segment;
    if (later.used === LATER_WORDS) this.finish();
    if (later.pairs.length === 0) later.pairs = new Uint32Array(LATER_WORDS);
    later.pairs[later.used++] = hash;
    later.pairs[later.used++] = id;
  }

  /** Brings in what `addLater` took. */
  finish(): void {
    for (const { later } of this.#segments) {
      for (let i = 0; i < later.used; i += 2)
        this.add(later.pairs[i] as number, later.pairs[i + 1] as number);
      later.used = 0;
    }
  }

  /** Gives back the memory that `addLater` used, after `finish`. */
  trim(): void {
    for (const { later } of this.#segments) later.pairs = NOTHING;
  }

  add(hash: number, id: number): void {
    const segment = this.#segments[hash >>> (32 - SEGMENT_BITS)] as Segment;
    let capacity = segment.slots.length / 2;
    if (segment.used >= capacity * MOST_LOAD) {
      capacity = Math.ceil(capacity * GROWTH);
      grow(segment, capacity);
    }
    const { slots } = segment;
    let at = home(hash, capacity);
    for (;;) {
      const reference = slots[at * 2 + 1] as number;
      if (reference === 0) {
        slots[at * 2] = hash;
        slots[at * 2 + 1] = id;
        segment.used++;
        return;
      }
      if (slots[at * 2] === hash) {
        slots[at * 2 + 1] = this.#chained(reference, id);
        return;
      }
      if (++at === capacity) at = 0;
    }
  }

  /** Takes out one pair that was added. */
  remove(hash: number, id: number): void {
    const segment = this.#segments[hash >>> (32 - SEGMENT_BITS)] as Segment;
    const { slots } = segment;
    const capacity = slots.length / 2;
    let at = home(hash, capacity);
    for (;;) {
      const reference = slots[at * 2 + 1] as number;
      if (reference === 0) return;
      if (slots[at * 2] === hash) {
        const left = reference >= CHAIN ? this.#unchained(reference, id) : reference === id ? 0 : reference;
        slots[at * 2 + 1] = left;
        if (left === 0) {
          segment.used--;
          close(slots, at);
        }
        return;
      }
      if (++at === capacity) at = 0;
    }
  }

  /**
   * The first record of a hash: 0 when there is none, a record number when there is exactly one; otherwise a value of 2^31 or
   * more: there are several, ask `collect`.
   */
  first(hash: number): number {
    const { slots } = this.#segments[hash >>> (32 - SEGMENT_BITS)] as Segment;
    const capacity = slots.length / 2;
    for (let at = home(hash, capacity); ; ) {
      const reference = slots[at * 2 + 1] as number;
      if (reference === 0 || slots[at * 2] === hash) return reference;
      if (++at === capacity) at = 0;
    }
  }

  /** How many records a hash has. */
  count(hash: number): number {
    const reference = this.first(hash);
    if (reference < CHAIN) return reference === 0 ? 0 : 1;
    let count = 0;
    for (let node = reference - CHAIN; node !== 0; node = this.#nodes[node * 2 + 1] as number) {
      if (this.#nodes[node * 2] === OVERFLOWED) return this.#nodes[node * 2 + 1] as number;
      count++;
    }
    return count;
  }

  /** Appends the records of a hash to `out`; false when they are only counted. */
  collect(hash: number, out: number[]): boolean {
    const reference = this.first(hash);
    if (reference === 0) return true;
    if (reference < CHAIN) {
      out.push(reference);
      return true;
    }
    for (let node = reference - CHAIN; node !== 0; node = this.#nodes[node * 2 + 1] as number) {
      const id = this.#nodes[node * 2] as number;
      if (id === OVERFLOWED) return false;
      out.push(id);
    }
    return true;
  }

  /** How many pairs there are, a part of the table at a time. */
  *countPairs(): Generator<number> {
    for (const { slots } of this.#segments) {
      let pairs = 0;
      for (let i = 0; i < slots.length; i += 2)
        if (slots[i + 1] !== 0) pairs += this.count(slots[i] as number);
      yield pairs;
    }
  }

  #chained(reference: number, id: number): number {
    if (reference < CHAIN) {
      const first = this.#node(reference, 0);
      return CHAIN + this.#node(id, first);
    }
    let length = 0;
    const head = reference - CHAIN;
    if (this.#nodes[head * 2] === OVERFLOWED) {
      this.#nodes[head * 2 + 1] = (this.#nodes[head * 2 + 1] as number) + 1;
      return reference;
    }
    for (let node = head; node !== 0; node = this.#nodes[node * 2 + 1] as number) length++;
    if (length < MOST_CHAINED) return CHAIN + this.#node(id, head);
    for (let node = head; node !== 0; ) {
      const next = this.#nodes[node * 2 + 1] as number;
      this.#release(node);
      node = next;
    }
    return CHAIN + this.#node(OVERFLOWED, length + 1);
  }

  #unchained(reference: number, id: number): number {
    const head = reference - CHAIN;
    if (this.#nodes[head * 2] === OVERFLOWED) {
      const count = (this.#nodes[head * 2 + 1] as number) - 1;
      this.#nodes[head * 2 + 1] = count;
      if (count > 0) return reference;
      this.#release(head);
      return 0;
    }
    for (let node = head, before = 0; node !== 0; before = node, node = this.#nodes[node * 2 + 1] as number) {
      if (this.#nodes[node * 2] !== id) continue;
      const next = this.#nodes[node * 2 + 1] as number;
      this.#release(node);
      if (before !== 0) this.#nodes[before * 2 + 1] = next;
      return this.#shortened(before === 0 ? next : head);
    }
    return reference;
  }

  /** The reference to a chain of one or more: one record stands in the slot itself. */
  #shortened(head: number): number {
    if (this.#nodes[head * 2 + 1] !== 0) return CHAIN + head;
    const id = this.#nodes[head * 2] as number;
    this.#release(head);
    return id;
  }

  #node(id: number, next: number): number {
    let node = this.#freeNode;
    if (node !== 0) this.#freeNode = this.#nodes[node * 2 + 1] as number;
    else {
      node = this.#nodeLimit++;
      if (node * 2 + 1 >= this.#nodes.length) {
        const grown = new Uint32Array(this.#nodes.length * 2);
        grown.set(this.#nodes);
        this.#nodes = grown;
      }
    }
    this.#nodes[node * 2] = id;
    this.#nodes[node * 2 + 1] = next;
    return node;
  }

  #release(node: number): void {
    this.#nodes[node * 2 + 1] = this.#freeNode;
    this.#freeNode = node;
  }
}

/** Where a hash would stand if nothing stood there: in proportion, so that a capacity may be any number. */
function home(hash: number, capacity: number): number {
  return Math.floor(((hash & LOW_MASK) * capacity) / LOW_VALUES);
}

function grow(segment: Segment, capacity: number): void {
  const slots = new Uint32Array(capacity * 2);
  const old = segment.slots;
  for (let i = 0; i < old.length; i += 2) {
    const reference = old[i + 1] as number;
    if (reference === 0) continue;
    let at = home(old[i] as number, capacity);
    while (slots[at * 2 + 1] !== 0) if (++at === capacity) at = 0;
    slots[at * 2] = old[i] as number;
    slots[at * 2 + 1] = reference;
  }
  segment.slots = slots;
}

/** Closes the gap at `hole`: slots behind it that a search would no longer reach move up. */
function close(slots: Uint32Array, hole: number): void {
  const capacity = slots.length / 2;
  const behind = (from: number, to: number): number => (to >= from ? to - from : to - from + capacity);
  for (let at = (hole + 1) % capacity; slots[at * 2 + 1] !== 0; at = (at + 1) % capacity) {
    if (behind(home(slots[at * 2] as number, capacity), at) < behind(hole, at)) continue;
    slots[hole * 2] = slots[at * 2] as number;
    slots[hole * 2 + 1] = slots[at * 2 + 1] as number;
    hole = at;
  }
  slots[hole * 2 + 1] = 0;
}
