/** Certificates that roll over on a subscribed pair of daemons: edge, hub, both at once, killed on the way, with somebody else's certificates. */
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CertificateDocument } from '../../src/admin/certificate-documents.ts';
import type { HubStatus } from '../../src/admin/documents.ts';
import { Deployment } from '../support/deployment.ts';
import { issued, selfSigned } from '../support/foreign-identity.ts';
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
        edge: { rollover: { renew_before: '31d' } },
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

/** Asked all the time, from another connection each: not one is answered otherwise. */
function asking(address: string): () => Promise<number> {
  let running = true;
  let asked = 0;
  const done = (async (): Promise<number> => {
    while (running) {
      expect(await ask(address)).toMatch(/^OK/);
      asked++;
    }
    return asked;
  })();
  return () => {
    running = false;
    return done;
  };
}

describe('a rollover', () => {
  it('of the edge and of the hub at once, while it is asked and pushed to: nothing is lost, and nobody subscribes again', async () => {
    const before = { edge: await fingerprint('edge'), hub: await fingerprint('hub') };
    const stop = asking('ada@example.org');
    const said = await Promise.all([site.edgeOk('cert', 'renew'), site.hubOk('cert', 'renew')]);
    expect(said.join()).toMatch(/announced/);
    await pushes('grace');
    const [edge, hub] = [await rolled('edge', before.edge), await rolled('hub', before.hub)];
    await pushes('edsger');
    expect(await stop()).toBeGreaterThan(10);
    expect((await certificate('hub')).peers[0]?.fingerprint).toBe(edge.certificates[0]?.fingerprint);
    expect((await certificate('edge')).peers[0]?.fingerprint).toBe(hub.certificates[0]?.fingerprint);
    expect(await hubWarnings()).toEqual([]);
    expect(await site.hubOk('sync', 'verify')).toMatch(/edge1: equal/);
  });

  it('goes on where it was when both are killed on the way', async () => {
    const before = { edge: await fingerprint('edge'), hub: await fingerprint('hub') };
    await Promise.all([site.edgeOk('cert', 'renew'), site.hubOk('cert', 'renew')]);
    await Promise.all([site.edgeDaemon?.kill(), site.hubDaemon?.kill()]);
    await site.startEdge();
    await site.startHub();
    await rolled('edge', before.edge);
    await rolled('hub', before.hub);
    await pushes('barbara');
  });

  it('a hub that was away follows the edge by its own word', async () => {
    await site.hubDaemon?.stop();
    const before = await fingerprint('edge');
    // Nobody but the hub matters, and it is away: the edge is told to go on at once.
    await writeFile(
      site.edgeFile,
      (await site.readConfig('edge')).replace('[rollover]', '[rollover]\noverlap = "1s"'),
    );
    await site.edgeDaemon?.stop();
    await site.startEdge();
    await site.edgeOk('cert', 'renew');
    await rolled('edge', before);
    const between = await fingerprint('edge');
    await site.edgeOk('cert', 'renew');
    await rolled('edge', between);
    await site.startHub();
    await pushes('alan');
    expect(site.log('hub')).toContain('an edge has another key, as it has stated itself');
  });

  it("to somebody else's certificate, on either side", async () => {
    const edge = await issued(openssl, 'edge1.localhost');
    const [certificateFile, key] = [openssl.path(edge.certificate), openssl.path(edge.key)];
    await chmod(key, 0o644);
    const open = await site.edge('cert', 'use', certificateFile, '--key', key);
    expect([open.exitCode, open.stderr]).toEqual([1, expect.stringContaining('[file.permissions]')]);
    await chmod(key, 0o600);
    const hub = await selfSigned(openssl, 'ed25519', 'hub1.localhost');
    const wrong = await site.hub('cert', 'use', openssl.path(hub.certificate), '--key', key);
    expect(wrong.stderr).toMatch(/does not belong to the certificate/);
    const before = { edge: await fingerprint('edge'), hub: await fingerprint('hub') };
    await site.edgeOk('cert', 'use', certificateFile, '--key', key);
    await site.hubOk('cert', 'use', openssl.path(hub.certificate), '--key', openssl.path(hub.key));
    const shown = await rolled('edge', before.edge);
    expect(shown.certificates[0]).toMatchObject({ algorithm: 'RSA-PSS-SHA256', origin: 'brought' });
    expect((await rolled('hub', before.hub)).certificates[0]?.algorithm).toBe('Ed25519');
    await pushes('dennis');
    // Thirty days are left of a certificate that has to be brought again: it is said in time.
    expect((await site.edge('cert', 'needs-renewal')).exitCode).toBe(0);
    expect((await site.edge('cert', 'needs-renewal', '--expires-in', '1h')).exitCode).toBe(1);
    expect((await site.edge('status')).stdout).toContain('[certificate.expiring]');
  });
});
