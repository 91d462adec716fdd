/**
 * A private OpenLDAP server for tests: its own temporary folder, a free port of 127.0.0.1, a unix socket; nothing of it outlives the test.
 *
 *   await using slapd = await startSlapd({ suffix: 'dc=example,dc=org', ldif: PEOPLE, syncprov: true });
 *   connect to slapd.url, slapd.ldapiUrl or (with tls) slapd.ldapsUrl as slapd.adminDn / slapd.adminPassword
 *   await slapd.modify('dn: cn=a,dc=example,dc=org\nchangetype: delete\n');
 *   await slapd.stop(); await slapd.loadLdif(MORE); await slapd.start();      // same data, same ports
 *
 * The socket knows the test's own user as the administrator (SASL EXTERNAL).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { makeCertificate, type TestCertificate } from './certificate.ts';

export interface SlapdOptions {
  /** `dc=example,dc=org` unless told; its entry is made unless `ldif` begins with it. */
  suffix?: string;
  /** Entries loaded before the start. */
  ldif?: string;
  /** Files of /etc/ldap/schema (without `.schema`) or absolute paths, after core, cosine and inetorgperson. */
  schemas?: readonly string[];
  /** More definitions, as lines of slapd.conf. */
  schemaText?: string;
  /** LDAPS and StartTLS, with a self-signed certificate made for it (true) or the one given. */
  tls?: boolean | SlapdTls;
  /** Content synchronisation (RFC 4533). `sessionlog`: operations remembered in memory, which gives delete phases instead of present phases. */
  syncprov?: boolean | { sessionlog?: number };
  /** `access` rules, each without the word `access`: `to * by * read` is the default of slapd. */
  access?: readonly string[];
  /** `limits` rules, each without the word `limits`. */
  limits?: readonly string[];
  /** Attributes with an equality index besides objectClass, entryUUID, entryCSN and mail. */
  indexes?: readonly string[];
  /** More lines for the global part and for the database. */
  globalConfig?: readonly string[];
  databaseConfig?: readonly string[];
  /** Flush every change to the disk; off unless told (a killed process loses nothing anyway, only a lost machine does). */
  durable?: boolean;
  /** Largest size of the database; 1 GiB unless told (sparse). */
  maxSizeBytes?: number;
}

export interface SlapdTls {
  readonly certificate?: TestCertificate;
  /** Client certificates: `never` asked for unless told. */
  readonly verifyClient?: 'never' | 'allow' | 'try' | 'demand';
  /** PEM of the authorities of client certificates. */
  readonly authorities?: string;
}

export async function startSlapd(options: SlapdOptions = {}): Promise<Slapd> {
  const slapd = await Slapd.create(options);
  try {
    await slapd.start();
  } catch (error) {
    await slapd[Symbol.asyncDispose]();
    throw error;
  }
  return slapd;
}

const READY_WITHIN_MS = 20_000;

export class Slapd implements AsyncDisposable {
  readonly folder: string;
  readonly suffix: string;
  readonly adminDn: string;
  readonly adminPassword = 'administrator';
  readonly certificate: TestCertificate | undefined;
  readonly ldapiPath: string;
  port = 0;
  tlsPort = 0;
  #process: ChildProcess | undefined;
  #output = '';

  private constructor(folder: string, suffix: string, certificate: TestCertificate | undefined) {
    this.folder = folder;
    this.suffix = suffix;
    this.adminDn = `cn=admin,${suffix}`;
    this.certificate = certificate;
    this.ldapiPath = join(folder, 'ldapi');
  }

  get url(): string {
    return `ldap://127.0.0.1:${this.port}`;
  }

  get ldapsUrl(): string {
    return `ldaps://127.0.0.1:${this.tlsPort}`;
  }

