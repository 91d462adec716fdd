/**
 * Power is lost at every step the store takes on its files: afterwards everything acknowledged is there, and no half batch is. The same search
 * must find losses when the store is built on a file layer that doesn't flush, or it would prove nothing.
 */
import { describe, expect, test } from 'vitest';
import { FakeFiles } from '../../../test/fakes/files.ts';
import { fakeRandom } from '../../../test/fakes/random.ts';
import { fingerprint, smallStore, stateOf, type State } from '../../../test/support/record-store-model.ts';
import { commitRandom, judge, startHistory, work } from '../../../test/support/store-history.ts';
import type { Files } from '../../base/files.ts';
import { openStore } from './store.ts';

const still = { snapshotJournalBytes: 1e9 };

const LOSSES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];

/** Losses found by cutting the power at every `stride`th step. `through` lets the store see the files otherwise. */
async function search(
  seed: string,
  stride: number,
  through: (files: FakeFiles) => Files,
): Promise<{ steps: number; points: number; losses: string[] }> {
  const losses: string[] = [];
  let points = 0;
  for (let step = 0; ; step += stride) {
    const files = new FakeFiles();
    files.powerOffAtStep(step);
    const history = startHistory();
    const finished = await work(through(files), history, seed).then(
      () => true,
      () => false,
    );
    for (const lossSeed of LOSSES) {
      points += 1;
      const problem = await judge(files.powerLoss({ seed: `${seed} ${step} ${lossSeed}` }), history);
      if (problem !== undefined) losses.push(`step ${step}, seed ${lossSeed}: ${problem}`);
    }
    if (finished) return { steps: step, points, losses };
  }
}

describe('power loss', () => {
  test.each([
    ['every step', 'one', 1],
    ['every third step of other work', 'two', 3],
  ])('at %s', async (_what, seed, stride) => {
    const { steps, points, losses } = await search(seed, stride, (files) => files);
    process.stdout.write(`power lost at ${points} points (${steps} steps)\n`);
    expect(losses).toEqual([]);
    expect(steps).toBeGreaterThan(100);
    expect(points).toBeGreaterThan(stride === 1 ? 2000 : 500);
  });

  test.each([
    ['files are never flushed', { datasync: true }],
    ['folders are never flushed', { syncFolder: true }],
  ] as const)('is found out when %s', async (_what, without) => {
    const { losses } = await search('one', 7, (files) => unflushed(files, without));
    expect(losses.length).toBeGreaterThan(0);
  });

  test('again and again, also while recovering', async () => {
    for (let seed = 0; seed < 40; seed += 1) {
      const random = fakeRandom(`again ${seed}`);
      let files = new FakeFiles();
      let history = startHistory();
      for (let life = 0; life < 6; life += 1) {
        files.powerOffAtStep(files.steps + Math.floor(random.fraction() ** 2 * 150));
        await work(files, history, `again ${seed} ${life}`).catch(() => {});
        files = files.powerLoss({ seed: `${seed} ${life}` });
        // Some die in the middle of recovering.
        if (random.fraction() < 0.5) {
          files.powerOffAtStep(Math.floor(random.fraction() * 8));
          await openStore(smallStore(files, 'recovering')).catch(() => {});
          files = files.powerLoss({ seed: `${seed} ${life} recovering` });
        }
        expect(await judge(files, history), `seed ${seed}, life ${life}`).toBeUndefined();
        const store = await openStore(smallStore(files, 'next'));
        history = startHistory(stateOf(store));
        await store.close();
      }
    }
  });
});

describe('a process killed in the middle of a write', () => {
  test('what the next process finds stays, even if it stores nothing before the power goes, too', async () => {
    const files = new FakeFiles();
    const history = startHistory();
    const killed = await openStore(smallStore(files, 'killed', still));
    await commitRandom(killed, history, 'one');
    // Written, and never flushed.
    const written = new Promise<void>((resolve) => {
      files.before = (step) =>
        step.kind === 'datasync' ? (resolve(), new Promise<void>(() => {})) : undefined;
    });
    void commitRandom(killed, history, 'two');
    await written;
    files.before = undefined;
    const next = await openStore(smallStore(files, 'next', still));
    const found = startHistory(stateOf(next));
    expect(fingerprint(found.states[0] as State)).toBe(fingerprint(history.states[2] as State));
    expect(await judge(files.powerLoss({ unsynced: 'dropped' }), found)).toBeUndefined();
  });
});

