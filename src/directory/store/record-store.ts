/** The record store on files: wires memory, journal and snapshots together and decides when snapshots and compaction are due. */
import { join } from 'node:path';
import { yieldToLoop } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import { systemFiles } from '../../base/files.ts';
import { lockFolder } from '../../base/folder-lock.ts';
import { silentLog, type Log } from '../../base/log.ts';
import { RecordMemory, StoreBatch } from './batch.ts';
import { writeBackup } from './backup.ts';
import type {
  BackupReport,
  Batch,
  BlobView,
  CompactReport,
  RecordId,
  RecordStore,
  StoreOptions,
  StoreStats,
  StoreTuning,
  VerifyReport,
  Visitor,
} from './contract.ts';
import { sortNames } from './file-format.ts';
import { createJournal, Journal } from './journal.ts';
import { withNamedReads } from './named-reads.ts';
import { recover, type Recovered, unwritable } from './recovery.ts';
import { writeSnapshot } from './snapshot-write.ts';
import { verifyFiles } from './verify.ts';

const MiB = 1024 * 1024;
const TUNING: StoreTuning = {
  slabBytes: 8 * MiB,
  preallocateBytes: 1 * MiB,
  snapshotJournalBytes: 16 * MiB,
  snapshotJournalShare: 0.5,
  snapshotChunkBytes: 1 * MiB,
};
/** Bytes moved in one slice of compaction: about a quarter of a millisecond. */
const COMPACT_SLICE = 256 * 1024;

/**
 * Opens the store in `options.folder`, an empty one when nothing is there. Throws `folder.in-use`, `store.damaged` (with file and offset),
 * `file.unreadable`, `file.unwritable`.
 */
export async function openStore(options: StoreOptions): Promise<RecordStore> {
  const { folder, clock, random } = options;
  const files = withNamedReads(options.files);
  const log = (options.log ?? silentLog).child('store');
  const tuning = { ...TUNING, ...options.tuning };
  const lock = options.lock ?? (options.files === systemFiles ? lockFolder : undefined);
  await files.makeFolder(folder).catch((error: unknown) => {
    throw unwritable(folder, error);
  });
  const held = await lock?.(folder);
  try {
    const memory = new RecordMemory(tuning.slabBytes);
    const recovered = await recover({ files, folder, clock, random }, memory);
    const { bytesCut } = recovered.report;
    if (bytesCut > 0)
      log.warn('a last write that never was whole was cut off the journal', { folder, bytes: bytesCut });
    const settings = { ...options, files, log, tuning };
    const store = new FileStore(settings, memory, recovered, async () => held?.release());
    await store.prepare();
    return store;
  } catch (error) {
    await held?.release();
    if (error instanceof PosternError) throw error;
    throw new PosternError('file.unwritable', 'the files of the store cannot be brought in order', {
      cause: error,
      fields: { folder },
      hint: 'check space on the disk, and owner and permissions of the folder; nothing was lost',
    });
  }
}

type Settings = Omit<StoreOptions, 'log' | 'tuning'> & { log: Log; tuning: StoreTuning };

class FileStore implements RecordStore {
  readonly #settings: Settings;
  readonly #memory: RecordMemory;
  readonly #recovered: Recovered;
  readonly #journal: Journal;
  readonly #batch: StoreBatch;
  readonly #unlock: () => Promise<void>;
  /** Journal bytes and groups before this process, or (negative) before the last snapshot. */
  #bytesBefore: number;
  #groupsBefore: number;
  /** No snapshot below this many journal bytes: after a failed one. */
  #snapshotNotBelow = 0;
  #snapshotMade: { size: number; time: number } | undefined;
  /** Snapshots and verifications, one after the other. */
  #maintenance: Promise<unknown> = Promise.resolve();
  #snapshotting: Promise<void> | undefined;
  #compacting = false;
  #compacted: Promise<CompactReport> | undefined;
  #closing: Promise<void> | undefined;

