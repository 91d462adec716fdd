/** `postern source check` against a real domain controller, as an administrator would run it before the hub is started. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SourceReport } from '../../src/daemon/source-check.ts';
import { type Samba, startSamba } from '../support/samba.ts';

const PASSWORD = 'Read.the.directory.1';
let samba: Samba;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-source-check-'));
  samba = await startSamba();
  await writeFile(join(folder, 'password'), `${PASSWORD}\n`, { mode: 0o600 });
  await writeFile(join(folder, 'ca.pem'), await samba.authorities());
  const person = (name: string, ...lines: string[]): string =>
    [
      `dn: CN=${name},CN=Users,${samba.base}`,
      'changetype: add',
      'objectClass: user',
      `sAMAccountName: ${name}`,
      ...lines,
      '',
      '',
    ].join('\n');
  await samba.modify(
    person(
      'anna',
      'mail: anna@example.org',
      'proxyAddresses: SMTP:anna@example.org',
      'userAccountControl: 544',
    ) +
      person(
        'bert',
        'mail: bert@example.org',
        'proxyAddresses: smtp:anna@example.org',
        'userAccountControl: 544',
      ) +
      person('carl', 'mail: carl@example.org', 'userAccountControl: 546') +
      `dn: CN=staff,CN=Users,${samba.base}\nchangetype: add\nobjectClass: group\nsAMAccountName: staff\nmail: staff@example.org\n`,
  );
}, 120_000);
afterAll(async () => {
  await samba[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function sourceCheck(
  account: string,
  ...options: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const config = join(folder, `${account}.toml`);
  const table = {
    kind: 'active-directory',
    url: samba.url,
    base: samba.base,
    filter: '(&(|(objectClass=user)(objectClass=group))(!(isCriticalSystemObject=TRUE)))',
    bind_dn: `CN=${account},CN=Users,${samba.base}`,
    password_file: join(folder, 'password'),
  };
  const lines = Object.entries(table).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  await writeFile(config, `name = "hub1"\nfqdn = "hub1.example.org"\n[source]\n${lines.join('\n')}\n`);
  const main = join(import.meta.dirname, '../../src/cli/main.ts');
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [main, 'source', 'check', '--config', config, ...options],
      (error, stdout, stderr) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });
}

test('an account that may only read: what is missing, and how it is granted', async () => {
  await samba.addAccount('reader', PASSWORD);
  const { code, stdout } = await sourceCheck('reader');
  expect(code).toBe(3);
  expect(stdout).toContain('NO   Replicating Directory Changes');
  expect(stdout).toContain(`samba-tool dsacl set --objectdn="${samba.base}"`);
  expect(stdout).toContain('NO   list CN=Deleted Objects');
  expect(stdout).toMatch(/recipients +3 \(2 user, 1 group\)/);
  expect(stdout).toContain('1 are disabled\n    CN=carl,');
  // Whoever the controller names first.
  expect(stdout).toMatch(
    /claimed twice: 1 addresses\n {2}anna@example\.org: CN=(anna,.*; CN=bert|bert,.*; CN=anna),/,
  );
});

test('with the rights granted as it says', async () => {
  const dn = await samba.addAccount('postern', PASSWORD);
  await samba.allowDirSync(dn);
  await samba.allowDeletedObjects('postern');
  await samba.modify(`dn: CN=bert,CN=Users,${samba.base}\nchangetype: modify\ndelete: proxyAddresses\n`);
  const { code, stdout } = await sourceCheck('postern', '--json');
  expect(code).toBe(0);
  const report = JSON.parse(stdout) as SourceReport;
  expect(report.rights.map(({ name, granted }) => `${name}: ${granted}`)).toEqual([
    'Replicating Directory Changes: true',
    'list CN=Deleted Objects: true',
  ]);
  expect(report.claimedTwice.count).toBe(0);
});

test('a wrong password is an error that says so', async () => {
  await samba.addAccount('wrong', 'Another.Password.1');
  const { code, stdout, stderr } = await sourceCheck('wrong');
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toContain('invalidCredentials');
  expect(stderr).not.toContain(PASSWORD);
});
