import fc from 'fast-check';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { systemFiles } from '../base/files.ts';
import { createLog } from '../base/log.ts';
import { Secret } from '../base/secret.ts';
import { FakeClock } from '../../test/fakes/clock.ts';
import { FakeFiles } from '../../test/fakes/files.ts';
import { decodeTrustRecord, encodeTrustRecord } from './trust-record.ts';
import { bytesField, secretField } from './trust-schema.ts';
import { openTrustStore, type TrustStore } from './trust-store.ts';

const schema = z.strictObject({
  version: z.literal(1),
  count: z.int(),
  names: z.array(z.string()),
  key: secretField.optional(),
});
type Document = z.infer<typeof schema>;

const first: Document = { version: 1, count: 0, names: [] };
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

describe('reading and updating', () => {
  test('a new store is durable in both copies before it opens, and is read back', async () => {
    const files = new FakeFiles();
    const store = await open(files);
    expect(store.value).toEqual(first);
    expect(numbers(files)).toEqual([1, 1]);
    const after = files.powerLoss({ unsynced: 'dropped' });
    expect((await reopen(after)).value).toEqual(first);
  });

  test('updates run in order, and those that wait share one write', async () => {
    const files = new FakeFiles();
    const store = await open(files);
    const before = files.counts.rename;
    const seen: number[] = [];
    await Promise.all(
      Array.from({ length: 50 }, () =>
        store.update((draft) => {
          seen.push(draft.count);
          return counted(draft);
        }),
      ),
    );
    expect(seen).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(store.value.count).toBe(50);
    await store.close();
    expect(files.counts.rename - before).toBe(2);
    expect(numbers(files)).toEqual([2, 2]);
  });

  test('nothing is in force before it is durable, and drafts are nobody else’s', async () => {
    const files = new FakeFiles();
    const store = await open(files);
    let inForce: number | undefined;
    files.before = ({ kind }) => {
      if (kind === 'syncFolder') inForce ??= store.value.count;
    };
    let kept: Document | undefined;
    await store.update((draft) => {
      draft.count = 7;
      draft.names.push('x');
      kept = draft;
      return draft;
    });
    expect(inForce).toBe(0);
    kept?.names.push('afterwards');
    expect(store.value).toEqual({ version: 1, count: 7, names: ['x'] });
    expect(() => store.value.names.push('y')).toThrow(TypeError);
  });

  test('an update that throws or does not fit is refused alone', async () => {
    const store = await open(new FakeFiles());
    const results = await Promise.allSettled([
      store.update(counted),
      store.update(() => {
        throw new Error('no');
      }),
      store.update((draft) => ({ ...draft, count: 0.5, names: ['hidden'] })),
      store.update(counted),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect((results[2] as PromiseRejectedResult).reason).toMatchObject({
      code: 'internal',
      message: expect.not.stringContaining('hidden'),
    });
    expect(store.value.count).toBe(2);
  });

  test('a closed store refuses updates', async () => {
    const store = await open(new FakeFiles());
    const waiting = store.update(counted);
    await store.close();
    await waiting;
    await expect(store.update(counted)).rejects.toMatchObject({ code: 'store.closed' });
  });

  test('secrets and bytes are base64 in the file and objects in memory', async () => {
    const files = new FakeFiles();
    const rich = z.strictObject({ key: secretField, id: bytesField });
    const store = await openTrustStore(files, folder, 'hub', rich, {
      key: new Secret('s3cret'),
      id: Buffer.from([1, 2]),
    });
    await store.update((draft) => ({ ...draft, id: Buffer.from([3]) }));
    expect(store.value.key.revealText()).toBe('s3cret');
    expect(JSON.stringify(store.value)).not.toContain(Buffer.from('s3cret').toString('base64'));
    await store.close();
    expect(files.peek(`${folder}/hub.a`)?.toString()).toContain(
      `"key": "${Buffer.from('s3cret').toString('base64')}"`,
    );
    const again = await openTrustStore(files, folder, 'hub', rich, undefined);
    expect(again.value.key.revealText()).toBe('s3cret');
    expect(again.value.id).toEqual(Buffer.from([3]));
  });

  test('on a real disk the files are private', async () => {
    const real = await mkdtemp(join(tmpdir(), 'postern-trust-'));
    try {
      const store = await openTrustStore(systemFiles, join(real, 'a', 'b'), 'edge', schema, first);
      await store.update(counted);
      await store.close();
      for (const name of ['edge.a', 'edge.b']) {
        const path = join(real, 'a', 'b', name);
        expect((await stat(path)).mode & 0o777).toBe(0o600);
        expect(await readFile(path, 'utf8')).toContain('"count": 1');
      }
      expect((await stat(join(real, 'a', 'b'))).mode & 0o777).toBe(0o700);
    } finally {
      await rm(real, { recursive: true });
    }
  });
});

describe('damage', () => {
  const written = async (): Promise<FakeFiles> => {
    const files = new FakeFiles();
    const store = await open(files);
    await store.update((draft) => ({ ...draft, count: 5 }));
    await store.close();
    return files;
  };

  test.each([
    ['edge.a', A],
    ['edge.b', B],
  ])('every flipped bit of %s is found, named and repaired', async (name, path) => {
    const healthy = (await written()).peek(path) ?? Buffer.alloc(0);
    for (let bit = 0; bit < healthy.length * 8; bit++) {
      const files = await written();
      files.flipBit(path, bit);
      const store = await reopen(files);
      expect(store.value.count).toBe(5);
      expect(store.repaired.map(({ file }) => file)).toEqual([name]);
      expect(files.peek(path)).toEqual(healthy);
      expect((await reopen(files.powerLoss({ unsynced: 'dropped' }))).repaired).toEqual([]);
    }
  });

  test.each([
    ['cut off', (bytes: Buffer) => bytes.subarray(0, -3)],
    ['emptied', () => Buffer.alloc(0)],
    ['lengthened', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('{}')])],
    ['another store’s', () => encodeTrustRecord('hub', { sequence: 99, document: first })],
    ['zeros', (bytes: Buffer) => Buffer.alloc(bytes.length)],
  ])('a copy that was %s is repaired', async (_what, damage) => {
    const files = await written();
    files.put(A, damage(files.peek(A) ?? Buffer.alloc(0)));
    const store = await reopen(files);
    expect(store.value.count).toBe(5);
    expect(store.repaired).toHaveLength(1);
    expect(numbers(files)).toEqual([2, 2]);
  });

  test('an unreadable sector counts as damage; files of somebody else do not', async () => {
    const files = await written();
    files.fail({ on: 'read', path: 'edge.b', code: 'EIO' });
    expect((await reopen(files)).repaired).toMatchObject([{ file: 'edge.b' }]);
    const before = files.peek(A);
    files.fail({ on: 'read', path: 'edge.a', code: 'EACCES' });
    await expect(open(files)).rejects.toMatchObject({ code: 'file.unreadable' });
    expect(files.peek(A)).toEqual(before);
  });

  test('a missing copy is made again without a word; both missing is only new when allowed', async () => {
    const files = await written();
    await files.remove(B);
    const store = await reopen(files);
    expect(store.repaired).toEqual([]);
    expect(numbers(files)).toEqual([2, 2]);
    await expect(reopen(new FakeFiles())).rejects.toThrow('edge is missing');
    const none = await openTrustStore(new FakeFiles(), folder, 'edge', schema, undefined).catch(
      (error: unknown) => error,
    );
    expect(none).toMatchObject({ code: 'trust.damaged', hint: expect.stringContaining('edge.a and edge.b') });
  });

  test('both damaged, or one damaged and one missing: an error, and nothing is touched', async () => {
    for (const other of [
      (files: FakeFiles) => Promise.resolve(files.flipBit(B, 1000)),
      (files: FakeFiles) => files.remove(B),
    ]) {
      const files = await written();
      files.flipBit(A, 1000);
      await other(files);
      const before = [files.peek(A), files.peek(B)];
      await expect(open(files)).rejects.toMatchObject({
        code: 'trust.damaged',
        hint: expect.stringContaining('backup'),
      });
      expect([files.peek(A), files.peek(B)]).toEqual(before);
    }
  });

  test('a document of a later version is refused and left alone, without quoting it', async () => {
    const files = await written();
    const later = encodeTrustRecord('edge', { sequence: 9, document: { version: 2, secret: 'hidden' } });
    files.put(A, later);
    const error: unknown = await open(files).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'trust.damaged',
      message: expect.stringContaining('another version'),
    });
    expect(String(error)).not.toContain('hidden');
    expect(files.peek(A)).toEqual(later);
  });

  test('any bytes at all in a copy give a record or trust.damaged', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, header) => {
        const head = Buffer.from(header ? 'postern-trust 1 edge 1 2 ' : '');
        expect(() => decodeTrustRecord('edge', Buffer.concat([head, bytes]))).toThrow(
          expect.objectContaining({ code: 'trust.damaged' }),
        );
      }),
    );
  });
});

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
