/** The configuration directory on a real slapd: order, taking back, coming back. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Slapd, startSlapd } from '../../../test/support/slapd.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import type { ConfigurationChange } from './configuration-directory.ts';
import { LdapConfigurationDirectory } from './ldap-configuration.ts';

const SCHEMA = fileURLToPath(new URL('../../../packaging/schema/postern.schema', import.meta.url));
const HUB = 'cn=hub1,dc=example,dc=org';
let slapd: Slapd;
let directory: LdapConfigurationDirectory;

beforeAll(async () => {
  slapd = await startSlapd({ schemas: [SCHEMA] });
  directory = new LdapConfigurationDirectory({
    table: 'configuration',
    url: slapd.url,
    startTls: false,
    trust: { kind: 'authorities' },
    bindDn: slapd.adminDn,
    password: () => Promise.resolve(new Secret(slapd.adminPassword)),
    clock: systemClock,
  });
});
afterAll(async () => {
  await directory[Symbol.asyncDispose]();
  await slapd[Symbol.asyncDispose]();
});
beforeEach(async () => {
  if ((await directory.read(HUB)) !== undefined) await directory.apply([{ op: 'deleteRequest', dn: HUB }]);
  await directory.apply([added('hub1')]);
});

function added(name: string): ConfigurationChange {
  const attributes = { objectClass: 'posternHub', cn: name, posternFqdn: `${name}.example.org` };
  return {
    op: 'addRequest',
    dn: `cn=${name},dc=example,dc=org`,
    attributes: Object.entries(attributes).map(([type, value]) => ({ type, values: [Buffer.from(value)] })),
  };
}
const withStatement = (text: string): ConfigurationChange => ({
  op: 'modifyRequest',
  dn: HUB,
  changes: [{ kind: 'add', attribute: { type: 'posternStatement', values: [Buffer.from(text)] } }],
});
const statements = async (): Promise<string[]> =>
  (await directory.read(HUB))?.attributes
    .filter(({ type }) => type === 'posternStatement')
    .flatMap(({ values }) => values.map(String)) ?? [];

describe('a configuration directory on slapd', () => {
  it('reads, lists, and says nothing of what is not there', async () => {
    expect((await directory.list('dc=example,dc=org')).map(({ dn }) => dn)).toEqual([HUB]);
    expect(await directory.read('cn=nobody,dc=example,dc=org')).toBeUndefined();
    expect(await directory.list('cn=nowhere,dc=example,dc=org')).toEqual([]);
  });

  it('takes back what was added when the rest is refused', async () => {
    const refused = directory.apply([added('edge9'), withStatement('one'), added('hub1')]);
    await expect(refused).rejects.toMatchObject({ code: 'ldap.result' });
    expect(await statements()).toEqual([]);
    expect((await directory.list('dc=example,dc=org')).map(({ dn }) => dn)).toEqual([HUB]);
  });

  it('its stamp changes with every change, and with nothing else', async () => {
    const before = await directory.stamp('dc=example,dc=org');
    expect(await directory.stamp('dc=example,dc=org')).toBe(before);
    await directory.apply([withStatement('one')]);
    expect(await directory.stamp('dc=example,dc=org')).not.toBe(before);
  });

  it('comes back by itself when the server was away', async () => {
    await slapd.stop();
    await expect(directory.read(HUB)).rejects.toMatchObject({ code: 'connect.failed' });
    await slapd.start();
    await directory.apply([withStatement('after')]);
    expect(await statements()).toEqual(['after']);
  });

  it('writes of several callers do not mix, and the server lives', async () => {
    await Promise.all(
      Array.from({ length: 100 }, (_, n) => directory.apply([withStatement(`s${n}`), added(`h${n}`)])),
    );
    expect(await statements()).toHaveLength(100);
    expect(slapd.running).toBe(true);
  });
});
