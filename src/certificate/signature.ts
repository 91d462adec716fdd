/**
 * Signing and verifying with a node's key. The key alone decides the algorithm, so no message can choose a weaker one:
 *   P-256 ECDSA with SHA-256, P-384 ECDSA with SHA-384, RSA (2048 to 4096 bits) PSS with SHA-256 and a 32-byte salt, Ed25519.
 * What is signed always begins with a domain and a zero byte: a signature made for one purpose fits no other, and none fits TLS or X.509.
 */
import { constants, type KeyObject, sign, verify } from 'node:crypto';
import { PosternError } from '../base/error.ts';

export type SignatureAlgorithm = 'ECDSA-P256-SHA256' | 'ECDSA-P384-SHA384' | 'RSA-PSS-SHA256' | 'Ed25519';

/** What a signature is for. */
export type SignatureDomain = `postern ${string} v${number}`;

const FEWEST_RSA_BITS = 2048;
const MOST_RSA_BITS = 4096;

/** The algorithm that fits a key, private or public. Throws `certificate.invalid` for keys of other kinds or sizes. */
export function algorithmOf(key: KeyObject): SignatureAlgorithm {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType === 'ed25519') return 'Ed25519';
  if (key.asymmetricKeyType === 'ec' && details?.namedCurve === 'prime256v1') return 'ECDSA-P256-SHA256';
  if (key.asymmetricKeyType === 'ec' && details?.namedCurve === 'secp384r1') return 'ECDSA-P384-SHA384';
  if (key.asymmetricKeyType === 'rsa') {
    const bits = details?.modulusLength ?? 0;
    const exponent = details?.publicExponent ?? 0n;
    if (bits >= FEWEST_RSA_BITS && bits <= MOST_RSA_BITS && exponent >= 3n && exponent < 2n ** 64n)
      return 'RSA-PSS-SHA256';
  }
  throw new PosternError('certificate.invalid', `keys of this kind are not supported: ${describeKey(key)}`, {
    hint: `use P-256, P-384, Ed25519, or RSA with ${FEWEST_RSA_BITS} to ${MOST_RSA_BITS} bits`,
  });
}

/** "ec prime256v1", "rsa 2048": for messages. */
export function describeKey(key: KeyObject): string {
  const details = key.asymmetricKeyDetails;
  return [key.asymmetricKeyType ?? key.type, details?.namedCurve ?? details?.modulusLength]
    .filter((part) => part !== undefined)
    .join(' ');
}

export function signBytes(privateKey: KeyObject, domain: SignatureDomain, bytes: Uint8Array): Buffer {
  const { digest, options } = PARAMETERS[algorithmOf(privateKey)];
  return sign(digest, separate(domain, bytes), { key: privateKey, ...options });
}

/** False for anything that isn't exactly a signature of this key over these bytes in this domain. */
export function verifyBytes(
  publicKey: KeyObject,
  domain: SignatureDomain,
  bytes: Uint8Array,
  signature: Uint8Array,
): boolean {
  const { digest, options } = PARAMETERS[algorithmOf(publicKey)];
  return verify(digest, separate(domain, bytes), { key: publicKey, ...options }, signature);
}

/** Fixed-length ECDSA signatures (IEEE P1363), so that there is one encoding of each. */
const PARAMETERS = {
  'ECDSA-P256-SHA256': { digest: 'sha256', options: { dsaEncoding: 'ieee-p1363' } },
  'ECDSA-P384-SHA384': { digest: 'sha384', options: { dsaEncoding: 'ieee-p1363' } },
  'RSA-PSS-SHA256': {
    digest: 'sha256',
    options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
  },
  Ed25519: { digest: null, options: {} },
} as const satisfies Record<SignatureAlgorithm, unknown>;

function separate(domain: SignatureDomain, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${domain}\0`, 'latin1'), bytes]);
}
