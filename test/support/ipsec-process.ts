/** `postern ipsec run` as a process in a charon's network namespace, and the policy in force that it finds. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ControlClient, controlClient } from '../../src/admin/control-client.ts';
import type { IpsecStatus } from '../../src/admin/ipsec-documents.ts';
import { isPosternError } from '../../src/base/error.ts';
import { renderGuardScript } from '../../src/ipsec/guard/script.ts';
import { guardFolders, type StateFolders } from '../../src/ipsec/state/effective-state.ts';
import type { PolicyState } from '../../src/ipsec/state/policy-state.ts';
import type { Charon } from './charon.ts';
import { until } from './until.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

export class IpsecProcess implements AsyncDisposable {
  readonly charon: Charon;
  readonly folders: StateFolders;
  /** The text of ipsec.toml. */
  readonly toml: string;
  readonly #data: string;
  #process: ChildProcess | undefined;
  /** What it has said so far. */
  output = '';

  /** `policy`: role, name and addresses, as in ipsec.toml. */
  constructor(charon: Charon, policy: string) {
    this.charon = charon;
    this.folders = { confirmed: join(charon.folder, 'confirmed'), run: join(charon.folder, 'run') };
    this.#data = join(charon.folder, 'data');
    this.toml = `${policy}\ndata = "${this.#data}"\n[charon]\nsocket = "${charon.viciPath}"\n[apply]\nstate_folder = "${this.folders.confirmed}"\nrun_folder = "${this.folders.run}"\n`;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  get #config(): string {
    return join(this.charon.folder, 'ipsec.toml');
  }

  get #client(): ControlClient {
    return controlClient(join(this.#data, 'control.sock'));
  }

  /** As if it had been applied and confirmed. */
  async putInForce(state: PolicyState): Promise<void> {
    const { confirmed, run } = this.folders;
    for (const folder of [confirmed, run]) await mkdir(folder, { recursive: true });
    const script = renderGuardScript(state.guard.scope, state.guard.mechanism, guardFolders(this.folders));
    await writeFile(this.#config, this.toml);
    await writeFile(join(confirmed, 'guard'), script, { mode: 0o700 });
    await writeFile(join(confirmed, 'state.json'), JSON.stringify(state));
  }

  /** Resolves when it answers on its control socket. */
  async start(): Promise<void> {
    const command = [process.execPath, MAIN, 'ipsec', 'run', '--config', this.#config];
    const [program, ...args] = this.charon.namespace.enter(...command);
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, STRONGSWAN_CONF: this.charon.confPath },
    });
    child.stderr.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    this.#process = child;
    await until(
      'the daemon answers',
      () => {
        if (child.exitCode !== null) throw new Error(this.output);
        return this.status().catch((error: unknown) => {
          if (isPosternError(error, 'daemon.unreachable')) return undefined;
          throw error;
        });
      },
      (status) => status !== undefined,
    );
  }

  status(): Promise<IpsecStatus> {
    return this.#client.call<IpsecStatus>('GET', '/v1/status');
  }

  /** A look at charon now. */
  reconcile(): Promise<unknown> {
    return this.#client.call('POST', '/v1/reconcile');
  }

  /** Waits until the status is so. */
  async when(what: string, fits: (status: IpsecStatus) => boolean): Promise<IpsecStatus> {
    return until(what, () => this.status(), fits, 50);
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
  }
}
