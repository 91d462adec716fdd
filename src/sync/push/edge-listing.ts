/**
 * What an edge holds, as it said itself: GUID -> content hash, with a mark for what has been seen on our side. Typed arrays
 * only (about 44 bytes an entry), since a difference synchronisation of a million recipients must fit beside the mirror.
 */

const GUID_BYTES = 16;
/** Half of the SHA-256 is plenty to tell equal from different. */
const HASH_BYTES = 16;
const SLOT_BYTES = GUID_BYTES + HASH_BYTES;

export class EdgeListing {
  #slots: Buffer;
  #seen: Uint8Array;
  /** Open addressing: slot number + 1, or 0. */
  #table: Uint32Array;
  #mask: number;
  #count = 0;
  #unseen = 0;

  constructor(expected = 1024) {
    const capacity = Math.max(16, expected);
    let size = 32;
    while (size < capacity * 2) size *= 2;
    this.#slots = Buffer.alloc(capacity * SLOT_BYTES);
    this.#seen = new Uint8Array(capacity);
    this.#table = new Uint32Array(size);
    this.#mask = size - 1;
  }

  get size(): number {
    return this.#count;
  }

  /** Entries of the edge that have not been looked up. */
  get unseen(): number {
    return this.#unseen;
  }

  add(guid: Buffer, hash: Buffer): void {
    if (this.#find(guid) >= 0) return;
    if (this.#count * SLOT_BYTES === this.#slots.length) this.#grow();
    const slot = this.#count++;
    guid.copy(this.#slots, slot * SLOT_BYTES, 0, GUID_BYTES);
    hash.copy(this.#slots, slot * SLOT_BYTES + GUID_BYTES, 0, HASH_BYTES);
    this.#link(slot);
    this.#unseen++;
  }

  /** Marks `guid` as seen and says how the edge's entry compares with `hash`. */
  compare(guid: Buffer, hash: Buffer): 'missing' | 'equal' | 'different' {
    const slot = this.#find(guid);
    if (slot < 0) return 'missing';
    this.#mark(slot);
    const at = slot * SLOT_BYTES + GUID_BYTES;
    return hash.compare(this.#slots, at, at + HASH_BYTES, 0, HASH_BYTES) === 0 ? 'equal' : 'different';
  }

  /** Marks `guid` as dealt with, whatever it holds. */
  settle(guid: Buffer): void {
    const slot = this.#find(guid);
    if (slot >= 0) this.#mark(slot);
  }

  /** GUIDs never seen, in slices of at most `most`; copies, safe to keep. */
  *unseenGuids(most: number): Generator<Buffer[], undefined> {
    let slice: Buffer[] = [];
    for (let slot = 0; slot < this.#count; slot++) {
      if (this.#seen[slot] !== 0) continue;
      slice.push(Buffer.from(this.#slots.subarray(slot * SLOT_BYTES, slot * SLOT_BYTES + GUID_BYTES)));
      if (slice.length === most) {
        yield slice;
        slice = [];
      }
    }
    if (slice.length > 0) yield slice;
    return undefined;
  }

  #mark(slot: number): void {
    if (this.#seen[slot] !== 0) return;
    this.#seen[slot] = 1;
    this.#unseen--;
  }

  #find(guid: Buffer): number {
    for (let at = hashOf(guid) & this.#mask; ; at = (at + 1) & this.#mask) {
      const slot = (this.#table[at] ?? 0) - 1;
      if (slot < 0) return -1;
      if (guid.compare(this.#slots, slot * SLOT_BYTES, slot * SLOT_BYTES + GUID_BYTES, 0, GUID_BYTES) === 0)
        return slot;
    }
  }

  #link(slot: number): void {
    let at = hashOf(this.#slots.subarray(slot * SLOT_BYTES, slot * SLOT_BYTES + GUID_BYTES)) & this.#mask;
    while (this.#table[at] !== 0) at = (at + 1) & this.#mask;
    this.#table[at] = slot + 1;
  }

  #grow(): void {
    const capacity = this.#seen.length * 2;
    const slots = Buffer.alloc(capacity * SLOT_BYTES);
    this.#slots.copy(slots);
    this.#slots = slots;
    const seen = new Uint8Array(capacity);
    seen.set(this.#seen);
    this.#seen = seen;
    this.#table = new Uint32Array(this.#table.length * 2);
    this.#mask = this.#table.length - 1;
    for (let slot = 0; slot < this.#count; slot++) this.#link(slot);
  }
}

/** GUIDs may be made in sequence or by an enemy inside; all 16 bytes are mixed (FNV-1a). */
function hashOf(guid: Buffer): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < GUID_BYTES; i++) hash = Math.imul(hash ^ (guid[i] ?? 0), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
