/** An edge that has not heard from its hub for longer than it may: known recipients are still known, nobody is unknown any more. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Deployment } from '../support/deployment.ts';
import { Postfix } from '../support/postfix.ts';
import { runTool } from '../support/slapd.ts';
import { SocketmapClient } from '../support/socketmap-client.ts';
import { until } from '../support/until.ts';

const parts = new AsyncDisposableStack();
let site: Deployment;
let postfix: Postfix;

beforeAll(async () => {
  site = parts.use(
    await Deployment.create(async (folder) => {
      const path = join(folder, 'people.ldif');
      await writeFile(
        path,
        'dn: cn=a\nobjectClass: person\nmail: a@example.org\nmail: a@patient.example\nmail: a@relay.example\n',
      );
      return { source: { kind: 'ldif', path }, edge: { lookup: { max_age: '1s' } } };
    }),
  );
  postfix = parts.use(
    await Postfix.create({
      relayDomains: `socketmap:inet:127.0.0.1:${site.socketmapPort}:domains`,
      relayRecipientMaps: `socketmap:inet:127.0.0.1:${site.socketmapPort}:recipients`,
    }),
  );
  await site.startEdge();
  await postfix.start();
  await site.startHub();
  await site.hubOk('domain', 'add', 'example.org');
  await site.hubOk('domain', 'add', 'patient.example', '--max-age', '1h');
  await site.hubOk('domain', 'add', 'relay.example', '--kind', 'internalRelay');
  await site.subscribe();
  await site.hubOk('sync', 'run');
});
afterAll(() => parts.disposeAsync());

const search = (address: string): Promise<string> =>
  runTool('ldapsearch', [
    '-x',
    '-LLL',
    '-H',
    `ldap://127.0.0.1:${site.ldapPort}`,
    '-b',
    'cn=Recipients',
    `(mail=${address})`,
    'posternResult',
  ]);

async function becomes(address: string, reply: RegExp): Promise<void> {
  await using client = await SocketmapClient.connect({ host: '127.0.0.1', port: site.socketmapPort });
  await until(
    `the answer for ${address}`,
    () => client.ask('recipients', address),
    (answer) => reply.test(answer),
  );
}

it('older than max_age: unknown is "later", known is known', async () => {
  await becomes('nobody@example.org', /^TEMP recipients were not confirmed for too long/);
  expect(await postfix.smtpDialogue('nobody@example.org')).toMatch(/^451 4\.3\.0 /);
  expect(await postfix.smtpDialogue('a@example.org')).toMatch(/^250 /);
  // The domain may be patient; a relay domain's unknown recipients were never refused.
  expect(await postfix.smtpDialogue('nobody@patient.example')).toMatch(/^550 5\.1\.1 /);
  expect(await postfix.smtpDialogue('nobody@relay.example')).toMatch(/^250 /);
  expect(await postfix.smtpDialogue('a@elsewhere.example')).toMatch(/^554 5\.7\.1 /);
});

it('the same over LDAP: "busy" instead of nothing', async () => {
  await expect(search('nobody@example.org')).rejects.toThrow(
    /Server is busy \(51\)[^]*not confirmed for too long/,
  );
  expect(await search('a@example.org')).toMatch(/posternResult: OK/);
});

it('the edge says so loudly, and lookup why', async () => {
  const status = await site.edge('status');
  expect(status.stdout).toContain('[recipients.stale]');
  expect(status.exitCode).toBe(4);
  const lookup = await site.edge('lookup', 'nobody@example.org');
  expect(lookup.stdout).toMatch(/confirmed/);
  expect(lookup.exitCode).toBe(3);
});

it('when the source has confirmed, unknown is unknown again', async () => {
  // A second is short; the confirmation comes again until the question falls into it.
  await using client = await SocketmapClient.connect({ host: '127.0.0.1', port: site.socketmapPort });
  await until(
    'the answer for nobody@example.org',
    async () => {
      await site.hubDaemon?.control.stream('POST', '/v1/sync/run', {}, () => undefined);
      return client.ask('recipients', 'nobody@example.org');
    },
    (answer) => answer === 'NOTFOUND ',
  );
});

it('a domain may be stricter than the edge: by socketmap it alone, over LDAP all of them', async () => {
  await site.edgeDaemon?.stop();
  await writeFile(site.edgeFile, (await site.readConfig('edge')).replace('max_age = "1s"', 'max_age = "1h"'));
  await site.startEdge();
  await site.hubOk('sync', 'run');
  await becomes('nobody@patient.example', /^NOTFOUND /);
  expect(await search('nobody@patient.example')).toBe('');
  await site.hubOk('domain', 'add', 'example.org', '--max-age', '1s');
  await becomes('nobody@example.org', /^TEMP recipients were not confirmed for too long/);
  await becomes('nobody@patient.example', /^NOTFOUND /);
  await expect(search('nobody@patient.example')).rejects.toThrow(/Server is busy \(51\)/);
  expect(await search('a@patient.example')).toMatch(/posternResult: OK/);
});
