/**
 * The IPsec daemon of one side of a `startCharonPair`, in that side's network namespace, with a confirmed policy: protects POP3 and IMAP between
 * fe.example and be.example.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ControlClient, controlClient } from '../../src/admin/control-client.ts';
import type { IpsecStatus } from '../../src/admin/ipsec-documents.ts';
import { isPosternError } from '../../src/base/error.ts';
import { parseCertificate } from '../../src/certificate/parse.ts';
import { ipsecConfigSchema } from '../../src/config/ipsec-config.ts';
import { parseConfig } from '../../src/config/load.ts';
import { renderGuardScript } from '../../src/ipsec/guard/script.ts';
import { buildPolicy } from '../../src/ipsec/policy/policy.ts';
import { guardFolders, type StateFolders } from '../../src/ipsec/state/effective-state.ts';
import { makeState } from '../../src/ipsec/state/policy-state.ts';
import type { PairSide } from './charon-pair.ts';
import { keyOf } from './desired-state.ts';
import { until } from './until.ts';

export class IpsecDaemon implements AsyncDisposable {
  readonly #own: PairSide;
  readonly #peer: PairSide;
  #process: ChildProcess | undefined;
  output = '';

  constructor(own: PairSide, peer: PairSide) {
    this.#own = own;
    this.#peer = peer;
  }

  get #data(): string {
    return join(this.#own.charon.folder, 'data');
  }

  get #config(): string {
    return join(this.#own.charon.folder, 'ipsec.toml');
  }

  get folders(): StateFolders {
    const { folder } = this.#own.charon;
    return { confirmed: join(folder, 'confirmed'), run: join(folder, 'run') };
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** As if it had been applied and confirmed. */
  async confirm(protect: readonly string[] = ['passwords']): Promise<void> {
    const [own, peer] = [this.#own, this.#peer];
    const isFrontEnd = own.id.startsWith('fe');
    const text = toml(own, this.#data, this.folders);
    const config = parseConfig(ipsecConfigSchema, text, 'ipsec.toml');
    const policy = buildPolicy(
      {
        config: { ...config, protect: isFrontEnd ? [] : [...protect] },
        certificates: new Map([[own.id, parseCertificate(own.certificate.der)]]),
        peers: [
          {
            source: 'peer',
            id: peer.id,
            addresses: [peer.address],
            certificates: [parseCertificate(peer.certificate.der)],
            protect: isFrontEnd ? [...protect] : [],
          },
        ],
        now: Date.now(),
      },
      'ipsec.toml',
    );
    const { confirmed, run } = this.folders;
    for (const folder of [confirmed, run]) await mkdir(folder, { recursive: true });
    const keyFile = join(confirmed, 'key.pem');
    await writeFile(keyFile, own.certificate.key, { mode: 0o600 });
    const { keyId } = keyOf(own.certificate);
    const state = makeState({ policy, keys: [{ keyId, file: keyFile }], mechanism: 'nft' });
    const script = renderGuardScript(state.guard.scope, 'nft', guardFolders(this.folders));
    await writeFile(join(confirmed, 'guard'), script, { mode: 0o700 });
    await writeFile(join(confirmed, 'state.json'), JSON.stringify(state));
    await writeFile(this.#config, text);
  }

  /** Resolves when it answers on its control socket. */
  async start(): Promise<void> {
    const { charon } = this.#own;
    const main = join(import.meta.dirname, '../../src/cli/main.ts');
    const [program, ...args] = charon.namespace.enter(
      process.execPath,
      main,
      'ipsec',
      'run',
      '--config',
      this.#config,
    );
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, STRONGSWAN_CONF: charon.confPath },
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

  get #client(): ControlClient {
    return controlClient(join(this.#data, 'control.sock'));
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

const toml = (own: PairSide, data: string, { confirmed, run }: StateFolders): string => `
role = "${own.id.startsWith('fe') ? 'front-end' : 'back-end'}"
name = "${own.id}"
addresses = ["${own.address}"]
data = "${data}"
[charon]
socket = "${own.charon.viciPath}"
[apply]
state_folder = "${confirmed}"
run_folder = "${run}"
`;
