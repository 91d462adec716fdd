/**
 * Sealing to a node's X25519 key: HPKE base mode (RFC 9180), DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. One message a key
 * encapsulation. HPKE authenticates nobody: who seals also signs, and the fields beside the secret go in as associated data.
 *
 *   SealedEnvelope ::= SEQUENCE { version INTEGER (1), keyId OCTET STRING (SIZE 16), enc OCTET STRING (SIZE 32), ciphertext OCTET STRING }
 */
import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA256, KEM_DHKEM_X25519_HKDF_SHA256 } from 'hpke';
import { BerReader } from '../asn1/reader.ts';
import { TAG } from '../asn1/tag.ts';
import { encodeDer } from '../asn1/writer.ts';
import { PosternError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import { Secret } from '../base/secret.ts';

export interface SealingKeyPair {
  /** 32 bytes. */
  readonly publicKey: Buffer;
  /** 32 bytes. */
  readonly privateKey: Secret;
}

export interface SealingContext {
  /** What is being sealed: part of the key schedule, so an envelope made for one purpose opens for no other. */
  readonly info: `postern ${string} v${number}`;
  /** Bytes that must be the same when it is opened. */
  readonly associatedData: Uint8Array;
}

export const MOST_SEALED_BYTES = 64 * 1024;
const VERSION = 1;
const KEY_ID_BYTES = 16;

const suite = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_256_GCM);

/** RFC 8410 §7: what comes before the 32 bytes of an X25519 private key in PKCS #8. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** Any 32 random bytes are an X25519 private key (RFC 7748 §5). */
export function createSealingKeyPair(random: Pick<Random, 'bytes'>): SealingKeyPair {
  const raw = random.bytes(32);
  const pkcs8 = Buffer.concat([PKCS8_HEAD, raw]);
  const publicKey = createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }));
  const pair = {
    publicKey: publicKey.export({ type: 'spki', format: 'der' }).subarray(-32),
    privateKey: new Secret(raw),
  };
  raw.fill(0);
  pkcs8.fill(0);
  return pair;
}

/** Names a sealing key: the first 16 bytes of the SHA-256 of its public part. */
export function sealingKeyId(publicKey: Uint8Array): Buffer {
  return createHash('sha256').update(publicKey).digest().subarray(0, KEY_ID_BYTES);
}

/** Seals up to 64 KiB. Throws `seal.open-failed` when `publicKey` is not one that can be sealed to. */
export async function seal(
  publicKey: Uint8Array,
  plaintext: Secret | Uint8Array,
  context: SealingContext,
): Promise<Buffer> {
  const bytes = plaintext instanceof Secret ? plaintext.reveal() : plaintext;
  if (bytes.length > MOST_SEALED_BYTES)
    throw new PosternError('usage', `no more than ${MOST_SEALED_BYTES} bytes can be sealed`);
  try {
    const key = await suite.DeserializePublicKey(publicKey);
    const { encapsulatedSecret, ciphertext } = await suite.Seal(key, bytes, {
      aad: context.associatedData,
      info: Buffer.from(context.info),
    });
    return encodeDer((writer) => {
      const outer = writer.open(TAG.sequence);
      writer.integer(VERSION);
      writer.octets(sealingKeyId(publicKey));
      writer.octets(encapsulatedSecret);
      writer.octets(ciphertext);
      writer.close(outer);
    });
  } catch (error) {
    throw new PosternError('seal.open-failed', 'cannot seal to this key', {
      cause: error,
      hint: 'the node must state another sealing key',
    });
  }
}

/**
 * Opens an envelope with whichever of `keys` it names (a node may hold a new and an old one).
 * Throws `seal.open-failed` for anything that can't be opened; why is not told to the other side.
 */
export async function openSealed(
  envelope: Uint8Array,
  keys: SealingKeyPair | readonly SealingKeyPair[],
  context: SealingContext,
): Promise<Secret> {
  try {
    const { keyId, enc, ciphertext } = decode(Buffer.from(envelope));
    const pair = ('publicKey' in keys ? [keys] : keys).find(({ publicKey }) =>
      sealingKeyId(publicKey).equals(keyId),
    );
    if (pair === undefined) throw new Error('sealed to a key that this node does not hold');
    const plaintext = await suite.Open(await importPair(pair), enc, ciphertext, {
      aad: context.associatedData,
      info: Buffer.from(context.info),
    });
    const secret = new Secret(plaintext);
    plaintext.fill(0);
    return secret;
  } catch (error) {
    throw new PosternError('seal.open-failed', 'a sealed record cannot be opened', {
      cause: error,
      hint: 'it was sealed to another key, or altered on its way; have it issued again',
    });
  }
}

/** Which sealing key an envelope was made for; undefined when it isn't an envelope. */
export function sealedTo(envelope: Uint8Array): Buffer | undefined {
  try {
    return Buffer.from(decode(Buffer.from(envelope)).keyId);
  } catch {
    return undefined;
  }
}

async function importPair({ publicKey, privateKey }: SealingKeyPair): Promise<CryptoKeyPair> {
  return {
    publicKey: await suite.DeserializePublicKey(publicKey),
    privateKey: await suite.DeserializePrivateKey(privateKey.reveal()),
  };
}

type CryptoKeyPair = Awaited<ReturnType<typeof suite.GenerateKeyPair>>;

function decode(bytes: Buffer): { keyId: Buffer; enc: Buffer; ciphertext: Buffer } {
  const reader = new BerReader(bytes, 0, bytes.length, { der: true });
  if (bytes.length > MOST_SEALED_BYTES + 256) reader.fail('the envelope is too large');
  const outer = reader.enter(TAG.sequence);
  reader.integer(VERSION, VERSION);
  const parts = { keyId: reader.octets(), enc: reader.octets(), ciphertext: reader.octets() };
  reader.leave(outer);
  reader.finish();
  if (
    parts.keyId.length !== KEY_ID_BYTES ||
    parts.enc.length !== suite.KEM.Nenc ||
    parts.ciphertext.length < suite.AEAD.Nt
  ) {
    reader.fail('malformed envelope', 0);
  }
  return parts;
}
