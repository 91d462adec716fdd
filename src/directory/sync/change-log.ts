/**
 * Which entries changed, moved or went since a position, for the delete phase (RFC 4533 §3.3.2): 31 bytes a change, the oldest giving way to the
 * newest. It knows UUIDs and positions, not entries. Memory is taken as it is needed.
 */
import { PosternError } from '../../base/error.ts';
import type { ChangeNumber } from '../database.ts';
import { isAfter } from './cookie.ts';

/** What happened to an entry; its own content or name, or only the name of an entry above it. */
const CHANGED = 0;
const MOVED = 1;
const BELOW_MOVED = 2;
type Kind = typeof CHANGED | typeof MOVED | typeof BELOW_MOVED;

export interface ChangesSince {
  /** Entry UUIDs, latin1. */
  readonly uuids: Set<string>;
  /** Names that entries had before they were renamed, as hashes. */
  readonly left: readonly { readonly uuid: string; readonly name: number }[];
}

const FIRST_ROWS = 1024;
/** Bytes of a row when it is saved: time 6, count 4, UUID 16, kind 1, name 4. */
const ROW = 31;
const HEAD = 21;
const VERSION = 1;
const UUID = 16;

export class ChangeLog {
  readonly #capacity: number;
  #times = new Float64Array(0);
  #counts = new Uint32Array(0);
  #names = new Uint32Array(0);
  #kinds = new Uint8Array(0);
  #uuids: Buffer = Buffer.alloc(0);
  /** Rows ever written since `#floor` was set anew; row n stands at n modulo the capacity. */
  #written = 0;
  /** Everything after this is in the log. */
  #floor: ChangeNumber;
  /** After this, entries have other names although they did not change themselves: only what the log holds says which. */
  #namesFloor: ChangeNumber = { time: 0, count: 0 };

  /** `capacity` 0: nothing is remembered. `floor`: the directory's position now. */
  constructor(capacity: number, floor: ChangeNumber) {
    this.#capacity = capacity;
    this.#floor = floor;
  }

  get capacity(): number {
    return this.#capacity;
  }

  get bytes(): number {
    return this.#kinds.length * ROW;
  }

  /** `uuid`: at `at` in `from`. `leftName`: hash of the name that a renamed entry had. */
  add(from: Buffer, at: number, change: ChangeNumber, leftName?: number): void {
    this.#add(from, at, change, leftName === undefined ? CHANGED : MOVED, leftName ?? 0);
  }

  /** An entry has another name because one above it has. */
  addBelow(from: Buffer, at: number, change: ChangeNumber): void {
    this.#add(from, at, change, BELOW_MOVED, 0);
  }

  /** More has happened than is remembered: positions before this one are worth nothing. */
  forget(change: ChangeNumber): void {
    this.#written = 0;
    this.#floor = change;
    this.#namesFloor = change;
  }

  /** False when a consumer at that position has to get everything. */
  reaches(position: ChangeNumber): boolean {
    return !isAfter(this.#namesFloor, position);
  }

  /** What happened after a position; undefined when the log does not reach back to it. */
  since(position: ChangeNumber): ChangesSince | undefined {
    if (isAfter(this.#floor, position)) return undefined;
    const uuids = new Set<string>();
    const left: { uuid: string; name: number }[] = [];
    const oldest = Math.max(0, this.#written - this.#capacity);
    for (let n = this.#written - 1; n >= oldest; n--) {
      const row = n % this.#capacity;
      if (!isAfter(this.#position(row), position)) break;
      const uuid = this.#uuids.toString('latin1', row * UUID, row * UUID + UUID);
      uuids.add(uuid);
      if (this.#kinds[row] === MOVED) left.push({ uuid, name: this.#names[row] as number });
    }
    return { uuids, left };
  }

  #position(row: number): ChangeNumber {
    return { time: this.#times[row] as number, count: this.#counts[row] as number };
  }

  #add(from: Buffer, at: number, change: ChangeNumber, kind: Kind, name: number): void {
    if (this.#capacity === 0) {
      this.#floor = change;
      if (kind === BELOW_MOVED) this.#namesFloor = change;
      return;
    }
    const row = this.#written % this.#capacity;
    if (this.#written >= this.#capacity) {
      this.#floor = this.#position(row);
      if (this.#kinds[row] === BELOW_MOVED) this.#namesFloor = this.#floor;
    }
    if (row >= this.#kinds.length) this.#grow();
    this.#times[row] = change.time;
    this.#counts[row] = change.count;
    this.#names[row] = name;
    this.#kinds[row] = kind;
    from.copy(this.#uuids, row * UUID, at, at + UUID);
    this.#written++;
  }

  #grow(): void {
    const rows = Math.min(this.#capacity, Math.max(FIRST_ROWS, this.#kinds.length * 2));
    const grown = <T extends Float64Array | Uint32Array | Uint8Array>(next: T, old: T): T => {
      next.set(old);
      return next;
    };
    this.#times = grown(new Float64Array(rows), this.#times);
    this.#counts = grown(new Uint32Array(rows), this.#counts);
    this.#names = grown(new Uint32Array(rows), this.#names);
    this.#kinds = grown(new Uint8Array(rows), this.#kinds);
    const uuids = Buffer.alloc(rows * UUID);
    this.#uuids.copy(uuids);
    this.#uuids = uuids;
  }

  /** For `load`, in another process. */
  save(): Buffer {
    const oldest = Math.max(0, this.#written - this.#capacity);
    const bytes = Buffer.alloc(HEAD + (this.#written - oldest) * ROW);
    bytes[0] = VERSION;
    writePosition(bytes, 1, this.#floor);
    writePosition(bytes, 11, this.#namesFloor);
    let at = HEAD;
    for (let n = oldest; n < this.#written; n++, at += ROW) {
      const row = n % this.#capacity;
      writePosition(bytes, at, this.#position(row));
      this.#uuids.copy(bytes, at + 10, row * UUID, row * UUID + UUID);
      bytes[at + 26] = this.#kinds[row] as number;
      bytes.writeUInt32LE(this.#names[row] as number, at + 27);
    }
    return bytes;
  }

  /** What `save` has saved; undefined for anything else. */
  static load(bytes: Buffer, capacity: number): ChangeLog | undefined {
    if (bytes.length < HEAD || bytes[0] !== VERSION || (bytes.length - HEAD) % ROW !== 0) return undefined;
    const log = new ChangeLog(capacity, readPosition(bytes, 1));
    log.#namesFloor = readPosition(bytes, 11);
    for (let at = HEAD; at < bytes.length; at += ROW) {
      const kind = bytes[at + 26] as number;
      if (kind > BELOW_MOVED) return undefined;
      log.#add(bytes, at + 10, readPosition(bytes, at), kind as Kind, bytes.readUInt32LE(at + 27));
    }
    return log;
  }
}

function writePosition(bytes: Buffer, at: number, { time, count }: ChangeNumber): void {
  if (time >= 2 ** 48) throw new PosternError('internal', 'a time beyond all clocks');
  bytes.writeUIntLE(time, at, 6);
  bytes.writeUInt32LE(count, at + 6);
}

function readPosition(bytes: Buffer, at: number): ChangeNumber {
  return { time: bytes.readUIntLE(at, 6), count: bytes.readUInt32LE(at + 6) };
}
