/** The shapes of the record store that others use; `store.ts` makes one. Must not know what a record means. */
import type { Clock } from '../../base/clock.ts';
import type { Files } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';

/** A record's number, given by the store: 1 to 2^32 - 2. 0 never is one. Numbers of deleted records are given again. */
export type RecordId = number;

/**
 * Where a record's bytes stand: `buffer[start..end)`. Valid until the caller gives control back to the event loop (afterwards the store may move the
 * bytes); never to be written to. `store.read` fills an object the caller keeps, so a look-up allocates nothing.
 */
export interface BlobView {
  buffer: Buffer;
  start: number;
  end: number;
}

export type Visitor = (id: RecordId, buffer: Buffer, start: number, end: number) => void;

/**
 * Called once: without an error when the change is on the disk; with one when it never will be (`store.write-failed`, `store.closed`; `store.full`: it was
 * undone, others may be taken later).
 */
export type OnDurable = (error?: Error) => void;

/**
 * A group of changes: all of them survive a crash or none does. Each change is visible in memory at once, to everybody. One batch is open
 * at a time, and it is begun and ended within one turn of the event loop (no `await` between): a second `begin` throws `internal`.
 */
export interface Batch {
  /** Stores a new record, a copy of `bytes[start..end)`, under a number of the store's choice. */
  add(bytes: Uint8Array, start?: number, end?: number): RecordId;
  /** Replaces an existing record; the bytes may be the store's own (a view of another record). */
  put(id: RecordId, bytes: Uint8Array, start?: number, end?: number): void;
  /** Deletes an existing record. */
  delete(id: RecordId): void;
  /** Sets a named value, or removes it (`undefined`). Names: up to 255 bytes of UTF-8. */
  setMeta(name: string, bytes: Uint8Array | undefined): void;
  /** Why `commit` would refuse this batch as it is now (`store.full`, `store.write-failed`, `store.closed`). */
  readonly refusal: Error | undefined;
  /** Undoes every change of this batch. */
  rollback(): void;
  /**
   * Ends the batch. `onDurable` is called later, never within this call; batches become durable in the order of their commits. An empty batch is
   * durable when everything committed before it is.
   */
  commit(onDurable: OnDurable): void;
  commit(): Promise<void>;
}

export interface RecordStore extends AsyncDisposable {
  /** Number of records. */
  readonly size: number;
  /** Above every record number in use. */
  readonly idLimit: number;
  /** Bytes committed and not yet durable: for back-pressure. */
  readonly pendingBytes: number;

  /** Fills `into` and returns true, or returns false when there is no such record. */
  read(id: RecordId, into: BlobView): boolean;
  has(id: RecordId): boolean;
  /** A named value; not to be written to. */
  getMeta(name: string): Buffer | undefined;
  metaNames(): string[];
  /** Visits every record in the order of numbers, in one go. */
  scan(visit: Visitor): void;
  /** The first record number above `after` in use; 0 when there is none. For scans cut into slices. */
  nextId(after: RecordId): RecordId;
  /**
   * From now on numbers of records deleted later are not given to others, until the returned function is called: for whoever keeps record
   * numbers over several turns of the event loop.
   */
  holdIds(): () => void;

  begin(): Batch;
  /** Resolves when everything committed so far is durable. */
  flush(): Promise<void>;
  /** Writes a snapshot now (or joins the one under way) and removes the journal it replaces. */
  snapshot(): Promise<void>;
  /**
   * Brings the live records together in as few slabs as they need, writes a snapshot and removes the journals it replaces. Throws what `snapshot`
   * does (the store stays at work), `store.write-failed`, `store.closed`.
   */
  compact(): Promise<CompactReport>;
  /**
   * Copies everything committed so far into `folder` (missing or empty) while changes go on; flushed, and read back. `checkBackup` and `restoreBackup` take
   * it from there. Throws `refused`, `file.unwritable` (nothing of it is left then), `store.damaged` (of this store), `store.closed`.
   */
  backup(folder: string): Promise<BackupReport>;
  /** Reads the files again while the store is in use and checks every checksum. Throws `store.damaged`. */
  verify(): Promise<VerifyReport>;
  stats(): StoreStats;
  /** Flushes, closes the files and gives up the lock. Later commits fail with `store.closed`. */
  close(): Promise<void>;
}

