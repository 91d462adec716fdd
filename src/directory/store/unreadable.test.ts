/** A small store of several files, each byte of each file spoiled, and each read failing: it is opened with what was acknowledged, or not at all. */
import { expect, test } from 'vitest';
import { FakeFiles } from '../../../test/fakes/files.ts';
import { fingerprint, smallStore, stateOf } from '../../../test/support/record-store-model.ts';
import { isPosternError, PosternError } from '../../base/error.ts';
import { openStore, type RecordStore } from './store.ts';

const FOLDER = '/data/store';
const still = { snapshotJournalBytes: 1e9, preallocateBytes: 64 };

async function add(store: RecordStore, names: string): Promise<void> {
  for (const name of names) {
    const batch = store.begin();
    batch.add(Buffer.from(`bytes of ${name}`));
    batch.setMeta(name, Buffer.from(`value of ${name}`));
    await batch.commit();
  }
}

/** `states`: what is there; without the last write; without the last two, and three. As a killed process leaves them: snapshot.1, journal.1 and, after a snapshot that failed, journal.2. */
async function threeFiles(): Promise<{ files: Map<string, Buffer>; states: string[] }> {
  const files = new FakeFiles();
  const store = await openStore(smallStore(files, 'three', still));
  await add(store, 'ab');
  await store.snapshot();
  await add(store, 'cd');
  files.fail({ on: 'rename', nth: 2, code: 'EIO' });
  await expect(store.snapshot()).rejects.toThrow('EIO');
  const states: string[] = [];
  for (const name of 'efg') {
    states.unshift(fingerprint(stateOf(store)));
    await add(store, name);
  }
  states.unshift(fingerprint(stateOf(store)));
  const names = await files.list(FOLDER);
  expect(names).toEqual(['journal.1', 'journal.2', 'snapshot.1']);
  return {
    files: new Map(names.map((name) => [name, files.peek(`${FOLDER}/${name}`) ?? Buffer.alloc(0)])),
    states,
  };
}

/**
 * `lost`: how many writes at the very end may be gone. The last one nobody can tell from one that was never whole; and if nothing is left behind a place, nobody can
 * tell what was there.
 */
const spoilers: [what: string, lost: number, spoil: (bytes: Buffer, at: number) => Buffer][] = [
  [
    'a bit turned round',
    1,
    (bytes, at) => replaced(bytes, at, Buffer.of((bytes[at] ?? 0) ^ (1 << (at % 8)))),
  ],
  ['a byte of zeros', 1, (bytes, at) => replaced(bytes, at, Buffer.alloc(1))],
  ['zeros from there on', 3, (bytes, at) => replaced(bytes, at, Buffer.alloc(bytes.length - at))],
  [
    'a sector of something else',
    2,
    (bytes, at) => replaced(bytes, at, Buffer.alloc(Math.min(64, bytes.length - at), 0xa5)),
  ],
  ['nothing from there on', 3, (bytes, at) => bytes.subarray(0, at)],
  ['a byte missing', 1, (bytes, at) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])],
  [
    'a byte too many',
    1,
    (bytes, at) => Buffer.concat([bytes.subarray(0, at), Buffer.of(at & 0xff), bytes.subarray(at)]),
  ],
];

function replaced(bytes: Buffer, at: number, by: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), by, bytes.subarray(at + by.length)]);
}

test.each(spoilers)(
  '%s at every byte of every file: what was acknowledged, or damage by name',
  async (_what, lost, spoil) => {
    const { files: contents, states } = await threeFiles();
    const ends = { same: 0, withoutLast: 0, damaged: 0 };
    for (const [name, bytes] of contents) {
      for (let at = 0; at < bytes.length; at += 1) {
        const files = new FakeFiles();
        for (const [other, content] of contents) files.put(`${FOLDER}/${other}`, content);
        files.put(`${FOLDER}/${name}`, spoil(bytes, at));
        try {
          const store = await openStore(smallStore(files, 'spoiled', still));
          const index = states.indexOf(fingerprint(stateOf(store)));
          const allowed = index >= 0 && index <= (name === 'journal.2' ? lost : 0);
          expect([name, at, index, allowed]).toEqual([name, at, index, true]);
          if (index > 0) ends.withoutLast += 1;
          else ends.same += 1;
          await store.close();
        } catch (error) {
          if (!(error instanceof PosternError) || error.code !== 'store.damaged') throw error;
          const { file, offset } = error.fields;
          expect(error.message).toContain(`damaged in ${file} at byte ${offset}: `);
          // Missing groups may be missed first where the next journal begins.
          expect([`${FOLDER}/${name}`, `${FOLDER}/journal.2`]).toContain(file);
          expect(error.hint).toBeDefined();
          ends.damaged += 1;
        }
        expect(files.openFiles).toBe(0);
      }
    }
    expect(ends.damaged).toBeGreaterThan(300);
    expect(ends.withoutLast).toBeGreaterThan(10);
  },
);

test('each read that fails is named with its file, and nothing is changed or left open', async () => {
  const { files: contents, states } = await threeFiles();
  let failed = 0;
  for (let nth = 1, happened = true; happened; nth += 1) {
    const files = new FakeFiles();
    for (const [name, content] of contents) files.put(`${FOLDER}/${name}`, content);
    files.fail({ on: 'read', nth, code: 'EIO' });
    const opened = await openStore(smallStore(files, 'unreadable', still)).catch((error: unknown) => error);
    happened = files.counts.read >= nth;
    if (!(opened instanceof Error)) {
      await (opened as RecordStore).close();
      continue;
    }
    failed += 1;
    expect(opened).toMatchObject({
      code: 'file.unreadable',
      message: expect.stringContaining(`cannot read ${FOLDER}`),
      fields: { file: expect.stringContaining(FOLDER) },
      hint: expect.any(String),
      cause: { code: 'EIO' },
    });
    expect(files.openFiles).toBe(0);
    // The disk reads again: all is there.
    const store = await openStore(smallStore(files, 'readable', still));
    expect(fingerprint(stateOf(store))).toBe(states[0]);
    // While the store is at work: verification says so, the store goes on.
    for (let n = 1; n < 20; n += 1) {
      files.fail({ on: 'read', nth: n, code: 'EIO' });
      const verified = await store.verify().catch((error: unknown) => error);
      files.heal();
      if (verified instanceof Error) expect(isPosternError(verified, 'file.unreadable')).toBe(true);
    }
    await store.verify();
    await add(store, 'z');
    await store.close();
    expect(files.openFiles).toBe(0);
  }
  expect(failed).toBeGreaterThan(8);
});
