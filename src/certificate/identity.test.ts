import '../../test/support/reflect-metadata.ts';
import { X509Certificate as PeculiarCertificate } from '@peculiar/x509';
import { X509Certificate } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemFiles } from '../base/files.ts';
import { FakeClock } from '../../test/fakes/clock.ts';
import { FakeFiles } from '../../test/fakes/files.ts';
import { fakeRandom } from '../../test/fakes/random.ts';
import { OpenSsl } from '../../test/support/openssl.ts';
import { createIdentity, type Identity, loadIdentity, saveIdentity } from './identity.ts';
import { parseCertificate } from './parse.ts';

const clock = new FakeClock(Date.UTC(2026, 5, 1, 12));
const NAME = 'edge1.perimeter.example.com';
let tool: OpenSsl;
let identity: Identity;

beforeAll(async () => {
  tool = await OpenSsl.open();
  identity = await createIdentity(NAME, {
    clock,
    random: fakeRandom(),
    otherNames: ['mail.example.com', '192.0.2.7', '2001:db8::a:1'],
  });
  await tool.put('own.pem', identity.certificatePem);
});
afterAll(() => tool[Symbol.asyncDispose]());

describe('the certificate', () => {
  test('openssl x509 -text', async () => {
    const text = await tool.run('x509', '-in', 'own.pem', '-noout', '-text', '-nameopt', 'RFC2253');
    for (const line of [
      'Version: 3 (0x2)',
      'Signature Algorithm: ecdsa-with-SHA256',
      `Issuer: CN=${NAME}`,
      'Not Before: May 31 12:00:00 2026 GMT',
      'Not After : May 29 12:00:00 2036 GMT',
      `Subject: CN=${NAME}`,
      'ASN1 OID: prime256v1',
      `DNS:${NAME}, DNS:mail.example.com, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:A:1`,
    ]) {
      expect(text).toContain(line);
    }
    expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE/);
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature\n/);
    expect(text).toMatch(
      /Extended Key Usage:\s+TLS Web Server Authentication, TLS Web Client Authentication/,
    );
    expect(text).toMatch(/Subject Key Identifier:\s+(?:[0-9A-F]{2}:){19}[0-9A-F]{2}\n/);
  });

  test.each([
    ['as its own authority', ['-CAfile', 'own.pem']],
    ['strictly, signature included', ['-x509_strict', '-check_ss_sig', '-CAfile', 'own.pem']],
    ['as a pinned end of a partial chain', ['-partial_chain', '-trusted', 'own.pem']],
    ['for a server of its name', ['-CAfile', 'own.pem', '-purpose', 'sslserver', '-verify_hostname', NAME]],
    ['for a client', ['-CAfile', 'own.pem', '-purpose', 'sslclient']],
    ['for its address', ['-CAfile', 'own.pem', '-verify_ip', '2001:db8::a:1']],
  ])('openssl verify: %s', async (_how, args) => {
    const at = String(clock.now() / 1000);
    expect(await tool.run('verify', '-attime', at, ...args, 'own.pem')).toContain('own.pem: OK');
  });

  test('openssl verify refuses it for another name, and after its time', async () => {
    const at = String(clock.now() / 1000);
    await expect(
      tool.run(
        'verify',
        '-attime',
        at,
        '-CAfile',
        'own.pem',
        '-verify_hostname',
        'edge2.example.com',
        'own.pem',
      ),
    ).rejects.toThrow('hostname mismatch');
    const late = String((clock.now() + 3651 * 86_400_000) / 1000);
    await expect(tool.run('verify', '-attime', late, '-CAfile', 'own.pem', 'own.pem')).rejects.toThrow(
      'expired',
    );
  });

  test('a second parser reads the same', () => {
    const seen = new PeculiarCertificate(identity.certificate.der);
    expect(seen.subject).toBe(`CN=${NAME}`);
    expect(seen.serialNumber).toBe(identity.certificate.serial.toLowerCase());
    expect(seen.notBefore.getTime()).toBe(identity.certificate.notBefore);
    expect(seen.notAfter.getTime()).toBe(identity.certificate.notAfter);
    expect(Buffer.from(seen.publicKey.rawData)).toEqual(identity.certificate.spki);
  });

  test('our parser reads it back', () => {
    const { certificate } = identity;
    expect(certificate).toMatchObject({
      commonName: NAME,
      selfIssued: true,
      notBefore: clock.now() - 86_400_000,
    });
    expect(certificate.names).toEqual([
      NAME,
      'mail.example.com',
      '192.0.2.7',
      '2001:0db8:0000:0000:0000:0000:000a:0001',
    ]);
    expect(identity.pin).toBe(certificate.pin);
  });

  test('the pin is what openssl computes', async () => {
    await tool.run('x509', '-in', 'own.pem', '-noout', '-pubkey', '-out', 'own.pub');
    await tool.run('pkey', '-pubin', '-in', 'own.pub', '-outform', 'DER', '-out', 'own.spki');
    await tool.run('dgst', '-sha256', '-binary', '-out', 'own.hash', 'own.spki');
    expect((await tool.get('own.hash')).toString('base64')).toBe(identity.pin);
  });

  test('keys and serial numbers differ from one to the next; serial numbers are positive and long', async () => {
    const random = fakeRandom('serials');
    const seen = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const { certificate, pin } = await createIdentity(NAME, { clock, random });
      seen.add(certificate.serial).add(pin);
      expect(certificate.serial.length).toBeGreaterThan(26);
      expect(certificate.serial).not.toMatch(/^-/);
    }
    expect(seen.size).toBe(40);
  });

  test.each([
    ['year 2049 and 2050', Date.UTC(2049, 11, 31), 2],
    ['far away', Date.UTC(2026, 0, 1), 365 * 5000],
  ])('dates beyond UTCTime: %s', async (_what, now, validDays) => {
    const { certificate } = await createIdentity(NAME, {
      clock: new FakeClock(now),
      random: fakeRandom(),
      validDays,
    });
    const seen = new X509Certificate(certificate.der);
    expect(seen.validFromDate.getTime()).toBe(certificate.notBefore);
    expect(seen.validToDate.getTime()).toBe(certificate.notAfter);
    expect(certificate.notAfter).toBe(now + validDays * 86_400_000);
  });

  test('a long name stands in the alternative name; the common name keeps within 64 characters', async () => {
    const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.example.com`;
    const { certificate } = await createIdentity(long, { clock, random: fakeRandom() });
    expect(certificate).toMatchObject({ commonName: 'a'.repeat(60), names: [long] });
    expect(
      (await createIdentity('Edge1.Example.COM.', { clock, random: fakeRandom() })).certificate.names,
    ).toEqual(['edge1.example.com']);
  });

  test.each([
    '',
    'a b',
    '-a',
    'a..b',
    'a'.repeat(64),
    `${'a.'.repeat(127)}aa`,
    'a\0b',
    'ä.example',
    '192.0.2.1',
    '*.example.com',
  ])('%j is no name for a node', async (name) => {
    await expect(createIdentity(name, { clock, random: fakeRandom() })).rejects.toMatchObject({
      code: 'usage',
    });
  });
});

describe('files', () => {
  test('saved and loaded, the key private', async () => {
    const path = tool.path('identity.pem');
    await saveIdentity(systemFiles, path, identity);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const loaded = await loadIdentity(systemFiles, path);
    expect(loaded.certificate.der).toEqual(identity.certificate.der);
    expect(loaded.keyPem.equals(identity.keyPem)).toBe(true);
    expect(await tool.run('pkey', '-in', 'identity.pem', '-noout', '-check')).toContain('Key is valid');
  });

  test('at every step of a power loss there is the old identity or the new one, or none, never half of one', async () => {
    const next = await createIdentity(NAME, { clock, random: fakeRandom('next') });
    const seen = new Set<string>();
    for (let step = 0, finished = false; !finished; step++) {
      const files = new FakeFiles();
      await files.makeFolder('/data');
      await saveIdentity(files, '/data/edge.pem', identity);
      files.powerOffAtStep(files.steps + step);
      finished = await saveIdentity(files, '/data/edge.pem', next).then(
        () => true,
        () => false,
      );
      for (let seed = 0; seed < 10; seed++) {
        const { pin } = await loadIdentity(files.powerLoss({ seed: `${seed}` }), '/data/edge.pem');
        seen.add(pin === identity.pin ? 'old' : pin === next.pin ? 'new' : 'other');
        if (finished) expect(pin).toBe(next.pin);
      }
    }
    expect([...seen].sort()).toEqual(['new', 'old']);
  });

  test('a missing file, a full disk', async () => {
    await expect(loadIdentity(systemFiles, tool.path('missing.pem'))).rejects.toMatchObject({
      code: 'file.unreadable',
    });
    const files = new FakeFiles();
    await files.makeFolder('/data');
    files.fail({ on: 'write', code: 'ENOSPC' });
    await expect(saveIdentity(files, '/data/edge.pem', identity)).rejects.toMatchObject({
      code: 'file.unwritable',
    });
  });

  test('nothing that prints an identity prints its key', () => {
    const secret = identity.keyPem.revealText().split('\n')[1] ?? '-';
    const jwk = identity.key.export({ format: 'jwk' })['d'] as string;
    for (const text of [
      inspect(identity, { depth: 9, showHidden: true }),
      JSON.stringify(identity),
      String(identity.keyPem),
    ]) {
      expect(text).not.toContain(secret);
      expect(text).not.toContain(jwk);
    }
  });
});

describe('parsing what is altered', () => {
  test('a turned bit within the key never keeps the pin; anywhere it gives a certificate or certificate.invalid', () => {
    const { der, pin } = identity.certificate;
    const spki = der.indexOf(identity.certificate.spki);
    for (let bit = 0; bit < der.length * 8; bit++) {
      const altered = Buffer.from(der);
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      let found: string | undefined;
      try {
        found = parseCertificate(altered).pin;
      } catch (error) {
        expect(error).toMatchObject({ code: 'certificate.invalid' });
      }
      const inKey = bit >> 3 >= spki && bit >> 3 < spki + identity.certificate.spki.length;
      if (inKey) expect(found).not.toBe(pin);
    }
  });

  test('every cut, and anything behind the end, is refused', () => {
    const { der } = identity.certificate;
    for (let length = 0; length < der.length; length++) {
      expect(() => parseCertificate(der.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'certificate.invalid' }),
      );
    }
    for (const bad of [
      Buffer.concat([der, Buffer.alloc(1)]),
      Buffer.concat([der, der]),
      Buffer.from(identity.certificatePem),
      Buffer.alloc(20_000),
    ]) {
      expect(() => parseCertificate(bad)).toThrow(expect.objectContaining({ code: 'certificate.invalid' }));
    }
  });
});
