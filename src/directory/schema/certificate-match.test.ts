/** Certificates as attribute values, here and in slapd. */
import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificate, type TestCertificate } from '../../../test/support/certificate.ts';
import { addition, type ServedDirectory, serveDirectory } from '../../../test/support/served-directory.ts';
import { type Slapd, startSlapd } from '../../../test/support/slapd.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { connectLdap, type LdapClient } from '../../ldap/client.ts';
import type { Modification } from '../../ldap/message.ts';
import { NameReader } from '../entry/name.ts';
import { isCertificateAssertion, normalCertificate } from './certificate-match.ts';
import { standardSchema } from './standard.ts';

const BASE = 'dc=example,dc=org';
const EVERY_CODE = Array.from({ length: 130 }, (_, n) => n);
const TYPE = 'userCertificate;binary';

describe('certificateExactMatch (RFC 4523)', () => {
  let slapd: Slapd;
  let served: ServedDirectory;
  let clients: readonly [LdapClient, LdapClient];
  let one: TestCertificate;
  let two: TestCertificate;

  beforeAll(async () => {
    const authority = await makeCertificate({ name: 'Authority.example.org', authority: true });
    one = await makeCertificate({ name: 'one.example.org', issuer: authority });
    two = await makeCertificate({ name: 'two.example.org' });
    slapd = await startSlapd({
      suffix: BASE,
      ldif: `dn: ${BASE}\nobjectClass: domain\ndc: example\n`,
    });
    served = await serveDirectory({
      entries: [addition(BASE, { objectClass: ['domain'], dc: ['example'] })],
    });
    const theirs = await connectLdap({ target: slapd.url, clock: systemClock });
    await theirs.bind(slapd.adminDn, new Secret(slapd.adminPassword));
    clients = [theirs, await served.client()];
    const content = [
      { type: 'objectClass', values: [Buffer.from('person'), Buffer.from('pkiUser')] },
      { type: 'sn', values: [Buffer.from('x')] },
    ];
    for (const client of clients) await client.add(`cn=a,${BASE}`, content).result;
  });
  afterAll(async () => {
    clients?.[0].destroy();
    await served?.[Symbol.asyncDispose]();
    await slapd?.[Symbol.asyncDispose]();
  });

  /** slapd's code and ours. */
  async function change(kind: Modification['kind'], values: readonly Buffer[]): Promise<number[]> {
    const changes = [{ kind, attribute: { type: TYPE, values } }];
    return Promise.all(
      clients.map(
        async (client) =>
          (await client.modify(`cn=a,${BASE}`, changes, { accept: EVERY_CODE }).result).operation.result.code,
      ),
    );
  }

  async function found(value: string): Promise<boolean[]> {
    const filter = { kind: 'equality' as const, attribute: 'userCertificate', value: Buffer.from(value) };
    return Promise.all(
      clients.map(async (client) => {
        let seen = false;
        for await (const { operation } of client.search(
          { base: BASE, filter, attributes: ['1.1'] },
          { accept: EVERY_CODE },
        ))
          seen ||= operation.op === 'searchResultEntry';
        return seen;
      }),
    );
  }

  it('values are added, found by serial number and issuer, and taken out as in slapd', async () => {
    expect(await change('add', [one.der, two.der])).toEqual([0, 0]);
    expect(await change('add', [one.der])).toEqual([20, 20]);
    const serial = BigInt(`0x${new X509Certificate(one.der).serialNumber}`);
    const issuer = ' CN = authority.EXAMPLE.org';
    const gser = (number: bigint, name: string): string =>
      `{ serialNumber ${number}, issuer rdnSequence:"${name.replaceAll('"', '""')}" }`;
    expect(await found(gser(serial, issuer))).toEqual([true, true]);
    expect(await found(gser(serial + 1n, issuer))).toEqual([false, false]);
    expect(await found(gser(serial, 'cn=other'))).toEqual([false, false]);
    expect(await found('nonsense')).toEqual([false, false]);
    expect(await change('delete', [one.der])).toEqual([0, 0]);
    expect(await change('delete', [one.der])).toEqual([16, 16]);
    expect(await found(gser(serial, issuer))).toEqual([false, false]);
    expect(await change('replace', [])).toEqual([0, 0]);
  });

  it('what is no certificate has no normal form, and nothing crashes', () => {
    const names = new NameReader(standardSchema());
    const whole = normalCertificate(one.der, names)?.toString() ?? '';
    expect(whole).toContain('$cn=authority.example.org');
    fc.assert(
      fc.property(
        fc.nat(one.der.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.nat(400),
        (at, bits, cut) => {
          const bent = Buffer.from(one.der);
          bent[at] = (bent[at] as number) ^ bits;
          normalCertificate(bent, names);
          normalCertificate(bent.subarray(0, cut), names);
          isCertificateAssertion(bent);
        },
      ),
      { numRuns: 2000 },
    );
    for (const text of ['', '{', '{ serialNumber x, issuer "cn=a" }', '1$nonsense', '30'])
      expect(normalCertificate(Buffer.from(text), names)).toBeUndefined();
    expect(normalCertificate(Buffer.from('1$CN=A'), names)?.toString()).toBe('1$cn=a');
  });
});
