/** Runs the system's own programs (nft, ip, sh): to the end, without a shell, and a failure is an answer. */
import { execFile, spawn } from 'node:child_process';

export interface ProgramResult {
  /** 127 when there is no such program, 128 when it was ended by a signal. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `input`: for its standard input. */
export type RunProgram = (program: string, args: readonly string[], input?: string) => Promise<ProgramResult>;

const MOST_OUTPUT = 1 << 26;

export const runProgram: RunProgram = (program, args, input = '') =>
  new Promise((resolve) => {
    const child = execFile(program, [...args], { maxBuffer: MOST_OUTPUT }, (error, stdout, stderr) => {
      const code =
        error === null
          ? 0
          : typeof error.code === 'number'
            ? error.code
            : error.code === 'ENOENT'
              ? 127
              : 128;
      resolve({
        code,
        stdout,
        stderr: code === 127 && stderr === '' ? `${program} is not installed` : stderr,
      });
    });
    // Whoever ends before it has read everything has its reasons in its exit code.
    child.stdin?.on('error', () => child.stdin?.destroy());
    child.stdin?.end(input);
  });

/** Starts a program in a session of its own that outlives this process; nobody waits for it. */
export function startDetached(program: string, args: readonly string[]): void {
  spawn(program, [...args], { detached: true, stdio: 'ignore' })
    .on('error', () => undefined)
    .unref();
}
