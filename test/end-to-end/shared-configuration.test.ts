/** The configuration directory on a real OpenLDAP: what several hubs of a site will share. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Deployment } from '../support/deployment.ts';
import { type Slapd, startSlapd } from '../support/slapd.ts';

const SCHEMA = fileURLToPath(new URL('../../packaging/schema/postern.schema', import.meta.url));
const EDGE = 'cn=edge1,cn=Edges,cn=Default-Site,cn=Sites,cn=Postern,dc=example,dc=org';
const parts = new AsyncDisposableStack();
let slapd: Slapd;
let site: Deployment;

beforeAll(async () => {
  slapd = parts.use(await startSlapd({ schemas: [SCHEMA] }));
  site = parts.use(
    await Deployment.create(async (folder) => {
      const people = join(folder, 'people.ldif');
      await writeFile(people, 'dn: cn=ada\nobjectClass: inetOrgPerson\nmail: ada@example.org\n');
      const passwordFile = join(folder, 'configuration.password');
      await writeFile(passwordFile, `${slapd.adminPassword}\n`, { mode: 0o600 });
      return {
        source: { kind: 'ldif', path: people },
        hub: {
          configuration: {
            url: slapd.url,
            base: slapd.suffix,
            bind_dn: slapd.adminDn,
            password_file: passwordFile,
          },
        },
      };
    }),
  );
  await site.startEdge();
  await site.startHub();
});
afterAll(() => parts.disposeAsync());

describe('a hub whose configuration directory is on OpenLDAP', () => {
  it('subscribes an edge and fills it', async () => {
    await site.hubOk('domain', 'add', 'example.org');
    await site.subscribe();
    await site.hubOk('sync', 'run');
    expect((await site.edge('lookup', 'ada@example.org')).exitCode).toBe(0);
    expect((await site.edge('lookup', 'nobody@example.org')).exitCode).toBe(6);
    expect((await site.hub('status')).exitCode).toBe(0);
  });

  it('everything stands there, and nothing secret in clear', async () => {
    const all = await slapd.search('(objectClass=*)', '*');
    expect(all).toContain(`dn: ${EDGE}`);
    expect(all).toContain(
      'dn: cn=example.org,cn=AcceptedDomains,cn=Default-Site,cn=Sites,cn=Postern,dc=example,dc=org',
    );
    expect(all).toContain('dn: cn=hub1,cn=Hubs,');
    expect(all).not.toMatch(/ESRAPassword|BEGIN (EC )?PRIVATE/);
  });

  it('says what is missing while the server is away, and goes on when it is back', async () => {
    await slapd.kill();
    const refused = await site.hub('domain', 'add', 'example.net');
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/\[(connect\.failed|ldap\.closed)\]/);
    expect(refused.stderr).toContain(`127.0.0.1:${slapd.port}`);
    // Mail goes on.
    expect((await site.edge('lookup', 'ada@example.org')).exitCode).toBe(0);
    await slapd.start();
    await site.hubOk('domain', 'add', 'example.net');
    await site.hubOk('sync', 'run');
    expect((await site.edge('lookup', 'nobody@example.net')).exitCode).toBe(6);
  });

  it('has everything again after a restart', async () => {
    await site.hubDaemon?.stop();
    await site.startHub();
    expect(await site.hubOk('domain', 'list')).toMatch(/example\.net[\s\S]*example\.org/);
    await site.hubOk('sync', 'run');
    expect(await site.hubOk('sync', 'verify')).toMatch(/edge1: equal/);
  });

  it('points to the tools of that server', async () => {
    const { stderr, exitCode } = await site.hub('directory', 'search', '(cn=*)');
    expect(stderr).toContain(`ldapsearch -H ${slapd.url}`);
    expect(exitCode).toBe(7);
  });

  it('takes everything away that belongs to a subscription that ends', async () => {
    await site.hubOk('subscription', 'remove', 'edge1');
    const all = await slapd.search('(objectClass=*)', '*');
    expect(all).not.toContain(`dn: ${EDGE}`);
    expect(all).not.toMatch(/posternCredential|posternSealedKey/);
  });

  it('a table that is wrong is refused with the key', async () => {
    await site.hubDaemon?.stop();
    const text = await readFile(site.hubFile, 'utf8');
    await writeFile(site.hubFile, text.replace(/password_file = .*/, ''));
    const { stderr, exitCode } = await site.hub('config', 'check', site.hubFile);
    expect(stderr).toMatch(/configuration\.password_file.*bind_dn needs a password_file/s);
    expect(exitCode).toBe(2);
  });
});
