/**
 * A private domain controller (Samba) for tests: its own folder and its own address of the loopback network, where its ports are the fixed
 * ones of a controller; nothing of it outlives the test. Needs root, for these ports.
 *
 *   await using samba = await startSamba();
 *   await samba.modify(`dn: CN=anna,CN=Users,${samba.base}\nchangetype: add\n...`);
 *   connect to samba.ldapsUrl (trusting samba.authorities) or samba.url as samba.adminDn / samba.adminPassword
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../../src/base/clock.ts';

const run = promisify(execFile);
const READY_WITHIN_MS = 60_000;
const REALM = 'AD.EX.TEST';

export async function startSamba(): Promise<Samba> {
  const samba = await Samba.provision();
  try {
    await samba.start();
  } catch (error) {
    await samba[Symbol.asyncDispose]();
    throw error;
  }
  return samba;
}

export class Samba implements AsyncDisposable {
  readonly base = 'DC=ad,DC=ex,DC=test';
  readonly adminDn = `CN=Administrator,CN=Users,${this.base}`;
  readonly adminPassword = 'Passw0rd.of.the.test';
  readonly folder: string;
  readonly address: string;
  #process: ChildProcess | undefined;
  #output = '';

  private constructor(folder: string, address: string) {
    this.folder = folder;
    this.address = address;
  }

  get url(): string {
    return `ldap://${this.address}`;
  }

  get ldapsUrl(): string {
    return `ldaps://${this.address}`;
  }

  /** A domain with one controller, not yet started. */
  static async provision(): Promise<Samba> {
    const folder = await mkdtemp(join(tmpdir(), 'postern-samba-'));
    // An address for each process that starts controllers at the same time.
    const samba = new Samba(folder, `127.83.${(process.pid >> 7) & 0xff}.${1 + (process.pid & 0x7f)}`);
    try {
      await run('samba-tool', [
        'domain',
        'provision',
        `--targetdir=${folder}`,
        `--realm=${REALM}`,
        '--domain=EXAD',
        '--server-role=dc',
        '--function-level=2008_R2',
        '--use-rfc2307',
        '--dns-backend=NONE',
        `--adminpass=${samba.adminPassword}`,
        '--host-name=dc1',
        `--host-ip=${samba.address}`,
        `--option=interfaces=${samba.address}/8`,
        '--option=bind interfaces only=yes',
        '--option=vfs objects=dfs_samba4 acl_xattr xattr_tdb',
        '--backend-store=mdb',
        '--backend-store-size=1Gb',
      ]);
      await mkdir(join(folder, 'run'));
      await writeFile(join(folder, 'smb.conf'), configuration(folder, samba.address));
    } catch (error) {
      await samba[Symbol.asyncDispose]();
      throw error;
    }
    return samba;
  }

  /** Starts, or starts again on the same data. */
  async start(): Promise<void> {
    const child = spawn('samba', ['-s', join(this.folder, 'smb.conf'), '-i', '-M', 'single'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    const collect = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString('latin1')).slice(-4000);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const deadline = systemClock.monotonic() + READY_WITHIN_MS;
    while (!(await answers(this.address, 636))) {
      if (child.exitCode !== null || systemClock.monotonic() > deadline)
        throw new Error(`samba does not answer on ${this.address}: ${this.#output}`);
      await systemClock.sleep('samba', 50);
    }
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** PEM of the authority that signed the controller's certificate. */
  authorities(): Promise<string> {
    return readFile(join(this.folder, 'private/tls/ca.pem'), 'latin1');
  }

  /** LDIF change records, by the administrator. */
  async modify(ldif: string): Promise<void> {
    const file = join(this.folder, `change-${systemClock.monotonic()}.ldif`);
    await writeFile(file, ldif);
    await run('ldapmodify', ['-x', '-H', this.url, '-D', this.adminDn, '-w', this.adminPassword, '-f', file]);
    await rm(file);
  }

  /** `samba-tool ARGUMENT...` on this domain. */
  async tool(...argument: readonly string[]): Promise<string> {
    return (await run('samba-tool', [...argument, '-s', join(this.folder, 'smb.conf')])).stdout;
  }

  /** An account that may bind; returns its DN. */
  async addAccount(name: string, password: string): Promise<string> {
    await this.tool('user', 'create', name, password, '-H', join(this.folder, 'private/sam.ldb'));
    return `CN=${name},CN=Users,${this.base}`;
  }

  /** Lets an account ask for changes by DirSync. */
  async allowDirSync(dn: string): Promise<void> {
    const store = join(this.folder, 'private/sam.ldb');
    await this.tool(
      'dsacl',
      'set',
      '-H',
      store,
      `--objectdn=${this.base}`,
      `--trusteedn=${dn}`,
      '--action=allow',
      '--car=get-changes',
    );
  }

  /** Lets an account see what was deleted. */
  async allowDeletedObjects(name: string): Promise<void> {
    const script = join(import.meta.dirname, 'allow-deleted-objects.py');
    await run('/usr/bin/python3', [script, join(this.folder, 'smb.conf'), name]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function configuration(folder: string, address: string): string {
  return `[global]
  netbios name = DC1
  realm = ${REALM}
  workgroup = EXAD
  server role = active directory domain controller
  server services = ldap
  dcerpc endpoint servers =
  interfaces = ${address}/8
  bind interfaces only = yes
  private dir = ${folder}/private
  state directory = ${folder}/state
  cache directory = ${folder}/cache
  lock directory = ${folder}
  pid directory = ${folder}/run
  ncalrpc dir = ${folder}/run/ncalrpc
  winbindd socket directory = ${folder}/run/winbindd
  ntp signd socket directory = ${folder}/run/ntp
  binddns dir = ${folder}/bind-dns
  log file = ${folder}/log
  logging = file
  ldap server require strong auth = no
  dsdb:schema update allowed = yes
  idmap_ldb:use rfc2307 = yes
`;
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
