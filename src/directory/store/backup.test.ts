/** Backups taken while changes go on, on disks that fail, and damaged ones; and compaction that was asked for. */
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { FakeFiles } from '../../../test/fakes/files.ts';
import { fakeRandom } from '../../../test/fakes/random.ts';
import {
  copyState,
  emptyState,
  fingerprint,
  randomChanges,
  smallStore,
  stateOf,
} from '../../../test/support/record-store-model.ts';
import { isPosternError } from '../../base/error.ts';
import { checkBackup, openStore, type RecordStore, restoreBackup } from './store.ts';

const FROM = '/data/store';
const TO = '/media/backup';
const NEW = '/data/restored';
const place = (files: FakeFiles, folder = TO): { files: FakeFiles; folder: string; clock: FakeClock } => ({
  files,
  folder,
  clock: new FakeClock(),
});

/** Changes batch after batch; remembers what there was after each and which were acknowledged. */
class Writer {
  readonly #store: RecordStore;
  readonly #random;
  readonly #state = emptyState();
  readonly states: string[] = [''];
  acknowledged = 0;

  constructor(store: RecordStore, seed: string) {
    this.#store = store;
    this.#random = fakeRandom(seed);
  }

  async write(batches: number): Promise<void> {
    const commits: Promise<void>[] = [];
    for (let n = 0; n < batches; n += 1) {
      const batch = this.#store.begin();
      randomChanges(batch, this.#state, this.#random, 6, 200);
      const number = this.states.push(fingerprint(copyState(this.#state))) - 1;
      commits.push(
        batch.commit().then(() => {
          this.acknowledged = number;
        }),
      );
      if (n % 3 === 0) await commits.at(-1);
    }
    await Promise.all(commits);
  }
}

async function contentOf(files: FakeFiles, folder: string): Promise<string> {
  const store = await openStore({ ...smallStore(files, 'content'), folder });
  const content = fingerprint(stateOf(store));
  expect(store.stats().recovery.bytesCut).toBe(0);
  await store.close();
  return content;
}

/** A store with a snapshot and some journal after it, backed up to `TO`. */
async function backedUp(): Promise<{ files: FakeFiles; content: string }> {
  const files = new FakeFiles();
  const store = await openStore(smallStore(files, 'backed up', { snapshotJournalBytes: 1e9 }));
  const writer = new Writer(store, 'backed up');
  await writer.write(4);
  await store.snapshot();
  await writer.write(3);
  await store.backup(TO);
  const content = fingerprint(stateOf(store));
  await store.close();
  return { files, content };
}

describe('a backup', () => {
  test('taken while changes and snapshots go on is a state of one moment, not before the call', async () => {
    for (let seed = 0; seed < 40; seed += 1) {
      const files = new FakeFiles();
      const store = await openStore(smallStore(files, `busy ${seed}`));
      const writer = new Writer(store, `busy ${seed}`);
      await writer.write(seed % 20);
      const before = writer.acknowledged;
      const more = writer.write(30);
      if (seed % 3 === 0) void store.snapshot();
      const report = await store.backup(TO);
      await more;
      expect(await checkBackup(place(files))).toMatchObject({ folder: TO, bytes: report.bytes });
      await restoreBackup(place(files), NEW);
      const index = writer.states.lastIndexOf(await contentOf(files, NEW));
      expect(index).toBeGreaterThanOrEqual(before);
      expect(index).toBeLessThan(writer.states.length);
      await store.verify();
      await store.close();
      expect(await contentOf(files, FROM)).toBe(writer.states.at(-1));
    }
  });

  test('holds what was committed before the call, though not yet acknowledged', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'pending'));
    const batch = store.begin();
    batch.add(Buffer.from('in time'));
    batch.commit(() => {});
    await store.backup(TO);
    await restoreBackup(place(files), NEW);
    expect(await contentOf(files, NEW)).toBe('1=in time');
    await store.close();
  });

  test('goes into a new folder only, and is none before it is finished', async () => {
    const { files } = await backedUp();
    const store = await openStore(smallStore(files, 'again'));
    for (const folder of [TO, FROM])
      await expect(store.backup(folder)).rejects.toMatchObject({ code: 'refused', fields: { folder } });
    await expect(restoreBackup(place(files), FROM)).rejects.toMatchObject({ code: 'refused' });
    await expect(checkBackup(place(files, FROM))).rejects.toMatchObject({ code: 'not-found' });
    await store.close();
  });

  test('survives a power loss from the moment it is reported on; before, it is whole or none', async () => {
    const ends = { whole: 0, none: 0 };
    let finished = false;
    for (let step = 0; !finished; step += 1) {
      const files = new FakeFiles();
      const store = await openStore(smallStore(files, 'loss', { snapshotJournalBytes: 1e9 }));
      const writer = new Writer(store, 'loss');
      await writer.write(4);
      await store.snapshot();
      await writer.write(3);
      const expected = fingerprint(stateOf(store));
      files.powerOffAtStep(files.steps + step);
      finished = await store.backup(TO).then(
        () => true,
        () => false,
      );
      for (const seed of ['a', 'b', 'c', 'd']) {
        const after = finished
          ? files.powerLoss({ unsynced: 'dropped' })
          : files.powerLoss({ seed: `${step} ${seed}` });
        const whole = await checkBackup(place(after)).then(
          () => true,
          (error: unknown) => {
            if (!isPosternError(error, 'not-found', 'store.damaged')) throw error;
            return false;
          },
        );
        ends[whole ? 'whole' : 'none'] += 1;
        expect(whole || !finished).toBe(true);
        if (!whole) continue;
        await restoreBackup(place(after), NEW);
        expect(await contentOf(after.powerLoss({ unsynced: 'dropped' }), NEW)).toBe(expected);
      }
    }
    expect(ends.none).toBeGreaterThan(20);
    expect(ends.whole).toBeGreaterThan(3);
  });

  test.each(['makeFolder', 'create', 'write', 'datasync', 'rename', 'syncFolder', 'read'] as const)(
    'any %s may fail: it says so, leaves nothing, and the store is at work',
    async (on) => {
      let failures = 0;
      for (let nth = 1; ; nth += 1) {
        const files = new FakeFiles();
        const store = await openStore(smallStore(files, `failing ${on}`, { snapshotJournalBytes: 1e9 }));
        const writer = new Writer(store, on);
        await writer.write(3);
        await store.snapshot();
        await writer.write(3);
        const code = on === 'read' ? 'EIO' : 'ENOSPC';
        files.fail({ on, code, nth, done: nth % 50 });
        const before = files.counts[on];
        const failed = await store.backup(TO).then(
          () => undefined,
          (error: unknown) => error,
        );
        const happened = files.counts[on] - before >= nth;
        files.heal();
        if (failed !== undefined) {
          failures += 1;
          expect(isPosternError(failed, 'file.unwritable', 'file.unreadable')).toBe(true);
          expect(failed).toMatchObject({ hint: expect.any(String), cause: { code } });
          expect(await files.list(TO).catch(() => [])).toEqual([]);
          await store.backup(TO);
        }
        await checkBackup(place(files));
        await writer.write(2);
        await store.close();
        if (!happened) break;
      }
      expect(failures).toBeGreaterThan(0);
    },
  );

  test('closing the store gives it up and leaves nothing', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'closing'));
    await new Writer(store, 'closing').write(5);
    const created = new Promise<void>((resolve) => {
      files.before = (step) => (step.kind === 'create' ? resolve() : undefined);
    });
    const outcome = store.backup(TO).catch((error: unknown) => error);
    await created;
    files.before = undefined;
    await store.close();
    expect(await outcome).toMatchObject({ code: 'store.closed' });
    expect(await files.list(TO)).toEqual([]);
  });

  test('of a store whose files are damaged names those, and leaves nothing', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'rotten', { snapshotJournalBytes: 1e9 }));
    const writer = new Writer(store, 'rotten');
    await writer.write(4);
    await store.snapshot();
    await writer.write(3);
    for (const name of ['snapshot.1', 'journal.1']) {
      files.flipBit(`${FROM}/${name}`, 150 * 8);
      await expect(store.backup(TO)).rejects.toMatchObject({
        code: 'store.damaged',
        fields: { file: `${FROM}/${name}` },
      });
      files.flipBit(`${FROM}/${name}`, 150 * 8);
      expect(await files.list(TO)).toEqual([]);
    }
    await store.backup(TO);
    await store.close();
  });
});

