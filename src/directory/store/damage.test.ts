/** Files cut short or altered: what was never acknowledged is cut off, everything else is damage by name; wrong data is never served. */
import { describe, expect, test } from 'vitest';
import { FakeFiles } from '../../../test/fakes/files.ts';
import { fingerprint, smallStore, stateOf } from '../../../test/support/record-store-model.ts';
import { PosternError } from '../../base/error.ts';
import { HEADER_BYTES } from './file-format.ts';
import { openStore, type RecordStore } from './store.ts';

const FOLDER = '/data/store';
const still = { snapshotJournalBytes: 1e9 };

/** Groups in `names`, one write each, or all in one. */
async function addAll(store: RecordStore, names: readonly string[], together = false): Promise<void> {
  const commits: Promise<void>[] = [];
  for (const name of names) {
    const batch = store.begin();
    batch.add(Buffer.from(`bytes of ${name}`));
    batch.setMeta(name, Buffer.from(`value of ${name}`));
    commits.push(batch.commit());
    if (!together) await commits.at(-1);
  }
  await Promise.all(commits);
}

/** The files as a process leaves them that is killed, or that closes. */
async function makeFiles(
  end: 'killed' | 'closed',
  fill: (store: RecordStore) => Promise<void>,
): Promise<Map<string, Buffer>> {
  const files = new FakeFiles();
  const store = await openStore(smallStore(files, 'damage', still));
  await fill(store);
  const content = async (): Promise<Map<string, Buffer>> => {
    const names = await files.list(FOLDER);
    return new Map(names.map((name) => [name, files.peek(`${FOLDER}/${name}`) as Buffer]));
  };
  const killed = await content();
  await store.close();
  return end === 'killed' ? killed : content();
}

function filesWith(
  contents: ReadonlyMap<string, Buffer>,
  changed?: [name: string, bytes: Buffer],
): FakeFiles {
  const files = new FakeFiles();
  for (const [name, bytes] of contents) files.put(`${FOLDER}/${name}`, bytes);
  if (changed !== undefined) files.put(`${FOLDER}/${changed[0]}`, changed[1]);
  return files;
}

interface Outcome {
  /** What the store holds; undefined when it was refused as damaged. */
  holds: string | undefined;
  size: number;
  cut: number;
  damage: { file?: unknown; offset?: unknown };
}

async function open(files: FakeFiles): Promise<Outcome> {
  try {
    const store = await openStore(smallStore(files, 'opened', still));
    const outcome = {
      holds: fingerprint(stateOf(store)),
      size: store.size,
      cut: store.stats().recovery.bytesCut,
      damage: {},
    };
    await store.close();
    return outcome;
  } catch (error) {
    if (!(error instanceof PosternError) || error.code !== 'store.damaged') throw error;
    expect(error.hint).toBeDefined();
    return { holds: undefined, size: -1, cut: 0, damage: error.fields };
  }
}

/** Offset of each group of a journal, by walking the lengths. */
function groupOffsets(journal: Buffer): number[] {
  const offsets: number[] = [];
  for (let at = HEADER_BYTES; at + 32 <= journal.length && journal.readUInt32LE(at + 16) > 0; ) {
    offsets.push(at);
    at += (32 + journal.readUInt32LE(at + 12) + 7) & ~7;
  }
  return offsets;
}

/** Where the last group ends. */
function usedBytes(journal: Buffer): number {
  const last = groupOffsets(journal).at(-1) as number;
  return last + ((32 + journal.readUInt32LE(last + 12) + 7) & ~7);
}

const six = ['a', 'b', 'c', 'd', 'e', 'f'];

