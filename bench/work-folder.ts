/** Where benchmarks keep their data: on a real disk, since what is measured is durable. */
import { mkdtempSync, rmSync, mkdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PARENT = fileURLToPath(new URL('../.tmp', import.meta.url));
const TMPFS = 0x0102_1994;
const RAMFS = 0x8584_58f6;

/** Makes a folder in the checkout the temporary folder of this process and its children; it goes when the process ends. */
export function useWorkFolder(): string {
  mkdirSync(PARENT, { recursive: true });
  const { type } = statfsSync(PARENT);
  if (type === TMPFS || type === RAMFS)
    throw new Error(
      `${PARENT} is in memory, so nothing measured there would be durable: use a checkout on a disk`,
    );
  const folder = mkdtempSync(join(PARENT, 'bench-'));
  process.env['TMPDIR'] = folder;
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  return folder;
}
