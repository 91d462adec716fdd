/** Reads the files of an open store again and checks every checksum; changes nothing. */
import { join } from 'node:path';
import type { Files, OpenFile } from '../../base/files.ts';
import type { VerifyReport } from './contract.ts';
import { damaged, HEADER_BYTES, journalName, snapshotName, sortNames } from './file-format.ts';
import { readJournal, type JournalEnd } from './journal-read.ts';
import { checkSnapshot, readOutline } from './snapshot-read.ts';

/** Where what is to be checked ends: in which journal, at which place, with which group. */
export interface VerifyEnd {
  readonly number: number;
  readonly offset: number;
  readonly sequence: number;
}

/** No snapshot may begin or end meanwhile; groups may be written beyond `end`. Throws `store.damaged`. */
export async function verifyFiles(
  place: { files: Files; folder: string },
  end: VerifyEnd,
): Promise<VerifyReport> {
  const { files, folder } = place;
  const { number: current, offset: limit, sequence } = end;
  const names = sortNames(await files.list(folder));
  const base = names.snapshots.at(-1);
  const report = { records: 0, groups: 0, bytes: 0 };
  let before: { path: string; end: JournalEnd } | undefined;
  let after = 0;
  let store: Buffer | undefined;
  if (base !== undefined) {
    const path = join(folder, snapshotName(base));
    const found = await using(files, path, async (file) => {
      const outline = await readOutline(file, path, base);
      await checkSnapshot(file, path, outline);
      return outline;
    });
    ({ after, store } = found);
    report.records = found.trailer.records;
    report.bytes = found.size;
  }
  for (let number = base ?? 0; number <= current; number += 1) {
    const path = join(folder, journalName(number));
    if (!names.journals.includes(number)) throw damaged(path, 0, 'a journal is missing');
    const previous = before === undefined ? undefined : { path: before.path, offset: before.end.offset };
    const source = { path, number, store, after, previous, ...(number === current ? { limit } : {}) };
    const end = await using(files, path, (file) => readJournal({ ...source, file }, () => true));
    before = { path, end };
    after = end.sequence;
    ({ store } = end);
    report.groups += end.groups;
    report.bytes += end.offset - HEADER_BYTES;
  }
  if (after !== sequence) {
    throw damaged(
      before?.path ?? folder,
      before?.end.offset ?? 0,
      'groups of changes that had been written are broken or missing',
    );
  }
  return report;
}

async function using<T>(files: Files, path: string, use: (file: OpenFile) => Promise<T>): Promise<T> {
  const file = await files.open(path, 'read');
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}
