/** Certificates that roll over on a subscribed pair of daemons: edge, hub, both at once, killed on the way, with somebody else's certificates. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CertificateDocument } from '../../src/admin/certificate-documents.ts';
import type { HubStatus } from '../../src/admin/documents.ts';
import { Deployment } from '../support/deployment.ts';
import { OpenSsl } from '../support/openssl.ts';
import { SocketmapClient } from '../support/socketmap-client.ts';
import { until } from '../support/until.ts';

const person = (name: string): string =>
  `dn: uid=${name},dc=example\nobjectClass: inetOrgPerson\nentryUUID: ${uuid(name)}\ncn: ${name}\nsn: ${name}\nmail: ${name}@example.org\n`;
const uuid = (name: string): string =>
  `00000000-0000-4000-8000-${Buffer.from(name).toString('hex').padStart(12, '0').slice(-12)}`;

const parts = new AsyncDisposableStack();
let site: Deployment;
let people: string;
let openssl: OpenSsl;

beforeAll(async () => {
  openssl = parts.use(await OpenSsl.open());
  site = parts.use(
    await Deployment.create((folder) => {
      people = join(folder, 'people.ldif');
      return Promise.resolve({
        source: { kind: 'ldif', path: people },
        hub: { schedule: { configuration: '1s', topology: '1s', recipients: '1s' } },
      });
    }),
  );
  await writeFile(people, person('ada'));
  await site.startEdge();
  await site.startHub();
  await site.hubOk('domain', 'add', 'example.org');
  await site.subscribe();
  await site.hubOk('sync', 'run');
});
afterAll(() => parts.disposeAsync());

async function certificate(role: 'edge' | 'hub'): Promise<CertificateDocument> {
  return JSON.parse(await site[`${role}Ok`]('cert', 'show', '--json')) as CertificateDocument;
}

async function fingerprint(role: 'edge' | 'hub'): Promise<string> {
  return (await certificate(role)).certificates[0]?.fingerprint ?? '';
}

/** Until nothing is under way and another key is shown than before. */
function rolled(role: 'edge' | 'hub', before: string): Promise<CertificateDocument> {
  return until(
    `the ${role} to have another key`,
    () => certificate(role),
    ({ phase, certificates }) =>
      phase === 'steady' && certificates.length === 1 && certificates[0]?.fingerprint !== before,
  );
}

async function ask(address: string): Promise<string> {
  await using client = await SocketmapClient.connect({ host: '127.0.0.1', port: site.socketmapPort });
  return await client.ask('recipients', address);
}

/** A change inside is known outside: the two accept each other. */
async function pushes(name: string): Promise<void> {
  await writeFile(people, (await readFile(people, 'utf8')) + '\n' + person(name));
  await site.hubOk('sync', 'run');
  expect(await ask(`${name}@example.org`)).toMatch(/^OK/);
}

async function hubWarnings(): Promise<string[]> {
  const { warnings } = JSON.parse((await site.hub('status', '--json')).stdout) as HubStatus;
  return warnings.map(({ code }) => code);
}

describe('a rollover', () => {
  it('of the edge: announced, taken, shown, and the former key is gone; nobody subscribes again', async () => {
    const before = await fingerprint('edge');
    const said = await site.edgeOk('cert', 'renew');
    expect(said).toMatch(/announced|switched|none under way/);
    const after = await rolled('edge', before);
    expect(after.waitingFor).toEqual([]);
    await pushes('grace');
    const [peer] = (await certificate('hub')).peers;
    expect(peer?.fingerprint).toBe(after.certificates[0]?.fingerprint);
    expect(await hubWarnings()).toEqual([]);
  });

  it('of the hub', async () => {
    const before = await fingerprint('hub');
    await site.hubOk('cert', 'renew');
    const after = await rolled('hub', before);
    await pushes('edsger');
    const [peer] = (await certificate('edge')).peers;
    expect(peer?.fingerprint).toBe(after.certificates[0]?.fingerprint);
    expect(await hubWarnings()).toEqual([]);
  });
});