  constructor(settings: Settings, memory: RecordMemory, recovered: Recovered, unlock: () => Promise<void>) {
    this.#settings = settings;
    this.#memory = memory;
    this.#recovered = recovered;
    this.#unlock = unlock;
    this.#bytesBefore = recovered.journalBytes;
    this.#groupsBefore = recovered.report.groups;
    this.#snapshotMade = recovered.snapshot;
    this.#journal = new Journal(recovered.journal, {
      sequence: recovered.sequence,
      preallocateBytes: settings.tuning.preallocateBytes,
      whenFull: settings.whenFull ?? 'refuse',
      onFull: (error) => {
        if (error === undefined) settings.log.info('there is space on the disk again: changes are taken');
        else settings.log.error('changes are refused', { error });
      },
      onFatal: (error) => {
        settings.log.error('nothing can be stored any more', { error });
        settings.onFatal?.(error);
      },
      afterRound: () => this.#maintain(),
    });
    this.#batch = new StoreBatch(memory, this.#journal);
  }

  /** A disk that is full already must be known before the first change. */
  async prepare(): Promise<void> {
    await this.#journal.ensureRoom();
  }

  get size(): number {
    return this.#memory.heap.records;
  }

  get idLimit(): number {
    return this.#memory.ids.limit;
  }

  get pendingBytes(): number {
    return this.#journal.pendingBytes;
  }

  read(id: RecordId, into: BlobView): boolean {
    return this.#memory.heap.read(id, into);
  }

  has(id: RecordId): boolean {
    return this.#memory.heap.address(id) !== 0;
  }

  getMeta(name: string): Buffer | undefined {
    return this.#memory.meta.get(name);
  }

  metaNames(): string[] {
    return [...this.#memory.meta.keys()];
  }

  scan(visit: Visitor): void {
    this.#memory.heap.scan(this.#memory.ids.limit, visit);
  }

  nextId(after: RecordId): RecordId {
    return this.#memory.heap.nextId(after, this.#memory.ids.limit);
  }

  holdIds(): () => void {
    return this.#memory.ids.hold();
  }

  begin(): Batch {
    return this.#batch.begin();
  }

  flush(): Promise<void> {
    return this.#journal.flush();
  }

  snapshot(): Promise<void> {
    this.#snapshotting ??= this.#oneByOne(() => this.#writeSnapshot()).finally(() => {
      this.#snapshotting = undefined;
    });
    return this.#snapshotting;
  }

  verify(): Promise<VerifyReport> {
    return this.#oneByOne(async () => {
      await this.#pause();
      // What is on the disk now; the file layer may be writing beyond it.
      const { number, offset } = this.#journal.current;
      return verifyFiles(this.#settings, { number, offset, sequence: this.#journal.durable });
    });
  }

  compact(): Promise<CompactReport> {
    this.#compacted ??= this.#compactAll().finally(() => {
      this.#compacted = undefined;
    });
    return this.#compacted;
  }

  backup(folder: string): Promise<BackupReport> {
    const { files, folder: own, clock } = this.#settings;
    return this.#oneByOne(async () => {
      await this.#pause();
      const source = { files, folder: own, clock, journal: this.#journal, pause: () => this.#pause() };
      return writeBackup(source, folder);
    });
  }

  stats(): StoreStats {
    const { heap, ids } = this.#memory;
    const made = this.#snapshotMade;
    return {
      records: heap.records,
      blobBytes: heap.blobBytes,
      slabBytes: heap.slabMemory,
      garbageBytes: heap.garbage,
      slabs: heap.slabStats(),
      tableBytes: heap.tableBytes + ids.tableBytes,
      journalBytes: this.#journalBytes,
      journalGroups: this.#groupsBefore + this.#journal.groups,
      flushes: this.#journal.flushes,
      snapshotAgeMs: made === undefined ? undefined : this.#settings.clock.now() - made.time,
      snapshotBytes: made?.size ?? 0,
      full: this.#journal.isFull,
      recovery: this.#recovered.report,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #journalBytes(): number {
    return this.#bytesBefore + this.#journal.bytes;
  }

  async #close(): Promise<void> {
    // A snapshot or verification under way gives up at its next pause.
    await this.#maintenance.catch(() => {});
    try {
      await this.#journal.close(closed());
    } finally {
      await this.#unlock();
    }
  }

  #oneByOne<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#maintenance.then(task);
    this.#maintenance = result.catch(() => {});
    return result;
  }

  /** Between two slices of work in the background: resolves when no batch is open, throws when the work should be given up. */
  async #pause(): Promise<void> {
    if (this.#journal.stopped !== undefined) throw this.#journal.stopped;
    if (this.#closing !== undefined) throw closed();
    if (this.#batch.isOpen) await new Promise<void>((resolve) => this.#batch.afterwards(resolve));
  }

  #maintain(): void {
    if (this.#memory.heap.needsCompaction() && !this.#compacting) {
      this.#compacting = true;
      void this.#compact();
    }
    if (this.#snapshotting !== undefined || this.#closing !== undefined || !this.#snapshotDue()) return;
    this.snapshot().catch((error: unknown) => {
      if (this.#closing !== undefined || this.#journal.stopped !== undefined) return;
      this.#snapshotNotBelow = this.#journalBytes * 1.5;
      this.#settings.log.warn('no snapshot could be written; the journal goes on', { error });
    });
  }

  #snapshotDue(): boolean {
    const { snapshotJournalBytes, snapshotJournalShare } = this.#settings.tuning;
    const share = this.#memory.heap.blobBytes * snapshotJournalShare;
    return this.#journalBytes > Math.max(snapshotJournalBytes, share, this.#snapshotNotBelow);
  }

  async #compact(): Promise<void> {
    try {
      do {
        await yieldToLoop();
        await this.#pause();
      } while (this.#memory.heap.compact(COMPACT_SLICE));
    } catch {
      // Closing, or nothing can be stored any more.
    }
    this.#compacting = false;
  }

  async #compactAll(): Promise<CompactReport> {
    const { clock } = this.#settings;
    const { heap } = this.#memory;
    const begun = clock.monotonic();
    const before = this.stats();
    heap.beginCompaction();
    do {
      await yieldToLoop();
      await this.#pause();
    } while (heap.compact(COMPACT_SLICE));
    // One under way may have been begun long ago.
    await this.#snapshotting?.catch(() => {});
    await this.snapshot().catch((error: unknown) => {
      if (error instanceof PosternError) throw error;
      throw new PosternError('file.unwritable', 'no snapshot can be written', {
        cause: error,
        fields: { folder: this.#settings.folder },
        hint: 'a snapshot needs as much space on the disk as all records together; nothing was lost, and the journal goes on',
      });
    });
    const after = this.stats();
    return {
      slabBytesBefore: before.slabBytes,
      slabBytes: after.slabBytes,
      journalBytesBefore: before.journalBytes,
      journalBytes: after.journalBytes,
      snapshotBytes: after.snapshotBytes,
      durationMs: clock.monotonic() - begun,
    };
  }

  async #writeSnapshot(): Promise<void> {
    const { files, folder, clock, random, tuning, log } = this.#settings;
    const { store } = this.#recovered;
    await this.#pause();
    const begun = clock.monotonic();
    const number = this.#journal.current.number + 1;
    const next = await createJournal({ files, folder, clock, random }, number, store);
    const full = await this.#journal.ensureRoom(next);
    const begin = full === undefined ? this.#journal.rotate(next) : Promise.reject(full);
    const after = await begin.catch(async (error: unknown) => {
      await next.file.close().catch(() => {});
      throw error;
    });
    const [bytes, groups, time] = [this.#journal.bytes, this.#journal.groups, clock.now()];
    const size = await writeSnapshot({
      files,
      folder,
      clock,
      memory: this.#memory,
      chunkBytes: Math.min(tuning.snapshotChunkBytes, this.#memory.heap.longestBlob),
      number,
      store,
      tag: random.bytes(8),
      after,
      committed: () => this.#journal.sequence,
      flushJournal: () => this.#journal.flush(),
      pause: () => this.#pause(),
    });
    this.#snapshotMade = { size, time };
    this.#bytesBefore = -bytes;
    this.#groupsBefore = -groups;
    this.#snapshotNotBelow = 0;
    const names = sortNames(await files.list(folder));
    for (const old of names.snapshots) if (old < number) await files.remove(join(folder, `snapshot.${old}`));
    for (const old of names.journals) if (old < number) await files.remove(join(folder, `journal.${old}`));
    log.debug('snapshot written', { number, bytes: size, durationMs: Math.round(clock.monotonic() - begun) });
  }
}

function closed(): PosternError {
  return new PosternError('store.closed', 'the store is closed');
}
