/** Two hubs in one site, over a real OpenLDAP: the second one joins, gets its account without a new subscription, and takes over. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EdgeCredentialsDocument, HubStatus, SiteHubDocument } from '../../src/admin/documents.ts';
import { systemClock } from '../../src/base/clock.ts';
import { Deployment, slapdSource } from '../support/deployment.ts';
import { type Slapd, startSlapd } from '../support/slapd.ts';
import { SocketmapClient } from '../support/socketmap-client.ts';
import { until } from '../support/until.ts';

const SCHEMA = fileURLToPath(new URL('../../packaging/schema/postern.schema', import.meta.url));
const PEOPLE = `dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit

dn: uid=ada,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
cn: Ada
sn: Lovelace
mail: ada@example.org
`;
const parts = new AsyncDisposableStack();
let slapd: Slapd;
/** The edge and the first hub; the second hub. */
let first: Deployment;
let second: Deployment;

beforeAll(async () => {
  slapd = parts.use(await startSlapd({ schemas: [SCHEMA], syncprov: true, ldif: PEOPLE }));
  const deploy = (name: string): Promise<Deployment> =>
    Deployment.create(async (folder) => {
      const passwordFile = join(folder, 'configuration.password');
      await writeFile(passwordFile, `${slapd.adminPassword}\n`, { mode: 0o600 });
      return {
        source: await slapdSource(slapd, folder),
        hub: {
          name,
          fqdn: `${name}.localhost`,
          schedule: { site: '1s' },
          lease: { lock: '8s', renew_below: '6s' },
          configuration: {
            url: slapd.url,
            base: slapd.suffix,
            bind_dn: slapd.adminDn,
            password_file: passwordFile,
          },
        },
      };
    });
  first = parts.use(await deploy('hub1'));
  second = parts.use(await deploy('hub2'));
  await first.startEdge();
  await first.startHub();
  await first.hubOk('domain', 'add', 'example.org');
  await first.subscribe();
  await first.hubOk('sync', 'run');
  await second.startHub();
});
afterAll(() => parts.disposeAsync());

async function hubs(site: Deployment): Promise<Map<string, SiteHubDocument>> {
  const list = JSON.parse(await site.hubOk('hub', 'list', '--json')) as SiteHubDocument[];
  return new Map(list.map((hub) => [hub.hub, hub]));
}

async function ask(address: string): Promise<string> {
  await using client = await SocketmapClient.connect({ host: '127.0.0.1', port: first.socketmapPort });
  return await client.ask('recipients', address);
}

async function link(site: Deployment) {
  const { edges } = JSON.parse((await site.hub('status', '--json')).stdout) as HubStatus;
  return edges[0];
}

async function fingerprint(of: string): Promise<string> {
  return (await hubs(first)).get(of)?.fingerprint ?? '';
}

