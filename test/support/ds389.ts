/**
 * A private 389 Directory Server for tests: an instance of its own below its own folder, on free ports of 127.0.0.1, with content
 * synchronisation; nothing of it outlives the test. Run as root, it runs as the package's user `dirsrv`.
 *
 *   await using ds = await startDs389({ ldif: PEOPLE });
 *   connect to ds.url as ds.adminDn / ds.adminPassword; await ds.modify('dn: ...');
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmod, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../../src/base/clock.ts';
import { freePorts } from './slapd.ts';

const run = promisify(execFile);
const READY_WITHIN_MS = 60_000;

export interface Ds389Options {
  /** Entries below the suffix, added by the administrator. */
  readonly ldif?: string;
}

export async function startDs389(options: Ds389Options = {}): Promise<Ds389> {
  const server = await Ds389.create();
  try {
    await server.start();
    if (options.ldif !== undefined) await server.add(options.ldif);
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

export class Ds389 implements AsyncDisposable {
  readonly suffix = 'dc=example,dc=org';
  readonly adminDn = 'cn=Directory Manager';
  readonly adminPassword = 'Directory.Manager.1';
  readonly folder: string;
  readonly port: number;
  readonly #user: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(folder: string, port: number, user: readonly string[]) {
    this.folder = folder;
    this.port = port;
    this.#user = user;
  }

  get url(): string {
    return `ldap://127.0.0.1:${this.port}`;
  }

  static async create(): Promise<Ds389> {
    const folder = await mkdtemp(join(tmpdir(), 'postern-ds389-'));
    const [port, securePort] = await freePorts();
    const server = new Ds389(folder, port, await packageUser(folder));
    try {
      const answers = join(folder, 'instance.inf');
      await writeFile(answers, instanceOf(port, securePort));
      await chmod(answers, 0o644);
      await server.#asUser(
        '/usr/bin/python3',
        '/usr/sbin/dscreate',
        'ds-root',
        join(folder, 'root'),
        join(folder, 'bin'),
      );
      await server.#asUser(join(folder, 'bin/dscreate'), 'from-file', answers);
      await enablePlugins(join(server.#configuration, 'dse.ldif'));
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  /** Starts, or starts again on the same data. */
  async start(): Promise<void> {
    const [program, ...before] = [...this.#user, 'ns-slapd'];
    const child = spawn(
      program,
      [...before, '-D', this.#configuration, '-i', join(this.folder, 'pid'), '-d', '0'],
      {
        stdio: 'ignore',
      },
    );
    this.#process = child;
    const deadline = systemClock.monotonic() + READY_WITHIN_MS;
    while (!(await answers(this.port))) {
      if (child.exitCode !== null || systemClock.monotonic() > deadline)
        throw new Error(`389 Directory Server does not answer on port ${this.port}: ${await this.#errors()}`);
      await systemClock.sleep('ds389', 50);
    }
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }

  /** LDIF change records, by the administrator. */
  async modify(ldif: string): Promise<void> {
    await this.#ldapmodify([], ldif);
  }

  /** LDIF entries, by the administrator. */
  async add(ldif: string): Promise<void> {
    await this.#ldapmodify(['-a'], ldif);
  }

  async #ldapmodify(options: readonly string[], ldif: string): Promise<void> {
    const file = join(this.folder, `change-${systemClock.monotonic()}.ldif`);
    await writeFile(file, ldif);
    const account = ['-x', '-H', this.url, '-D', this.adminDn, '-w', this.adminPassword];
    await run('ldapmodify', [...options, ...account, '-f', file]);
    await rm(file);
  }

  get #configuration(): string {
    return join(this.folder, 'root/etc/dirsrv/slapd-test');
  }

  async #asUser(...command: readonly string[]): Promise<void> {
    const [program = '', ...rest] = [...this.#user, ...command];
    const PATH = `${join(this.folder, 'bin')}:${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
    await run(program, rest, { env: { PATH, HOME: this.folder, LANG: 'C.UTF-8' }, cwd: this.folder });
  }

  async #errors(): Promise<string> {
    const log = join(this.folder, 'root/var/log/dirsrv/slapd-test/errors');
    return (await readFile(log, 'utf8').catch(() => '')).slice(-2000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** How to run a program as the package's user, whose folder it becomes. The installer refuses root. */
async function packageUser(folder: string): Promise<string[]> {
  if (process.getuid?.() !== 0) return [];
  const [uid = '', gid = ''] = (
    await Promise.all(['-u', '-g'].map((what) => run('id', [what, 'dirsrv'])))
  ).map(({ stdout }) => stdout.trim());
  await chown(folder, Number(uid), Number(gid));
  return ['setpriv', '--reuid', uid, '--regid', gid, '--clear-groups'];
}

function instanceOf(port: number, securePort: number): string {
  return `[general]
full_machine_name = localhost.localdomain
strict_host_checking = False
start = False
[slapd]
instance_name = test
port = ${port}
secure_port = ${securePort}
root_password = Directory.Manager.1
self_sign_cert = False
db_lib = bdb
[backend-userroot]
suffix = dc=example,dc=org
create_suffix_entry = True
sample_entries = no
`;
}

async function enablePlugins(file: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  const changed = text
    .split('\n\n')
    .map((entry) => {
      if (!/^dn: cn=(Content Synchronization|Retro Changelog Plugin),/.test(entry)) return entry;
      const enabled = entry.replace('nsslapd-pluginEnabled: off', 'nsslapd-pluginEnabled: on');
      // The changelog names entries by it: deletions could not be told otherwise.
      return entry.includes('Retro') ? `${enabled}\nnsslapd-attribute: nsuniqueid:targetUniqueId` : enabled;
    })
    .join('\n\n')
    .replace('nsslapd-port:', 'nsslapd-listenhost: 127.0.0.1\nnsslapd-port:');
  await writeFile(file, changed);
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
