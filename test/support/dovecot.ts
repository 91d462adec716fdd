/**
 * A private Dovecot for tests: its authentication service alone, asking a directory. Own configuration and sockets in a temporary folder;
 * nothing of it outlives the test. Needs root, as Dovecot does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { existsSync } from 'node:fs';
import { type Ran, runProgram } from './ldap-tool.ts';
import { until } from './until.ts';

export interface DovecotOptions {
  /** Lines of dovecot-ldap.conf, for passdb and userdb. */
  readonly ldap: readonly string[];
}

export class Dovecot implements AsyncDisposable {
  readonly folder: string;
  readonly #process: ChildProcess;

  private constructor(folder: string, process: ChildProcess) {
    this.folder = folder;
    this.#process = process;
  }

  static async start({ ldap }: DovecotOptions): Promise<Dovecot> {
    const folder = await mkdtemp(join(tmpdir(), 'postern-dovecot-'));
    // The authentication service runs as a user of its own.
    await chmod(folder, 0o755);
    const at = (name: string): string => join(folder, name);
    await mkdir(at('run'));
    await writeFile(at('ldap.conf'), `${ldap.join('\n')}\n`);
    const database = `{\n  driver = ldap\n  args = ${at('ldap.conf')}\n}`;
    await writeFile(
      at('dovecot.conf'),
      [
        `base_dir = ${at('run')}`,
        `state_dir = ${at('run')}`,
        `log_path = ${at('log')}`,
        'protocols =',
        'ssl = no',
        'listen = 127.0.0.1',
        'auth_mechanisms = plain',
        'auth_cache_size = 0',
        'auth_failure_delay = 0',
        `passdb ${database}`,
        `userdb ${database}`,
        '',
      ].join('\n'),
    );
    const child = spawn('dovecot', ['-c', at('dovecot.conf'), '-F'], { stdio: 'ignore' });
    const dovecot = new Dovecot(folder, child);
    try {
      await until(
        'dovecot',
        () => Promise.resolve(existsSync(at('run/auth-client')) && existsSync(at('run/auth-userdb'))),
        (there) => there,
      );
    } catch (error) {
      await dovecot[Symbol.asyncDispose]();
      throw error;
    }
    return dovecot;
  }

  doveadm(...args: string[]): Promise<Ran> {
    return runProgram('doveadm', ['-c', join(this.folder, 'dovecot.conf'), ...args]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null) {
      const ended = new Promise((resolve) => this.#process.once('exit', resolve));
      this.#process.kill();
      await ended;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}
