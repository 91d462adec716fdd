/**
 * Writes the journal by group commit: while one write and flush is under way, the next groups gather; those who committed are told after
 * the flush. A failed write or flush ends it for good: after a failed flush nobody knows what the disk holds, so it is never tried again.
 */
import { join } from 'node:path';
import { type Clock, yieldToLoop } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import type { Files, OpenFile } from '../../base/files.ts';
import type { Random } from '../../base/random.ts';
import type { GroupSink } from './batch.ts';
import type { OnDurable } from './contract.ts';
import { encodeHeader, HEADER_BYTES, JOURNAL_MAGIC, journalName } from './file-format.ts';
import { GroupBuffer } from './journal-format.ts';

/** Steps of zeros ahead of the journal's end below which another one is written. */
const AHEAD = 3;
/** The group that says that all before it is whole. */
const CLOSING_BYTES = 64;

/** A journal file that can be appended to. */
export interface JournalFile {
  readonly file: OpenFile;
  readonly path: string;
  readonly number: number;
  readonly tag: Buffer;
  /** Where the next group belongs. */
  offset: number;
  /** The file's size; zeros from `offset` on. */
  size: number;
}

export interface JournalPlace {
  files: Files;
  folder: string;
  clock: Clock;
  random: Random;
}

/** Makes journal `number`, empty; it is there, durably, or not at all. */
export async function createJournal(
  place: JournalPlace,
  number: number,
  store: Buffer,
): Promise<JournalFile> {
  const { files, folder, clock, random } = place;
  const path = join(folder, journalName(number));
  const tag = random.bytes(8);
  await files.remove(`${path}.new`);
  const file = await files.open(`${path}.new`, 'create');
  try {
    await file.write(encodeHeader(JOURNAL_MAGIC, { number, store, tag, sequence: 0, time: clock.now() }), 0);
    await file.datasync();
    await files.rename(`${path}.new`, path);
    await files.syncFolder(folder);
  } catch (error) {
    await file.close();
    throw error;
  }
  return { file, path, number, tag, offset: HEADER_BYTES, size: HEADER_BYTES };
}

export interface JournalOptions {
  /** The sequence number of the last group in it. */
  sequence: number;
  preallocateBytes: number;
  /** See `StoreOptions`. */
  whenFull: 'refuse' | 'stop';
  /** Called when the disk is found full, and with nothing when there is room again. */
  onFull: (error: Error | undefined) => void;
  onFatal: (error: Error) => void;
  /** Called after each round, when those who waited have been told. */
  afterRound: () => void;
}

export class Journal implements GroupSink {
  readonly #options: JournalOptions;
  #current: JournalFile;
  #next:
    | { journal: JournalFile; begun: (sequence: number) => void; failed: (error: Error) => void }
    | undefined;
  #gathering = new GroupBuffer();
  #writing = new GroupBuffer();
  #waiting: OnDurable[] = [];
  #told: OnDurable[] = [];
  readonly #zeros: Buffer;
  #running = false;
  #stopped: Error | undefined;
  #full: Error | undefined;
  #roomWanted = false;
  #sequence: number;
  #durable: number;
  #writingBytes = 0;

  flushes = 0;
  /** Groups and their bytes written since this object was made. */
  groups = 0;
  bytes = 0;

  constructor(current: JournalFile, options: JournalOptions) {
    this.#current = current;
    this.#options = options;
    this.#sequence = options.sequence;
    this.#durable = options.sequence;
    this.#zeros = Buffer.alloc(options.preallocateBytes);
  }

  /** Why nothing can be committed any more. */
  get stopped(): Error | undefined {
    return this.#stopped;
  }

  get isFull(): boolean {
    return this.#full !== undefined;
  }

