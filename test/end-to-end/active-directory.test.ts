/**
 * The whole way from a real domain controller: a hub that reads it as an account with the rights that the documents name, an edge, its answers.
 * One story, in order: loaded, changed in every way, the controller gone and back, the account shut out.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { HubStatus } from '../../src/admin/documents.ts';
import { Deployment } from '../support/deployment.ts';
import { type Samba, startSamba } from '../support/samba.ts';
import { SocketmapClient } from '../support/socketmap-client.ts';
import { until } from '../support/until.ts';

const PASSWORD = 'Read.the.directory.1';
const PEOPLE = 300;
const KNOWN = 'OK 1';
const UNKNOWN = 'NOTFOUND ';
const parts = new AsyncDisposableStack();
let samba: Samba;
let site: Deployment;
let socketmap: SocketmapClient;
let people: string;
let others: string;

const ask = (address: string): Promise<string> => socketmap.ask('recipients', address);
const becomes = (address: string, reply: string): Promise<string> =>
  until(
    `the answer for ${address}`,
    () => ask(address),
    (answer) => answer === reply,
  );
const hubStatus = async (): Promise<HubStatus> =>
  JSON.parse((await site.hub('status', '--json')).stdout) as HubStatus;

function add(name: string, parent: string, lines: readonly string[], objectClass = 'user'): string {
  return [
    `dn: CN=${name},${parent}`,
    'changetype: add',
    `objectClass: ${objectClass}`,
    ...lines,
    '',
    '',
  ].join('\n');
}
const account = (name: string): string => `sAMAccountName: ${name}`;
const mail = (address: string): string => `mail: ${address}`;
const user = (name: string, ...lines: string[]): string =>
  add(name, people, [account(name), mail(`${name}@example.org`), 'userAccountControl: 544', ...lines]);
const change = (name: string, ...lines: string[]): Promise<void> =>
  samba.modify(`dn: CN=${name},${people}\nchangetype: modify\n${lines.join('\n')}\n`);

beforeAll(async () => {
  samba = parts.use(await startSamba());
  people = `OU=People,${samba.base}`;
  others = `OU=Others,${samba.base}`;
  const unit = (dn: string): string => `dn: ${dn}\nchangetype: add\nobjectClass: organizationalUnit\n\n`;
  await samba.modify(
    [
      unit(people),
      unit(others),
      ...Array.from({ length: PEOPLE }, (_, n) =>
        user(
          `user${n}`,
          `proxyAddresses: SMTP:user${n}@example.org`,
          `proxyAddresses: smtp:alias${n}@example.org`,
        ),
      ),
      add('Zoë Çelik', people, [account('zoe'), mail('zoë@example.org'), 'userAccountControl: 544']),
      add('staff', people, [account('staff'), mail('staff@example.org')], 'group'),
      add('partner', people, [mail('partner@example.org')], 'contact'),
      add('gone', people, [account('gone'), mail('gone@example.org'), 'userAccountControl: 546']),
    ].join(''),
  );
  const bindDn = await samba.addAccount('postern', PASSWORD);
  await samba.allowDirSync(bindDn);
  await samba.allowDeletedObjects('postern');
  site = parts.use(
    await Deployment.create(async (folder) => {
      const passwordFile = join(folder, 'source.password');
      await writeFile(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
      return {
        source: {
          kind: 'active-directory',
          url: samba.url,
          base: people,
          filter: '(|(objectClass=user)(objectClass=group)(objectClass=contact))',
          bind_dn: bindDn,
          password_file: passwordFile,
        },
      };
    }),
  );
  await site.startEdge();
  await site.startHub();
  await site.hubOk('domain', 'add', 'example.org');
  await site.subscribe();
  await site.hubOk('sync', 'run');
  socketmap = parts.use(await SocketmapClient.connect({ host: '127.0.0.1', port: site.socketmapPort }));
}, 180_000);
afterAll(() => parts.disposeAsync());

it('users, groups and contacts are known with every address; disabled ones and strangers are not', async () => {
  for (const name of ['user0', `user${PEOPLE - 1}`, 'alias7', 'zoë', 'staff', 'partner'])
    expect([name, await ask(`${name}@example.org`)]).toEqual([name, KNOWN]);
  for (const name of ['gone', 'nobody', `user${PEOPLE}`])
    expect([name, await ask(`${name}@example.org`)]).toEqual([name, UNKNOWN]);
  expect(await site.hubOk('sync', 'verify')).toContain(`equal (proved: content; ${PEOPLE + 3} entries`);
});

it('a change is known without being asked for: added, renamed, moved, disabled, deleted', async () => {
  await samba.modify(user('new1'));
  await becomes('new1@example.org', KNOWN);
  await samba.modify(`dn: CN=new1,${people}\nchangetype: modrdn\nnewrdn: CN=renamed\ndeleteoldrdn: 1\n`);
  await change('user1', 'replace: mail', 'mail: other1@example.org');
  await becomes('other1@example.org', KNOWN);
  expect(await ask('new1@example.org')).toBe(KNOWN);
  await samba.modify(
    `dn: CN=user2,${people}\nchangetype: modrdn\nnewrdn: CN=user2\ndeleteoldrdn: 1\nnewsuperior: ${others}\n`,
  );
  await becomes('user2@example.org', UNKNOWN);
  await samba.modify(
    `dn: CN=user2,${others}\nchangetype: modrdn\nnewrdn: CN=user2\ndeleteoldrdn: 1\nnewsuperior: ${people}\n`,
  );
  await becomes('user2@example.org', KNOWN);
  await change('user3', 'replace: userAccountControl', 'userAccountControl: 546');
  await becomes('user3@example.org', UNKNOWN);
  await change('user3', 'replace: userAccountControl', 'userAccountControl: 544');
  await becomes('user3@example.org', KNOWN);
  await samba.modify(`dn: CN=user4,${people}\nchangetype: delete\n`);
  await becomes('user4@example.org', UNKNOWN);
});

it('an address that moves from one user to another is known all the time', async () => {
  const answers: string[] = [];
  let moving = true;
  const watch = (async () => {
    while (moving) answers.push(await ask('alias5@example.org'));
  })();
  await change('user6', 'add: proxyAddresses', 'proxyAddresses: smtp:alias5@example.org');
  await change('user5', 'delete: proxyAddresses', 'proxyAddresses: smtp:alias5@example.org');
  await samba.modify(user('marker'));
  await becomes('marker@example.org', KNOWN);
  moving = false;
  await watch;
  expect(new Set(answers)).toEqual(new Set([KNOWN]));
  expect(await ask('user5@example.org')).toBe(KNOWN);
});

it('the controller gone: the edge goes on answering; back again: what happened meanwhile arrives', async () => {
  await samba.stop();
  const failing = await until('a failing source', hubStatus, ({ source }) => source.state === 'failed');
  expect(failing.warnings.map(({ code }) => code)).toContain('source.failed');
  expect(await ask('user0@example.org')).toBe(KNOWN);
  expect(await ask('nobody@example.org')).toBe(UNKNOWN);
  await samba.start();
  await samba.modify(user('afterwards'));
  await samba.modify(`dn: CN=user8,${people}\nchangetype: delete\n`);
  await becomes('afterwards@example.org', KNOWN);
  await becomes('user8@example.org', UNKNOWN);
});

it('the account shut out: nothing is deleted, and the status says why', async () => {
  await samba.tool('user', 'disable', 'postern', '-H', join(samba.folder, 'private/sam.ldb'));
  expect((await site.hub('sync', 'run', '--full')).exitCode).toBe(1);
  const { source } = await until('a failing source', hubStatus, (status) => status.source.state === 'failed');
  expect(source.failure).toContain('invalidCredentials');
  expect(await ask('user0@example.org')).toBe(KNOWN);
  expect(await ask('partner@example.org')).toBe(KNOWN);
});
