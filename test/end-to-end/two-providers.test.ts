/**
 * The configuration directory on two OpenLDAP providers that replicate to each other (docs/configuration-directory.md), one for each hub: what happens
 * while they are cut off from each other, and what is left of it afterwards.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HubStatus, SiteHubDocument } from '../../src/admin/documents.ts';
import { CutLine } from '../support/cut-line.ts';
import { Deployment, slapdSource } from '../support/deployment.ts';
import { Slapd, startSlapd } from '../support/slapd.ts';
import { SocketmapClient } from '../support/socketmap-client.ts';
import { until } from '../support/until.ts';

const SCHEMA = fileURLToPath(new URL('../../packaging/schema/postern.schema', import.meta.url));
const SUFFIX = 'dc=example,dc=org';
const PEOPLE = `dn: ou=people,${SUFFIX}
objectClass: organizationalUnit

dn: uid=ada,ou=people,${SUFFIX}
objectClass: inetOrgPerson
cn: Ada
sn: Lovelace
mail: ada@example.org
`;
const parts = new AsyncDisposableStack();
let people: Slapd;
const lines: CutLine[] = [];
let providers: Slapd[];
let hubs: Deployment[];

/** The provider `index` of 0 and 1, which reads the other one over a line that can be cut. */
async function provider(index: number): Promise<Slapd> {
  const line = lines[index] as CutLine;
  const made = await Slapd.create({
    schemas: [SCHEMA],
    syncprov: true,
    globalConfig: [`serverID ${index + 1}`],
    databaseConfig: [
      `syncrepl rid=00${index + 1} provider=ldap://127.0.0.1:${line.port} type=refreshAndPersist retry="1 +"`,
      `  searchbase="${SUFFIX}" bindmethod=simple binddn="cn=admin,${SUFFIX}" credentials=administrator`,
      'multiprovider on',
    ],
  });
  parts.use(made);
  // The suffix comes from the first one.
  if (index > 0) await made.empty();
  await made.start();
  return made;
}

beforeAll(async () => {
  lines.push(parts.use(await CutLine.listen()), parts.use(await CutLine.listen()));
  providers = [await provider(0), await provider(1)];
  for (const [index, line] of lines.entries()) line.target = providers[1 - index]?.port ?? 0;
  await until(
    'the second provider to have the suffix',
    () => (providers[1] as Slapd).search('(objectClass=*)', 'dc').catch(() => ''),
    (text) => text.includes(SUFFIX),
  );
  people = parts.use(await startSlapd({ syncprov: true, ldif: PEOPLE }));
  const deploy = (name: string, { url, adminDn, adminPassword }: Slapd): Promise<Deployment> =>
    Deployment.create(async (folder) => {
      const passwordFile = join(folder, 'configuration.password');
      await writeFile(passwordFile, `${adminPassword}\n`, { mode: 0o600 });
      return {
        source: await slapdSource(people, folder),
        hub: {
          name,
          fqdn: `${name}.localhost`,
          schedule: { site: '1s', configuration: '2s', topology: '2s' },
          lease: { lock: '8s', renew_below: '6s' },
          configuration: { url, base: SUFFIX, bind_dn: adminDn, password_file: passwordFile },
        },
      };
    });
  hubs = [
    parts.use(await deploy('hub1', providers[0] as Slapd)),
    parts.use(await deploy('hub2', providers[1] as Slapd)),
  ];
  await hub(1).startEdge();
  await hub(1).startHub();
  await hub(1).hubOk('domain', 'add', 'example.org');
  await hub(1).subscribe();
  await hub(1).hubOk('sync', 'run');
  await hub(2).startHub();
  await until(
    'each hub to be seen by the other',
    async () => [await known(1), await known(2)],
    (found) => found.every((names) => names.has('hub1') && names.has('hub2')),
  );
  await hub(2).hubOk('hub', 'join', '--fingerprint', (await known(1)).get('hub1')?.fingerprint ?? '');
  await hub(1).hubOk(
    'hub',
    'approve',
    'hub2',
    '--fingerprint',
    (await known(1)).get('hub2')?.fingerprint ?? '',
  );
  await standsBy(2, 'hub1');
});
afterAll(() => parts.disposeAsync());

const hub = (number: 1 | 2): Deployment => hubs[number - 1] as Deployment;

async function known(number: 1 | 2): Promise<Map<string, SiteHubDocument>> {
  const list = JSON.parse(await hub(number).hubOk('hub', 'list', '--json')) as SiteHubDocument[];
  return new Map(list.map((one) => [one.hub, one]));
}

async function link(number: 1 | 2): Promise<HubStatus['edges'][number] | undefined> {
  const { edges } = JSON.parse((await hub(number).hub('status', '--json')).stdout) as HubStatus;
  return edges[0];
}

const standsBy = (number: 1 | 2, holder: string): Promise<unknown> =>
  until(
    `hub${number} to stand by`,
    () => link(number),
    (edge) => edge?.state === 'Skipped' && edge.failureDetail?.includes(`${holder} holds the lease`) === true,
  );

