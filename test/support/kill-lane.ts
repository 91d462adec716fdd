/**
 * Starts a program on a folder again and again and kills it (-9): at a random moment from outside, or it kills itself at a random step on its files. The
 * program gets FOLDER SEED STEP (STEP: its own end; -1: none) and "end" when it isn't to go on working. It checks what it finds against what was acknowledged,
 * says "open N" (N: what it found) on its standard output, then notes each number that is durable in a file beside the folder (`Acknowledged`).
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { openSync, readFileSync, writeSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fakeRandom } from '../fakes/random.ts';

export interface KillResults {
  kills: number;
  /** Kills that came before the program had opened its folder. */
  early: number;
  /** Kills by the program's own hand, at a step on its files. */
  own: number;
  /** What had been found last, over all lanes. */
  found: number;
  /** How often a kill left files of this kind behind. */
  left: Record<'unfinished snapshot' | 'unfinished journal' | 'two journals' | 'two snapshots', number>;
}

/** The last number that was acknowledged, in a file: it outlives the process, and whoever writes it never waits for a reader. */
export class Acknowledged {
  readonly #file: number;
  readonly found: number;

  constructor(folder: string) {
    this.#file = openSync(`${folder}-acknowledged`, 'a+');
    this.found = Number(readFileSync(this.#file, 'latin1').trimEnd().split('\n').at(-1));
  }

  note(n: number): void {
    writeSync(this.#file, `${n}\n`);
  }
}

/** One file of JavaScript starts in a fraction of the time that many of TypeScript do. */
export async function bundle(script: string, folder: string): Promise<string> {
  const outfile = join(folder, 'program.mjs');
  const { build } = await import('esbuild');
  await build({
    entryPoints: [script],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    packages: 'external',
    logLevel: 'silent',
  });
  return outfile;
}

/** As many lanes at once as there are processors, and some, each with a folder of its own. */
export async function killInLanes(
  program: string,
  folder: string,
  kills: number,
  seed: string,
): Promise<KillResults> {
  const lanes = availableParallelism() + 2;
  const results: KillResults = {
    kills: 0,
    early: 0,
    own: 0,
    found: 0,
    left: { 'unfinished snapshot': 0, 'unfinished journal': 0, 'two journals': 0, 'two snapshots': 0 },
  };
  // Ends by itself, so that what was compiled is kept for the others.
  const cache = join(folder, 'cache');
  const warm = spawnProgram(program, cache, [join(folder, 'warm'), 'warm', '-1', 'end']);
  await new Promise((resolve) => warm.once('close', resolve));
  const ends = await Promise.allSettled(
    Array.from({ length: lanes }, (_, lane) =>
      runLane(program, cache, join(folder, `lane-${lane}`), `${seed} ${lane}`, results, kills),
    ),
  );
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return results;
}

async function runLane(
  program: string,
  cache: string,
  folder: string,
  seed: string,
  results: KillResults,
  kills: number,
): Promise<void> {
  const random = fakeRandom(seed);
  let found = 0;
  // A last run that nobody kills looks at what the last kill left.
  for (let run = 0; ; run += 1) {
    const last = results.kills >= kills;
    const way = random.fraction();
    const step = last || way < 0.5 ? -1 : Math.floor(random.fraction() ** 2 * 70);
    const delay = way < 0.02 ? -1 : random.fraction() ** 2 * 10;
    const args = [folder, `${seed} ${run}`, `${step}`, ...(last ? ['end'] : [])];
    const child = spawnProgram(program, cache, args);
    const output = await killed(child, last ? undefined : step >= 0 ? 2000 : delay);
    const opened = /^open (\d+)\n/.exec(output.text);
    const asked = last ? output.code === 0 : output.signal === 'SIGKILL';
    if (!asked)
      throw new Error(
        `the program ended by itself (${output.code}, run ${run} of ${seed}): ${output.errors}`,
      );
    if (opened === null) results.early += 1;
    else found = Number(opened[1]);
    if (last) break;
    results.kills += 1;
    if (step >= 0) results.own += 1;
    await look(folder, results);
  }
  results.found += found;
}

function spawnProgram(
  program: string,
  cache: string,
  args: readonly string[],
): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_COMPILE_CACHE: cache },
  });
}

interface Output {
  text: string;
  errors: string;
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** Kills `delay` milliseconds after the program has opened its folder (negative: at once; undefined: never). */
function killed(
  child: ChildProcessByStdio<null, Readable, Readable>,
  delay: number | undefined,
): Promise<Output> {
  return new Promise((resolve, reject) => {
    const output: Output = { text: '', errors: '', code: null, signal: null };
    let timer: NodeJS.Timeout | undefined;
    const kill = (): void => void child.kill('SIGKILL');
    if (delay !== undefined && delay < 0) child.once('spawn', () => setImmediate(kill));
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      output.text += text;
      if (delay !== undefined && delay >= 0) timer ??= setTimeout(kill, delay);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output.errors += text;
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ ...output, code, signal });
    });
  });
}

async function look(folder: string, { left }: KillResults): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const count = (pattern: RegExp): number => names.filter((name) => pattern.test(name)).length;
  if (count(/^snapshot\.\d+\.new$/) > 0) left['unfinished snapshot'] += 1;
  if (count(/^journal\.\d+\.new$/) > 0) left['unfinished journal'] += 1;
  if (count(/^journal\.\d+$/) > 1) left['two journals'] += 1;
  if (count(/^snapshot\.\d+$/) > 1) left['two snapshots'] += 1;
}
