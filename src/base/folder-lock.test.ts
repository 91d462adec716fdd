import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockFolder } from './folder-lock.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'folder-lock-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const holder = (at: string, then: string): string[] => [
  '--input-type=module-typescript',
  '-e',
  `import { lockFolder } from ${JSON.stringify(join(import.meta.dirname, 'folder-lock.ts'))};
   const lock = await lockFolder(${JSON.stringify(at)});
   process.stdout.write('held');
   ${then}`,
];

/** A process that holds the folder until it is killed. */
async function startHolder(at: string): Promise<ReturnType<typeof spawn>> {
  const child = spawn(process.execPath, holder(at, 'setInterval(() => {}, 1000);'), {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return child;
}

async function kill(child: ReturnType<typeof spawn>, signal: NodeJS.Signals): Promise<void> {
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await exited;
}

test('a folder is held by one, names its holder, and is free after release', async () => {
  const lock = await lockFolder(folder);
  await expect(lockFolder(folder)).rejects.toMatchObject({
    code: 'folder.in-use',
    fields: { pid: process.pid, folder },
  });
  await lock.release();
  expect(readdirSync(folder)).toEqual([]);
  const again = await lockFolder(folder);
  await again.release();
});

test('a folder with a path longer than a socket can have', async () => {
  const deep = join(folder, 'x'.repeat(120), 'y'.repeat(120));
  await (await import('node:fs/promises')).mkdir(deep, { recursive: true });
  const lock = await lockFolder(deep);
  await expect(lockFolder(deep)).rejects.toMatchObject({ code: 'folder.in-use' });
  await lock.release();
});

test('another process is named; killed, even stopped before, it leaves nothing that matters', async () => {
  const child = await startHolder(folder);
  await expect(lockFolder(folder)).rejects.toMatchObject({
    code: 'folder.in-use',
    fields: { pid: child.pid },
  });
  child.kill('SIGSTOP');
  await expect(lockFolder(folder)).rejects.toMatchObject({
    code: 'folder.in-use',
    fields: { pid: child.pid },
  });
  await kill(child, 'SIGKILL');
  const lock = await lockFolder(folder);
  await lock.release();
  expect(readdirSync(folder)).toEqual([]);
});

test('the lock keeps no process alive', async () => {
  const output = await new Promise((resolve) =>
    execFile(process.execPath, holder(folder, ''), (_error, stdout) => resolve(stdout)),
  );
  expect(output).toBe('held');
});

test('of many that start at once at most one gets it, and one can get it afterwards', async () => {
  for (let round = 0; round < 5; round += 1) {
    const results = await Promise.allSettled(Array.from({ length: 6 }, () => lockFolder(folder)));
    const locks = results.filter((result) => result.status === 'fulfilled').map((result) => result.value);
    expect(locks.length).toBeLessThanOrEqual(1);
    for (const lock of locks) await lock.release();
    await (await lockFolder(folder)).release();
  }
});

test('no lock where nothing can be written', async () => {
  await expect(lockFolder(join(folder, 'missing'))).rejects.toMatchObject({ code: 'file.unwritable' });
});
