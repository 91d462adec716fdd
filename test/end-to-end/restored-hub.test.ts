/** The only hub of a site is lost with its machine, and comes back from its backup (docs/storage.md): no subscription is made again. */
import { cp, mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HubStatus } from '../../src/admin/documents.ts';
import { Deployment } from '../support/deployment.ts';
import { SocketmapClient } from '../support/socketmap-client.ts';
import { until } from '../support/until.ts';

const parts = new AsyncDisposableStack();
let site: Deployment;
let people: string;
let backup: string;

const person = (name: string): string =>
  `dn: cn=${name}\nobjectClass: inetOrgPerson\nmail: ${name}@example.org\n\n`;

beforeAll(async () => {
  site = parts.use(
    await Deployment.create(async (folder) => {
      people = join(folder, 'people.ldif');
      await writeFile(people, person('ada'));
      return { source: { kind: 'ldif', path: people } };
    }),
  );
  backup = join(site.folder, 'backup');
  await site.startEdge();
  await site.startHub();
  await site.hubOk('domain', 'add', 'example.org');
  await site.subscribe();
  await site.hubOk('sync', 'run');
});
afterAll(() => parts.disposeAsync());

async function ask(address: string): Promise<string> {
  await using client = await SocketmapClient.connect({ host: '127.0.0.1', port: site.socketmapPort });
  return await client.ask('recipients', address);
}

async function status(): Promise<HubStatus> {
  return JSON.parse((await site.hub('status', '--json')).stdout) as HubStatus;
}

async function subscribed(): Promise<string[]> {
  const list = JSON.parse(await site.hubOk('subscription', 'list', '--json')) as { edge: string }[];
  return list.map(({ edge }) => edge);
}

describe('the only hub, from its backup', () => {
  it('is backed up while it runs: the directory by its command, trust and identity by a copy', async () => {
    await mkdir(backup);
    await site.hubOk('directory', 'backup', join(backup, 'configuration'));
    for (const name of await readdir(site.hubData))
      if (name === 'trust' || name.startsWith('identity'))
        await cp(join(site.hubData, name), join(backup, name), { recursive: true });
    expect(await readdir(backup)).toEqual(expect.arrayContaining(['configuration', 'trust']));
  });

  it('went on for a while before it was lost', async () => {
    await site.hubDaemon?.stop();
    await site.startHub();
    await writeFile(people, person('ada') + person('grace'));
    await site.hubOk('sync', 'run');
    expect(await ask('grace@example.org')).toMatch(/^OK/);
    await site.hubDaemon?.kill();
    await rename(site.hubData, join(site.folder, 'lost'));
  });

  it('is restored on an empty machine, keeps its subscription, and is let in by the edge', async () => {
    await mkdir(site.hubData, { mode: 0o700 });
    for (const name of await readdir(backup))
      if (name !== 'configuration')
        await cp(join(backup, name), join(site.hubData, name), { recursive: true });
    await site.hubOk('directory', 'restore', join(backup, 'configuration'));
    await site.startHub();
    expect(await subscribed()).toEqual(['edge1']);
    await until(
      'the edge to be in step again',
      status,
      ({ edges }) => edges[0]?.state === 'Synchronized' && edges[0].holdsLease,
    );
    await writeFile(people, person('ada') + person('grace') + person('joan'));
    await site.hubOk('sync', 'run');
    expect(await ask('joan@example.org')).toMatch(/^OK/);
    expect(await site.hubOk('sync', 'verify')).toMatch(/edge1: equal/);
  });
});
