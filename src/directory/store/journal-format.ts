/**
 * The journal's groups as bytes: pure encoding and decoding.
 *
 * Group, beginning at a multiple of 8: tag of the file (8), CRC-32 of the rest (u32), length of the changes (u32), sequence number (u64), distance to
 * the last sequence number that was durable when this group was written (u32), number of changes (u32), changes, zeros to a multiple of 8.
 * The distance tells a torn write from damage: a broken group is an unfinished write only if no later group knew it to be durable.
 *
 * Change: 1, id (u32), length (u32), bytes (put); 2, id (u32) (delete); 3, name length (u8), length (u32), name, bytes (set a named value);
 * 4, name length (u8), name (remove a named value).
 */
import { crc32 } from 'node:zlib';
import { PosternError } from '../../base/error.ts';

export const GROUP_HEADER = 32;
/** Longest group; what a batch may hold. */
export const MOST_GROUP_BYTES = 256 * 1024 * 1024;
const KEPT_BYTES = 4 * 1024 * 1024;

const PUT = 1;
const DELETE = 2;
const SET_META = 3;
const REMOVE_META = 4;

export interface ChangeVisitor {
  put(id: number, bytes: Buffer, start: number, end: number): void;
  delete(id: number): void;
  setMeta(name: string, bytes: Buffer | undefined): void;
}

/** Gathers groups: whole ones, then at most one that is still being made. */
export class GroupBuffer {
  bytes = Buffer.allocUnsafe(64 * 1024);
  /** Bytes of whole groups. */
  length = 0;
  groups = 0;
  #at = GROUP_HEADER;
  #changes = 0;

  /** Bytes of whole groups and of the one being made. */
  get total(): number {
    return this.#changes === 0 ? this.length : this.#at + 8;
  }

  get changes(): number {
    return this.#changes;
  }

  put(id: number, bytes: Uint8Array, start: number, end: number): void {
    const at = this.#room(9 + end - start);
    this.bytes[at] = PUT;
    this.bytes.writeUInt32LE(id, at + 1);
    this.bytes.writeUInt32LE(end - start, at + 5);
    if (Buffer.isBuffer(bytes)) bytes.copy(this.bytes, at + 9, start, end);
    else this.bytes.set(bytes.subarray(start, end), at + 9);
  }

  delete(id: number): void {
    const at = this.#room(5);
    this.bytes[at] = DELETE;
    this.bytes.writeUInt32LE(id, at + 1);
  }

  setMeta(name: Buffer, bytes: Uint8Array | undefined): void {
    const at = this.#room(bytes === undefined ? 2 + name.length : 6 + name.length + bytes.length);
    this.bytes[at] = bytes === undefined ? REMOVE_META : SET_META;
    this.bytes[at + 1] = name.length;
    if (bytes === undefined) {
      name.copy(this.bytes, at + 2);
      return;
    }
    this.bytes.writeUInt32LE(bytes.length, at + 2);
    name.copy(this.bytes, at + 6);
    this.bytes.set(bytes, at + 6 + name.length);
  }

