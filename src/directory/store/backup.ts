/**
 * Copies an open store's files to another folder while changes go on, checks such a copy, and makes a store of it again. A copy holds the snapshot,
 * the journals up to what was durable when it was begun, and last of all `backup.json`: without that it is unfinished and never taken for whole.
 * Knows files only, not what is in memory.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { describeError, isPosternError, PosternError } from '../../base/error.ts';
import { type Files, type OpenFile, replaceFile } from '../../base/files.ts';
import type { BackupReport } from './contract.ts';
import { HEADER_BYTES, journalName, snapshotName, sortNames } from './file-format.ts';
import type { Journal } from './journal.ts';
import { GroupBuffer } from './journal-format.ts';
import { withNamedReads } from './named-reads.ts';
import { verifyFiles } from './verify.ts';

export const MANIFEST = 'backup.json';
const FORMAT = 1;
/** Bytes copied between two turns of the event loop: half a millisecond of hashing. */
const PIECE = 256 * 1024;
const MOST_MANIFEST_BYTES = 1024 * 1024;

interface Listed {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface BackupSource {
  readonly files: Files;
  readonly folder: string;
  readonly clock: Clock;
  readonly journal: Journal;
  /** Throws to give up. */
  readonly pause: () => Promise<void>;
}

/** No snapshot may begin or end meanwhile; groups may be written. Throws `refused` (the folder isn't empty), `file.unwritable`, `store.damaged`. */
export async function writeBackup(source: BackupSource, to: string): Promise<BackupReport> {
  const { files, folder, clock, journal } = source;
  const begun = clock.monotonic();
  await needEmpty(files, to, 'the backup');
  await journal.flush();
  // One moment of the journal: all that is durable now, and nothing after it.
  const { number: current, offset, tag } = journal.current;
  const sequence = journal.durable;
  const time = clock.now();
  const names = sortNames(await files.list(folder));
  const base = names.snapshots.at(-1);
  const made: string[] = [];
  const listed: Listed[] = [];
  try {
    const copy = async (name: string, limit?: number, closing?: Buffer): Promise<void> => {
      made.push(name);
      listed.push(await copyFile(source, join(folder, name), join(to, name), limit, closing));
    };
    if (base !== undefined) await copy(snapshotName(base));
    for (let number = base ?? 0; number < current; number += 1) await copy(journalName(number));
    const closing = closingGroup(sequence + 1, tag);
    await copy(journalName(current), offset, closing);
    const end = { number: current, offset: offset + closing.length, sequence: sequence + 1 };
    const report = await verifyFiles({ files, folder: to }, end).catch(async (error: unknown) => {
      // The copy is as good as its source: the source is what must be named.
      await verifyFiles({ files, folder }, { number: current, offset, sequence });
      throw error;
    });
    const content = { format: FORMAT, time, sequence, files: listed };
    const text = `${JSON.stringify({ ...content, check: checkOf(content) }, undefined, 2)}\n`;
    made.push(`.${MANIFEST}.new`, MANIFEST);
    // Its flush of the folder is that of all names.
    await replaceFile(files, join(to, MANIFEST), Buffer.from(text));
    const bytes = listed.reduce((sum, file) => sum + file.bytes, 0);
    return { folder: to, ...report, bytes, time, durationMs: clock.monotonic() - begun };
  } catch (error) {
    for (const name of made) await files.remove(join(to, name)).catch(() => {});
    throw isPosternError(error) ? error : unwritableCopy(to, error);
  }
}

/** Reads a copy and checks every byte of it. Throws `not-found` (no finished backup), `store.damaged`, `file.unreadable`. */
export async function checkBackup(place: {
  files: Files;
  folder: string;
  clock: Clock;
}): Promise<BackupReport> {
  const { folder, clock } = place;
  const files = withNamedReads(place.files);
  const begun = clock.monotonic();
  const { time, sequence, listed } = await readManifest(files, folder);
  let bytes = 0;
  for (const file of listed) {
    const path = join(folder, file.name);
    if (!(await files.exists(path))) throw damagedBackup(path, `${file.name} is missing`);
    const found = await hashFile(files, path);
    if (found.bytes !== file.bytes || found.sha256 !== file.sha256)
      throw damagedBackup(path, `${file.name} is not what was backed up`);
    bytes += file.bytes;
  }
  const last = listed.at(-1);
  const number = sortNames([last?.name ?? '']).journals[0];
  if (last === undefined || number === undefined)
    throw damagedBackup(join(folder, MANIFEST), 'it names no journal');
  const end = { number, offset: last.bytes, sequence: sequence + 1 };
  const report = await verifyFiles({ files, folder }, end);
  return { folder, ...report, bytes, time, durationMs: clock.monotonic() - begun };
}

/**
 * Makes a store of a backup in the folder `to`, which must be missing or empty and in nobody's use. Until it is finished, `to` is empty to whoever opens it, or
 * `store.damaged`. Throws as `checkBackup` does; `refused`, `file.unwritable`.
 */
export async function restoreBackup(
  place: { files: Files; folder: string; clock: Clock },
  to: string,
): Promise<BackupReport> {
  const { folder } = place;
  const files = withNamedReads(place.files);
  const report = await checkBackup(place);
  const { listed } = await readManifest(files, folder);
  await needEmpty(files, to, 'the restored store');
  const made: string[] = [];
  try {
    for (const { name, sha256 } of listed) {
      made.push(`${name}.new`);
      const source = { files, pause: async () => {} };
      const copied = await copyFile(source, join(folder, name), join(to, `${name}.new`));
      if (copied.sha256 !== sha256)
        throw damagedBackup(join(folder, name), `${name} changed while it was read`);
    }
    // Every file needs those before it, so the snapshot gets its name last.
    for (const { name } of listed.toReversed()) {
      made.push(name);
      await files.rename(join(to, `${name}.new`), join(to, name));
    }
    await files.syncFolder(to);
    return report;
  } catch (error) {
    // Last named first: what is left by a failure here is still no store.
    for (const name of made.toReversed()) await files.remove(join(to, name)).catch(() => {});
    throw isPosternError(error) ? error : unwritableCopy(to, error);
  }
}

async function needEmpty(files: Files, folder: string, what: string): Promise<void> {
  const found = await files
    .makeFolder(folder)
    .then(() => files.list(folder))
    .catch((error: unknown) => {
      throw error instanceof PosternError ? error : unwritableCopy(folder, error);
    });
  const [first] = found.filter((name) => !name.startsWith('.lock.'));
  if (first === undefined) return;
  throw new PosternError('refused', `${folder} is not empty: ${first} is in it`, {
    hint: `name a new folder for ${what}`,
    fields: { folder },
  });
}

/** Copies and flushes the first `limit` bytes of a file, and `more` after them. */
async function copyFile(
  place: { files: Files; pause: () => Promise<void> },
  from: string,
  to: string,
  limit = Number.POSITIVE_INFINITY,
  more?: Buffer,
): Promise<Listed> {
  const { files, pause } = place;
  const source = await files.open(from, 'read');
  try {
    const target = await files.open(to, 'create');
    try {
      const hash = createHash('sha256');
      let bytes = 0;
      const write = async (piece: Buffer): Promise<void> => {
        hash.update(piece);
        await target.write(piece, bytes);
        bytes += piece.length;
      };
      for await (const piece of pieces(source, limit)) {
        await write(piece);
        await pause();
      }
      if (more !== undefined) await write(more);
      await target.datasync();
      const name = to.slice(to.lastIndexOf('/') + 1).replace(/\.new$/, '');
      return { name, bytes, sha256: hash.digest('hex') };
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function hashFile(files: Files, path: string): Promise<{ bytes: number; sha256: string }> {
  const file = await files.open(path, 'read');
  try {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const piece of pieces(file)) {
      hash.update(piece);
      bytes += piece.length;
    }
    return { bytes, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}

async function* pieces(file: OpenFile, limit = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(PIECE);
  for (let at = 0; at < limit; ) {
    const wanted = buffer.subarray(0, Math.min(PIECE, limit - at));
    const read = await file.read(wanted, at);
    if (read > 0) yield buffer.subarray(0, read);
    at += read;
    if (read < wanted.length) return;
  }
}

/** A group without changes that knew all before it to be durable: a last group of the copy that is broken is damage, not a torn write. */
function closingGroup(sequence: number, tag: Buffer): Buffer {
  const group = new GroupBuffer();
  group.end(sequence);
  group.seal(tag, sequence - 1);
  return Buffer.from(group.bytes.subarray(0, group.length));
}

/** Of the list itself. */
function checkOf(content: Record<string, unknown>): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex');
}

async function readManifest(
  files: Files,
  folder: string,
): Promise<{ time: number; sequence: number; listed: Listed[] }> {
  const path = join(folder, MANIFEST);
  const there = await files.exists(path);
  if (!there) {
    throw new PosternError('not-found', `there is no finished backup in ${folder}`, {
      hint: `a backup is finished when it has a file ${MANIFEST}`,
      fields: { folder },
    });
  }
  const file = await files.open(path, 'read');
  let bytes: Buffer;
  try {
    const buffer = Buffer.alloc(Math.min(await file.size(), MOST_MANIFEST_BYTES));
    bytes = buffer.subarray(0, await file.read(buffer, 0));
  } finally {
    await file.close();
  }
  try {
    const value = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    const { format, time, sequence, files: list, check } = value;
    const listed = list as Listed[];
    const sound =
      format === FORMAT &&
      check === checkOf({ format, time, sequence, files: listed }) &&
      Number.isSafeInteger(time) &&
      Number.isSafeInteger(sequence) &&
      Array.isArray(listed) &&
      listed.every(
        ({ name, bytes: length, sha256 }) =>
          typeof name === 'string' &&
          /^(snapshot|journal)\.\d{1,9}$/.test(name) &&
          Number.isSafeInteger(length) &&
          length >= HEADER_BYTES &&
          typeof sha256 === 'string',
      );
    if (sound) return { time: time as number, sequence: sequence as number, listed };
  } catch (error) {
    throw damagedBackup(path, `its list of files cannot be read: ${describeError(error)}`);
  }
  throw damagedBackup(path, 'its list of files is broken, or of another version');
}

function damagedBackup(file: string, what: string): PosternError {
  return new PosternError('store.damaged', `the backup is damaged: ${what}`, {
    fields: { file },
    hint: 'use another backup',
  });
}

function unwritableCopy(folder: string, cause: unknown): PosternError {
  return new PosternError('file.unwritable', `no copy of the store can be written to ${folder}`, {
    cause,
    fields: { folder },
    hint: 'check space on the disk, and owner and permissions of the folder; nothing of an unfinished copy is left',
  });
}
