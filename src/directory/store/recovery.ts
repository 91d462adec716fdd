/**
 * Fills memory from the files of a folder: the newest snapshot, then every journal from its number on. A torn last write is cut off;
 * anything else that doesn't add up is `store.damaged`, and nothing is served.
 */
import { join } from 'node:path';
import { PosternError } from '../../base/error.ts';
import type { OpenFile } from '../../base/files.ts';
import type { RecordMemory } from './batch.ts';
import type { RecoveryReport } from './contract.ts';
import { damaged, HEADER_BYTES, journalName, snapshotName, sortNames } from './file-format.ts';
import { createJournal, type JournalFile, type JournalPlace } from './journal.ts';
import { type ChangeVisitor, readChanges } from './journal-format.ts';
import { type JournalEnd, readJournal } from './journal-read.ts';
import { loadSnapshot, readOutline, type SnapshotFound } from './snapshot-read.ts';

export interface Recovered {
  /** The journal to go on in. */
  readonly journal: JournalFile;
  /** Number of the last group. */
  readonly sequence: number;
  /** Identity of the store. */
  readonly store: Buffer;
  readonly snapshot: { readonly size: number; readonly time: number } | undefined;
  /** Bytes of groups in the journals. */
  readonly journalBytes: number;
  readonly report: RecoveryReport;
}

interface OpenedJournal {
  readonly file: OpenFile;
  readonly path: string;
  readonly number: number;
  readonly end: JournalEnd;
}

/** Throws `store.damaged`, or what the file layer throws. The folder must exist; `memory` must be empty, it is worth nothing after a failure. */
export async function recover(place: JournalPlace, memory: RecordMemory): Promise<Recovered> {
  const { files, folder, clock } = place;
  const begun = clock.monotonic();
  const names = sortNames(await files.list(folder));
  for (const name of names.unfinished) await files.remove(join(folder, name));
  // A process that was killed may have left names that aren't durable; what follows relies on them.
  await files.syncFolder(folder);
  if (names.snapshots.length === 0 && names.journals.length === 0) return startEmpty(place);
  const base = names.snapshots.at(-1) ?? 0;
  const numbers = names.journals.filter((number) => number >= base);
  if (names.snapshots.length === 0 && numbers[0] !== 0) {
    throw damaged(
      join(folder, snapshotName(numbers[0] ?? 0)),
      0,
      'the snapshot that the journals build on is missing',
    );
  }
  const snapshot = names.snapshots.length === 0 ? undefined : await load(place, base, memory);
  const snapshotRecords = memory.heap.records;
  const replay = new Replay(memory, snapshot?.trailer.idLimit ?? 1);
  const journals = await openJournals(place, base, numbers, snapshot, replay);
  const last = journals.pop() as OpenedJournal;
  try {
    if (last.end.sequence < (snapshot?.trailer.sequence ?? 0)) {
      throw damaged(last.path, last.end.offset, 'changes that the snapshot builds on are missing');
    }
    await settle([...journals, last]);
    for (const number of names.snapshots.slice(0, -1)) await files.remove(join(folder, snapshotName(number)));
    for (const number of names.journals)
      if (number < base) await files.remove(join(folder, journalName(number)));
    for (const { file } of journals.splice(0)) await file.close();
  } catch (error) {
    for (const { file } of [...journals, last]) await file.close().catch(() => {});
    throw error;
  }
  memory.ids.restore(replay.idLimit, (id) => memory.heap.address(id) !== 0);
  const { end, file, path, number } = last;
  return {
    journal: {
      file,
      path,
      number,
      tag: end.tag,
      offset: end.offset,
      size: end.torn > 0 ? end.offset : end.size,
    },
    sequence: end.sequence,
    store: end.store,
    snapshot,
    journalBytes: replay.bytes,
    report: {
      snapshotRecords,
      groups: replay.groups,
      bytesCut: replay.torn,
      durationMs: clock.monotonic() - begun,
    },
  };
}