  /** Ends the group being made, which gets this sequence number. */
  end(sequence: number): void {
    const { bytes, length: start } = this;
    this.#room(0);
    bytes.writeUInt32LE(this.#at - start - GROUP_HEADER, start + 12);
    writeSequence(bytes, sequence, start + 16);
    bytes.writeUInt32LE(this.#changes, start + 28);
    while (this.#at % 8 !== 0) this.bytes[this.#at++] = 0;
    this.length = this.#at;
    this.groups += 1;
    this.drop();
  }

  /** Forgets the group being made. */
  drop(): void {
    this.#at = this.length + GROUP_HEADER;
    this.#changes = 0;
  }

  /** Completes the whole groups for writing: whose file, and what is durable by now. */
  seal(tag: Buffer, durable: number): void {
    const [low, high] = [tag.readUInt32LE(0), tag.readUInt32LE(4)];
    for (let at = 0; at < this.length; ) {
      const end = at + GROUP_HEADER + this.bytes.readUInt32LE(at + 12);
      this.bytes.writeUInt32LE(low, at);
      this.bytes.writeUInt32LE(high, at + 4);
      this.bytes.writeUInt32LE(readSequence(this.bytes, at + 16) - durable, at + 24);
      this.bytes.writeUInt32LE(crc32(this.bytes.subarray(at + 12, end)), at + 8);
      at = (end + 7) & ~7;
    }
  }

  /** Empties it, but for the group being made, which goes to `next`. */
  moveOn(next: GroupBuffer): void {
    const open = this.#at - this.length;
    if (this.#changes > 0) {
      next.#room(open - GROUP_HEADER);
      this.bytes.copy(next.bytes, 0, this.length, this.#at);
      next.#changes = this.#changes;
    }
    this.#changes = 0;
  }

  clear(): void {
    this.length = 0;
    this.groups = 0;
    this.drop();
    if (this.bytes.length > KEPT_BYTES) this.bytes = Buffer.allocUnsafe(64 * 1024);
  }

  /** Makes room for a change (and the padding after it); returns where it begins. */
  #room(bytes: number): number {
    const at = this.#at;
    const needed = at + bytes + 8;
    if (needed - this.length > MOST_GROUP_BYTES)
      throw new PosternError('usage', 'too many changes in one batch');
    if (needed > this.bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2));
      this.bytes.copy(grown, 0, 0, at);
      this.bytes = grown;
    }
    this.#at = at + bytes;
    if (bytes > 0) this.#changes += 1;
    return at;
  }
}

/** A group found by `readGroup`; the changes stand in `[start, end)`. */
export interface GroupFound {
  sequence: number;
  /** Last sequence number known durable when this group was written. */
  durable: number;
  changes: number;
  start: number;
  end: number;
  /** Where the next group begins. */
  next: number;
}

/**
 * Reads the group at `at` of `bytes[..limit)`. 'more': only a longer `bytes` can tell, `into.next` says how long. 'broken': there is no whole
 * group of this file here.
 */
export function readGroup(
  bytes: Buffer,
  at: number,
  limit: number,
  tag: Buffer,
  into: GroupFound,
): 'group' | 'more' | 'broken' {
  if (at + GROUP_HEADER > limit) {
    into.next = at + GROUP_HEADER;
    return 'more';
  }
  if (bytes.readUInt32LE(at) !== tag.readUInt32LE(0) || bytes.readUInt32LE(at + 4) !== tag.readUInt32LE(4))
    return 'broken';
  const length = bytes.readUInt32LE(at + 12);
  if (length > MOST_GROUP_BYTES) return 'broken';
  into.start = at + GROUP_HEADER;
  into.end = into.start + length;
  into.next = at + ((GROUP_HEADER + length + 7) & ~7);
  if (into.next > limit) return 'more';
  if (crc32(bytes.subarray(at + 12, into.end)) !== bytes.readUInt32LE(at + 8)) return 'broken';
  into.sequence = readSequence(bytes, at + 16);
  into.durable = into.sequence - bytes.readUInt32LE(at + 24);
  into.changes = bytes.readUInt32LE(at + 28);
  return 'group';
}

/** Hands the changes of a group to `visitor`; false when they aren't well formed (although their checksum is right). */
export function readChanges(bytes: Buffer, group: GroupFound, visitor: ChangeVisitor): boolean {
  let at = group.start;
  const { end } = group;
  for (let n = 0; n < group.changes; n += 1) {
    const kind = bytes[at];
    if (kind === PUT && at + 9 <= end) {
      const start = at + 9;
      at = start + bytes.readUInt32LE(at + 5);
      if (at > end) return false;
      visitor.put(bytes.readUInt32LE(start - 8), bytes, start, at);
    } else if (kind === DELETE && at + 5 <= end) {
      visitor.delete(bytes.readUInt32LE(at + 1));
      at += 5;
    } else if (kind === SET_META && at + 6 <= end) {
      const name = at + 6;
      const value = name + (bytes[at + 1] as number);
      at = value + bytes.readUInt32LE(at + 2);
      if (at > end) return false;
      visitor.setMeta(bytes.toString('utf8', name, value), Buffer.from(bytes.subarray(value, at)));
    } else if (kind === REMOVE_META && at + 2 <= end) {
      const name = at + 2;
      at = name + (bytes[at + 1] as number);
      if (at > end) return false;
      visitor.setMeta(bytes.toString('utf8', name, at), undefined);
    } else {
      return false;
    }
  }
  return at === end;
}

/** Sequence numbers are counted in doubles: 2^53 of them at a million a second last 285 years. */
function writeSequence(bytes: Buffer, sequence: number, at: number): void {
  bytes.writeUInt32LE(sequence >>> 0, at);
  bytes.writeUInt32LE(Math.floor(sequence / 2 ** 32), at + 4);
}

function readSequence(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}
