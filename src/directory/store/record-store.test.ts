import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
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
import { createMemoryStore, openStore, type RecordStore } from './store.ts';

type Step =
  | 'batch'
  | 'rollback'
  | 'burst'
  | 'snapshot'
  | 'snapshot in background'
  | 'verify'
  | 'reopen'
  | 'hold'
  | 'letGo';

describe('against a model', () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.constant<Step>('batch') },
    { weight: 2, arbitrary: fc.constant<Step>('burst') },
    {
      weight: 5,
      arbitrary: fc.constantFrom<Step>(
        'rollback',
        'snapshot',
        'snapshot in background',
        'verify',
        'reopen',
        'hold',
        'letGo',
      ),
    },
  );

  test('a store on files holds what the model holds, always and when opened again', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.nat(), async (steps, seed) => {
        const files = new FakeFiles();
        const random = fakeRandom(`model ${seed}`);
        const longest = seed % 5 === 0 ? 3000 : 120;
        const options = smallStore(files, 'model');
        let store = await openStore(options);
        const state = emptyState();
        const holds: (() => void)[] = [];
        const background: Promise<void>[] = [];
        for (const what of steps) {
          if (what === 'batch' || what === 'burst') {
            for (let n = what === 'burst' ? 20 : 1; n > 0; n -= 1) {
              const batch = store.begin();
              randomChanges(batch, state, random, 6, longest);
              if (n === 1) await batch.commit();
              else background.push(batch.commit());
            }
          } else if (what === 'rollback') {
            const batch = store.begin();
            randomChanges(batch, copyState(state), random, 6, longest);
            batch.rollback();
          } else if (what === 'snapshot') await store.snapshot();
          else if (what === 'snapshot in background') background.push(store.snapshot());
          else if (what === 'verify') await store.verify();
          else if (what === 'hold') holds.push(store.holdIds());
          else if (what === 'letGo') holds.pop()?.();
          else {
            await Promise.all(background.splice(0));
            await store.close();
            store = await openStore(options);
            expect(store.stats().recovery.bytesCut).toBe(0);
            holds.length = 0;
          }
          expect(fingerprint(stateOf(store))).toBe(fingerprint(state));
        }
        await Promise.all(background);
        await store.verify();
        await store.close();
      }),
      { numRuns: 400 },
    );
  });

  test('a store in memory does, too', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const random = fakeRandom(`memory ${seed}`);
        const store = createMemoryStore({ slabBytes: 4096 });
        const state = emptyState();
        for (let n = 0; n < 60; n += 1) {
          const batch = store.begin();
          if (random.fraction() < 0.2) {
            randomChanges(batch, copyState(state), random, 8, 300);
            batch.rollback();
          } else {
            randomChanges(batch, state, random, 8, 300);
            batch.commit(() => {});
          }
          if (random.fraction() < 0.2) await store.flush();
          expect(fingerprint(stateOf(store))).toBe(fingerprint(state));
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('garbage', () => {
  test('stays bounded while one record is replaced again and again, in memory and in the folder', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'garbage'));
    const first = store.begin();
    const id = first.add(Buffer.alloc(100));
    await first.commit();
    let most = 0;
    for (let n = 0; n < 2000; n += 1) {
      const batch = store.begin();
      batch.put(id, Buffer.alloc(100, n));
      await batch.commit();
      most = Math.max(most, store.stats().slabBytes);
    }
    expect(most).toBeLessThanOrEqual(8 * 4096);
    await store.snapshot();
    expect(store.stats().journalBytes).toBeLessThan(1000);
    expect((await files.list('/data/store')).length).toBe(2);
    await store.close();
  });

  test('records too large to share a slab are not moved about for ever', async () => {
    const store = createMemoryStore({ slabBytes: 4096 });
    for (let n = 0; n < 20; n += 1) {
      const batch = store.begin();
      batch.add(Buffer.alloc(2500));
      batch.commit(() => {});
    }
    await store.flush();
    expect(store.stats()).toMatchObject({ records: 20, slabBytes: 20 * 4096 });
  });
});

