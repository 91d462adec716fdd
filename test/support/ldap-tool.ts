/** Programs that are LDAP clients, run against a directory that is served here. */
import { spawn } from 'node:child_process';
import { ADMINISTRATOR, type ServedDirectory } from './served-directory.ts';

export interface Ran {
  /** Exit code; OpenLDAP's tools end with the result code. */
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program to its end; nothing of the machine's LDAP configuration is read. */
export function runProgram(
  program: string,
  args: readonly string[],
  { input = '', env = {} }: RunOptions = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], {
      env: { ...process.env, LDAPCONF: '/dev/null', HOME: '/nonexistent', ...env },
    });
    let out = '';
    let error = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (error += text));
    // A program may end before it has read its input.
    child.stdin.on('error', () => undefined);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, out, error }));
    child.stdin.end(input);
  });
}

/** One of OpenLDAP's tools as the administrator. */
export function tool(
  served: ServedDirectory,
  name: string,
  args: readonly string[],
  input?: string,
): Promise<Ran> {
  const bind = ['-x', '-H', served.url, '-D', ADMINISTRATOR.dn, '-w', ADMINISTRATOR.password];
  return runProgram(name, [...bind, ...args], input === undefined ? {} : { input });
}
