/**
 * A private Postfix for tests: own configuration, queue and data in a temporary folder, a free port of 127.0.0.1; nothing of it
 * outlives the test, nothing of the machine's own Postfix is read or run, and no message leaves (what is accepted is discarded).
 * Needs root, as Postfix does; its daemons run as the user `postfix`.
 *
 *   await using postfix = await startPostfix({
 *     relayDomains: 'socketmap:unix:postern/socketmap:domains',
 *     relayRecipientMaps: 'socketmap:unix:postern/socketmap:recipients',
 *   });
 *   server listens at postfix.socketPath (may start later)
 *   await postfix.smtpDialogue('anna@example.org')                     // "250 2.1.5 Ok"
 *   await postfix.postmap('anna@example.org', 'socketmap:...')         // { value: '1', error: '' }
 *
 * Postfix's processes stand in the queue folder, chrooted or not, so a relative path of a socket works for both.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { SmtpSession } from './smtp-session.ts';

export interface PostfixOptions {
  /** Values of `relay_domains` and `relay_recipient_maps`; `$config_directory` and `$queue_directory` may be used. */
  readonly relayDomains: string;
  readonly relayRecipientMaps: string;
  /** `smtpd` and `trivial-rewrite` run chrooted in the queue folder, as Debian has it; off unless told. */
  readonly chroot?: boolean;
  /** More lines of main.cf; they win over ours. */
  readonly main?: readonly string[];
  /** Files of the configuration folder: name, content (an LDAP table, for example). */
  readonly files?: Readonly<Record<string, string>>;
}

const READY_WITHIN_MS = 30_000;
/** Folders of the queue that belong to the daemons alone (postfix-files). */
const QUEUES = [
  'active',
  'bounce',
  'corrupt',
  'defer',
  'deferred',
  'flush',
  'hold',
  'incoming',
  'private',
  'saved',
  'trace',
];

export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  const postfix = await Postfix.create(options);
  try {
    await postfix.start();
  } catch (error) {
    await postfix[Symbol.asyncDispose]();
    throw error;
  }
  return postfix;
}

export class Postfix implements AsyncDisposable {
  readonly folder: string;
  readonly #options: PostfixOptions;
  #port = 0;
  #master: ChildProcess | undefined;
  #watcher: ChildProcess | undefined;
  #output = '';

  private constructor(folder: string, options: PostfixOptions) {
    this.folder = folder;
    this.#options = options;
  }

  get configFolder(): string {
    return join(this.folder, 'config');
  }

  get queueFolder(): string {
    return join(this.folder, 'queue');
  }

  /** Where a socketmap server listens that is called `unix:postern/socketmap` in main.cf. */
  get socketPath(): string {
    return join(this.queueFolder, 'postern', 'socketmap');
  }

  /** Of the SMTP server; 0 before the first start. */
  get port(): number {
    return this.#port;
  }

  get running(): boolean {
    return this.#master !== undefined && this.#master.exitCode === null && this.#master.signalCode === null;
  }

  /** Folders and configuration, nothing started; enough for `postmap`. */
  static async create(options: PostfixOptions): Promise<Postfix> {
    if (process.getuid?.() !== 0) throw new Error('a private Postfix needs root');
    // The daemons' user must be able to pass through, so not below a folder that only root may enter.
    const folder = await mkdtemp(join(tmpdir(), 'postern-postfix-'));
    const postfix = new Postfix(folder, options);
    try {
      await chmod(folder, 0o755);
      for (const name of ['config', 'queue', 'queue/postern']) {
        await mkdir(join(folder, name));
        await chmod(join(folder, name), 0o755);
      }
      // What `postfix check` would make, in milliseconds rather than seconds.
      await makeFolders(folder, 'root', 'root', '755', ['queue/pid']);
      await makeFolders(folder, 'postfix', 'postfix', '700', [
        'data',
        ...QUEUES.map((name) => `queue/${name}`),
      ]);
      await makeFolders(folder, 'postfix', 'postdrop', '710', ['queue/public']);
      await makeFolders(folder, 'postfix', 'postdrop', '730', ['queue/maildrop']);
      for (const [name, content] of Object.entries(options.files ?? {})) {
        await postfix.#configure(name, content);
      }
      await postfix.#configure('main.cf', mainCf(postfix, options));
      await postfix.#configure('master.cf', masterCf(0, options));
    } catch (error) {
      await postfix[Symbol.asyncDispose]();
      throw error;
    }
    return postfix;
  }

