import fc from 'fast-check';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { systemFiles } from '../base/files.ts';
import { Secret } from '../base/secret.ts';
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