export interface VerifyReport {
  /** Records in the snapshot, and groups in the journals. */
  readonly records: number;
  readonly groups: number;
  /** Bytes read and checked. */
  readonly bytes: number;
}

export interface CompactReport {
  readonly slabBytesBefore: number;
  readonly slabBytes: number;
  readonly journalBytesBefore: number;
  /** Bytes of groups written since the snapshot was begun. */
  readonly journalBytes: number;
  readonly snapshotBytes: number;
  readonly durationMs: number;
}

export interface BackupReport extends VerifyReport {
  readonly folder: string;
  /** When it was begun, milliseconds since 1970: it holds everything acknowledged before. */
  readonly time: number;
  readonly durationMs: number;
}

export interface SlabStats {
  readonly bytes: number;
  /** Bytes of records in use, and of versions and records that are no more; the rest is room. */
  readonly liveBytes: number;
  readonly deadBytes: number;
}

export interface StoreStats {
  readonly records: number;
  /** Bytes of blobs, without overhead. */
  readonly blobBytes: number;
  /** Bytes of slabs: blobs, their headers, garbage, and room. */
  readonly slabBytes: number;
  /** Bytes in slabs of versions and records that are no more. */
  readonly garbageBytes: number;
  /** Each slab, in no order. */
  readonly slabs: readonly SlabStats[];
  /** Bytes of tables kept beside the slabs. */
  readonly tableBytes: number;
  /** Bytes of groups in the journals since the last snapshot began. */
  readonly journalBytes: number;
  readonly journalGroups: number;
  /** Number of write-and-flush rounds since the store was opened. */
  readonly flushes: number;
  /** Milliseconds since the last complete snapshot was begun; undefined when there is none yet. */
  readonly snapshotAgeMs: number | undefined;
  readonly snapshotBytes: number;
  /** The disk is full and changes are refused. */
  readonly full: boolean;
  /** What recovery found when the store was opened. */
  readonly recovery: RecoveryReport;
}

export interface RecoveryReport {
  /** Records read from the snapshot. */
  readonly snapshotRecords: number;
  /** Groups of the journal that were applied. */
  readonly groups: number;
  /** Bytes of a last write that never was whole (so never acknowledged), cut off; 0 after an orderly end. */
  readonly bytesCut: number;
  readonly durationMs: number;
}

export interface StoreOptions {
  /** Its own folder; made when missing. */
  folder: string;
  files: Files;
  clock: Clock;
  random: Random;
  log?: Log;
  /**
   * Called once when a write or flush of the journal has failed (`store.write-failed`): nothing becomes durable any more, and the process should
   * stop; memory may be ahead of the disk. What was in flight may or may not be found at the next start.
   */
  onFatal?: (error: Error) => void;
  /**
   * What to do when the disk is full: `refuse` changes (they are undone, `store.full`) and go on with all else until there is room again, or
   * `stop` as with any failed write, for an owner who cannot undo. `refuse` unless told.
   */
  whenFull?: 'refuse' | 'stop';
  /** Keeps a second process out of the folder; `lockFolder` of base when the files are the system's, nothing with other file layers. */
  lock?: (folder: string) => Promise<{ release(): Promise<void> }>;
  /** Sizes, for tests and benchmarks. */
  tuning?: Partial<StoreTuning>;
}

export interface StoreTuning {
  /** A power of two. Also bounds the longest record. */
  slabBytes: number;
  /**
   * Zeros are written ahead of the journal's end in steps of this many bytes, until there are four steps of them; 0: not at all. A change that is larger
   * than what is there when the disk is full ends the store (`store.write-failed`).
   */
  preallocateBytes: number;
  /** A snapshot is due when the journal exceeds both this ... */
  snapshotJournalBytes: number;
  /** ... and this share of the bytes of all records. */
  snapshotJournalShare: number;
  /** Bytes of records a part (with a checksum of its own) of a snapshot has at most, unless one record is longer. */
  snapshotChunkBytes: number;
}
