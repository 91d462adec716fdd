/** Two hubs that share a configuration directory on a real OpenLDAP: each rollover reaches the other hub by the directory and the edge by the push. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CertificateDocument } from '../../src/admin/certificate-documents.ts';
import type { HubStatus, SiteHubDocument } from '../../src/admin/documents.ts';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { createIdentity } from '../../src/certificate/identity.ts';
import { Deployment, slapdSource } from '../support/deployment.ts';
import { type Slapd, startSlapd } from '../support/slapd.ts';
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
          schedule: { site: '1s', configuration: '1s', topology: '1s' },
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
  [first, second] = [parts.use(await deploy('hub1')), parts.use(await deploy('hub2'))];
  await Promise.all([first.startEdge(), first.startHub()]);
  await first.hubOk('domain', 'add', 'example.org');
  await first.subscribe();
  await second.startHub();
  await second.hubOk('hub', 'join', '--fingerprint', await fingerprintOf(first, 'hub1'));
  await first.hubOk('hub', 'approve', 'hub2', '--fingerprint', await fingerprintOf(second, 'hub2'));
  await until('the second hub to stand by', () => status(second), standsBy);
});
afterAll(() => parts.disposeAsync());

const standsBy = ({ edges: [edge] }: HubStatus): boolean => edge?.state === 'Skipped';

async function status(site: Deployment): Promise<HubStatus> {
  return JSON.parse((await site.hub('status', '--json')).stdout) as HubStatus;
}

async function listed(site: Deployment, hub: string): Promise<SiteHubDocument | undefined> {
  const list = JSON.parse(await site.hubOk('hub', 'list', '--json')) as SiteHubDocument[];
  return list.find((one) => one.hub === hub);
}

async function fingerprintOf(site: Deployment, hub: string): Promise<string> {
  return (await listed(site, hub))?.fingerprint ?? '';
}

/** Rolls over, and waits until that is done. */
async function renew(site: Deployment, role: 'edge' | 'hub'): Promise<string> {
  const show = async (): Promise<CertificateDocument> =>
    JSON.parse(await site[`${role}Ok`]('cert', 'show', '--json')) as CertificateDocument;
  const before = (await show()).certificates[0]?.fingerprint;
  await site[`${role}Ok`]('cert', 'renew');
  const after = await until(
    'another key',
    show,
    ({ phase, certificates: [present] }) => phase === 'steady' && present?.fingerprint !== before,
  );
  return after.certificates[0]?.fingerprint ?? '';
}

/** The keys by which a node knows its peers. */
async function known(site: Deployment, role: 'edge' | 'hub'): Promise<Record<string, string>> {
  const { peers } = JSON.parse(await site[`${role}Ok`]('cert', 'list', '--json')) as CertificateDocument;
  return Object.fromEntries(peers.map(({ name, fingerprint }) => [name, fingerprint]));
}

describe('two hubs in a site', () => {
  it('each rolls over, and the edge does: whoever has to know does, and what was sealed is sealed again', async () => {
    const hub1 = await renew(first, 'hub');
    const hub2 = await renew(second, 'hub');
    const edge1 = await renew(first, 'edge');
    expect(await known(first, 'edge')).toEqual({ hub1, hub2 });
    await until(
      'the second hub to know the edge',
      () => known(second, 'hub'),
      ({ edge1: of }) => of === edge1,
    );
    for (const [site, other, fingerprint] of [
      [first, 'hub2', hub2],
      [second, 'hub1', hub1],
    ] as const)
      expect(await listed(site, other)).toMatchObject({
        fingerprint,
        standing: expect.not.stringContaining('unknown') as string,
      });
    expect((await status(second)).warnings).toEqual([]);
  });

  it('the other one takes over under its new key, and opens what was handed to its former one', async () => {
    await second.hubDaemon?.stop();
    await second.startHub();
    await first.hubDaemon?.kill();
    await until(
      'the second hub to hold the lease',
      () => status(second),
      ({ edges: [edge] }) => edge?.state === 'Synchronized' && edge.holdsLease,
    );
    expect(await second.hubOk('sync', 'verify')).toMatch(/edge1: equal/);
  });

  it('a key that somebody writes into the directory is not used, and warned about', async () => {
    const around = { clock: systemClock, random: systemRandom };
    const { certificate } = await createIdentity('hub1.localhost', around);
    const trusted = await listed(second, 'hub1');
    await slapd.modify(
      `dn: cn=hub1,cn=Hubs,cn=Default-Site,cn=Sites,cn=Postern,${slapd.suffix}\nchangetype: modify\nreplace: posternCertificate\nposternCertificate:: ${certificate.der.toString('base64')}\n`,
    );
    const { warnings } = await until(
      'a warning',
      () => status(second),
      (document) => document.warnings.some(({ code }) => code === 'certificate.unproved'),
    );
    expect(warnings.find(({ code }) => code === 'certificate.unproved')?.text).toContain('hub1');
    expect((await known(first, 'edge'))['hub1']).toBe(trusted?.fingerprint);
    expect((await status(second)).edges[0]?.state).toBe('Synchronized');
  });
});
