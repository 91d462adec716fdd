/**
 * A private strongSwan charon for tests, in a network namespace of its own, with a vici socket in a temporary folder.
 *
 *   await using charon = await startCharon();                // or startCharon({ namespace: pair.a })
 *   connect to charon.viciPath; await charon.swanctl('--list-conns'); await charon.kill(); await charon.start();
 *
 * Needs root, strongSwan's packages (scripts/debian-packages), and no systemd. Where the kernel has no ESP, IKE, policies and vici work and
 * no CHILD_SA is installed.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { NetworkNamespace } from './network-namespace.ts';
import { until } from './until.ts';

const execute = promisify(execFile);

const PLUGINS =
  'random nonce openssl kdf pem pkcs1 pkcs8 x509 pubkey constraints revocation kernel-netlink socket-default vici updown counters';

export interface CharonOptions {
  /** A namespace of its own unless told. */
  readonly namespace?: NetworkNamespace;
  /** Instead of the usual list. */
  readonly plugins?: string;
  /** More lines within `charon { }` of strongswan.conf. */
  readonly settings?: string;
}

export async function startCharon(options: CharonOptions = {}): Promise<Charon> {
  const namespace = options.namespace ?? (await NetworkNamespace.create());
  const folder = await mkdtemp(join(tmpdir(), 'postern-charon-'));
  const charon = new Charon(folder, namespace, options.namespace === undefined);
  try {
    const settings =
      options.settings ?? 'retransmit_timeout = 0.5\nretransmit_base = 1.0\nretransmit_tries = 2';
    await writeFile(
      join(folder, 'strongswan.conf'),
      `charon {
load = ${options.plugins ?? PLUGINS}
install_routes = no
${settings}
plugins { vici { socket = unix://${charon.viciPath} } }
syslog { daemon { default = -1 } }
filelog { log { path = ${join(folder, 'log')} \n default = 1 \n flush_line = yes } }
}
swanctl { load = random pem pkcs1 pkcs8 x509 openssl }
`,
    );
    await charon.start();
  } catch (error) {
    await charon[Symbol.asyncDispose]();
    throw error;
  }
  return charon;
}

export class Charon implements AsyncDisposable {
  readonly folder: string;
  readonly namespace: NetworkNamespace;
  readonly viciPath: string;
  readonly #ownsNamespace: boolean;
  #process: ChildProcess | undefined;

  constructor(folder: string, namespace: NetworkNamespace, ownsNamespace: boolean) {
    this.folder = folder;
    this.namespace = namespace;
    this.#ownsNamespace = ownsNamespace;
    this.viciPath = join(folder, 'vici');
  }

  get confPath(): string {
    return join(this.folder, 'strongswan.conf');
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Resolves when it answers on its socket. */
  async start(): Promise<void> {
    const [program, ...args] = this.namespace.enter('/usr/sbin/charon-systemd');
    const child = spawn(program, args, {
      stdio: 'ignore',
      env: { ...process.env, STRONGSWAN_CONF: this.confPath },
    });
    this.#process = child;
    await until(
      'charon answers',
      () => (child.exitCode ?? child.signalCode) === null && this.#answers(),
      (answers) => {
        if (child.exitCode !== null)
          throw new Error(`charon ended with ${child.exitCode} (${this.folder}/log)`);
        return answers;
      },
    );
  }

  /** Ends it: SIGKILL leaves what is in the kernel, SIGTERM tidies up. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  /** Stops it where it stands (SIGSTOP) or lets it go on. */
  freeze(frozen: boolean): void {
    this.#process?.kill(frozen ? 'SIGSTOP' : 'SIGCONT');
  }

  /** strongSwan's own tool, asking this charon. Resolves to its standard output. */
  async swanctl(...args: readonly string[]): Promise<string> {
    const { stdout } = await execute('swanctl', [...args, '--uri', `unix://${this.viciPath}`], {
      env: { ...process.env, STRONGSWAN_CONF: this.confPath, SWANCTL_DIR: this.folder },
      maxBuffer: 1 << 26,
    });
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.freeze(false);
    await this.kill('SIGKILL');
    if (this.#ownsNamespace) await this.namespace[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }

  #answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.viciPath);
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
  }
}