describe('durability', () => {
  test('a commit is told after the flush, in order; those that come meanwhile share the next one', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'order', { snapshotJournalBytes: 1e9 }));
    const told: number[] = [];
    const flushes = store.stats().flushes;
    for (let n = 0; n < 50; n += 1) tellOne(store, () => told.push(n));
    expect(told).toEqual([]);
    expect(store.pendingBytes).toBeGreaterThan(0);
    const before = files.counts.datasync;
    files.before = (step) => {
      if (step.kind === 'datasync') expect(told).toEqual([]);
    };
    await store.flush();
    files.before = undefined;
    expect(told).toEqual(Array.from({ length: 50 }, (_, n) => n));
    expect(files.counts.datasync - before).toBe(1);
    expect(store.stats().flushes - flushes).toBe(1);
    expect(store.pendingBytes).toBe(0);
    await store.close();
  });

  test('an empty batch is durable when what was committed before it is', async () => {
    const store = await openStore(smallStore(new FakeFiles(), 'barrier'));
    const told: string[] = [];
    tellOne(store, () => told.push('change'));
    await store.begin().commit();
    expect(told).toEqual(['change']);
    await store.begin().commit();
    await store.close();
  });

  test('a listener that throws stops nobody else', async () => {
    const store = await openStore(smallStore(new FakeFiles(), 'throwing'));
    const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
    // The test runner listens for uncaught exceptions, too: ours alone while this one is thrown.
    const others = process.listeners('uncaughtException').slice(0, -1);
    for (const other of others) process.off('uncaughtException', other);
    tellOne(store, () => {
      throw new Error('listener');
    });
    await store.begin().commit();
    expect(await thrown).toMatchObject({ message: 'listener' });
    for (const other of others) process.on('uncaughtException', other);
    await store.close();
  });

  test('after close nothing is stored, memory stays as it was, and a second close is no error', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'closed'));
    const last = store.begin();
    last.add(Buffer.from('in time'));
    const durable = last.commit();
    const closing = store.close();
    await durable;
    await closing;
    const late = store.begin();
    late.add(Buffer.from('late'));
    await expect(late.commit()).rejects.toMatchObject({ code: 'store.closed' });
    expect(store.size).toBe(1);
    await store.close();
    await expect(store.snapshot()).rejects.toMatchObject({ code: 'store.closed' });
    await expect(store.flush()).rejects.toMatchObject({ code: 'store.closed' });
    const again = await openStore(smallStore(files, 'closed'));
    expect(again.size).toBe(1);
    await again.close();
  });

  test('a journal without preallocation, and one of a store that was never closed, are read as well', async () => {
    for (const preallocateBytes of [0, 512]) {
      const files = new FakeFiles();
      const store = await openStore(smallStore(files, 'bare', { preallocateBytes }));
      for (let n = 0; n < 5; n += 1) await commitOne(store);
      const again = await openStore(smallStore(files, 'bare'));
      expect(again.size).toBe(5);
      expect(again.stats().recovery).toMatchObject({ groups: 5, bytesCut: 0 });
      await again.close();
      await store.close();
    }
  });
});

