/** Directories in real processes, killed at random moments and steps: transactions whole or not at all, indexes and tree in agreement. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bundle, killInLanes } from '../../test/support/kill-lane.ts';

const WRITER = join(import.meta.dirname, '../../test/support/directory-writer.ts');
const KILLS = 150;
/** Flushes mean nothing to a process that is killed, so it need not wait for a disk. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

test(`after kill -9 every acknowledged transaction is there, whole, and none in part: ${KILLS} times`, async () => {
  const folder = await mkdtemp(join(MEMORY, 'directory-kill-'));
  try {
    const results = await killInLanes(await bundle(WRITER, folder), folder, KILLS, 'directory');
    process.stdout.write(`kill -9 of directories: ${JSON.stringify(results)}\n`);
    expect(results.kills).toBeGreaterThanOrEqual(KILLS);
    expect(results.found).toBeGreaterThan(2 * KILLS);
    expect(results.kills - results.early).toBeGreaterThan(KILLS / 2);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