describe('a journal cut short', () => {
  test('at every byte of the last group: that group is cut off and reported, the rest is there', async () => {
    const contents = await makeFiles('killed', (store) => addAll(store, six));
    const journal = contents.get('journal.0') as Buffer;
    const [start, end] = [groupOffsets(journal).at(-1) as number, usedBytes(journal)];
    for (const zeros of [false, true]) {
      for (let length = start; length < end; length += 1) {
        const bytes = zeros
          ? Buffer.concat([journal.subarray(0, length), Buffer.alloc(900)])
          : journal.subarray(0, length);
        const files = filesWith(contents, ['journal.0', bytes]);
        const outcome = await open(files);
        const used = journal.subarray(start, length).findLastIndex((byte) => byte !== 0) + 1;
        // Zeros at the end of the group belong to it or don't: nobody can tell.
        const whole = journal.subarray(length, end).every((byte) => byte === 0) && (zeros || length === end);
        expect(outcome, `${length}`).toMatchObject({
          size: whole ? 6 : 5,
          cut: whole ? 0 : used,
        });
        // What was cut off is gone for good.
        expect(await open(files)).toMatchObject({ size: whole ? 6 : 5, cut: 0 });
      }
    }
  });

  test('new groups after a cut are not followed by what was cut off', async () => {
    // Three groups in one write, the first of them torn: the others are whole, but were never acknowledged.
    const contents = await makeFiles('killed', async (store) => {
      await addAll(store, ['a', 'b']);
      await addAll(store, ['c', 'd', 'e'], true);
    });
    const journal = Buffer.from(contents.get('journal.0') as Buffer);
    const torn = groupOffsets(journal)[2] as number;
    journal[torn + 40] = (journal[torn + 40] as number) ^ 1;
    const files = filesWith(contents, ['journal.0', journal]);
    const store = await openStore(smallStore(files, 'again', { ...still, preallocateBytes: 0 }));
    expect(store.size).toBe(2);
    expect(store.stats().recovery.bytesCut).toBeGreaterThan(100);
    // Just as long as the torn one: the next would follow in order.
    await addAll(store, ['c']);
    const again = await openStore(smallStore(files, 'again', still));
    expect([again.size, again.metaNames()]).toEqual([3, ['a', 'b', 'c']]);
  });
});

