/** The two servers that are compared, each a process of its own that answers the same requests about the same recipients. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { POSTERN_ATTRIBUTE, POSTERN_OBJECT_CLASS } from '../../src/ldap/postern-oid.ts';
import { makeCertificate } from '../../test/support/certificate.ts';
import { freePorts, Slapd } from '../../test/support/slapd.ts';
import { type LoadOptions, runLoads } from './load.ts';

export interface ComparedServer extends AsyncDisposable {
  readonly pid: number;
  /** What the load generator needs to read plainly, over TLS, and to write. */
  readonly plain: LoadOptions;
  readonly tls: LoadOptions;
  readonly writer: LoadOptions;
}

export const BASE = 'cn=Recipients';
/** As `bin/postern` starts the daemons; what Node has compiled once stands for the built package. */
const ENVIRONMENT = {
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_ARENA_MAX: '2',
  NODE_COMPILE_CACHE: fileURLToPath(new URL('../../node_modules/.cache/postern-compiled', import.meta.url)),
};
/** Key of the hashed addresses, as a hub would have brought it. */
const KEY = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f';
const MAIN = fileURLToPath(new URL('edge-main.ts', import.meta.url));
const COMMON = { base: BASE, key: KEY };

export class EdgeServer implements ComparedServer {
  readonly #folder: string;
  readonly #arguments: readonly string[];
  readonly #profile: string | undefined;
  #child: ChildProcess | undefined;
  readonly #ports: readonly number[];

  private constructor(folder: string, ports: readonly number[], profile: string | undefined) {
    this.#folder = folder;
    this.#ports = ports;
    this.#profile = profile;
    const files = [join(folder, 'certificate.pem'), join(folder, 'key.pem')];
    this.#arguments = [join(folder, 'edge'), KEY, ...ports.map(String), ...files];
  }

  static async create(profile: string | undefined): Promise<EdgeServer> {
    const folder = await mkdtemp(join(tmpdir(), 'postern-edge-'));
    const { certificate, key } = await makeCertificate();
    await mkdir(join(folder, 'edge'), { mode: 0o700 });
    await writeFile(join(folder, 'certificate.pem'), certificate);
    await writeFile(join(folder, 'key.pem'), key, { mode: 0o600 });
    const ports = [...(await freePorts()), ...(await freePorts()), ...(await freePorts())].slice(0, 5);
    return new EdgeServer(folder, ports, profile);
  }

  /** Resolves when it says that it is ready. */
  async start(): Promise<void> {
    const flags =
      this.#profile === undefined
        ? []
        : ['--cpu-prof', '--cpu-prof-interval=200', `--cpu-prof-dir=${this.#profile}`];
    const child = spawn(process.execPath, [...flags, MAIN, ...this.#arguments], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...ENVIRONMENT },
    });
    this.#child = child;
    child.stdin?.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      child.stdout?.once('data', () => resolve());
      child.once('exit', (code, signal) => reject(new Error(`the edge ended with ${code ?? signal}`)));
    });
  }

  /** In good order. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
    this.#child = undefined;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get plain(): LoadOptions {
    return { ...COMMON, pid: this.pid, port: this.#ports[0] ?? 0 };
  }

  get tls(): LoadOptions {
    return { ...COMMON, pid: this.pid, port: this.#ports[3] ?? 0, tls: 1 };
  }

  get writer(): LoadOptions {
    return { ...COMMON, pid: this.pid, port: this.#ports[4] ?? 0, tls: 1 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Puts recipients 0 to `count` into an edge, as a loader would. */
export async function fill(program: string, edge: EdgeServer, count: number): Promise<void> {
  await runLoads(program, {
    operation: 'add',
    options: { ...edge.writer, connections: 1, depth: 256, from: 0, count },
  });
}

/** What a recipient is on the edge, as a schema of slapd: it stores address and result in the clear where the edge hashes and computes. */
const SCHEMA = `
attributetype ( ${POSTERN_ATTRIBUTE.posternAddress} NAME 'posternAddress' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
attributetype ( ${POSTERN_ATTRIBUTE.posternRecipientKind} NAME 'posternRecipientKind' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( ${POSTERN_ATTRIBUTE.posternResult} NAME 'posternResult' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( ${POSTERN_OBJECT_CLASS.posternContainer} NAME 'posternContainer' SUP top STRUCTURAL MUST cn )
objectclass ( ${POSTERN_OBJECT_CLASS.posternRecipient} NAME 'posternRecipient' SUP top STRUCTURAL MUST cn MAY ( posternAddress $ posternRecipientKind $ mail $ posternResult ) )
`;

export class SlapdServer implements ComparedServer {
  readonly #slapd: Slapd;

  private constructor(slapd: Slapd) {
    this.#slapd = slapd;
  }

  /** Four threads, back-mdb, every commit flushed; with recipients 0 to `count`. */
  static async start(count: number): Promise<SlapdServer> {
    const slapd = await Slapd.create({
      suffix: BASE,
      ldif: recipients(count),
      schemaText: SCHEMA,
      tls: true,
      durable: true,
      indexes: ['posternAddress'],
      globalConfig: ['threads 4'],
      maxSizeBytes: 4 * 2 ** 30,
      databaseConfig: ['checkpoint 0 0'],
    });
    try {
      await slapd.start();
    } catch (error) {
      await slapd[Symbol.asyncDispose]();
      throw error;
    }
    return new SlapdServer(slapd);
  }

  get pid(): number {
    return this.#slapd.pid ?? 0;
  }

  get plain(): LoadOptions {
    return { ...COMMON, pid: this.pid, port: this.#slapd.port };
  }

  get tls(): LoadOptions {
    return { ...COMMON, pid: this.pid, port: this.#slapd.tlsPort, tls: 1 };
  }

  get writer(): LoadOptions {
    return { ...this.tls, bind: this.#slapd.adminDn, password: this.#slapd.adminPassword };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#slapd[Symbol.asyncDispose]();
  }
}

function recipients(count: number): string {
  const lines = [`dn: ${BASE}\nobjectClass: posternContainer\ncn: Recipients\n`];
  for (let n = 0; n < count; n++) {
    const hex = n.toString(16);
    const guid = `${hex.padStart(8, '0')}-5eed-4000-8000-${hex.padStart(12, '0')}`;
    const mail = `user.number${n}@example.org`;
    const hash = createHmac('sha256', Buffer.from(KEY, 'hex')).update(mail).digest().subarray(0, 16);
    lines.push(
      `dn: cn=${guid},${BASE}\nobjectClass: posternRecipient\ncn: ${guid}\nposternAddress:: ${hash.toString('base64')}\nposternRecipientKind: ${n % 10 === 0 ? 'group' : 'mailbox'}\nmail: ${mail}\nposternResult: OK\n`,
    );
  }
  return lines.join('\n');
}