  /** Starts, or starts again on the same port. Resolves when the SMTP server greets. */
  async start(): Promise<void> {
    const chosen = this.#port !== 0;
    for (let attempt = 1; ; attempt++) {
      if (!chosen) this.#port = await freePort();
      try {
        return await this.#startOnce();
      } catch (error) {
        await this.stop();
        // Somebody else may have taken the port between choosing and listening.
        if (chosen || attempt === 5 || !String(error).includes('in use')) throw error;
      }
    }
  }

  /** Ends the master and everything it started. */
  async stop(): Promise<void> {
    const master = this.#master;
    this.#master = undefined;
    if (master?.pid === undefined) return;
    const ended = new Promise<void>((resolve) => {
      if (master.exitCode !== null || master.signalCode !== null) resolve();
      else master.once('exit', () => resolve());
    });
    const insist = systemClock.after('postfix.kill', 10_000, () => master.kill('SIGKILL'), {
      background: true,
    });
    master.kill('SIGTERM');
    await ended;
    insist.cancel();
    killGroup(master.pid);
    this.#watcher?.kill('SIGKILL');
    this.#watcher = undefined;
  }

  /** Reads the configuration again, as `postfix reload` does. */
  async reload(): Promise<void> {
    await run('postfix', ['-c', this.configFolder, 'reload']);
  }

  /** Resolves with the log when `pattern` is in it: the log is written by a process of its own, a little later. */
  async logged(pattern: RegExp): Promise<string> {
    const giveUpAt = systemClock.monotonic() + READY_WITHIN_MS;
    for (;;) {
      const text = await this.log();
      if (pattern.test(text)) return text;
      if (systemClock.monotonic() > giveUpAt)
        throw new Error(`not in Postfix's log: ${pattern.source}\n${text}`);
      await systemClock.sleep('postfix', 20);
    }
  }

  /** The log so far. */
  log(): Promise<string> {
    return readFile(join(this.folder, 'log'), 'utf8').catch(() => '');
  }

