/** Runs a host's `postern` with the very words that are shown, in the host's folder, so that what is shown is what happened. */
import { spawn } from 'node:child_process';
import type { Clock } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import type { DemoHost } from './site.ts';

/** Longest time a command may take; the load of many recipients is the longest. */
const GIVE_UP_MS = 10 * 60_000;

export interface CommandOutcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly clock: Clock;
  /** Kills the command; the promise then rejects with `canceled`. */
  readonly signal: AbortSignal;
  /** Standard error is our own, for a progress bar on the terminal. */
  readonly terminal?: boolean;
}

/** Any exit code is a result; rejects with `canceled`, or `internal` when it cannot be run or takes for ever. */
export function runCommand(
  host: DemoHost,
  words: readonly string[],
  options: CommandOptions,
): Promise<CommandOutcome> {
  const { clock, signal } = options;
  const shown = commandLine(words);
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(canceled(shown));
    const child = spawn(host.postern, words, {
      cwd: host.folder,
      stdio: ['ignore', 'pipe', options.terminal === true ? 'inherit' : 'pipe'],
    });
    const kill = (): void => void child.kill('SIGKILL');
    const limit = clock.after('demo.command', GIVE_UP_MS, kill);
    signal.addEventListener('abort', kill, { once: true });
    process.once('exit', kill);
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const settle = (): void => {
      limit.cancel();
      signal.removeEventListener('abort', kill);
      process.off('exit', kill);
    };
    child.once('error', (cause) => {
      settle();
      reject(new PosternError('internal', `cannot run ${host.postern}`, { cause }));
    });
    child.once('close', (code, killedBy) => {
      settle();
      if (code !== null) return resolve({ exitCode: code, stdout, stderr });
      reject(
        signal.aborted
          ? canceled(shown)
          : new PosternError('internal', `${shown} was ended by ${killedBy ?? 'an unknown signal'}`),
      );
    });
  });
}

/** The command as it would be typed: words in quotes where a shell needs them. */
export function commandLine(words: readonly string[]): string {
  const typed = words.map((word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`,
  );
  return ['postern', ...typed].join(' ');
}

function canceled(shown: string): PosternError {
  return new PosternError('canceled', `${shown} was canceled`);
}