describe('a damaged backup', () => {
  test('is found out for any bit turned round, any byte cut off and any file missing', async () => {
    const { files } = await backedUp();
    const names = await files.list(TO);
    expect(names).toEqual(['backup.json', 'journal.1', 'snapshot.1']);
    for (const name of names) {
      const bytes = files.peek(`${TO}/${name}`) as Buffer;
      for (let byte = 0; byte < bytes.length; byte += 1) {
        files.flipBit(`${TO}/${name}`, byte * 8 + (byte % 8));
        const error = await checkBackup(place(files)).catch((thrown: unknown) => thrown);
        files.flipBit(`${TO}/${name}`, byte * 8 + (byte % 8));
        if (isPosternError(error)) expect(error.code).toBe('store.damaged');
        // A space for a line feed between two words of the list is no harm.
        else expect([name, bytes.toString('latin1', byte, byte + 1).trim()]).toEqual(['backup.json', '']);
      }
      for (let length = 0; length < bytes.length - 1; length += 1) {
        files.put(`${TO}/${name}`, bytes.subarray(0, length));
        await expect(checkBackup(place(files))).rejects.toMatchObject({ code: 'store.damaged' });
      }
      await files.remove(`${TO}/${name}`);
      await expect(restoreBackup(place(files), NEW)).rejects.toMatchObject({ hint: expect.any(String) });
      files.put(`${TO}/${name}`, bytes);
    }
    await checkBackup(place(files));
    expect(await files.exists(NEW)).toBe(false);
  });
});

