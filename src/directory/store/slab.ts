/**
 * Blobs in memory: large slabs filled from the front, and one table word a record that says where its blob stands. A blob is never
 * overwritten in place: a new version goes to the slab being filled, the old one becomes garbage until its slab is emptied (`compaction`).
 * Knows nothing of files, batches or meaning.
 *
 * A block in a slab: record number (u32), length (u32), bytes, padding to a multiple of 4. Snapshots hold blocks in this very form, so that
 * loading one is reading into slabs. An address counts words of 4 bytes over all slabs; 0 is "no such record".
 */
import { PosternError } from '../../base/error.ts';
import type { BlobView, SlabStats, Visitor } from './contract.ts';

export const BLOCK_HEADER = 8;
export const SLAB_BYTES = 8 * 1024 * 1024;
/** Emptied slabs kept for the next one, so that steady change doesn't ask the system for memory all the time. */
const MOST_SPARE = 2;
/** Compaction begins when garbage exceeds this share of the live bytes, plus two slabs. */
const GARBAGE_SHARE = 0.2;
/** Compaction that was asked for empties slabs with more than this share of garbage. */
const WORTH_EMPTYING = 1 / 32;
/** What choosing a slab and giving it back counts for, in bytes of work. */
const SLAB_COST = 4096;

if (new Uint8Array(Uint32Array.of(1).buffer)[0] !== 1)
  throw new PosternError('internal', 'the store needs a little-endian machine');

interface Slab {
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  /** Bytes used from the front; bytes of blocks still in use. */
  filled: number;
  live: number;
}

export function blockBytes(blobLength: number): number {
  return (BLOCK_HEADER + blobLength + 3) & ~3;
}

export class SlabHeap {
  readonly slabBytes: number;
  readonly #shift: number;
  readonly #mask: number;
  readonly #slabs: (Slab | undefined)[] = [];
  readonly #spare: Slab[] = [];
  readonly #unused: number[] = [];
  #table = new Uint32Array(1024);
  /** The slab being filled. */
  #current = -1;
  #victim = -1;
  #cursor = 0;
  #thorough = false;

  records = 0;
  blobBytes = 0;
  /** Over all slabs: bytes used from the front, bytes of blocks in use, bytes had from the system. */
  #filled = 0;
  #live = 0;
  #allocated = 0;