describe('snapshots', () => {
  test('come by themselves when the journal has grown, while changes go on', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'due'));
    const state = emptyState();
    const random = fakeRandom('due');
    for (let n = 0; n < 300; n += 1) {
      const batch = store.begin();
      randomChanges(batch, state, random, 4, 200);
      await batch.commit();
    }
    const { snapshotBytes, journalGroups } = store.stats();
    expect(snapshotBytes).toBeGreaterThan(0);
    expect(journalGroups).toBeLessThan(300);
    await store.verify();
    await store.close();
    const again = await openStore(smallStore(files, 'due'));
    expect(fingerprint(stateOf(again))).toBe(fingerprint(state));
    expect(again.stats().recovery.snapshotRecords).toBeGreaterThan(0);
    await again.close();
  });

  test('while one is being written every record changes, and moves, again and again', async () => {
    for (let seed = 0; seed < 8; seed += 1) {
      const files = new FakeFiles();
      const options = smallStore(files, `busy ${seed}`, {
        snapshotJournalBytes: 1e9,
        snapshotChunkBytes: 500,
      });
      const store = await openStore(options);
      const state = emptyState();
      const random = fakeRandom(`busy ${seed}`);
      const first = store.begin();
      for (let n = 0; n < 40; n += 1)
        state.records.set(first.add(Buffer.from('first')), Buffer.from('first'));
      await first.commit();
      const replaceAll = async (): Promise<void> => {
        const batch = store.begin();
        for (const id of state.records.keys()) {
          const bytes = random.bytes(Math.floor(random.fraction() * 300));
          batch.put(id, bytes);
          state.records.set(id, bytes);
        }
        await batch.commit();
      };
      await replaceAll();
      let replaced = 0;
      files.before = async (step) => {
        if (step.kind !== 'write' || !step.path.endsWith('snapshot.1.new')) return;
        for (let n = 0; n < 10; n += 1) await replaceAll();
        replaced += 10;
      };
      await store.snapshot();
      files.before = undefined;
      // Many times more than what the slabs hold: they were emptied and filled again.
      expect(replaced).toBeGreaterThan(100);
      expect(store.stats().slabBytes).toBeLessThan(15 * 4096);
      expect(fingerprint(stateOf(store))).toBe(fingerprint(state));
      const again = await openStore(smallStore(files.powerLoss({ unsynced: 'dropped' }), 'again'));
      expect(fingerprint(stateOf(again))).toBe(fingerprint(state));
      await again.close();
    }
  });

  test('a snapshot that cannot be written leaves the store at work, and a later one succeeds', async () => {
    for (const on of ['create', 'write', 'datasync', 'rename', 'syncFolder'] as const) {
      const files = new FakeFiles();
      const store = await openStore(smallStore(files, `failed ${on}`, { snapshotJournalBytes: 1e9 }));
      for (let n = 0; n < 20; n += 1) await commitOne(store);
      files.fail({ on, code: 'ENOSPC', ...(on === 'syncFolder' ? {} : { path: 'snapshot.1.new' }) });
      await expect(store.snapshot()).rejects.toMatchObject({ code: 'ENOSPC' });
      for (let n = 0; n < 20; n += 1) await commitOne(store);
      await store.verify();
      const crashed = await openStore(smallStore(files.powerLoss({ seed: on }), 'failed'));
      expect([on, crashed.size]).toEqual([on, 40]);
      await crashed.close();
    }
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'retried', { snapshotJournalBytes: 1e9 }));
    files.fail({ on: 'write', code: 'ENOSPC', path: 'snapshot.1.new' });
    await commitOne(store);
    await expect(store.snapshot()).rejects.toMatchObject({ code: 'ENOSPC' });
    await store.snapshot();
    await store.verify();
    await store.close();
    const again = await openStore(smallStore(files, 'retried'));
    expect(again.size).toBe(1);
    expect(again.stats().recovery.snapshotRecords).toBe(1);
    await again.close();
  });

  test('closing gives up a snapshot under way', async () => {
    const files = new FakeFiles();
    const store = await openStore(smallStore(files, 'given up', { snapshotJournalBytes: 1e9 }));
    for (let n = 0; n < 50; n += 1) await commitOne(store);
    const writing = new Promise<void>((resolve) => {
      files.before = (step) =>
        step.path.endsWith('snapshot.1.new') && step.kind === 'write' ? resolve() : undefined;
    });
    const snapshot = store.snapshot().then(
      () => undefined,
      (error: unknown) => error,
    );
    await writing;
    await store.close();
    expect(await snapshot).toMatchObject({ code: 'store.closed' });
    expect(await files.list('/data/store')).toEqual(['journal.0', 'journal.1']);
    const again = await openStore(smallStore(files, 'given up'));
    expect(again.size).toBe(50);
    await again.close();
  });
});

function commitOne(store: RecordStore): Promise<void> {
  return new Promise((resolve, reject) => {
    tellOne(store, (error) => (error === undefined ? resolve() : reject(error)));
  });
}

function tellOne(store: RecordStore, onDurable: (error?: Error) => void): void {
  const batch = store.begin();
  batch.add(Buffer.from('some bytes of a record'));
  batch.commit(onDurable);
}
