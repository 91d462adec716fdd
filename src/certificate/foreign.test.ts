/** Keys and certificates of others, made by openssl, as identities: loading, pins, signing and verifying both ways. */
import { constants, createPrivateKey, sign } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemFiles } from '../base/files.ts';
import {
  type ForeignFiles,
  issued,
  selfSigned,
  SUPPORTED,
  UNSUPPORTED,
} from '../../test/support/foreign-identity.ts';
import { OpenSsl } from '../../test/support/openssl.ts';
import { type Identity, loadIdentity, signAs } from './identity.ts';
import { verifyBytes } from './signature.ts';
import { stateNextCertificate, stateSealingKey, verifyStatement } from './statement.ts';

let tool: OpenSsl;
const files = new Map<string, ForeignFiles>();
const identities = new Map<string, Identity>();
const KINDS = [...SUPPORTED, 'issued'] as const;

beforeAll(async () => {
  tool = await OpenSsl.open();
  for (const kind of SUPPORTED) files.set(kind, await selfSigned(tool, kind));
  files.set('issued', await issued(tool));
  for (const [kind, { key, certificate }] of files)
    identities.set(kind, await loadIdentity(systemFiles, tool.path(key), tool.path(certificate)));
});
afterAll(() => tool[Symbol.asyncDispose]());

const get = (kind: string): Identity => identities.get(kind) as Identity;
const message = Buffer.from('what was said');
const DOMAIN = 'postern test v1';

describe.each(KINDS)('%s', (kind) => {
  test('the pin is what openssl computes, the names what it shows', async () => {
    const { certificate } = files.get(kind) as ForeignFiles;
    await tool.run('x509', '-in', certificate, '-noout', '-pubkey', '-out', 'pub');
    await tool.run('pkey', '-pubin', '-in', 'pub', '-outform', 'DER', '-out', 'spki');
    await tool.run('dgst', '-sha256', '-binary', '-out', 'hash', 'spki');
    expect(get(kind).pin).toBe((await tool.get('hash')).toString('base64'));
    const name = kind === 'issued' ? 'hub2.example.com' : 'hub1.example.com';
    expect(get(kind).certificate).toMatchObject({
      commonName: name,
      names: kind === 'issued' ? [name] : [name, '192.0.2.1'],
    });
    expect(get(kind).certificate.selfIssued).toBe(kind !== 'issued');
  });

  test('openssl accepts our signature, with the algorithm that fits the key', async () => {
    const { certificate } = files.get(kind) as ForeignFiles;
    await tool.run('x509', '-in', certificate, '-noout', '-pubkey', '-out', 'pub');
    await tool.put('message', Buffer.concat([Buffer.from(`${DOMAIN}\0`), message]));
    let signature = signAs(get(kind), DOMAIN, message);
    const { algorithm } = get(kind);
    if (algorithm.startsWith('ECDSA')) signature = derSignature(signature);
    await tool.put('signature', signature);
    const digest =
      algorithm === 'Ed25519'
        ? ['-rawin']
        : ['-rawin', '-digest', algorithm.endsWith('384') ? 'sha384' : 'sha256'];
    const padding =
      algorithm === 'RSA-PSS-SHA256'
        ? ['-pkeyopt', 'rsa_padding_mode:pss', '-pkeyopt', 'rsa_pss_saltlen:32']
        : [];
    const args = [
      'pkeyutl',
      '-verify',
      '-pubin',
      '-inkey',
      'pub',
      ...digest,
      ...padding,
      '-in',
      'message',
      '-sigfile',
      'signature',
    ];
    expect(await tool.run(...args)).toContain('Verified Successfully');
  });

  test('a signature fits its key, domain and bytes only', () => {
    const signature = signAs(get(kind), DOMAIN, message);
    const { publicKey } = get(kind).certificate;
    expect(verifyBytes(publicKey, DOMAIN, message, signature)).toBe(true);
    expect(verifyBytes(publicKey, 'postern test v2', message, signature)).toBe(false);
    expect(verifyBytes(publicKey, DOMAIN, Buffer.from('What was said'), signature)).toBe(false);
    for (let at = 0; at < signature.length; at++) {
      const altered = Buffer.from(signature);
      altered[at] = (altered[at] ?? 0) ^ 1;
      expect(verifyBytes(publicKey, DOMAIN, message, altered)).toBe(false);
    }
    for (const bad of [
      Buffer.alloc(0),
      signature.subarray(1),
      Buffer.concat([signature, Buffer.alloc(1)]),
      Buffer.alloc(signature.length),
    ]) {
      expect(verifyBytes(publicKey, DOMAIN, message, bad)).toBe(false);
    }
    for (const other of KINDS.filter((one) => one !== kind)) {
      expect(verifyBytes(get(other).certificate.publicKey, DOMAIN, message, signature)).toBe(false);
    }
  });

  test('it issues statements', () => {
    const bytes = stateSealingKey(get(kind), Buffer.alloc(32, 7), { subject: 'hub1', issuedAt: 5 });
    expect(verifyStatement(bytes, get(kind).pin)).toMatchObject({
      subject: 'hub1',
      issuer: get(kind).pin,
      claim: { kind: 'sealingKey' },
    });
    for (const other of KINDS.filter((one) => one !== kind)) {
      const next = stateNextCertificate(get(kind), get(other), { subject: 'hub1', issuedAt: 5 });
      expect(verifyStatement(next, get(kind).pin).claim).toMatchObject({
        kind: 'nextCertificate',
        pin: get(other).pin,
      });
    }
  });
});