export function unwritable(folder: string, cause: unknown): PosternError {
  return new PosternError('file.unwritable', 'no store can be made here', {
    cause,
    fields: { folder },
    hint: 'check space on the disk, and owner and permissions of the folder',
  });
}

async function startEmpty(place: JournalPlace): Promise<Recovered> {
  const store = place.random.bytes(16);
  return {
    journal: await createJournal(place, 0, store).catch((error: unknown) => {
      throw unwritable(place.folder, error);
    }),
    sequence: 0,
    store,
    snapshot: undefined,
    journalBytes: 0,
    report: { snapshotRecords: 0, groups: 0, bytesCut: 0, durationMs: 0 },
  };
}

async function load(place: JournalPlace, number: number, memory: RecordMemory): Promise<SnapshotFound> {
  const path = join(place.folder, snapshotName(number));
  const file = await place.files.open(path, 'read');
  try {
    const found = await readOutline(file, path, number);
    await loadSnapshot(file, path, found, memory);
    return found;
  } finally {
    await file.close();
  }
}

/** Replays the journals from `base` on; they must be there without a gap. All are left open, or (when it throws) none. */
async function openJournals(
  place: JournalPlace,
  base: number,
  numbers: readonly number[],
  snapshot: SnapshotFound | undefined,
  replay: Replay,
): Promise<OpenedJournal[]> {
  const opened: OpenedJournal[] = [];
  const last = Math.max(base, numbers.at(-1) ?? base);
  let file: OpenFile | undefined;
  try {
    for (let number = base; number <= last; number += 1) {
      const path = join(place.folder, journalName(number));
      if (!numbers.includes(number)) throw damaged(path, 0, 'a journal is missing');
      const before = opened.at(-1);
      file = await place.files.open(path, 'write');
      const source = {
        file,
        path,
        number,
        store: before?.end.store ?? snapshot?.store,
        after: before?.end.sequence ?? snapshot?.after ?? 0,
        previous: before === undefined ? undefined : { path: before.path, offset: before.end.offset },
      };
      const end = await readJournal(source, (bytes, group) => readChanges(bytes, group, replay));
      opened.push({ file, path, number, end });
      file = undefined;
      replay.add(end);
    }
    return opened;
  } catch (error) {
    await file?.close().catch(() => {});
    for (const journal of opened) await journal.file.close().catch(() => {});
    throw error;
  }
}

/**
 * What was found must not be lost later. A killed process may not have flushed its last write; worse, after a failed flush the system shows
 * bytes as written that aren't on the disk: so the last write is written again. And the bytes of a torn one must never be read again.
 */
async function settle(journals: readonly OpenedJournal[]): Promise<void> {
  for (const { file, end } of journals) {
    if (end.torn > 0) await file.truncate(end.offset);
    const last = Buffer.allocUnsafe(end.offset - end.unproved);
    await file.read(last, end.unproved);
    await file.write(last, end.unproved);
    await file.datasync();
  }
}

class Replay implements ChangeVisitor {
  readonly #memory: RecordMemory;
  idLimit: number;
  groups = 0;
  bytes = 0;
  torn = 0;

  constructor(memory: RecordMemory, idLimit: number) {
    this.#memory = memory;
    this.idLimit = idLimit;
  }

  put(id: number, bytes: Buffer, start: number, end: number): void {
    if (id >= this.idLimit) this.idLimit = id + 1;
    this.#memory.heap.put(id, bytes, start, end);
  }

  delete(id: number): void {
    if (this.#memory.heap.address(id) !== 0) this.#memory.heap.point(id, 0);
  }

  setMeta(name: string, bytes: Buffer | undefined): void {
    if (bytes === undefined) this.#memory.meta.delete(name);
    else this.#memory.meta.set(name, bytes);
  }

  add(end: JournalEnd): void {
    this.groups += end.groups;
    this.bytes += end.offset - HEADER_BYTES;
    this.torn += end.torn;
  }
}