describe('a second hub', () => {
  it('is seen and not trusted, either way', async () => {
    const seen = await hubs(first);
    expect(seen.get('hub1')?.standing).toBe('this hub');
    expect(seen.get('hub2')?.standing).toBe('unknown');
    expect((await hubs(second)).get('hub1')?.standing).toBe('unknown');
    expect(JSON.parse(await second.hubOk('subscription', 'list', '--json'))).toEqual([]);
  });

  it('is let in by its right fingerprint only', async () => {
    const wrong = await first.hub('hub', 'approve', 'hub2', '--fingerprint', await fingerprint('hub1'));
    expect(wrong.stderr).toContain('[pin.mismatch]');
    const nobody = await first.hub('hub', 'approve', 'hub3', '--fingerprint', await fingerprint('hub1'));
    expect(nobody.stderr).toContain('[not-found]');
    expect((await hubs(first)).get('hub2')?.standing).toBe('unknown');
    const stranger = await second.hub('hub', 'join', '--fingerprint', 'ab'.repeat(32));
    expect(stranger.stderr).toContain('[not-found]');
  });

  it('joins, is let in, and has its account on the edge by way of the holder', async () => {
    expect(await second.hubOk('hub', 'join', '--fingerprint', await fingerprint('hub1'))).toMatch(
      /postern hub approve hub2 --fingerprint/,
    );
    // Trusting is not being trusted.
    expect(JSON.parse(await second.hubOk('subscription', 'list', '--json'))).toEqual([]);
    await first.hubOk('hub', 'approve', 'hub2', '--fingerprint', await fingerprint('hub2'));
    await until(
      'the account on the edge',
      () => first.edgeOk('subscription', 'show'),
      (text) => text.includes('ESRA.edge1.hub2.0'),
    );
    await until(
      'the second hub to stand by',
      () => link(second),
      (edge) => edge?.state === 'Skipped' && /hub1 holds the lease/.test(edge.failureDetail ?? ''),
    );
    expect((await link(first))?.holdsLease).toBe(true);
    expect((await second.hub('status')).exitCode).toBe(0);
  });

  it('takes over within seconds when the first is killed', async () => {
    const killedAt = systemClock.monotonic();
    await first.hubDaemon?.kill();
    await until(
      'the second hub to hold the lease',
      () => link(second),
      (edge) => edge?.state === 'Synchronized' && edge.holdsLease,
    );
    const seconds = (systemClock.monotonic() - killedAt) / 1000;
    process.stdout.write(`in step under the second hub ${seconds.toFixed(1)} s after the first was killed\n`);
    await slapd.modify(
      'dn: uid=grace,ou=people,dc=example,dc=org\nchangetype: add\nobjectClass: inetOrgPerson\ncn: Grace\nsn: Hopper\nmail: grace@example.org\n',
    );
    await until(
      'a change to arrive',
      () => ask('grace@example.org'),
      (answer) => answer.startsWith('OK'),
    );
    expect(await ask('ada@example.org')).toMatch(/^OK/);
    expect(await second.hubOk('sync', 'verify')).toMatch(/edge1: equal/);
  });

  it('is not disturbed by the first one coming back, which stands by in its turn', async () => {
    await first.startHub();
    await until(
      'the first hub to stand by',
      () => link(first),
      (edge) => edge?.state === 'Skipped' && /hub2 holds the lease/.test(edge.failureDetail ?? ''),
    );
    expect((await link(second))?.holdsLease).toBe(true);
  });

  it('and both replace their accounts at once, each its own, over the one that holds the lease', async () => {
    const rotated = await Promise.all(
      [first, second].map((site) => site.hub('credential', 'rotate', '--now', '--json')),
    );
    for (const { stdout } of rotated) expect(JSON.parse(stdout)).toMatchObject([{ edge: 'edge1' }]);
    await until(
      'one account of each',
      async () => JSON.parse(await first.edgeOk('credential', 'list', '--json')) as EdgeCredentialsDocument,
      ({ hubs }) =>
        hubs.length === 2 &&
        hubs.every(({ accounts }) => accounts.length === 1 && !accounts[0]?.name.endsWith('.0')),
    );
    for (const site of [first, second])
      expect(JSON.parse(await site.hubOk('credential', 'list', '--json'))).toMatchObject({
        pairs: [{ state: 'active', warnings: [] }],
      });
  });

  it('a holder that is frozen past its lease and wakes up cannot write: the other one has it', async () => {
    const frozen = second.hubDaemon;
    process.kill(frozen?.pid ?? 0, 'SIGSTOP');
    try {
      // Its connection still stands: only the time ends the lease.
      await until(
        'the first hub to hold the lease',
        () => link(first),
        (edge) => edge?.state === 'Synchronized' && edge.holdsLease,
      );
      await slapd.modify('dn: uid=ada,ou=people,dc=example,dc=org\nchangetype: delete\n');
      await until(
        'the change to arrive',
        () => ask('ada@example.org'),
        (answer) => answer.startsWith('NOTFOUND'),
      );
    } finally {
      process.kill(frozen?.pid ?? 0, 'SIGCONT');
    }
    await until(
      'the sleeper to stand by',
      () => link(second),
      (edge) => edge?.state === 'Skipped' && /hub1 holds the lease/.test(edge.failureDetail ?? ''),
    );
    expect((await link(first))?.holdsLease).toBe(true);
    expect(await first.hubOk('sync', 'verify')).toMatch(/edge1: equal/);
  });

  it('an edge that is subscribed at one hub is taken on by the other', async () => {
    const third = parts.use(await Deployment.create({ edge: { name: 'edge2', fqdn: 'edge2.localhost' } }));
    await third.startEdge();
    const file = join(third.folder, 'edge2.xml');
    await third.edgeOk('subscription', 'create', file);
    await first.hubOk('subscription', 'import', file);
    await until(
      'both accounts on the new edge',
      () => third.edgeOk('subscription', 'show'),
      (text) => text.includes('ESRA.edge2.hub1.0') && text.includes('ESRA.edge2.hub2.0'),
    );
    await first.hubOk('subscription', 'remove', 'edge2');
    await until(
      'the other hub to let go of it',
      async () => JSON.parse(await second.hubOk('subscription', 'list', '--json')) as { edge: string }[],
      (edges) => edges.map(({ edge }) => edge).join() === 'edge1',
    );
  });

  it('is taken out again: no account of it is left on any edge, and its old statements let it in no more', async () => {
    const before = await slapd.search('(cn=hub2)', 'posternStatement', 'posternFqdn', 'posternCertificate');
    await first.hubOk('hub', 'remove', 'hub2');
    await until(
      'its account to go',
      () => first.edgeOk('subscription', 'show'),
      (text) => text.includes('ESRA.edge1.hub1.') && !text.includes('ESRA.edge1.hub2.'),
    );
    expect((await hubs(first)).has('hub2')).toBe(false);
    // Somebody who can write to the directory puts everything back that was said of it.
    await second.hubDaemon?.stop();
    await slapd.modify(`${before.replace(/^(dn: .*)$/m, '$1\nchangetype: add\nobjectClass: posternHub')}\n`);
    await until(
      'the object to be seen',
      () => hubs(first),
      (found) => found.get('hub2')?.standing === 'unknown',
    );
    await first.hubOk('sync', 'run');
    expect(await first.edgeOk('subscription', 'show')).not.toContain('hub2');
    await second.startHub();
    await until(
      'the second hub to be refused',
      () => link(second),
      (edge) => edge?.state === 'Expired' || edge?.consecutiveFailures !== 0,
    );
    expect(await first.edgeOk('subscription', 'show')).not.toContain('hub2');
    expect((await link(first))?.holdsLease).toBe(true);
  });
});
