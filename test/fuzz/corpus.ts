/** Inputs kept on the disk, named by the first 16 digits of their SHA-256. Names with `fault-` are regressions and stay. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Coverage } from './coverage.ts';
import type { FuzzTarget } from './target.ts';

/** All files of one target. */
const MOST_TARGET_BYTES = 24_000;

export const CORPUS = join(import.meta.dirname, 'corpus');

export const hashOf = (input: Buffer): string =>
  createHash('sha256').update(input).digest('hex').slice(0, 16);

export interface Kept {
  readonly name: string;
  readonly input: Buffer;
}

export function readCorpus(target: string, folder = CORPUS): Kept[] {
  mkdirSync(join(folder, target), { recursive: true });
  return readdirSync(join(folder, target))
    .toSorted()
    .map((name) => ({ name, input: readFileSync(join(folder, target, name)) }));
}

export function writeInput(folder: string, name: string, input: Buffer): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  writeFileSync(path, input);
  return path;
}

/**
 * Rewrites a target's corpus: the smallest inputs that together reach all that `inputs` reach, as far as there is room. `coverage`
 * must be a fresh one. Returns how many there are.
 */
export function minimise(
  target: FuzzTarget,
  inputs: readonly Buffer[],
  coverage: Coverage,
  folder = CORPUS,
): number {
  const chosen = new Map<string, Buffer>();
  let room = MOST_TARGET_BYTES;
  for (const input of inputs.toSorted((a, b) => a.length - b.length)) {
    coverage.take();
    try {
      target.run(Buffer.from(input));
    } catch {
      continue;
    }
    const looked = coverage.look();
    if (!looked.fresh || input.length > room) continue;
    looked.learn();
    room -= input.length;
    chosen.set(hashOf(input), input);
  }
  for (const { name } of readCorpus(target.name, folder))
    if (!name.startsWith('fault-') && !chosen.has(name)) rmSync(join(folder, target.name, name));
  for (const [name, input] of chosen) writeInput(join(folder, target.name), name, input);
  return chosen.size;
}
