/**
 * A guest machine: a Linux kernel of its own, with real ESP, over this machine's files (read-only) and one work folder. Which kernels
 * there are, what is asked of each, and how one runs from start to end. Knows nothing of scenarios.
 *
 * Nothing of a guest outlives this process: it runs in a process namespace (as root) or a process group (else) that is killed with us.
 */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';

export interface GuestOptions {
  /** Folder of this checkout. */
  readonly top: string;
  /** Folder that both sides write to: `/mnt/work` in the guest. */
  readonly work: string;
  /** Node, as this machine sees it. */
  readonly node: string;
  /** Program for Node, from `work`. */
  readonly program: string;
  /** The guest powers itself off after this time; we end it a little later. */
  readonly limitSeconds: number;
}

/** How to start a kernel: a shell script that runs in the work folder and ends with it, and its environment. */
export interface Launch {
  readonly script: string;
  readonly environment: Readonly<Record<string, string>>;
}

export interface Machine {
  readonly name: 'uml' | 'qemu';
  /** What is missing here for it to run; empty when nothing is. */
  missing(): string[];
  /** Puts into the work folder what the kernel needs beside it. */
  prepare(options: GuestOptions): Promise<Launch>;
}

export type GuestEnd = 'ended' | 'time';

/** Runs a guest to its end. What its console says is in `console` of the work folder. */
export async function runGuest(
  machine: Machine,
  options: GuestOptions,
  signal?: AbortSignal,
): Promise<GuestEnd> {
  const { script, environment } = await machine.prepare(options);
  const inside = ['sh', '-c', script];
  const isRoot = process.getuid?.() === 0;
  const [command, ...args] = isRoot
    ? ['setpriv', '--pdeathsig', 'KILL', 'unshare', '--pid', '--fork', '--kill-child=KILL', ...inside]
    : ['setpriv', '--pdeathsig', 'KILL', ...inside];
  const child = spawn(command, args, {
    cwd: options.work,
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const console = createWriteStream(join(options.work, 'console'));
  child.stdout.pipe(console, { end: false });
  child.stderr.pipe(console, { end: false });
  let end: GuestEnd = 'ended';
  const kill = (): void => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
  };
  const timer = setTimeout(
    () => {
      end = 'time';
      kill();
    },
    (options.limitSeconds + 30) * 1000,
  );
  process.once('exit', kill);
  signal?.addEventListener('abort', kill);
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', () => resolve());
    });
  } finally {
    clearTimeout(timer);
    process.off('exit', kill);
    signal?.removeEventListener('abort', kill);
    kill();
    console.end();
  }
  return end;
}

/** What the guest's first process (lab/guest/init.sh) finds in its environment. */
export function guestParameters(name: Machine['name'], options: GuestOptions): string {
  const parameters = {
    lab_init: join(options.top, 'lab/guest/init.sh'),
    lab_machine: name,
    lab_top: options.top,
    lab_work: options.work,
    lab_node: options.node,
    lab_program: options.program,
    lab_limit: String(options.limitSeconds),
  };
  for (const value of Object.values(parameters)) {
    if (/[^\w./+@:-]/.test(value)) throw new Error(`a kernel's parameter can't hold this: ${value}`);
  }
  return Object.entries(parameters)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}