describe('one bit turned round', () => {
  test('in a journal, before groups of a later write: damage at the group it is in', async () => {
    const contents = await makeFiles('killed', (store) => addAll(store, six));
    const expected = (await open(filesWith(contents))).holds;
    const journal = contents.get('journal.0') as Buffer;
    const offsets = groupOffsets(journal);
    const last = offsets.at(-1) as number;
    for (let byte = 0; byte < last; byte += 1) {
      const outcome = await open(flipped(contents, 'journal.0', byte));
      const offset = byte < HEADER_BYTES ? 0 : offsets.findLast((at) => at <= byte);
      if (outcome.holds === undefined)
        expect(outcome.damage).toEqual({ file: `${FOLDER}/journal.0`, offset });
      // Only the zeros between groups mean nothing.
      else expect([journal[byte], outcome.holds, outcome.cut], `byte ${byte}`).toEqual([0, expected, 0]);
    }
  });

  test('in a journal closed in order: damage in every group but the closing one', async () => {
    const contents = await makeFiles('closed', (store) => addAll(store, six));
    const expected = (await open(filesWith(contents))).holds;
    const journal = contents.get('journal.0') as Buffer;
    const offsets = groupOffsets(journal);
    let refused = 0;
    for (let byte = 0; byte < journal.length; byte += 1) {
      const outcome = await open(flipped(contents, 'journal.0', byte));
      if (outcome.holds !== undefined) expect(outcome.holds, `byte ${byte}`).toBe(expected);
      else refused += 1;
      if (byte >= (offsets.at(-1) as number)) expect([outcome.size, outcome.cut > 0]).toEqual([6, true]);
    }
    expect(refused).toBeGreaterThan((offsets.at(-1) as number) - 8 * 7);
  });

  test('in the last write of a killed process: cut off as a whole or in part, never served', async () => {
    const contents = await makeFiles('killed', async (store) => {
      await addAll(store, ['a', 'b']);
      await addAll(store, ['c', 'd', 'e'], true);
    });
    const journal = contents.get('journal.0') as Buffer;
    const [, , third, fourth, fifth] = groupOffsets(journal) as [number, number, number, number, number];
    for (let byte = third; byte < journal.length; byte += 1) {
      const { size, cut } = await open(flipped(contents, 'journal.0', byte));
      const whole = byte < fourth ? 2 : byte < fifth ? 3 : 4;
      if (size === 5) expect(cut === 0 || journal[byte] === 0, `byte ${byte}`).toBe(true);
      else expect([size, cut > 0], `byte ${byte}`).toEqual([whole, true]);
    }
  });

  test('in a snapshot: always damage', async () => {
    const contents = await makeFiles('closed', async (store) => {
      await addAll(store, six);
      await store.snapshot();
    });
    const snapshot = contents.get('snapshot.1') as Buffer;
    for (let byte = 0; byte < snapshot.length; byte += 1) {
      const outcome = await open(flipped(contents, 'snapshot.1', byte));
      expect(outcome, `byte ${byte}`).toMatchObject({
        holds: undefined,
        damage: { file: `${FOLDER}/snapshot.1` },
      });
    }
    for (let length = 0; length < snapshot.length; length += 1) {
      const outcome = await open(filesWith(contents, ['snapshot.1', snapshot.subarray(0, length)]));
      expect(outcome.holds, `length ${length}`).toBeUndefined();
    }
  });

  test('is found by verify while the store is open', async () => {
    for (const name of ['snapshot.1', 'journal.1']) {
      const files = new FakeFiles();
      const store = await openStore(smallStore(files, 'verify', still));
      await addAll(store, ['a', 'b', 'c']);
      await store.snapshot();
      await addAll(store, ['d', 'e', 'f']);
      await expect(store.verify()).resolves.toMatchObject({ records: 3, groups: 3 });
      const bytes = files.peek(`${FOLDER}/${name}`) as Buffer;
      const end = name === 'snapshot.1' ? bytes.length : usedBytes(bytes);
      let found = 0;
      for (let byte = 0; byte < end; byte += 1) {
        files.flipBit(`${FOLDER}/${name}`, byte * 8 + (byte % 8));
        const error = await store.verify().then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        files.flipBit(`${FOLDER}/${name}`, byte * 8 + (byte % 8));
        if (error === undefined) continue;
        expect(error).toMatchObject({ code: 'store.damaged', fields: { file: `${FOLDER}/${name}` } });
        found += 1;
      }
      expect(end - found).toBeLessThan(name === 'snapshot.1' ? 1 : 3 * 8);
      await store.verify();
      await store.close();
    }
  });
});

describe('groups taken out, repeated or exchanged', () => {
  const edits: [what: string, order: number[]][] = [
    ['one is missing', [0, 1, 3, 4, 5]],
    ['the first is missing', [1, 2, 3, 4, 5]],
    ['two are exchanged', [0, 2, 1, 3, 4, 5]],
    ['one is there twice', [0, 1, 1, 2, 3, 4, 5]],
  ];
  test.each(edits)('%s', async (_what, order) => {
    const contents = await makeFiles('killed', (store) => addAll(store, six));
    const journal = contents.get('journal.0') as Buffer;
    const offsets = groupOffsets(journal);
    const group = (index: number): Buffer =>
      journal.subarray(offsets[index], offsets[index + 1] ?? journal.length);
    const bytes = Buffer.concat([journal.subarray(0, HEADER_BYTES), ...order.map(group)]);
    const first = order.findIndex((group, index) => group !== index);
    const { damage } = await open(filesWith(contents, ['journal.0', bytes]));
    expect(damage).toEqual({ file: `${FOLDER}/journal.0`, offset: offsets[first] });
  });
});

