/**
 * Two hubs over a real OpenLDAP to which somebody writes who owns no key, and which dies; a hub that is killed while it takes an edge on; a hub that
 * hides before it is removed.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HubStatus, SiteHubDocument } from '../../src/admin/documents.ts';
import { systemClock } from '../../src/base/clock.ts';
import { decodeCredentialRecord } from '../../src/credential/record.ts';
import { Deployment } from '../support/deployment.ts';
import { type Slapd, startSlapd } from '../support/slapd.ts';
import { until } from '../support/until.ts';

const SCHEMA = fileURLToPath(new URL('../../packaging/schema/postern.schema', import.meta.url));
const SITE = 'cn=Default-Site,cn=Sites,cn=Postern,dc=example,dc=org';
const EDGE = `cn=edge1,cn=Edges,${SITE}`;
const HUBS = `cn=Hubs,${SITE}`;
const parts = new AsyncDisposableStack();
let slapd: Slapd;
/** The edge and the first hub; the second hub. */
let first: Deployment;
let second: Deployment;

beforeAll(async () => {
  slapd = parts.use(await startSlapd({ schemas: [SCHEMA] }));
  const deploy = (name: string): Promise<Deployment> =>
    Deployment.create(async (folder) => {
      const people = join(folder, 'people.ldif');
      await writeFile(people, 'dn: cn=ada\nobjectClass: inetOrgPerson\nmail: ada@example.org\n');
      const passwordFile = join(folder, 'configuration.password');
      await writeFile(passwordFile, `${slapd.adminPassword}\n`, { mode: 0o600 });
      return {
        source: { kind: 'ldif', path: people },
        hub: {
          name,
          fqdn: `${name}.localhost`,
          schedule: { site: '1s' },
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
  await first.startEdge();
  await first.startHub();
  await first.hubOk('domain', 'add', 'example.org');
  await first.subscribe();
  await first.hubOk('sync', 'run');
  await second.startHub();
});
afterAll(() => parts.disposeAsync());

async function fingerprints(): Promise<Map<string, string>> {
  const hubs = JSON.parse(await first.hubOk('hub', 'list', '--json')) as SiteHubDocument[];
  return new Map(hubs.map((hub) => [hub.hub, hub.fingerprint]));
}

async function link(site: Deployment) {
  return (JSON.parse((await site.hub('status', '--json')).stdout) as HubStatus).edges[0];
}

/** Values of one attribute of what a filter finds, in base64. */
async function values(filter: string, type: string): Promise<string[]> {
  const text = (await slapd.search(filter, type)).replace(/\n /g, '');
  return [...text.matchAll(new RegExp(`^${type}:: (.*)$`, 'gm'))].map(([, value]) => value ?? '');
}

const add = (type: string, ...lines: string[]): string =>
  `add: ${type}\n${lines.map((line) => `${type}:: ${line}\n`).join('')}-\n`;
const junk = (count: number, bytes = 100): string[] =>
  Array.from({ length: count }, (_, n) => Buffer.alloc(bytes, `junk ${n} `).toString('base64'));
const show = (): Promise<string> => first.edgeOk('subscription', 'show');

describe('a site whose directory others write to', () => {
  it('goes on, and takes on nobody, for whatever they write', async () => {
    const [certificate] = await values('(cn=hub2)', 'posternCertificate');
    const [own] = await values('(cn=hub1)', 'posternCertificate');
    const hub = (name: string, der = ''): string =>
      `dn: cn=${name},${HUBS}\nchangetype: add\nobjectClass: posternHub\nposternFqdn: hub1.localhost\nposternCertificate:: ${der}\n`;
    await slapd.modify(
      [
        hub('alias', own),
        hub('aaaa', certificate),
        ...Array.from({ length: 50 }, (_, n) => hub(`a${n}`, junk(1)[0])),
        `dn: ${EDGE}\nchangetype: modify\nreplace: posternPort\nposternPort: 99999\n-\nreplace: posternFqdn\nposternFqdn: elsewhere.example\n-\n${add('posternCredential', ...junk(500))}${add('posternSealedKey', ...junk(500))}${add('posternStatement', ...junk(500))}`,
        `dn: cn=hub1,${HUBS}\nchangetype: modify\n${add('posternSealedKey', ...junk(200))}${add('posternStatement', ...junk(200), ...junk(1, 1_000_000))}replace: posternCertificate\nposternCertificate:: ${certificate}\n`,
      ].join('\n'),
    );
    await first.hubOk('domain', 'add', 'example.net');
    await first.hubOk('sync', 'run');
    expect((await first.edge('lookup', 'nobody@example.net')).exitCode).toBe(6);
    expect((await first.edge('lookup', 'ada@example.org')).exitCode).toBe(0);
    expect(await show()).not.toMatch(/alias|aaaa|hub2/);
    expect((await link(first))?.holdsLease).toBe(true);
    await slapd.modify(
      `dn: cn=hub1,${HUBS}\nchangetype: modify\nreplace: posternCertificate\nposternCertificate:: ${own}\n\ndn: ${EDGE}\nchangetype: modify\nreplace: posternFqdn\nposternFqdn: edge1.localhost\n`,
    );
  });

  it('is not joined by a fingerprint that two objects show, until the copy is gone', async () => {
    const own = (await fingerprints()).get('hub1') ?? '';
    const refused = await second.hub('hub', 'join', '--fingerprint', own);
    expect(refused.stderr).toMatch(/hub1, alias \[refused\]/);
    await slapd.modify(`dn: cn=alias,${HUBS}\nchangetype: delete\n`);
    await second.hubOk('hub', 'join', '--fingerprint', own);
  });

  it('a hub that is killed again and again while it takes an edge on has one number for each account', async () => {
    await first.hubOk('hub', 'approve', 'hub2', '--fingerprint', (await fingerprints()).get('hub2') ?? '');
    for (const afterMs of [0, 30, 120]) {
      await second.hubDaemon?.kill();
      await second.startHub();
      await systemClock.sleep('kill', afterMs);
    }
    await slapd.kill();
    await slapd.start();
    await until('an account of the second hub on the edge', show, (text) =>
      text.includes('ESRA.edge1.hub2.'),
    );
    // The port that was put right is heard of.
    await slapd.modify(
      `dn: ${EDGE}\nchangetype: modify\nreplace: posternPort\nposternPort: ${first.ldapsPort}\n`,
    );
    await until(
      'the second hub to stand by',
      () => link(second),
      (edge) => edge?.state === 'Skipped' && /hub1 holds the lease/.test(edge.failureDetail ?? ''),
    );
    const names = (await values('(cn=edge1)', 'posternCredential')).flatMap((value) => {
      const bytes = Buffer.from(value, 'base64');
      return bytes.toString().startsWith('junk') ? [] : [decodeCredentialRecord(bytes).userName];
    });
    expect(names).toContain('ESRA.edge1.hub1.0');
    expect(new Set(names).size).toBe(names.length);
    expect(JSON.parse(await second.hubOk('subscription', 'list', '--json'))).toHaveLength(1);
  });

  it('a hub that hides its object before it is removed is removed all the same', async () => {
    await slapd.modify(
      `dn: cn=hub2,${HUBS}\nchangetype: delete\n\ndn: cn=hub1,${HUBS}\nchangetype: modify\n${add('posternStatement', ...junk(300, 120))}`,
    );
    await first.hubOk('hub', 'remove', 'hub2');
    await until('its account to go', show, (text) => !text.includes('hub2'));
    expect(await show()).toContain('ESRA.edge1.hub1.');
    expect((await link(first))?.holdsLease).toBe(true);
  });
});