describe('restoring', () => {
  test('cut short by power loss at any step leaves nothing, damage by name, or everything', async () => {
    const ends = new Set<string>();
    for (let step = 0, finished = false; !finished; step += 1) {
      const { files, content } = await backedUp();
      files.powerOffAtStep(files.steps + step);
      finished = await restoreBackup(place(files), NEW).then(
        () => true,
        () => false,
      );
      for (const seed of ['a', 'b', 'c', 'd', 'e', 'f']) {
        const after = files.powerLoss({ seed: `${step} ${seed}` });
        const found = await contentOf(after, NEW).catch((error: unknown) => {
          if (!isPosternError(error, 'store.damaged')) throw error;
          return 'damaged';
        });
        ends.add(found);
        expect(finished ? [content] : ['', 'damaged', content]).toContain(found);
      }
    }
    expect(ends.size).toBe(3);
  });

  test.each(['makeFolder', 'create', 'write', 'datasync', 'rename', 'syncFolder', 'read'] as const)(
    'any %s may fail: it says so and can be repeated',
    async (on) => {
      for (let nth = 1, happened = true; happened; nth += 1) {
        const { files, content } = await backedUp();
        files.fail({ on, nth, code: 'EIO' });
        const before = files.counts[on];
        const error = await restoreBackup(place(files), NEW).catch((thrown: unknown) => thrown);
        happened = files.counts[on] - before >= nth;
        files.heal();
        expect(isPosternError(error, 'file.unwritable', 'file.unreadable')).toBe(happened);
        if (happened) await restoreBackup(place(files), NEW);
        expect(await contentOf(files, NEW)).toBe(content);
      }
    },
  );
});

describe('compaction that was asked for', () => {
  test('brings records together and the journal down while changes go on', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'compact', { snapshotJournalBytes: 1e9 }));
    const first = store.begin();
    const ids = Array.from({ length: 200 }, () => first.add(Buffer.alloc(100)));
    await first.commit();
    const thin = store.begin();
    for (const id of ids) if (id % 8 !== 0) thin.delete(id);
    await thin.commit();
    const writer = new Writer(store, 'compact');
    const [report] = await Promise.all([store.compact(), store.compact(), replaceSome(store, ids)]);
    expect(report.slabBytesBefore).toBeGreaterThan(4 * 4096);
    expect(report.slabBytes).toBeLessThanOrEqual(4 * 4096);
    expect(report.journalBytes).toBeLessThan(report.journalBytesBefore / 2);
    expect(report.snapshotBytes).toBeGreaterThan(0);
    expect(writer.acknowledged).toBe(0);
    const stats = store.stats();
    const sum = (key: 'bytes' | 'liveBytes' | 'deadBytes'): number =>
      stats.slabs.reduce((total, slab) => total + slab[key], 0);
    expect(sum('deadBytes')).toBe(stats.garbageBytes);
    expect(sum('liveBytes')).toBeGreaterThanOrEqual(stats.blobBytes);
    expect(sum('bytes')).toBeLessThanOrEqual(stats.slabBytes);
    const expected = fingerprint(stateOf(store));
    await store.verify();
    await store.close();
    expect(await contentOf(files, FROM)).toBe(expected);
  });

  test('again and again takes no more room, and waits for a snapshot under way to write its own', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'repeated', { snapshotJournalBytes: 1e9 }));
    const writer = new Writer(store, 'repeated');
    await writer.write(20);
    const { slabBytes } = await store.compact();
    for (let n = 0; n < 30; n += 1) {
      const under = store.snapshot();
      await writer.write(1);
      await store.compact();
      await under;
      expect(store.stats().journalBytes).toBe(0);
    }
    expect(store.stats().slabBytes).toBeLessThanOrEqual(slabBytes + 4 * 4096);
    await store.close();
    expect(await contentOf(files, FROM)).toBe(writer.states.at(-1));
  });

  test('without room for the snapshot says so; the store stays at work', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'full', { snapshotJournalBytes: 1e9 }));
    const writer = new Writer(store, 'full');
    await writer.write(5);
    files.fail({ on: 'write', path: 'snapshot.1.new', code: 'ENOSPC' });
    await expect(store.compact()).rejects.toMatchObject({
      code: 'file.unwritable',
      cause: { code: 'ENOSPC' },
      hint: expect.stringContaining('space'),
    });
    await writer.write(5);
    await store.compact();
    await store.close();
    expect(await contentOf(files, FROM)).toBe(writer.states.at(-1));
  });
});

async function replaceSome(store: RecordStore, ids: readonly number[]): Promise<void> {
  for (const id of ids) {
    if (id % 8 !== 0) continue;
    const batch = store.begin();
    batch.put(id, Buffer.alloc(90, id));
    await batch.commit();
  }
}