  /** `slabBytes`: a power of two from 4 KiB on. */
  constructor(slabBytes = SLAB_BYTES) {
    this.slabBytes = slabBytes;
    this.#shift = Math.log2(slabBytes) - 2;
    this.#mask = slabBytes / 4 - 1;
    if (!Number.isInteger(this.#shift) || slabBytes < 4096)
      throw new PosternError('internal', 'slab size must be a power of two');
  }

  /** The longest blob there can be. */
  get longestBlob(): number {
    return this.slabBytes - BLOCK_HEADER - 4;
  }

  get slabMemory(): number {
    return this.#allocated;
  }

  get tableBytes(): number {
    return this.#table.byteLength;
  }

  /** Bytes of blocks that are no record's any more. */
  get garbage(): number {
    return this.#filled - this.#live;
  }

  slabStats(): SlabStats[] {
    return this.#slabs
      .filter((slab) => slab !== undefined)
      .map(({ filled, live }) => ({
        bytes: this.slabBytes,
        liveBytes: live,
        deadBytes: filled - live,
      }));
  }

  /** Address of a record's block; 0 when there is none. */
  address(id: number): number {
    return this.#table[id] ?? 0;
  }

  read(id: number, into: BlobView): boolean {
    const address = this.#table[id];
    if (address === undefined || address === 0) return false;
    const slab = this.#slabs[address >>> this.#shift] as Slab;
    const word = address & this.#mask;
    into.buffer = slab.bytes;
    into.start = word * 4 + BLOCK_HEADER;
    into.end = into.start + (slab.words[word + 1] as number);
    return true;
  }

  /** Stores a copy of the bytes as `id`; returns the address it had before (0 for none), whose block is now garbage. */
  put(id: number, bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    const total = blockBytes(length);
    // `bytes` may be a view of a slab: allocation never moves or reuses one.
    const address = this.#allocate(total);
    const slab = this.#slabs[address >>> this.#shift] as Slab;
    const word = address & this.#mask;
    slab.words[word] = id;
    slab.words[word + 1] = length;
    // Zeros in the padding: snapshots must not carry what stood there before. (An empty blob's last word is its length.)
    slab.words[word + total / 4 - 1] = 0;
    copy(bytes, start, end, slab.bytes, word * 4 + BLOCK_HEADER);
    return this.point(id, address);
  }

  /** Makes `id` point to a block (0 for none) that `put` or `point` knew before; returns the address it had. For deletion and undoing. */
  point(id: number, address: number): number {
    if (id >= this.#table.length) this.#growTable(id);
    const before = this.#table[id] as number;
    this.#table[id] = address;
    if (before !== 0) this.#account(before, -1);
    if (address !== 0) this.#account(address, 1);
    return before;
  }

  /** Visits records in the order of their numbers. */
  scan(limit: number, visit: Visitor): void {
    const view: BlobView = { buffer: EMPTY, start: 0, end: 0 };
    const end = Math.min(limit, this.#table.length);
    for (let id = 1; id < end; id += 1) if (this.read(id, view)) visit(id, view.buffer, view.start, view.end);
  }

  nextId(after: number, limit: number): number {
    const end = Math.min(limit, this.#table.length);
    for (let id = after + 1; id < end; id += 1) if (this.#table[id] !== 0) return id;
    return 0;
  }

  /** Room for `length` bytes of ready-made blocks: read them there, then call `adopt`. */
  reserve(length: number): { buffer: Buffer; start: number; address: number } {
    const address = this.#allocate(length);
    return {
      buffer: (this.#slabs[address >>> this.#shift] as Slab).bytes,
      start: (address & this.#mask) * 4,
      address,
    };
  }

  /**
   * Takes the blocks that were read into reserved room. Record numbers must rise from above `after`; returns the last one, or -1
   * when the blocks aren't well formed.
   */
  adopt(address: number, length: number, after: number): number {
    const slab = this.#slabs[address >>> this.#shift] as Slab;
    const base = address - (address & this.#mask);
    const end = (address & this.#mask) + length / 4;
    let last = after;
    for (let word = address & this.#mask; word < end; ) {
      const id = slab.words[word] as number;
      const words = blockBytes(slab.words[word + 1] as number) / 4;
      if (id <= last || words > end - word || words < 2) return -1;
      this.point(id, base + word);
      last = id;
      word += words;
    }
    return last;
  }

  // --- compaction ---

  needsCompaction(): boolean {
    return (
      this.#victim >= 0 || this.#thorough || this.garbage > this.#live * GARBAGE_SHARE + 2 * this.slabBytes
    );
  }

  /** From now on `compact` has something to do as long as any slab (the one being filled until now, too) is worth emptying. */
  beginCompaction(): void {
    this.#thorough = true;
    const current = this.#slabs[this.#current];
    if (current !== undefined && current.filled - current.live > this.slabBytes * WORTH_EMPTYING)
      this.#current = -1;
  }

  /**
   * Moves some blocks (about `bytes`) out of the slabs with most garbage; returns false when there is nothing to do. Only between turns of the
   * event loop and while no batch is open: it ends the life of views and of addresses.
   */
  compact(bytes: number): boolean {
    for (let budget = bytes; budget > 0; ) {
      if (this.#victim < 0) {
        if (this.needsCompaction()) this.#victim = this.#worst();
        if (this.#victim < 0) {
          this.#thorough = false;
          return false;
        }
        // Slab 0 begins with the word that no address may name.
        this.#cursor = this.#victim === 0 ? 4 : 0;
      }
      budget -= this.#empty(this.#victim, budget) + SLAB_COST;
    }
    return true;
  }

  /** Goes on emptying a slab until that did about `budget` bytes of work; returns how many. */
  #empty(index: number, budget: number): number {
    const slab = this.#slabs[index] as Slab;
    const base = index << this.#shift;
    let work = 0;
    while (this.#cursor < slab.filled && slab.live > 0) {
      if (work >= budget) return work;
      const word = this.#cursor / 4;
      const id = slab.words[word] as number;
      const length = slab.words[word + 1] as number;
      const start = this.#cursor + BLOCK_HEADER;
      this.#cursor += blockBytes(length);
      work += BLOCK_HEADER;
      if (this.#table[id] !== (base + word) >>> 0) continue;
      this.put(id, slab.bytes, start, start + length);
      work += length;
    }
    this.#release(index);
    this.#victim = -1;
    return work;
  }

  #worst(): number {
    let worst = -1;
    let most = this.#thorough ? this.slabBytes * WORTH_EMPTYING : 0;
    for (const [index, slab] of this.#slabs.entries()) {
      if (slab === undefined || index === this.#current || slab.filled - slab.live <= most) continue;
      worst = index;
      most = slab.filled - slab.live;
    }
    return worst;
  }

  #release(index: number): void {
    const slab = this.#slabs[index] as Slab;
    this.#slabs[index] = undefined;
    this.#filled -= slab.filled;
    this.#unused.push(index);
    if (this.#spare.length < MOST_SPARE) this.#spare.push(slab);
    else this.#allocated -= this.slabBytes;
  }

  #account(address: number, sign: 1 | -1): void {
    const slab = this.#slabs[address >>> this.#shift] as Slab;
    const length = slab.words[(address & this.#mask) + 1] as number;
    const total = blockBytes(length) * sign;
    slab.live += total;
    this.#live += total;
    this.blobBytes += length * sign;
    this.records += sign;
  }

  #allocate(length: number): number {
    let slab = this.#slabs[this.#current];
    if (slab === undefined || slab.filled + length > this.slabBytes) slab = this.#startSlab(length);
    const word = slab.filled / 4;
    slab.filled += length;
    this.#filled += length;
    return ((this.#current << this.#shift) + word) >>> 0;
  }

  #startSlab(needed: number): Slab {
    if (needed > this.slabBytes - 4)
      throw new PosternError('usage', 'record too long', { fields: { bytes: needed } });
    const index = this.#unused.pop() ?? this.#slabs.length;
    if (index >= 2 ** (32 - this.#shift))
      throw new PosternError('internal', 'the store is full: more than 16 GiB of records');
    let slab = this.#spare.pop();
    if (slab === undefined) {
      const bytes = Buffer.allocUnsafeSlow(this.slabBytes);
      slab = {
        bytes,
        words: new Uint32Array(bytes.buffer, bytes.byteOffset, this.slabBytes / 4),
        filled: 0,
        live: 0,
      };
      this.#allocated += this.slabBytes;
    }
    // No address is 0.
    slab.filled = index === 0 ? 4 : 0;
    this.#filled += slab.filled;
    slab.live = 0;
    this.#slabs[index] = slab;
    this.#current = index;
    return slab;
  }

  #growTable(id: number): void {
    const grown = new Uint32Array(Math.max(id + 1, Math.ceil(this.#table.length * 1.5)));
    grown.set(this.#table);
    this.#table = grown;
  }
}

const EMPTY = Buffer.alloc(0);

/** Copies bytes; short runs without a call into native code. */
function copy(from: Uint8Array, start: number, end: number, to: Buffer, at: number): void {
  if (end - start < 48) {
    for (let i = start, o = at; i < end; i += 1, o += 1) to[o] = from[i] as number;
  } else if (Buffer.isBuffer(from)) {
    from.copy(to, at, start, end);
  } else {
    to.set(from.subarray(start, end), at);
  }
}
