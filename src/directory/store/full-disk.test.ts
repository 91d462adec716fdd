/** A disk without room: changes are refused and undone, all else goes on, nothing is lost, and it ends by itself when there is room again. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FakeFiles } from '../../../test/fakes/files.ts';
import { fakeRandom } from '../../../test/fakes/random.ts';
import {
  copyState,
  emptyState,
  fingerprint,
  randomChanges,
  smallStore,
  stateOf,
  type State,
} from '../../../test/support/record-store-model.ts';
import { createLog } from '../../base/log.ts';
import { systemClock } from '../../base/clock.ts';
import { isPosternError } from '../../base/error.ts';
import { systemFiles } from '../../base/files.ts';
import { systemRandom } from '../../base/random.ts';
import { openStore, type RecordStore } from './store.ts';

const roomy = { preallocateBytes: 4096 };

/** One batch of random changes; true when it was taken, and `state` is as the store is either way. */
async function change(store: RecordStore, state: State, seed: string): Promise<boolean> {
  const next = copyState(state);
  const batch = store.begin();
  randomChanges(batch, next, fakeRandom(seed), 5, 150);
  const error = await batch.commit().catch((thrown: unknown) => thrown);
  if (error === undefined) {
    state.records = next.records;
    state.meta = next.meta;
    return true;
  }
  expect(error).toMatchObject({ code: 'store.full', cause: { code: 'ENOSPC' }, hint: expect.any(String) });
  return false;
}

test('at any size of the disk: refused and undone, read as before, and taken again when there is room', async () => {
  let refusedInAll = 0;
  for (let capacity = 9000; capacity < 40_000; capacity += 1531) {
    const files = new FakeFiles();
    files.capacity = capacity;
    const lines: string[] = [];
    const log = createLog({ write: (line) => lines.push(line), clock: systemClock });
    const options = { ...smallStore(files, `full ${capacity}`, roomy), log };
    let store = await openStore(options);
    const state = emptyState();
    let refused = 0;
    for (let n = 0; n < 120; n += 1) {
      if (!(await change(store, state, `${capacity} ${n}`))) {
        refused += 1;
        expect(store.stats().full).toBe(true);
      }
      expect(fingerprint(stateOf(store))).toBe(fingerprint(state));
      // A new process on the full disk is no worse off.
      if (n % 40 === 39) {
        await store.close();
        store = await openStore(options);
        expect(fingerprint(stateOf(store))).toBe(fingerprint(state));
      }
    }
    refusedInAll += refused;
    // Powerless at the worst moment: everything acknowledged is there.
    const after = await openStore(smallStore(files.survivor({ unsynced: 'dropped' }), 'after', roomy));
    expect(fingerprint(stateOf(after))).toBe(fingerprint(state));
    await after.close();
    files.capacity = Number.POSITIVE_INFINITY;
    // The first change may still be refused: it is what looks for room.
    await change(store, state, 'first');
    await store.flush();
    expect(await change(store, state, 'second')).toBe(true);
    expect(store.stats().full).toBe(false);
    await store.snapshot();
    await store.verify();
    await store.close();
    const again = await openStore(smallStore(files, 'again', roomy));
    expect(fingerprint(stateOf(again))).toBe(fingerprint(state));
    await again.close();
    if (refused > 0) expect(lines.join('')).toContain('there is space on the disk again');
  }
  expect(refusedInAll).toBeGreaterThan(100);
});

test('many changes in flight when the disk fills up are taken or refused, each as a whole', async () => {
  for (let capacity = 9000; capacity < 24_000; capacity += 977) {
    const files = new FakeFiles();
    files.capacity = capacity;
    const store = await openStore(
      smallStore(files, `flight ${capacity}`, { ...roomy, snapshotJournalBytes: 1e9 }),
    );
    const outcomes = new Map<number, boolean>();
    for (let round = 0; round < 40; round += 1) {
      const commits = Array.from({ length: 8 }, async (_, n) => {
        const batch = store.begin();
        const ids = [batch.add(Buffer.alloc(60, n)), batch.add(Buffer.alloc(60, n + 100))];
        const taken = await batch.commit().then(
          () => true,
          (error: unknown) => {
            expect(error).toMatchObject({ code: 'store.full' });
            return false;
          },
        );
        // Numbers of refused ones are given again.
        if (taken) for (const id of ids) outcomes.set(id, true);
      });
      await Promise.all(commits);
    }
    const taken = [...stateOf(store).records.keys()];
    expect(taken).toEqual([...outcomes.keys()].sort((a, b) => a - b));
    await store.close();
    const again = await openStore(smallStore(files, 'again', roomy));
    expect([...stateOf(again).records.keys()]).toEqual(taken);
    await again.close();
  }
});

