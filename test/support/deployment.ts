/**
 * An edge and a hub as separate processes with configurations of their own in a temporary folder, driven by the real command
 * line; nothing of it outlives the test.
 *
 *   await using site = await Deployment.create({ source: slapdSource(slapd) });
 *   await site.startEdge(); await site.startHub();
 *   await site.subscribe();
 *   await site.hub('sync', 'run');
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'smol-toml';
import { DaemonProcess } from '../../src/daemon/demo/daemon-process.ts';
import { freePorts, type Slapd } from './slapd.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
/** What Node has compiled once it need not compile at each start: a command takes half the time. */
const COMPILED = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL('../../node_modules/.cache/postern-compiled', import.meta.url)),
};

export interface DeploymentOptions {
  /** The [source] table of hub.toml. */
  readonly source?: Readonly<Record<string, unknown>>;
  /** More keys of edge.toml and hub.toml. */
  readonly edge?: Readonly<Record<string, unknown>>;
  readonly hub?: Readonly<Record<string, unknown>>;
  /** Folder on a real disk, for benchmarks. */
  readonly parentFolder?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface EdgePorts {
  readonly ldaps: number;
  readonly ldap: number;
  readonly socketmap: number;
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A [source] table for a private slapd, as its administrator. */
export async function slapdSource(
  slapd: Slapd,
  folder: string,
  base = `ou=people,${slapd.suffix}`,
): Promise<Record<string, unknown>> {
  const passwordFile = join(folder, 'source.password');
  await writeFile(passwordFile, `${slapd.adminPassword}\n`, { mode: 0o600 });
  return { kind: 'openldap', url: slapd.url, base, bind_dn: slapd.adminDn, password_file: passwordFile };
}

export class Deployment implements AsyncDisposable {
  readonly folder: string;
  readonly ldapsPort: number;
  readonly ldapPort: number;
  readonly socketmapPort: number;
  readonly edgeFile: string;
  readonly hubFile: string;
  readonly #environment: Readonly<Record<string, string>>;
  edgeDaemon: DaemonProcess | undefined;
  hubDaemon: DaemonProcess | undefined;

  private constructor(
    folder: string,
    ports: readonly [number, number, number],
    environment: Readonly<Record<string, string>>,
  ) {
    this.folder = folder;
    [this.ldapsPort, this.ldapPort, this.socketmapPort] = ports;
    this.edgeFile = join(folder, 'edge.toml');
    this.hubFile = join(folder, 'hub.toml');
    this.#environment = { ...COMPILED, ...environment };
  }

  static async create(
    options: DeploymentOptions | ((folder: string, ports: EdgePorts) => Promise<DeploymentOptions>) = {},
  ): Promise<Deployment> {
    const parent = typeof options === 'function' ? undefined : options.parentFolder;
    const folder = await mkdtemp(join(parent ?? tmpdir(), 'postern-site-'));
    const [ldaps, ldap] = await freePorts();
    const [socketmap] = await freePorts();
    const given = typeof options === 'function' ? await options(folder, { ldaps, ldap, socketmap }) : options;
    const site = new Deployment(folder, [ldaps, ldap, socketmap], given.environment ?? {});
    await mkdir(site.edgeData);
    await mkdir(site.hubData);
    await writeFile(
      site.edgeFile,
      stringify({
        name: 'edge1',
        fqdn: 'edge1.localhost',
        data: site.edgeData,
        listen: {
          ldaps: `127.0.0.1:${ldaps}`,
          ldap: [`127.0.0.1:${ldap}`, `unix:${folder}/ldapi`],
          socketmap: [`127.0.0.1:${socketmap}`, `unix:${folder}/socketmap?mode=0666`],
        },
        ...given.edge,
      }),
    );
    await writeFile(
      site.hubFile,
      stringify({
        name: 'hub1',
        fqdn: 'hub1.localhost',
        data: site.hubData,
        ...(given.source === undefined ? {} : { source: given.source }),
        ...given.hub,
      }),
    );
    return site;
  }

  get edgeData(): string {
    return join(this.folder, 'edge');
  }

  get hubData(): string {
    return join(this.folder, 'hub');
  }

  /** With a signal, the start is given up when it aborts: the process is killed, and this rejects. */
  async startEdge(signal?: AbortSignal): Promise<DaemonProcess> {
    this.edgeDaemon = await DaemonProcess.start({
      role: 'edge',
      configFile: this.edgeFile,
      data: this.edgeData,
      environment: this.#environment,
      ...(signal === undefined ? {} : { signal }),
    });
    return this.edgeDaemon;
  }

  async startHub(signal?: AbortSignal): Promise<DaemonProcess> {
    this.hubDaemon = await DaemonProcess.start({
      role: 'hub',
      configFile: this.hubFile,
      data: this.hubData,
      environment: this.#environment,
      ...(signal === undefined ? {} : { signal }),
    });
    return this.hubDaemon;
  }

  /** Makes a subscription file on the edge and imports it on the hub. */
  async subscribe(): Promise<void> {
    const file = join(this.folder, 'edge1.xml');
    await this.edgeOk('subscription', 'create', file);
    await this.hubOk('subscription', 'import', file);
  }

  /** Runs a command against the edge's configuration; never throws for an exit code. */
  edge(...words: string[]): Promise<CommandResult> {
    return this.command(this.edgeFile, words);
  }

  hub(...words: string[]): Promise<CommandResult> {
    return this.command(this.hubFile, words);
  }

  /** The same, throwing unless it exits with 0; returns what it printed. */
  async edgeOk(...words: string[]): Promise<string> {
    return expectOk(words, await this.edge(...words));
  }

  async hubOk(...words: string[]): Promise<string> {
    return expectOk(words, await this.hub(...words));
  }

  command(configFile: string, words: readonly string[]): Promise<CommandResult> {
    return runPostern(words, { POSTERN_CONFIG: configFile }, this.folder);
  }

  log(role: 'edge' | 'hub'): string {
    return (role === 'edge' ? this.edgeDaemon : this.hubDaemon)?.output ?? '';
  }

  readConfig(role: 'edge' | 'hub'): Promise<string> {
    return readFile(role === 'edge' ? this.edgeFile : this.hubFile, 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hubDaemon?.kill();
    await this.edgeDaemon?.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Runs `postern` with the given words. */
export function runPostern(
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  cwd?: string,
): Promise<CommandResult> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [MAIN, ...words],
      {
        env: { ...process.env, ...COMPILED, ...environment },
        maxBuffer: 1 << 28,
        ...(cwd === undefined ? {} : { cwd }),
      },
      (error, stdout, stderr) => {
        const code = (error as { code?: unknown } | null)?.code;
        resolve({ exitCode: error === null ? 0 : typeof code === 'number' ? code : -1, stdout, stderr });
      },
    );
  });
}

function expectOk(words: readonly string[], result: CommandResult): string {
  if (result.exitCode !== 0)
    throw new Error(
      `postern ${words.join(' ')} exited with ${result.exitCode}\n${result.stdout}\n${result.stderr}`,
    );
  return result.stdout;
}
