/**
 * One file of the power-loss file layer: what programs see (`cache`) and what the disk holds (`disk`), with the changes between the two
 * in order. Knows nothing of names.
 */
import type { Random } from '../../src/base/random.ts';

export type Change = (
  | { kind: 'write'; position: number; bytes: Buffer }
  | { kind: 'truncate'; length: number }
) & {
  /** Flushed, although older ones aren't. */
  flushed?: boolean;
};

/** How much a disk writes at once at least; a torn write leaves some sectors old and some new. */
const SECTOR = 512;

/** Bytes with a length that grows without a copy at every write. */
class Content {
  #bytes: Buffer;
  length: number;

  constructor(bytes: Uint8Array = Buffer.alloc(0)) {
    this.#bytes = Buffer.from(bytes);
    this.length = bytes.length;
  }

  view(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }

  resize(length: number): void {
    if (length > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(length, this.#bytes.length * 2, 256));
      this.view().copy(grown);
      this.#bytes = grown;
    }
    // Bytes past the end read as zero when the file grows again.
    if (length < this.length) this.#bytes.fill(0, length, this.length);
    this.length = length;
  }

  write(position: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (position + bytes.length > this.length) this.resize(position + bytes.length);
    this.#bytes.set(bytes, position);
  }

  apply(change: Change): void {
    if (change.kind === 'write') this.write(change.position, change.bytes);
    else this.resize(change.length);
  }
}

export class DiskFile {
  readonly cache: Content;
  readonly disk: Content;
  /** Changes that no flush has covered, oldest first. */
  pending: Change[] = [];

  constructor(bytes: Uint8Array = Buffer.alloc(0)) {
    this.cache = new Content(bytes);
    this.disk = new Content(bytes);
  }

  change(change: Change): void {
    this.cache.apply(change);
    this.pending.push(change);
  }

  /** One write reaches the disk before older ones, or is forgotten. */
  flushOne(change: Change | undefined, outcome: 'written' | 'dropped' = 'written'): void {
    const index = change === undefined ? -1 : this.pending.indexOf(change);
    if (change === undefined || index < 0) return;
    if (outcome === 'dropped') this.pending.splice(index, 1);
    else if (index === 0) this.flush(1);
    else change.flushed = true;
  }

  /** The first `count` pending changes reach the disk, or (a failed flush) are forgotten: the kernel calls those pages clean. */
  flush(count: number, outcome: 'written' | 'dropped' = 'written'): void {
    for (const change of this.pending.splice(0, count))
      if (outcome === 'written' || change.flushed === true) this.disk.apply(change);
  }

  /** What the disk holds when power is lost now: each unsynced change made it with `likelihood`, some of those torn. */
  survivor(likelihood: number, random: Random): DiskFile {
    const content = new Content(this.disk.view());
    for (const change of this.pending) {
      if (change.flushed === true) {
        content.apply(change);
        continue;
      }
      if (random.fraction() >= likelihood) continue;
      if (change.kind === 'truncate' || likelihood === 1 || random.fraction() < 0.5) content.apply(change);
      else tear(content, change.position, change.bytes, random);
    }
    return new DiskFile(content.view());
  }
}

function tear(content: Content, position: number, bytes: Buffer, random: Random): void {
  const way = random.fraction();
  if (way < 0.5) {
    content.write(position, bytes.subarray(0, Math.floor(random.fraction() * bytes.length)));
    return;
  }
  // The length was written before the data: zeros where some sectors are missing.
  if (position + bytes.length > content.length) content.resize(position + bytes.length);
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + SECTOR - ((position + at) % SECTOR));
    if (way < 0.9 && random.fraction() < 0.5) content.write(position + at, bytes.subarray(at, end));
    at = end;
  }
}