  get ldapiUrl(): string {
    return `ldapi://${encodeURIComponent(this.ldapiPath)}`;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** The folder, configuration and data, not yet started. */
  static async create(options: SlapdOptions): Promise<Slapd> {
    const tls: SlapdTls | undefined =
      options.tls === true ? {} : options.tls === false ? undefined : options.tls;
    const certificate = tls === undefined ? undefined : (tls.certificate ?? (await makeCertificate()));
    const folder = await mkdtemp(join(tmpdir(), 'postern-slapd-'));
    const suffix = options.suffix ?? 'dc=example,dc=org';
    const slapd = new Slapd(folder, suffix, certificate);
    try {
      await mkdir(join(folder, 'data'));
      if (certificate !== undefined) {
        await writeFile(join(folder, 'certificate.pem'), certificate.certificate);
        await writeFile(join(folder, 'key.pem'), certificate.key, { mode: 0o600 });
        await writeFile(join(folder, 'authorities.pem'), tls?.authorities ?? certificate.certificate);
      }
      await writeFile(join(folder, 'extra.schema'), options.schemaText ?? '');
      await writeFile(join(folder, 'slapd.conf'), configuration(slapd, options, tls));
      const ldif = (options.ldif ?? '').trimStart();
      const first = /^dn:\s*(.*)$/m.exec(ldif)?.[1];
      await slapd.loadLdif(
        first?.toLowerCase() === suffix.toLowerCase() ? ldif : `${suffixEntry(suffix)}\n${ldif}`,
      );
    } catch (error) {
      await slapd[Symbol.asyncDispose]();
      throw error;
    }
    return slapd;
  }

  /** Starts, or starts again on the same ports and data. Resolves when it answers connections. */
  async start(): Promise<void> {
    const chosen = this.port !== 0;
    for (let attempt = 1; ; attempt++) {
      if (!chosen) [this.port, this.tlsPort] = await freePorts();
      try {
        return await this.#startOnce();
      } catch (error) {
        // Somebody else may have taken a port between choosing and listening.
        if (chosen || attempt === 5) throw error;
      }
    }
  }

  async #startOnce(): Promise<void> {
    // The socket comes last: when it answers, the ports are ours.
    const tls = this.certificate === undefined ? [] : [this.ldapsUrl];
    const urls = [`ldap://127.0.0.1:${this.port}`, ...tls, this.ldapiUrl];
    const child = spawn('slapd', ['-f', join(this.folder, 'slapd.conf'), '-h', urls.join(' '), '-d', '0'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    this.#output = '';
    const killWithUs = (): void => void child.kill('SIGKILL');
    process.once('exit', killWithUs);
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(`slapd does not start: ${error.message}`));
      child.once('exit', (code, signal) => resolve(`slapd ended with ${code ?? signal}: ${this.#output}`));
    });
    void ended.then(() => {
      process.off('exit', killWithUs);
      if (this.#process === child) this.#process = undefined;
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-10_000);
      });
    }
    const giveUpAt = systemClock.monotonic() + READY_WITHIN_MS;
    for (;;) {
      const state = await Promise.race([ended, answers(this.ldapiPath)]);
      if (typeof state === 'string') throw new Error(state);
      if (state && this.#process === child) return;
      if (systemClock.monotonic() > giveUpAt) throw new Error(`slapd does not answer: ${this.#output}`);
      await systemClock.sleep('slapd', 10);
    }
  }

  get running(): boolean {
    return this.#process !== undefined;
  }

  /** Ends it in good order. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Holds the process still (it answers nothing, connections stay open) until `resume`. */
  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    // A stopped or stuck process does not hear SIGTERM.
    const insist = systemClock.after('slapd.kill', 10_000, () => child.kill('SIGKILL'), { background: true });
    await ended;
    insist.cancel();
    this.#process = undefined;
  }

  /** Adds entries with slapadd; only while stopped. Operational attributes in the LDIF are kept. */
  async loadLdif(ldif: string): Promise<void> {
    if (this.running) throw new Error('loadLdif needs a stopped slapd');
    const path = join(this.folder, 'load.ldif');
    await writeFile(path, ldif);
    await this.#tool('slapadd', ['-q', '-f', join(this.folder, 'slapd.conf'), '-l', path]);
  }

  /** All entries as slapcat prints them, operational attributes included. */
  dump(): Promise<string> {
    return this.#tool('slapcat', ['-f', join(this.folder, 'slapd.conf'), '-o', 'ldif-wrap=no']);
  }

  /** Adds entries (LDIF) as the administrator. */
  async add(ldif: string): Promise<void> {
    await this.#tool('ldapadd', ['-Q', '-Y', 'EXTERNAL', '-H', this.ldapiUrl], ldif);
  }

  /** Carries out change records (LDIF with `changetype`) as the administrator. */
  async modify(ldif: string): Promise<void> {
    await this.#tool('ldapmodify', ['-Q', '-Y', 'EXTERNAL', '-H', this.ldapiUrl], ldif);
  }

  /** What ldapsearch prints (LDIF without comments or wrapping), as the administrator. */
  search(...args: string[]): Promise<string> {
    return this.#tool('ldapsearch', [
      '-Q',
      '-Y',
      'EXTERNAL',
      '-H',
      this.ldapiUrl,
      '-LLL',
      '-o',
      'ldif-wrap=no',
      '-b',
      this.suffix,
      ...args,
    ]);
  }

  /** Adds a line to slapd.conf; seen after the next start. */
  async configure(...lines: string[]): Promise<void> {
    await appendFile(join(this.folder, 'slapd.conf'), `${lines.join('\n')}\n`);
  }

  /** Takes lines out of slapd.conf; seen after the next start. */
  async withoutLines(pattern: RegExp): Promise<void> {
    const path = join(this.folder, 'slapd.conf');
    const lines = (await readFile(path, 'utf8')).split('\n');
    await writeFile(path, lines.filter((line) => !pattern.test(line)).join('\n'));
  }

  /** Throws all entries away; only while stopped. */
  async empty(): Promise<void> {
    if (this.running) throw new Error('empty needs a stopped slapd');
    await rm(join(this.folder, 'data'), { recursive: true });
    await mkdir(join(this.folder, 'data'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  #tool(program: string, args: readonly string[], input = ''): Promise<string> {
    return runTool(program, args, { input });
  }
}

/** Runs a program; resolves to its output, rejects with what it said on stderr. LDAP tools see no configuration of the machine's. */
export function runTool(
  program: string,
  args: readonly string[],
  options: { input?: string; env?: Record<string, string> } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], {
      env: { ...process.env, LDAPCONF: '/dev/null', HOME: '/nonexistent', ...options.env },
    });
    const output: Buffer[] = [];
    const errors: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
    child.stdin.on('error', () => undefined);
    child.once('error', reject);
    child.once('close', (code) => {
      const said = Buffer.concat(output).toString();
      if (code === 0) resolve(said);
      else
        reject(
          Object.assign(new Error(`${program} ended with ${code}: ${Buffer.concat(errors).toString()}`), {
            exitCode: code,
            output: said,
          }),
        );
    });
    child.stdin.end(options.input ?? '');
  });
}

