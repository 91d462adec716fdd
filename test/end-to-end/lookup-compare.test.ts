/** `postern lookup compare` before a mail server is moved to the edge: its table of recipients and its log, beside the edge's answers. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { CompareDocument } from '../../src/admin/documents.ts';
import { Deployment } from '../support/deployment.ts';

let site: Deployment;

function person(n: number): string {
  return `dn: uid=u${n},dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: u${n}\ncn: U ${n}\nsn: ${n}\nmail: user${n}@example.org\n\n`;
}

beforeAll(async () => {
  site = await Deployment.create(async (folder) => {
    const path = join(folder, 'people.ldif');
    await writeFile(path, Array.from({ length: 600 }, (_, n) => person(n)).join(''));
    return { source: { kind: 'ldif', path } };
  });
  await site.startEdge();
});
afterAll(() => site[Symbol.asyncDispose]());

async function compare(
  name: string,
  text: string,
  ...options: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  await writeFile(join(site.folder, name), text);
  const { exitCode, stdout, stderr } = await site.edge(
    'lookup',
    'compare',
    join(site.folder, name),
    ...options,
  );
  return { code: exitCode, stdout, stderr };
}
const users = (count: number): string =>
  Array.from({ length: count }, (_, n) => `user${n}@example.org OK\n`).join('');

it('before the first load, everything waits', async () => {
  const { code, stdout } = await compare('recipients', users(3));
  expect(code).toBe(1);
  expect(stdout).toContain('3 addresses compared, 0 equal\n3 the edge cannot say yet');
});

it('a table that agrees', async () => {
  await site.startHub();
  await site.hubOk('domain', 'add', 'example.org');
  await site.subscribe();
  await site.hubOk('sync', 'run');
  const { code, stdout } = await compare('recipients', users(600));
  expect([code, stdout]).toEqual([0, '600 addresses compared, 600 equal\n']);
});

it('a table that does not: each difference with its line and its reason', async () => {
  const { code, stdout } = await compare(
    'recipients',
    `${users(2)}nobody@example.org OK\nx@elsewhere.example OK\nlocal OK\n`,
  );
  expect(code).toBe(1);
  expect(stdout.split('\n')).toEqual([
    '4 addresses compared, 2 equal',
    '1 accepted today, the edge would refuse',
    '1 accepted today, not an accepted domain on the edge',
    '1 lines without an address with a domain were left out',
    expect.stringMatching(
      /^ {2}line 3: nobody@example\.org: accepted today, the edge would refuse: no recipient has this address/,
    ),
    expect.stringMatching(
      /^ {2}line 4: x@elsewhere\.example: accepted today, not an accepted domain on the edge: /,
    ),
    '',
  ]);
});

it('a log', async () => {
  const log = [
    'Nov 20 06:25:01 mx postfix/smtp[11]: 4F1: to=<user1@example.org>, relay=in[10.0.0.1]:25, dsn=2.0.0, status=sent (250 ok)',
    'Nov 20 06:25:03 mx postfix/smtpd[13]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 <user2@example.org>: Recipient address rejected: User unknown; from=<x@y>',
    'Nov 20 06:25:03 mx postfix/smtpd[13]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown; from=<x@y>',
  ].join('\n');
  const { code, stdout } = await compare('mail.log', log, '--format', 'log', '--json');
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({
    compared: 3,
    equal: 2,
    counts: { gained: 1, lost: 0 },
    differences: [{ address: 'user2@example.org', line: 2, difference: 'gained' }],
  } satisfies Partial<Record<keyof CompareDocument, unknown>>);
});

it('a file that is not there, and one without an address, are errors that say so', async () => {
  const missing = await site.edge('lookup', 'compare', join(site.folder, 'nowhere'));
  expect([missing.exitCode, missing.stdout]).toEqual([1, '']);
  expect(missing.stderr).toContain('[file.unreadable]');
  const empty = await compare('empty', '# nothing\n');
  expect([empty.code, empty.stdout]).toEqual([2, '']);
  expect(empty.stderr).toContain('there is no address in');
  // One address is asked as before.
  expect((await site.edge('lookup', 'user1@example.org')).stdout).toMatch(/answer +known/);
});
