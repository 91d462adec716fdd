/** The openssl program in a folder of its own: an implementation other than ours to compare with. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class OpenSsl implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<OpenSsl> {
    return new OpenSsl(await mkdtemp(join(tmpdir(), 'postern-openssl-')));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async put(name: string, content: string | Uint8Array): Promise<string> {
    await writeFile(this.path(name), content, { mode: 0o600 });
    return this.path(name);
  }

  get(name: string): Promise<Buffer> {
    return readFile(this.path(name));
  }

  /** Runs `openssl ARGS` in the folder; returns standard output and error together. Rejects, with them, unless it exits with 0. */
  run(...args: string[]): Promise<string> {
    return this.runWith('', ...args);
  }

  /** The same with something on its standard input. */
  runWith(input: string, ...args: string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = execFile('openssl', args, { cwd: this.folder }, (error, stdout, stderr) => {
        const output = stdout + stderr;
        if (error === null) resolve(output);
        else reject(new Error(`openssl ${args.join(' ')}: ${output}`, { cause: error }));
      });
      // A program that needs no input may be gone before it was given any.
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(input);
    });
  }

  /** Starts `openssl ARGS` in the folder, with pipes. The caller ends it. */
  start(...args: string[]): ChildProcess {
    return spawn('openssl', args, { cwd: this.folder, stdio: 'pipe' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
