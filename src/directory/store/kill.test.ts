/** A real process on a real disk, killed at random moments. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fakeRandom } from '../../../test/fakes/random.ts';
import { changesOf, lastBatch, SLOTS, slotsOf, writerOptions } from '../../../test/support/store-writer.ts';
import { openStore } from './store.ts';

const WRITER = join(import.meta.dirname, '../../../test/support/store-writer.ts');

/** Runs the writer until `kill` says so; resolves with the last batch it said was durable. */
function runUntilKilled(folder: string, acknowledgements: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [WRITER, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    let seen = 0;
    const kill = (): boolean => child.kill('SIGKILL');
    if (acknowledgements === 0) child.once('spawn', () => setImmediate(kill));
    child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      seen += chunk.split('\n').length - 1;
      if (seen >= acknowledgements) kill();
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (signal !== 'SIGKILL') return reject(new Error(`the writer ended by itself: ${code}`));
      const whole = text
        .slice(0, text.lastIndexOf('\n') + 1)
        .trimEnd()
        .split('\n');
      resolve(Number(whole.at(-1)));
    });
  });
}

test('after kill -9 every acknowledged batch is there, whole, and none in part', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'store-kill-'));
  const random = fakeRandom('kill');
  let acknowledged = 0;
  let recovered = 0;
  try {
    for (let kill = 0; kill < 30; kill += 1) {
      // From the very start to deep in the work, some snapshots on.
      const until = kill % 10 === 0 ? 0 : Math.floor(random.fraction() ** 3 * 600) + 1;
      acknowledged = Math.max(acknowledged, await runUntilKilled(folder, until));
      if (kill % 3 === 1) continue;
      const store = await openStore(writerOptions(folder));
      recovered = lastBatch(store);
      expect(recovered, `kill ${kill}`).toBeGreaterThanOrEqual(acknowledged);
      const expected = new Map<number, string>();
      for (let n = Math.max(1, recovered - SLOTS); n <= recovered; n += 1) {
        for (const [slot, content] of changesOf(n)) {
          if (content === undefined) expected.delete(slot);
          else expected.set(slot, content);
        }
      }
      expect(
        new Map([...slotsOf(store)].map(([slot, { content }]) => [slot, content])),
        `kill ${kill}`,
      ).toEqual(expected);
      await store.verify();
      await store.close();
    }
    expect(recovered).toBeGreaterThan(1500);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
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
