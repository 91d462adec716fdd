/** The trust store on a disk that fails, and on one that loses power. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { FakeClock } from '../../test/fakes/clock.ts';
import { FakeFiles } from '../../test/fakes/files.ts';
import { createLog } from '../base/log.ts';
import { decodeTrustRecord } from './trust-record.ts';
import { openTrustStore, type TrustStore } from './trust-store.ts';

const schema = z.strictObject({
  version: z.literal(1),
  count: z.int(),
});
type Document = z.infer<typeof schema>;

const first: Document = { version: 1, count: 0 };
const folder = '/var/lib/postern/trust';
const A = `${folder}/edge.a`;
const B = `${folder}/edge.b`;
const open = (files: FakeFiles): Promise<TrustStore<Document>> =>
  openTrustStore(files, folder, 'edge', schema, first);
/** Opens a store that must be there. */
const reopen = (files: FakeFiles): Promise<TrustStore<Document>> =>
  openTrustStore(files, folder, 'edge', schema, undefined);
const counted = (draft: Document): Document => ({ ...draft, count: draft.count + 1 });

/** Numbers of the copies, as a stranger would read them. */
function numbers(files: FakeFiles): (number | undefined)[] {
  return [A, B]
    .map((path) => files.peek(path))
    .map((bytes) => (bytes === undefined ? undefined : decodeTrustRecord('edge', bytes).sequence));
}

describe('writes that fail', () => {
  const steps = ['remove', 'create', 'write', 'datasync', 'rename', 'syncFolder'] as const;

  test.each(steps)(
    'a failing %s leaves the old value in force, also after a crash, and the next update works',
    async (on) => {
      for (const code of ['ENOSPC', 'EIO'] as const) {
        for (const unsynced of ['dropped', 'kept'] as const) {
          const files = new FakeFiles();
          const store = await open(files);
          await store.update(counted);
          files.fail({ on, code });
          await expect(store.update(counted)).rejects.toMatchObject({
            code: 'file.unwritable',
            hint: expect.stringContaining(folder),
          });
          expect(store.value.count).toBe(1);
          expect((await reopen(await copyOf(files, unsynced))).value.count).toBe(1);
          await store.update(counted);
          expect((await reopen(files.powerLoss({ unsynced }))).value.count).toBe(2);
        }
      }
    },
  );

  test('a failing mirror is a warning; one good copy is enough, and the next update sets it right', async () => {
    const lines: string[] = [];
    const log = createLog({ write: (line) => lines.push(line), clock: new FakeClock() });
    const files = new FakeFiles();
    const store = await openTrustStore(files, folder, 'edge', schema, first, { log });
    files.fail({ on: 'datasync', code: 'EIO', nth: 2 });
    await store.update(counted);
    await settled(files);
    expect(numbers(files).sort()).toEqual([1, 2]);
    expect(lines.join('')).toContain('only one copy');
    expect((await reopen(await copyOf(files, 'dropped'))).value.count).toBe(1);
    await store.update(counted);
    await store.close();
    expect(numbers(files)).toEqual([3, 3]);
  });

  test('a disk that stays full: every update is refused, nothing is lost, and it works again afterwards', async () => {
    const files = new FakeFiles();
    const store = await open(files);
    files.fail({ on: 'write', code: 'ENOSPC', times: Number.POSITIVE_INFINITY, done: 10 });
    for (let i = 0; i < 5; i++)
      await expect(store.update(counted)).rejects.toMatchObject({ code: 'file.unwritable' });
    expect((await reopen(await copyOf(files, 'kept'))).value).toEqual(first);
    files.heal();
    await store.update(counted);
    expect(store.value.count).toBe(1);
  });

  test('opening on a full disk works when one copy is good', async () => {
    const files = new FakeFiles();
    await (await open(files)).close();
    files.flipBit(A, 500);
    files.fail({ on: 'create', code: 'ENOSPC' });
    const store = await reopen(files);
    expect(store.value).toEqual(first);
    await store.update(counted);
    await store.close();
    expect(numbers(files)).toEqual([2, 2]);
  });
});

describe('power loss', () => {
  /** Three updates, the last two together; returns the largest count acknowledged. */
  async function work(files: FakeFiles): Promise<{ acknowledged: number; asked: number; finished: boolean }> {
    let acknowledged = -1;
    let asked = 0;
    const note = (count: number) => () => {
      acknowledged = Math.max(acknowledged, count);
    };
    try {
      const store = await open(files);
      acknowledged = 0;
      asked = 1;
      await store.update(counted).then(note(1));
      asked = 3;
      await Promise.all([store.update(counted).then(note(2)), store.update(counted).then(note(3))]);
      await store.close();
      return { acknowledged, asked, finished: true };
    } catch {
      return { acknowledged, asked, finished: false };
    }
  }

  test('at every step: nothing acknowledged is lost, nothing unasked appears, the store opens and goes on', async () => {
    const ends = new Set<string>();
    for (let step = 0; ; step++) {
      const files = new FakeFiles();
      files.powerOffAtStep(step);
      const { acknowledged, asked, finished } = await work(files);
      for (let seed = 0; seed < 25; seed++) {
        const after = files.powerLoss({ seed: `${step} ${seed}` });
        const store = await (acknowledged >= 0 ? reopen(after) : open(after));
        const { count } = store.value;
        ends.add(`${acknowledged} ${count}`);
        expect(count).toBeGreaterThanOrEqual(acknowledged);
        expect(count).toBeLessThanOrEqual(asked);
        expect(store.repaired).toEqual([]);
        await store.update(counted);
        expect((await reopen(after.powerLoss({ seed: `${seed}` }))).value.count).toBe(count + 1);
      }
      if (finished) {
        expect(acknowledged).toBe(3);
        break;
      }
    }
    // The test can fail: it has seen unacknowledged changes survive as well as go.
    expect(ends).toContain('0 0');
    expect(ends).toContain('0 1');
    expect(ends).toContain('1 3');
  });

  test.each(['datasync', 'syncFolder'] as const)(
    'the same test finds a store that forgets %s',
    async (forgotten) => {
      let lost = 0;
      for (let seed = 0; seed < 40; seed++) {
        const files = new FakeFiles();
        const careless: FakeFiles = Object.assign(Object.create(files) as FakeFiles, {
          syncFolder: (path: string) =>
            forgotten === 'syncFolder' ? Promise.resolve() : files.syncFolder(path),
          open: async (...args: Parameters<FakeFiles['open']>) => {
            const file = await files.open(...args);
            return forgotten === 'datasync' ? { ...file, datasync: () => Promise.resolve() } : file;
          },
          rename: files.rename.bind(files),
          remove: files.remove.bind(files),
          makeFolder: files.makeFolder.bind(files),
        });
        const store = await open(careless);
        await store.update(counted);
        await store.close();
        const after = await reopen(files.powerLoss({ seed: `${seed}` })).then(
          ({ value }) => value.count,
          () => -1,
        );
        if (after !== 1) lost += 1;
      }
      expect(lost).toBeGreaterThan(0);
    },
  );
});

/** A second machine with the disk as it would be after a crash now, while the first one goes on. */
async function copyOf(files: FakeFiles, unsynced: 'dropped' | 'kept'): Promise<FakeFiles> {
  await settled(files);
  return files.survivor({ unsynced });
}

/** Lets the writes under way end. */
async function settled(files: FakeFiles): Promise<void> {
  for (let before = -1; before !== files.steps; ) {
    before = files.steps;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