describe('a folder that does not add up', () => {
  const contents = async (): Promise<Map<string, Buffer>> => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'folder', still));
    await addAll(store, ['a', 'b']);
    // Leaves snapshot.1, journal.1, journal.2.
    await store.snapshot();
    await addAll(store, ['c', 'd']);
    files.fail({ on: 'rename', nth: 2, code: 'EIO' });
    await expect(store.snapshot()).rejects.toThrow('EIO');
    await addAll(store, ['e', 'f']);
    const names = await files.list(FOLDER);
    expect(names).toEqual(['journal.1', 'journal.2', 'snapshot.1']);
    return new Map(names.map((name) => [name, files.peek(`${FOLDER}/${name}`) as Buffer]));
  };

  test.each([
    ['the snapshot is missing', 'snapshot.1', 'snapshot.1'],
    ['the first journal is missing', 'journal.1', 'journal.1'],
  ])('%s', async (_what, without, named) => {
    const all = await contents();
    all.delete(without);
    expect((await open(filesWith(all))).damage).toMatchObject({ file: `${FOLDER}/${named}` });
  });

  test('the end of an earlier journal is missing: that one is named, with the place', async () => {
    const all = await contents();
    const journal = all.get('journal.1') as Buffer;
    const offset = groupOffsets(journal).at(-1) as number;
    const { damage } = await open(filesWith(all, ['journal.1', journal.subarray(0, offset + 5)]));
    expect(damage).toEqual({ file: `${FOLDER}/journal.1`, offset });
  });

  test('the last journal is missing although a snapshot builds on it', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'folder', { ...still, snapshotChunkBytes: 16 }));
    await addAll(store, six);
    // Changes while the snapshot is being written are in it and in journal.1.
    let more: Promise<void> | undefined;
    files.before = (step) => {
      if (step.kind === 'write' && step.path.endsWith('snapshot.1.new')) more ??= addAll(store, ['g', 'h']);
    };
    await store.snapshot();
    files.before = undefined;
    await more;
    const journal = files.peek(`${FOLDER}/journal.1`) as Buffer;
    const cut = filesWith(new Map([['snapshot.1', files.peek(`${FOLDER}/snapshot.1`) as Buffer]]), [
      'journal.1',
      journal.subarray(0, HEADER_BYTES),
    ]);
    expect((await open(cut)).damage).toEqual({ file: `${FOLDER}/journal.1`, offset: HEADER_BYTES });
  });

  test('files of two stores are mixed', async () => {
    const all = await contents();
    const other = await makeFiles('closed', (store) => store.snapshot());
    // The other store's identity comes from another seed.
    const files = new FakeFiles();
    const strange = await openStore({ ...smallStore(files, 'strange', still) });
    await strange.snapshot();
    await strange.close();
    expect(other.has('journal.1')).toBe(true);
    const { damage } = await open(filesWith(all, ['journal.1', files.peek(`${FOLDER}/journal.1`) as Buffer]));
    expect(damage).toEqual({ file: `${FOLDER}/journal.1`, offset: 0 });
  });

  test('leftovers of unfinished snapshots and strangers do no harm', async () => {
    const all = await contents();
    const expected = (await open(filesWith(all))).holds;
    for (const name of [
      'snapshot.2.new',
      'journal.3.new',
      'notes.txt',
      'snapshot.x',
      'journal.0',
      'snapshot.0',
    ]) {
      all.set(name, Buffer.from('left over'));
    }
    const files = filesWith(all);
    expect((await open(files)).holds).toBe(expected);
    expect(await files.list(FOLDER)).toEqual([
      'journal.1',
      'journal.2',
      'notes.txt',
      'snapshot.1',
      'snapshot.x',
    ]);
  });
});

function flipped(contents: ReadonlyMap<string, Buffer>, name: string, byte: number): FakeFiles {
  const bytes = Buffer.from(contents.get(name) as Buffer);
  bytes[byte] = (bytes[byte] as number) ^ (1 << (byte % 8));
  return filesWith(contents, [name, bytes]);
}