function configuration(slapd: Slapd, options: SlapdOptions, tls: SlapdTls | undefined): string {
  const at = (file: string): string => join(slapd.folder, file);
  const schemas = ['core', 'cosine', 'inetorgperson', ...(options.schemas ?? [])];
  const syncprov = options.syncprov === true ? {} : options.syncprov === false ? undefined : options.syncprov;
  return [
    ...schemas.map((name) => `include ${isAbsolute(name) ? name : `/etc/ldap/schema/${name}.schema`}`),
    `include ${at('extra.schema')}`,
    `pidfile ${at('pid')}`,
    `argsfile ${at('args')}`,
    'loglevel 0',
    'modulepath /usr/lib/ldap',
    'moduleload back_mdb',
    ...(syncprov === undefined ? [] : ['moduleload syncprov']),
    'sizelimit unlimited',
    `authz-regexp "gidNumber=[0-9]+[+]uidNumber=${process.getuid?.() ?? 0},cn=peercred,cn=external,cn=auth" "${slapd.adminDn}"`,
    ...(tls === undefined
      ? []
      : [
          `TLSCertificateFile ${at('certificate.pem')}`,
          `TLSCertificateKeyFile ${at('key.pem')}`,
          `TLSCACertificateFile ${at('authorities.pem')}`,
          `TLSVerifyClient ${tls.verifyClient ?? 'never'}`,
        ]),
    ...(options.globalConfig ?? []),
    '',
    'database mdb',
    `suffix "${slapd.suffix}"`,
    `rootdn "${slapd.adminDn}"`,
    `rootpw ${slapd.adminPassword}`,
    `directory ${at('data')}`,
    `maxsize ${options.maxSizeBytes ?? 2 ** 30}`,
    ...(options.durable === true ? [] : ['dbnosync']),
    'index objectClass,entryUUID,entryCSN,mail eq',
    ...(options.indexes ?? []).map((name) => `index ${name} eq`),
    ...(options.limits ?? []).map((rule) => `limits ${rule}`),
    ...(options.access ?? []).map((rule) => `access ${rule}`),
    ...(options.databaseConfig ?? []),
    ...(syncprov === undefined ? [] : ['overlay syncprov']),
    ...(syncprov?.sessionlog === undefined ? [] : [`syncprov-sessionlog ${syncprov.sessionlog}`]),
    '',
  ].join('\n');
}

function suffixEntry(suffix: string): string {
  const [type = '', value = ''] = (suffix.split(',')[0] ?? '').split('=');
  const classes: Readonly<Record<string, readonly string[]>> = {
    dc: ['objectClass: dcObject', 'objectClass: organization', 'o: Example'],
    o: ['objectClass: organization'],
    ou: ['objectClass: organizationalUnit'],
  };
  const lines = classes[type.toLowerCase()];
  if (lines === undefined)
    throw new Error(`no entry known for a suffix of type ${type}: give its entry in ldif`);
  return `dn: ${suffix}\n${lines.join('\n')}\n${type}: ${value}\n`;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const settle = (result: boolean): void => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
  });
}

/** Two different ports of 127.0.0.1 that nobody listens on at this moment. */
export async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()] as const;
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server
            .once('error', reject)
            .listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return [ports[0] ?? 0, ports[1] ?? 0];
}