test('a weaker signature with the right key is refused', () => {
  const separated = Buffer.concat([Buffer.from(`${DOMAIN}\0`), message]);
  const rsa = get('rsa-2048');
  for (const weaker of [
    sign('sha256', separated, { key: rsa.key, padding: constants.RSA_PKCS1_PADDING }),
    sign('sha1', separated, { key: rsa.key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
    sign('sha256', separated, { key: rsa.key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 0 }),
  ]) {
    expect(verifyBytes(rsa.certificate.publicKey, DOMAIN, message, weaker)).toBe(false);
  }
  const ec = get('p-384');
  for (const digest of ['sha1', 'sha256', 'sha512']) {
    const weaker = sign(digest, separated, { key: ec.key, dsaEncoding: 'ieee-p1363' });
    expect(verifyBytes(ec.certificate.publicKey, DOMAIN, message, weaker)).toBe(false);
  }
});

describe('files', () => {
  test('the chain that came along is shown too; the certificate is the first', () => {
    const { certificatePem, certificate } = get('issued');
    expect(certificatePem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(certificate.commonName).toBe('hub2.example.com');
  });

  test.each([
    ['PKCS #1', ['rsa', '-in', 'rsa-2048.key', '-traditional'], 'BEGIN RSA PRIVATE KEY', 'rsa-2048'],
    ['SEC 1', ['ec', '-in', 'p-384.key'], 'BEGIN EC PRIVATE KEY', 'p-384'],
  ])('older key form: %s', async (_what, args, label, kind) => {
    await tool.run(...args, '-out', 'older.key');
    expect((await tool.get('older.key')).toString()).toContain(label);
    const loaded = await loadIdentity(systemFiles, tool.path('older.key'), tool.path(`${kind}.pem`));
    expect(loaded.pin).toBe(get(kind).pin);
  });

  test('text around the blocks, several blocks in one file, CRLF', async () => {
    const key = (await tool.get('p-256.key')).toString();
    const certificate = (await tool.get('p-256.pem')).toString();
    await tool.run('ecparam', '-name', 'P-256', '-out', 'parameters.pem');
    const parameters = (await tool.get('parameters.pem')).toString();
    await tool.put(
      'all.pem',
      `Bag Attributes\n${certificate}\n# key:\n${parameters}${key}`.replaceAll('\n', '\r\n'),
    );
    expect((await loadIdentity(systemFiles, tool.path('all.pem'))).pin).toBe(get('p-256').pin);
  });

  test.each([
    ['a key of another certificate', 'p-256.key', 'p-384.pem', /does not belong/],
    ['another key of the same kind', 'leaf.key', 'rsa-2048.pem', /does not belong/],
    ['no key', 'p-256.pem', 'p-256.pem', /no private key/],
    ['no certificate', 'p-256.key', 'p-256.key', /no certificate/],
    ['an encrypted key', 'encrypted.key', 'p-256.pem', /is encrypted/],
    ['an encrypted key, older form', 'encrypted-rsa.key', 'rsa-2048.pem', /is encrypted/],
    ['two keys', 'two.key', 'p-256.pem', /several private keys/],
    ['a damaged key', 'damaged.key', 'p-256.pem', /private key cannot be read/],
    ['a damaged certificate', 'p-256.key', 'damaged.pem', /cannot be read/],
    ['a block without an end', 'p-256.key', 'endless.pem', /no end/],
    ['a request instead', 'leaf.key', 'leaf.csr', /no certificate/],
    ['a huge file', 'huge', 'huge', /larger than/],
  ])('%s is refused', async (_what, key, certificate, reason) => {
    await tool.run('pkey', '-in', 'p-256.key', '-aes256', '-passout', 'pass:x', '-out', 'encrypted.key');
    await tool.run(
      'rsa',
      '-in',
      'rsa-2048.key',
      '-traditional',
      '-aes256',
      '-passout',
      'pass:x',
      '-out',
      'encrypted-rsa.key',
    );
    const good = (await tool.get('p-256.key')).toString();
    await tool.put('two.key', good + good);
    await tool.put('damaged.key', good.replace(/\n(.{20})/, '\nAAAAAAAAAAAAAAAAAAAA'));
    const pem = (await tool.get('p-256.pem')).toString();
    await tool.put('damaged.pem', pem.replace(/\n(.{20})/, '\nAAAAAAAAAAAAAAAAAAAA'));
    await tool.put('endless.pem', pem.slice(0, -10));
    await tool.put('huge', Buffer.alloc(300_000, 'x'));
    const error = (await loadIdentity(systemFiles, tool.path(key), tool.path(certificate)).catch(
      (thrown: unknown) => thrown,
    )) as Error;
    expect(error).toMatchObject({ code: 'certificate.invalid' });
    expect(`${error.message} ${String(error.cause)}`).toMatch(reason);
  });

  test.each(UNSUPPORTED)('a %s key is refused, with what would do', async (kind) => {
    const { key, certificate } = await selfSigned(tool, kind);
    await expect(loadIdentity(systemFiles, tool.path(key), tool.path(certificate))).rejects.toMatchObject({
      code: 'certificate.invalid',
      hint: expect.stringContaining('P-256, P-384, Ed25519, or RSA'),
    });
  });

  test('a key that is not one of the tested kinds cannot sign either', () => {
    const key = createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), Buffer.alloc(32, 1)]),
      format: 'der',
      type: 'pkcs8',
    });
    expect(() => signAs({ ...get('p-256'), key }, DOMAIN, message)).toThrow(
      expect.objectContaining({ code: 'certificate.invalid' }),
    );
  });
});

/** From r || s to the SEQUENCE that openssl wants. */
function derSignature(fixed: Buffer): Buffer {
  const integer = (bytes: Buffer): Buffer => {
    let start = 0;
    while (start < bytes.length - 1 && bytes[start] === 0) start++;
    const digits = bytes.subarray(start);
    const content = (digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), digits]) : digits;
    return Buffer.concat([Uint8Array.of(2, content.length), content]);
  };
  const body = Buffer.concat([
    integer(fixed.subarray(0, fixed.length / 2)),
    integer(fixed.subarray(fixed.length / 2)),
  ]);
  return Buffer.concat([Uint8Array.of(0x30, body.length), body]);
}