async function ask(address: string): Promise<string> {
  await using client = await SocketmapClient.connect({ host: '127.0.0.1', port: hub(1).socketmapPort });
  return await client.ask('recipients', address);
}

async function person(name: string): Promise<void> {
  await people.modify(
    `dn: uid=${name},ou=people,${SUFFIX}\nchangetype: add\nobjectClass: inetOrgPerson\ncn: ${name}\nsn: ${name}\nmail: ${name}@example.org\n`,
  );
  await until(
    `${name} to arrive`,
    () => ask(`${name}@example.org`),
    (answer) => answer.startsWith('OK'),
  );
}

describe('two providers that are cut off from each other', () => {
  it('the holder goes on, and what it is told reaches the edge; the other one stands by all the same', async () => {
    for (const line of lines) line.cut();
    await hub(1).hubOk('domain', 'add', 'example.net');
    await until(
      'the edge to take mail for the new domain',
      () => ask('nobody@example.net'),
      (answer) => answer.startsWith('NOTFOUND'),
    );
    await person('grace');
    expect(await hub(2).hubOk('domain', 'list')).not.toContain('example.net');
    await standsBy(2, 'hub1');
  });

  it('when the holder sleeps past its lease the other one takes over, with what its provider shows, and nothing of it is lost', async () => {
    const sleeper = hub(1).hubDaemon;
    process.kill(sleeper?.pid ?? 0, 'SIGSTOP');
    try {
      await until(
        'hub2 to hold the lease',
        () => link(2),
        (edge) => edge?.state === 'Synchronized' && edge.holdsLease,
      );
      await person('joan');
    } finally {
      process.kill(sleeper?.pid ?? 0, 'SIGCONT');
    }
    // Its provider says nothing of who holds what: the edge does.
    await standsBy(1, 'hub2');
    expect((await link(2))?.holdsLease).toBe(true);
    // A domain that this provider does not show waits for an administrator's word before it goes.
    expect(await ask('nobody@example.net')).toMatch(/^NOTFOUND/);
    const accounts = await hub(1).edgeOk('subscription', 'show');
    expect(accounts).toMatch(/ESRA\.edge1\.hub1\./);
    expect(accounts).toMatch(/ESRA\.edge1\.hub2\./);
  });

  it('both write, and what they wrote is one again when the line is mended', async () => {
    await hub(2).hubOk('domain', 'add', 'example.com');
    // The same entry on both sides: one of them is left, whichever.
    await hub(1).hubOk('domain', 'add', 'example.info');
    await hub(2).hubOk('domain', 'add', 'example.info');
    for (const line of lines) line.mend();
    for (const number of [1, 2] as const)
      await until(
        `hub${number} to see all`,
        () => hub(number).hubOk('domain', 'list'),
        (text) =>
          ['example.com', 'example.info', 'example.net', 'example.org'].every((name) => text.includes(name)),
      );
    await until(
      'the edge to take mail for all of them',
      async () => [
        await ask('nobody@example.com'),
        await ask('nobody@example.info'),
        await ask('nobody@example.net'),
      ],
      (answers) => answers.every((answer) => answer.startsWith('NOTFOUND')),
    );
    await person('mary');
    expect(await hub(2).hubOk('sync', 'verify')).toMatch(/edge1: equal/);
  });

  it('no subscription was lost, and each hub can still hold the lease', async () => {
    for (const number of [1, 2] as const) {
      const list = JSON.parse(await hub(number).hubOk('subscription', 'list', '--json')) as {
        edge: string;
      }[];
      expect(list.map(({ edge }) => edge)).toEqual(['edge1']);
    }
    await hub(2).hubDaemon?.kill();
    await until(
      'hub1 to hold the lease',
      () => link(1),
      (edge) => edge?.state === 'Synchronized' && edge.holdsLease,
    );
    await person('edith');
  });

  it('a hub that leaves gives up its accounts and its records, and nothing of the other one’s', async () => {
    await hub(2).startHub();
    await standsBy(2, 'hub1');
    expect(JSON.parse(await hub(2).hubOk('hub', 'leave', '--json'))).toEqual({ told: ['edge1'], untold: [] });
    const accounts = await hub(1).edgeOk('subscription', 'show');
    expect(accounts).toMatch(/ESRA\.edge1\.hub1\./);
    expect(accounts).not.toMatch(/ESRA\.edge1\.hub2\./);
    expect(JSON.parse(await hub(2).hubOk('subscription', 'list', '--json'))).toEqual([]);
    for (const slapd of providers)
      await until(
        'its object to go',
        () => slapd.search('(objectClass=posternHub)', 'cn'),
        (text) => text.includes('cn: hub1') && !text.includes('cn: hub2'),
      );
    await person('radia');
    const last = await hub(1).hub('hub', 'leave');
    expect([last.exitCode, last.stderr]).toEqual([7, expect.stringContaining('[refused]')]);
  });
});
