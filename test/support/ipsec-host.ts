/** A host of the commands `postern ipsec ...`: a network namespace with a charon of its own, a policy file and folders. */
import { type ChildProcess, execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProgram } from '../../src/ipsec/run-program.ts';
import { type Charon, startCharon } from './charon.ts';
import type { NetworkNamespace } from './network-namespace.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class IpsecHost implements AsyncDisposable {
  readonly charon: Charon;
  readonly folder: string;
  readonly namespace: NetworkNamespace;

  private constructor(charon: Charon, folder: string) {
    this.charon = charon;
    this.folder = folder;
    this.namespace = charon.namespace;
  }

  static async create(namespace: NetworkNamespace): Promise<IpsecHost> {
    return new IpsecHost(await startCharon({ namespace }), await mkdtemp(join(tmpdir(), 'postern-host-')));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** `top` before the tables, `tables` after. */
  async policy(top: string, tables = ''): Promise<void> {
    await writeFile(
      this.path('ipsec.toml'),
      `${top}
data = "${this.path('data')}"
[apply]
rollback_after = "50s"
state_folder = "${this.path('etc')}"
run_folder = "${this.path('run')}"
[charon]
socket = "${this.charon.viciPath}"
${tables}`,
    );
  }

  /** `postern ipsec ...`. */
  async postern(...words: readonly string[]): Promise<Ran> {
    const [program, ...args] = this.#command(words);
    return runProgram(program, args);
  }

  /** The same as a process, to be killed. */
  begin(...words: readonly string[]): ChildProcess {
    const [program, ...args] = this.#command(words);
    return execFile(program, args);
  }

  async json<T>(...words: readonly string[]): Promise<T> {
    const { stdout, stderr } = await this.postern(...words, '--json');
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as T;
  }

  /** Ports of the peer that charon's traps hold. */
  async traps(): Promise<string[]> {
    const text = await this.namespace.run('ip', 'xfrm', 'policy');
    return [...new Set([...text.matchAll(/[ds]port (\d+)/g)].map(([, port]) => port ?? ''))].sort();
  }

  /** Ports that the guard names. */
  async guarded(): Promise<string[]> {
    const text = await this.namespace.run('nft', 'list', 'ruleset');
    const lists = [...text.matchAll(/tcp [ds]port (?:\{ ([\d, -]+) \}|(\d+))/g)];
    return [...new Set(lists.flatMap(([, list, one]) => (list ?? one ?? '').split(', ')))].sort();
  }

  /** Nothing in force: no trial, no guard, a charon that was just started. */
  async reset(): Promise<void> {
    for (const name of await readdir(this.path('run')).catch(() => []))
      if (name.startsWith('rollback-')) await this.namespace.run('/bin/sh', this.path(`run/${name}`), 'now');
    // Whoever watches over what was just taken back may be writing its last.
    for (const name of ['run', 'etc'])
      await rm(this.path(name), { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    await this.namespace.run('nft', 'flush', 'ruleset');
    await this.charon.kill('SIGTERM');
    await this.namespace.run('ip', 'xfrm', 'policy', 'flush');
    await rm(this.path('data/charon.json'), { force: true });
    await this.charon.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.charon[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  async carry(file: string, text: string): Promise<string> {
    await writeFile(this.path(file), text);
    return this.path(file);
  }

  #command(words: readonly string[]): [string, ...string[]] {
    return this.namespace.enter(
      process.execPath,
      MAIN,
      'ipsec',
      ...words,
      '--config',
      this.path('ipsec.toml'),
    );
  }
}