test('a snapshot without room leaves the journal and its reserve as they are', async () => {
  const files = new FakeFiles();
  const store = await openStore(smallStore(files, 'snapshot', { ...roomy, snapshotJournalBytes: 1e9 }));
  const state = emptyState();
  for (let n = 0; n < 20; n += 1) expect(await change(store, state, `${n}`)).toBe(true);
  const used = (await files.list('/data/store')).reduce(
    (sum, name) => sum + (files.peek(`/data/store/${name}`)?.length ?? 0),
    0,
  );
  for (const room of [0, 100, 4000, 4200, 5000]) {
    files.capacity = used + room;
    await expect(store.snapshot()).rejects.toThrow(/ENOSPC|no space/);
    expect(await change(store, state, `room ${room}`)).toBe(true);
    expect(fingerprint(stateOf(store))).toBe(fingerprint(state));
  }
  files.capacity = Number.POSITIVE_INFINITY;
  await store.compact();
  await store.close();
  const again = await openStore(smallStore(files, 'again'));
  expect(fingerprint(stateOf(again))).toBe(fingerprint(state));
  await again.close();
});

test.each([
  ['a change larger than all that was kept free', 'refuse', 30_000],
  ['any change, for an owner who cannot undo', 'stop', 3000],
] as const)('%s ends the store, and nothing acknowledged is lost', async (_what, whenFull, bytes) => {
  const files = new FakeFiles();
  let fatal: unknown;
  const store = await openStore({
    ...smallStore(files, 'large', { ...roomy, slabBytes: 65_536, snapshotJournalBytes: 1e9 }),
    whenFull,
    onFatal: (error) => (fatal = error),
  });
  const state = emptyState();
  await change(store, state, 'small');
  files.capacity = 20_000;
  let error: unknown;
  for (let n = 0; n < 20 && error === undefined; n += 1) {
    const batch = store.begin();
    batch.add(Buffer.alloc(bytes));
    error = await batch.commit().then(
      () => state.records.set(state.records.size + 1000, Buffer.alloc(0)) && undefined,
      (thrown: unknown) => thrown,
    );
  }
  expect(error).toMatchObject({ code: 'store.write-failed', cause: { code: 'ENOSPC' } });
  expect(fatal).toBe(error);
  files.capacity = Number.POSITIVE_INFINITY;
  const again = await openStore(
    smallStore(files.powerLoss({ unsynced: 'dropped' }), 'again', { slabBytes: 65_536 }),
  );
  expect(again.size).toBe(state.records.size);
  await again.close();
});

/** A file system of its own with `size`, where this process may mount one. */
function mountSmall(folder: string, size: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'tmpfs', folder], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}

test('a real disk that is full', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'store-full-'));
  const mounted = mountSmall(folder, '6m');
  process.stdout.write(
    mounted
      ? 'full disk: on a mounted file system of 6 MiB\n'
      : 'full disk: nothing may be mounted here, so with the injected file layer only\n',
  );
  try {
    const capacity = 6 * 1024 * 1024;
    const files = new FakeFiles();
    files.capacity = capacity;
    const store = await openStore({
      folder: mounted ? join(folder, 'store') : '/data/store',
      files: mounted ? systemFiles : files,
      clock: systemClock,
      random: systemRandom,
      tuning: { preallocateBytes: 256 * 1024, snapshotJournalBytes: 1e9 },
    });
    const fill = async (): Promise<unknown> => {
      for (let n = 0; n < 10_000; n += 1) {
        const batch = store.begin();
        batch.add(Buffer.alloc(5000, n));
        const error = await batch.commit().catch((thrown: unknown) => thrown);
        if (error !== undefined) return error;
      }
      return undefined;
    };
    if (mounted) await writeFile(join(folder, 'ballast'), Buffer.alloc(2 * 1024 * 1024));
    else files.put('/ballast', Buffer.alloc(2 * 1024 * 1024));
    expect(await fill()).toMatchObject({ code: 'store.full', cause: { code: 'ENOSPC' } });
    const { size } = store;
    expect(size).toBeGreaterThan(300);
    await expect(store.snapshot()).rejects.toThrow(/ENOSPC|no space/);
    await expect(store.backup(mounted ? join(folder, 'backup') : '/data/backup')).rejects.toMatchObject({
      code: 'file.unwritable',
    });
    await store.verify();
    // Room again: the next change but one is taken.
    await (mounted ? unlink(join(folder, 'ballast')) : files.remove('/ballast'));
    expect(isPosternError(await fill(), 'store.full')).toBe(true);
    const more = store.size;
    expect(more).toBeGreaterThanOrEqual(size);
    await store.flush();
    await fill();
    expect(store.size).toBeGreaterThan(size + 100);
    const last = store.size;
    await store.close();
    const again = await openStore({
      folder: mounted ? join(folder, 'store') : '/data/store',
      files: mounted ? systemFiles : files,
      clock: systemClock,
      random: systemRandom,
    });
    expect(again.size).toBe(last);
    await again.close();
  } finally {
    if (mounted) execFileSync('umount', ['-l', folder]);
    await rm(folder, { recursive: true, force: true });
  }
});