describe('a disk that fails', () => {
  const faults = [
    { on: 'write', code: 'ENOSPC', done: 0 },
    { on: 'write', code: 'ENOSPC', done: 40 },
    { on: 'datasync', code: 'EIO', done: 0 },
    { on: 'datasync', code: 'EIO', done: 1 },
  ] as const;

  test.each(faults)('$on fails with $code after $done: the store stops for good', async (fault) => {
    const files = new FakeFiles();
    const history = startHistory();
    let fatal: Error | undefined;
    const store = await openStore({
      ...smallStore(files, 'fault', still),
      onFatal: (error) => (fatal = error),
    });
    for (let n = 0; n < 5; n += 1) await commitRandom(store, history, `fault ${n}`);
    files.fail({ ...fault, path: 'journal.0.new' });
    const pending = [1, 2, 3].map((n) => commitRandom(store, history, `lost ${n}`));
    for (const { status, ...result } of await Promise.allSettled(pending)) {
      expect({ status, ...result }).toMatchObject({
        status: 'rejected',
        reason: { code: 'store.write-failed' },
      });
    }
    expect(fatal).toMatchObject({ code: 'store.write-failed', cause: { code: fault.code } });
    // The disk works again, but nobody knows what it holds: nothing more is written to it.
    files.heal();
    const { counts } = files;
    const [writes, flushes] = [counts.write, counts.datasync];
    const before = fingerprint(stateOf(store));
    await expect(commitRandom(store, startHistory(stateOf(store)), 'late')).rejects.toMatchObject({
      code: 'store.write-failed',
    });
    expect(fingerprint(stateOf(store))).toBe(before);
    await expect(store.flush()).rejects.toMatchObject({ code: 'store.write-failed' });
    await expect(store.snapshot()).rejects.toMatchObject({ code: 'store.write-failed' });
    await expect(store.close()).rejects.toMatchObject({ code: 'store.write-failed' });
    expect([counts.write, counts.datasync]).toEqual([writes, flushes]);
    // The next process may find what was never acknowledged; from then on it must stay, although the failed flush lost it.
    const next = await openStore(smallStore(files, 'next'));
    const found = startHistory(stateOf(next));
    await commitRandom(next, found, 'next');
    expect(fingerprint(found.states[0] as State)).toBe(
      fingerprint(history.states[fault.on === 'datasync' ? 8 : 5] as State),
    );
    for (const unsynced of ['dropped', 'kept', 'random'] as const) {
      expect(await judge(files.powerLoss({ unsynced }), found)).toBeUndefined();
    }
  });

  test.each(['create', 'write', 'datasync', 'rename', 'remove', 'syncFolder'] as const)(
    'any %s may fail once: what was acknowledged is kept',
    async (on) => {
      let happened = true;
      for (let nth = 1; happened; nth += 1) {
        const files = new FakeFiles();
        const history = startHistory();
        files.fail({ on, nth, code: 'EIO', done: nth % 3 });
        await work(files, history, 'any').catch(() => {});
        happened = files.counts[on] >= nth;
        expect(await judge(files.powerLoss({ seed: `${nth}` }), history), `number ${nth}`).toBeUndefined();
      }
    },
  );

  test('too full for zeros ahead is not too full for groups', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'full', { preallocateBytes: 4096 }));
    const history = startHistory();
    // The second write of a round are the zeros.
    files.fail({ on: 'write', nth: 2, code: 'ENOSPC', done: 100 });
    for (let n = 0; n < 5; n += 1) await commitRandom(store, history, `full ${n}`);
    expect(files.counts.write).toBeGreaterThan(6);
    expect(await judge(files.powerLoss({ unsynced: 'dropped' }), history)).toBeUndefined();
  });

  test.each(['makeFolder', 'create', 'write', 'datasync', 'rename', 'syncFolder'] as const)(
    'a store that cannot be created or opened (%s) says so and leaves the folder usable',
    async (on) => {
      const files = new FakeFiles();
      files.fail({ on, code: 'EIO' });
      await expect(openStore(smallStore(files, on))).rejects.toMatchObject({
        code: 'file.unwritable',
        hint: expect.any(String),
      });
      const store = await openStore(smallStore(files, on));
      await commitRandom(store, startHistory(), on);
      await store.close();
      files.fail({ on: 'read', code: 'EIO' });
      await expect(openStore(smallStore(files, on))).rejects.toMatchObject({ code: 'file.unreadable' });
      await (await openStore(smallStore(files, on))).close();
    },
  );
});

function unflushed(files: FakeFiles, without: { datasync?: boolean; syncFolder?: boolean }): Files {
  return {
    open: async (path, how) => {
      const file = await files.open(path, how);
      const { write } = file;
      return without.datasync === true ? { ...file, writeThrough: write, datasync: async () => {} } : file;
    },
    readFile: (path) => files.readFile(path),
    rename: (from, to) => files.rename(from, to),
    remove: (path) => files.remove(path),
    exists: (path) => files.exists(path),
    list: (folder) => files.list(folder),
    makeFolder: (path) => files.makeFolder(path),
    syncFolder: async (folder) => (without.syncFolder === true ? undefined : files.syncFolder(folder)),
  };
}
