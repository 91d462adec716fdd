/** Real processes on a real disk, killed at random moments and at random steps. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bundle, killInLanes } from '../../../test/support/kill-lane.ts';
import { writerOptions } from '../../../test/support/store-writer.ts';
import { openStore } from './store.ts';

const WRITER = join(import.meta.dirname, '../../../test/support/store-writer.ts');
const BATCHES = 10;
const KILLS = 100;
/** Flushes mean nothing to a process that is killed, so most batches need not wait for a disk. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

describe(`after kill -9 every acknowledged batch is there, whole, and none in part: ${BATCHES * KILLS} times`, () => {
  test.each(Array.from({ length: BATCHES }, (_, n) => n + 1))('batch %i', async (batch) => {
    const folder = await mkdtemp(join(batch === 1 ? tmpdir() : MEMORY, 'store-kill-'));
    try {
      const results = await killInLanes(await bundle(WRITER, folder), folder, KILLS, `store ${batch}`);
      process.stdout.write(`kill -9 of stores: ${JSON.stringify(results)}\n`);
      expect(results.kills).toBeGreaterThanOrEqual(KILLS);
      // They met everything, not only a store at rest.
      expect(results.found).toBeGreaterThan(10 * KILLS);
      expect(results.own).toBeGreaterThan(KILLS / 3);
      expect(results.kills - results.early).toBeGreaterThan(KILLS / 2);
      expect(results.left['unfinished snapshot']).toBeGreaterThan(0);
      expect(results.left['two journals']).toBeGreaterThan(0);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

test('a folder has one store at a time', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'store-lock-'));
  try {
    const store = await openStore(writerOptions(folder));
    await expect(openStore(writerOptions(folder))).rejects.toMatchObject({
      code: 'folder.in-use',
      fields: { pid: process.pid },
    });
    await store.close();
    await (await openStore(writerOptions(folder))).close();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