  /** On a full disk there is still room for what fits into the zeros written ahead. */
  get refusal(): Error | undefined {
    if (this.#stopped !== undefined || this.#full === undefined) return this.#stopped;
    if (this.#gathering.changes === 0 || this.#fits(CLOSING_BYTES)) return undefined;
    this.#roomWanted = true;
    this.#start();
    return this.#full;
  }

  get current(): Readonly<JournalFile> {
    return this.#current;
  }

  /** Sequence number of the last group committed, and of the last one on the disk. */
  get sequence(): number {
    return this.#sequence;
  }

  get durable(): number {
    return this.#durable;
  }

  get pendingBytes(): number {
    return this.#gathering.length + this.#writingBytes;
  }

  /** True when there are zeros for everything committed or being made, and `more` bytes. */
  #fits(more: number): boolean {
    const { offset, size } = this.#current;
    return offset + this.#writingBytes + this.#gathering.total + more <= size;
  }

  put(id: number, bytes: Uint8Array, start: number, end: number): void {
    this.#gathering.put(id, bytes, start, end);
  }

  delete(id: number): void {
    this.#gathering.delete(id);
  }

  setMeta(name: Buffer, bytes: Uint8Array | undefined): void {
    this.#gathering.setMeta(name, bytes);
  }

  endGroup(onDurable: OnDurable): void {
    if (this.#gathering.changes > 0) {
      this.#sequence += 1;
      this.#gathering.end(this.#sequence);
    }
    this.#waiting.push(onDurable);
    this.#start();
  }

  dropGroup(): void {
    this.#gathering.drop();
  }

  /** Resolves when everything committed so far is on the disk. */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#stopped !== undefined) return reject(this.#stopped);
      this.#waiting.push((error) => (error === undefined ? resolve() : reject(error)));
      this.#start();
    });
  }

  /**
   * Goes on in another file; resolves with the last sequence number before it. From then on the new file belongs to this object, and the former
   * one is closed.
   */
  rotate(journal: JournalFile): Promise<number> {
    return new Promise((begun, failed) => {
      if (this.#stopped !== undefined) return failed(this.#stopped);
      this.#next = { journal, begun, failed };
      this.#start();
    });
  }

  /** Writes what is gathered, then a last group that says that all before it is whole, and closes the file. Later groups get `refusal`. */
  async close(refusal: Error): Promise<void> {
    try {
      const drained = this.flush();
      this.#stopped ??= refusal;
      await drained;
      this.#gathering.drop();
      // On a full disk there may be no room for it: the next start takes that for a kill.
      if (this.#full === undefined || this.#fits(CLOSING_BYTES)) {
        this.#sequence += 1;
        this.#gathering.end(this.#sequence);
        await this.#write();
      }
      // Zeros may come back after a power loss: they are no harm, so this is not flushed.
      await this.#current.file.truncate(this.#current.offset);
    } finally {
      await this.#current.file.close();
    }
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    // Everybody who commits in this turn of the event loop shares the first write.
    await yieldToLoop();
    while (this.#waiting.length > 0 || this.#next !== undefined || this.#roomWanted) {
      [this.#told, this.#waiting] = [this.#waiting, this.#told];
      try {
        await this.#changeFile();
        await this.#write();
        if (this.#roomWanted) await this.ensureRoom();
      } catch (error) {
        this.#fail(error);
        return;
      }
      for (const tell of this.#told) call(tell, undefined);
      this.#told.length = 0;
      this.#options.afterRound();
    }
    this.#running = false;
  }

  async #changeFile(): Promise<void> {
    if (this.#next === undefined) return;
    const { journal, begun } = this.#next;
    this.#next = undefined;
    const former = this.#current;
    this.#current = journal;
    begun(this.#durable);
    await former.file.close();
  }

  async #write(): Promise<void> {
    const writing = this.#gathering;
    if (writing.groups === 0) return;
    const last = this.#sequence;
    this.#gathering = this.#writing;
    this.#writing = writing;
    writing.moveOn(this.#gathering);
    writing.seal(this.#current.tag, this.#durable);
    this.#writingBytes = writing.length;
    const journal = this.#current;
    const end = journal.offset + writing.length;
    const bytes = writing.bytes.subarray(0, writing.length);
    if (end + AHEAD * this.#zeros.length <= journal.size) {
      await journal.file.writeThrough(bytes, journal.offset);
    } else {
      await journal.file.write(bytes, journal.offset);
      journal.size = Math.max(journal.size, end);
      await this.#preallocate(journal);
      await journal.file.datasync();
    }
    journal.offset = end;
    this.#durable = last;
    this.flushes += 1;
    this.groups += writing.groups;
    this.bytes += writing.length;
    this.#writingBytes = 0;
    writing.clear();
  }

  /** Looks whether there is room for more groups, before any comes or after one was refused; `journal`: one that will be gone on in. Returns why there is none. */
  async ensureRoom(journal = this.#current): Promise<Error | undefined> {
    this.#roomWanted = false;
    if (journal.size - journal.offset >= this.#zeros.length) return undefined;
    await this.#preallocate(journal);
    return this.#full;
  }

  /**
   * Overwriting zeros takes the disk less than growing a file, and a full disk is met while there still is room for what has been committed. Space for zeros is
   * the system's promise once they are written; the next flush makes it good.
   */
  async #preallocate(journal: JournalFile): Promise<void> {
    if (this.#zeros.length === 0) return;
    try {
      await journal.file.write(this.#zeros, journal.size);
      journal.size += this.#zeros.length;
      if (this.#full === undefined) return;
      this.#full = undefined;
      this.#options.onFull(undefined);
    } catch (cause) {
      // Other failures will be met again by a group, or were none of its business.
      if (this.#options.whenFull === 'stop' || !isFull(cause) || this.#full !== undefined) return;
      this.#full = new PosternError('store.full', 'no space left on the disk: changes are refused', {
        cause,
        fields: { file: journal.path },
        hint: 'free space on the disk; what is stored is safe, and changes are taken again by themselves',
      });
      this.#options.onFull(this.#full);
    }
  }

  #fail(cause: unknown): void {
    const error = new PosternError('store.write-failed', 'the journal cannot be written', {
      cause,
      fields: { file: this.#current.path },
      hint: 'see to the disk (space, errors), then start the service again: what was acknowledged is on the disk',
    });
    this.#stopped = error;
    this.#next?.failed(error);
    this.#next = undefined;
    this.#options.onFatal(error);
    for (const tell of [...this.#told.splice(0), ...this.#waiting.splice(0)]) call(tell, error);
  }
}

function isFull(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** A listener's own failure must not look like a failure of the disk. */
function call(tell: OnDurable, error: Error | undefined): void {
  try {
    tell(error);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}
