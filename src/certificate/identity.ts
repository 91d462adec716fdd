/**
 * A node's identity: a private key and the certificate that shows its public key. Own ones are P-256 and self-signed; foreign ones (somebody
 * else's certificate: RSA, P-384, Ed25519, issued by a CA or not) are used in the same way. The key never leaves this node.
 */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { PosternError } from '../base/error.ts';
import { type Files, replaceFile } from '../base/files.ts';
import type { Random } from '../base/random.ts';
import { Secret } from '../base/secret.ts';
import { hostName } from './name.ts';
import { type Certificate, parseCertificate } from './parse.ts';
import { certificatesFromPem, pemOf, privateKeyFromPem } from './pem.ts';
import type { Pin } from './pin.ts';
import { selfSignedCertificate } from './self-signed.ts';
import { type SignatureAlgorithm, algorithmOf, type SignatureDomain, signBytes } from './signature.ts';

export interface Identity {
  readonly certificate: Certificate;
  /** PEM of the certificate and, for an issued one, of the chain that came with it. */
  readonly certificatePem: string;
  /** PKCS #8 PEM: for the TLS stack and the file. */
  readonly keyPem: Secret;
  readonly key: KeyObject;
  readonly pin: Pin;
  readonly algorithm: SignatureAlgorithm;
}

export interface CreateIdentityOptions {
  clock: Pick<Clock, 'now'>;
  random: Pick<Random, 'bytes'>;
  /** More DNS names or IP addresses for the subject alternative name. */
  otherNames?: readonly string[];
  /** 3650 unless told. */
  validDays?: number;
}

const DAY_MS = 86_400_000;
const MOST_PEM_BYTES = 256 * 1024;

/** A new P-256 key with a self-signed certificate for `name` (a host name), valid from yesterday: a peer's clock may be behind. */
export async function createIdentity(name: string, options: CreateIdentityOptions): Promise<Identity> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  const now = options.clock.now();
  const der = selfSignedCertificate({
    privateKey,
    publicKey,
    names: [
      hostName(name),
      ...(options.otherNames ?? []).map((other) => (isIP(other) === 0 ? hostName(other) : other)),
    ],
    serial: options.random.bytes(16),
    notBefore: now - DAY_MS,
    notAfter: now + (options.validDays ?? 3650) * DAY_MS,
  });
  return identityOf(privateKey, [parseCertificate(der)]);
}

/** Joins a key with its certificate (the first of the chain). Throws `certificate.invalid` when they don't belong together. */
export function identityOf(key: KeyObject, chain: readonly Certificate[]): Identity {
  const certificate = chain[0];
  if (certificate === undefined) throw new PosternError('certificate.invalid', 'there is no certificate');
  const algorithm = algorithmOf(key);
  if (!createPublicKey(key).equals(certificate.publicKey)) {
    throw new PosternError('certificate.invalid', 'the private key does not belong to the certificate', {
      hint: 'give the key file that the certificate was made for; the certificate itself stands first in its file',
      fields: { certificate: certificate.commonName ?? certificate.serial },
    });
  }
  return {
    certificate,
    certificatePem: chain.map((one) => pemOf('CERTIFICATE', one.der)).join(''),
    keyPem: new Secret(key.export({ type: 'pkcs8', format: 'pem' })),
    key,
    pin: certificate.pin,
    algorithm,
  };
}

/** Writes key and certificate into one file (0600), so that no crash leaves a key without its certificate. */
export async function saveIdentity(files: Files, path: string, identity: Identity): Promise<void> {
  const key = identity.keyPem.reveal();
  const bytes = Buffer.concat([key, Buffer.from(identity.certificatePem)]);
  try {
    await replaceFile(files, path, bytes);
  } catch (error) {
    throw new PosternError('file.unwritable', `cannot write the identity to ${path}`, {
      cause: error,
      fields: { path },
    });
  } finally {
    bytes.fill(0);
  }
}

/**
 * Reads an identity: one file with key and certificate, or a key file and a certificate file (which may go on with the issuer's chain).
 * Throws `file.unreadable` or `certificate.invalid`; neither tells anything of the key.
 */
export async function loadIdentity(
  files: Files,
  keyPath: string,
  certificatePath = keyPath,
): Promise<Identity> {
  const keyText = await readPem(files, keyPath);
  const certificateText = certificatePath === keyPath ? keyText : await readPem(files, certificatePath);
  const what = keyPath === certificatePath ? keyPath : `${keyPath} with ${certificatePath}`;
  return identityFromPem(keyText, certificateText, what);
}

/**
 * The same from what stands in the files; `what` names them in errors. The key's text is overwritten. Throws `certificate.invalid`, which tells nothing
 * of the key.
 */
export function identityFromPem(keyText: Buffer, certificateText: Buffer, what: string): Identity {
  try {
    const chain = certificatesFromPem(certificateText).map(parseCertificate);
    return identityOf(createPrivateKey({ key: privateKeyFromPem(keyText), format: 'pem' }), chain);
  } catch (error) {
    const known = error instanceof PosternError ? error : undefined;
    throw new PosternError('certificate.invalid', `cannot use ${what}`, {
      cause: known ?? new Error('the private key cannot be read'),
      hint:
        known?.hint ?? 'the key must be PEM without a passphrase (PKCS #8, or the older RSA and EC forms)',
      fields: { files: what },
    });
  } finally {
    keyText.fill(0);
  }
}

async function readPem(files: Files, path: string): Promise<Buffer> {
  try {
    const file = await files.open(path, 'read');
    try {
      const size = await file.size();
      if (size > MOST_PEM_BYTES)
        throw new PosternError('certificate.invalid', `${path} is larger than ${MOST_PEM_BYTES} bytes`);
      const buffer = Buffer.alloc(size);
      return buffer.subarray(0, await file.read(buffer, 0));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof PosternError) throw error;
    throw new PosternError('file.unreadable', `cannot read ${path}`, {
      cause: error,
      hint: 'check the path, and that the user of the daemon may read it',
      fields: { path },
    });
  }
}

/** What the TLS stack wants: `{ ...tlsCredentials(identity), minVersion: 'TLSv1.3', ... }`. */
export function tlsCredentials(identity: Identity): { key: Buffer; cert: string } {
  return { key: identity.keyPem.reveal(), cert: identity.certificatePem };
}

export function signAs(identity: Identity, domain: SignatureDomain, bytes: Uint8Array): Buffer {
  return signBytes(identity.key, domain, bytes);
}