  /**
   * The reply to RCPT TO, "550 5.1.1 <...>...", continuation lines joined by a line feed. `recipient` as between the angle
   * brackets; with anything but ASCII in it, the message is announced as SMTPUTF8.
   */
  async smtpDialogue(recipient: string, sender = ''): Promise<string> {
    await using session = await SmtpSession.connect(this.#port);
    await session.command('EHLO client.example');
    const utf8 = /^\p{ASCII}*$/u.test(recipient) ? '' : ' SMTPUTF8';
    const mail = await session.command(`MAIL FROM:<${sender}>${utf8}`);
    if (!mail.startsWith('250')) throw new Error(`MAIL FROM: ${mail}`);
    const reply = await session.command(`RCPT TO:<${recipient}>`);
    await session.command('QUIT');
    return reply;
  }

  /** An SMTP session, for longer dialogues. */
  smtp(): Promise<SmtpSession> {
    return SmtpSession.connect(this.#port);
  }

  /** `postmap -q key map`: the value when found, and what postmap complained about ('' for a plain "not found"). */
  async postmap(key: string, map: string): Promise<{ value: string | undefined; error: string }> {
    // A key on the command line would be taken for an option when it begins with a hyphen.
    const args = ['-c', this.configFolder, '-q', key, map];
    const { code, stdout, stderr } = await run('postmap', args, this.queueFolder);
    return { value: code === 0 ? stdout.replace(/\n$/, '') : undefined, error: stderr.trim() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #configure(name: string, content: string): Promise<void> {
    const path = join(this.configFolder, name);
    await writeFile(path, content);
    // Postfix waits until a file has not been touched for two seconds before it believes what it reads.
    await utimes(path, 1e9, 1e9);
  }

  async #startOnce(): Promise<void> {
    await this.#configure('master.cf', masterCf(this.#port, this.#options));
    const daemons = (
      await run('postconf', ['-c', this.configFolder, '-h', 'daemon_directory'])
    ).stdout.trim();
    // The master itself and not `postfix start-fg`, whose shell stands between us and it; with a process group of its own, since
    // the master ends by killing its group.
    const master = spawn(join(daemons, 'master'), ['-c', this.configFolder, '-s'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      cwd: this.queueFolder,
      env: environment(),
    });
    this.#master = master;
    if (master.pid !== undefined) this.#watcher = watch(master.pid, this.folder);
    this.#output = '';
    const ended = new Promise<string>((resolve) => {
      master.once('error', (error) => resolve(`Postfix does not start: ${error.message}`));
      master.once('exit', (code, signal) => resolve(`Postfix ended with ${code ?? signal}`));
    });
    for (const stream of [master.stdout, master.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-10_000);
      });
    }
    const giveUpAt = systemClock.monotonic() + READY_WITHIN_MS;
    for (;;) {
      const state = await Promise.race([ended, greets(this.#port)]);
      const told = async (): Promise<string> => `${this.#output}\n${await this.log()}`;
      if (typeof state === 'string') throw new Error(`${state}: ${await told()}`);
      if (state) return;
      if (systemClock.monotonic() > giveUpAt) throw new Error(`Postfix does not answer: ${await told()}`);
      await systemClock.sleep('postfix', 20);
    }
  }
}

function mainCf(postfix: Postfix, options: PostfixOptions): string {
  return [
    'compatibility_level = 3.6',
    `queue_directory = ${postfix.queueFolder}`,
    `data_directory = ${join(postfix.folder, 'data')}`,
    // postlogd writes it, for chrooted daemons too.
    `maillog_file = ${join(postfix.folder, 'log')}`,
    `maillog_file_prefixes = ${postfix.folder}`,
    'inet_interfaces = 127.0.0.1',
    'inet_protocols = ipv4',
    'myhostname = edge.test.invalid',
    'mydestination =',
    'alias_maps =',
    'virtual_alias_maps =',
    // Nobody is trusted for being local, or the tests would see another Postfix than the internet does.
    'mynetworks = 127.255.255.255/32',
    'smtpd_relay_restrictions = reject_unauth_destination',
    'smtpd_peername_lookup = no',
    'smtpd_error_sleep_time = 0',
    'smtpd_client_connection_count_limit = 0',
    'default_transport = discard',
    'relay_transport = discard',
    `relay_domains = ${options.relayDomains}`,
    `relay_recipient_maps = ${options.relayRecipientMaps}`,
    ...(options.main ?? []),
    '',
  ].join('\n');
}

function masterCf(port: number, options: PostfixOptions): string {
  const jail = options.chroot === true ? 'y' : 'n';
  return [
    `127.0.0.1:${port} inet n - ${jail} - - smtpd`,
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    `rewrite unix - - ${jail} - - trivial-rewrite`,
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'discard unix - - n - - discard',
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'anvil unix - - n - 1 anvil',
    'proxymap unix - - n - - proxymap',
    'showq unix n - n - - showq',
    'postlog unix-dgram n - n - 1 postlogd',
    '',
  ].join('\n');
}

async function makeFolders(
  top: string,
  user: string,
  group: string,
  mode: string,
  names: string[],
): Promise<void> {
  const { code, stderr } = await run('install', ['-d', '-o', user, '-g', group, '-m', mode, ...names], top);
  if (code !== 0) throw new Error(`install -d: ${stderr}`);
}

/** Without what would lead Postfix's programs to another configuration. */
function environment(): NodeJS.ProcessEnv {
  const { MAIL_CONFIG: _, ...rest } = process.env;
  return { ...rest, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
}

/** Ends the master when this process has died without doing so: the shell reads the end of a pipe that we hold open. */
function watch(master: number, folder: string): ChildProcess {
  const script = 'read -r _; kill -TERM "$0"; kill -KILL -- "-$0"; rm -rf "$1"';
  const watcher = spawn('sh', ['-c', script, String(master), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  watcher.stdin?.on('error', () => undefined);
  watcher.on('error', () => undefined);
  return watcher;
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // Nobody left.
  }
}

function run(
  program: string,
  args: readonly string[],
  cwd = '/',
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

async function greets(port: number): Promise<boolean> {
  try {
    await using session = await SmtpSession.connect(port);
    await session.command('QUIT');
    return true;
  } catch {
    return false;
  }
}
