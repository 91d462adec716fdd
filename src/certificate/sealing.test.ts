/** HPKE is compared with the published vector of RFC 9180 and with a second implementation below, written from the RFC on node:crypto alone. */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
} from 'node:crypto';
import fc from 'fast-check';
import { AEAD_AES_128_GCM, CipherSuite, KDF_HKDF_SHA256, KEM_DHKEM_X25519_HKDF_SHA256 } from 'hpke';
import { describe, expect, test } from 'vitest';
import { BerReader } from '../asn1/reader.ts';
import { TAG } from '../asn1/tag.ts';
import { encodeDer } from '../asn1/writer.ts';
import { Secret } from '../base/secret.ts';
import { fakeRandom } from '../../test/fakes/random.ts';
import {
  createSealingKeyPair,
  MOST_SEALED_BYTES,
  openSealed,
  seal,
  sealedTo,
  sealingKeyId,
} from './sealing.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const context = { info: 'postern test v1', associatedData: Buffer.from('cn=hub1') } as const;
const pair = createSealingKeyPair(fakeRandom('one'));

// --- an implementation of RFC 9180 §4 and §5, base mode, X25519 and HKDF-SHA256, to compare with ---

const extract = (salt: Uint8Array, ikm: Uint8Array): Buffer =>
  createHmac('sha256', salt).update(ikm).digest();
function expand(prk: Uint8Array, info: Uint8Array, length: number): Buffer {
  let last = Buffer.alloc(0);
  const parts: Buffer[] = [];
  for (let i = 1; parts.length * 32 < length; i++) {
    last = createHmac('sha256', prk).update(last).update(info).update(Uint8Array.of(i)).digest();
    parts.push(last);
  }
  return Buffer.concat(parts).subarray(0, length);
}
const labeledExtract = (suite: Buffer, salt: Uint8Array, label: string, ikm: Uint8Array): Buffer =>
  extract(salt, Buffer.concat([Buffer.from('HPKE-v1'), suite, Buffer.from(label), ikm]));
const labeledExpand = (suite: Buffer, prk: Buffer, label: string, info: Uint8Array, length: number): Buffer =>
  expand(
    prk,
    Buffer.concat([
      Uint8Array.of(length >> 8, length & 255),
      Buffer.from('HPKE-v1'),
      suite,
      Buffer.from(label),
      info,
    ]),
    length,
  );
const privateKeyOf = (raw: Uint8Array) =>
  createPrivateKey({
    key: Buffer.concat([hex('302e020100300506032b656e04220420'), raw]),
    format: 'der',
    type: 'pkcs8',
  });
const publicKeyOf = (raw: Uint8Array) =>
  createPublicKey({
    key: Buffer.concat([hex('302a300506032b656e032100'), raw]),
    format: 'der',
    type: 'spki',
  });
const rawPublic = (raw: Uint8Array): Buffer =>
  createPublicKey(privateKeyOf(raw)).export({ type: 'spki', format: 'der' }).subarray(-32);

/** The shared secret, seen from either side, to key and nonce of the first message. */
function schedule(
  dh: Buffer,
  enc: Uint8Array,
  recipient: Uint8Array,
  info: Uint8Array,
  aead: 1 | 2,
): { key: Buffer; nonce: Buffer } {
  const kem = hex('4b454d0020');
  const prk = labeledExtract(kem, Buffer.alloc(0), 'eae_prk', dh);
  const shared = labeledExpand(kem, prk, 'shared_secret', Buffer.concat([enc, recipient]), 32);
  const suite = Buffer.concat([Buffer.from('HPKE'), Uint8Array.of(0, 0x20, 0, 1, 0, aead)]);
  const empty = Buffer.alloc(0);
  const keyContext = Buffer.concat([
    Uint8Array.of(0),
    labeledExtract(suite, empty, 'psk_id_hash', empty),
    labeledExtract(suite, empty, 'info_hash', info),
  ]);
  const secret = labeledExtract(suite, shared, 'secret', empty);
  return {
    key: labeledExpand(suite, secret, 'key', keyContext, aead * 16),
    nonce: labeledExpand(suite, secret, 'base_nonce', keyContext, 12),
  };
}

interface Parties {
  ephemeral: Uint8Array;
  recipient: Uint8Array;
  info: Uint8Array;
  aead: 1 | 2;
}

function otherSeal(
  { ephemeral, recipient, info, aead }: Parties,
  plaintext: Uint8Array,
  aad: Uint8Array,
): { enc: Buffer; ciphertext: Buffer } {
  const enc = rawPublic(ephemeral);
  const dh = diffieHellman({ privateKey: privateKeyOf(ephemeral), publicKey: publicKeyOf(recipient) });
  const { key, nonce } = schedule(dh, enc, recipient, info, aead);
  const cipher = createCipheriv(aead === 1 ? 'aes-128-gcm' : 'aes-256-gcm', key, nonce).setAAD(aad);
  return { enc, ciphertext: Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]) };
}

function otherOpen(
  privateKey: Uint8Array,
  enc: Buffer,
  ciphertext: Buffer,
  info: Uint8Array,
  aad: Uint8Array,
): Buffer {
  const dh = diffieHellman({ privateKey: privateKeyOf(privateKey), publicKey: publicKeyOf(enc) });
  const { key, nonce } = schedule(dh, enc, rawPublic(privateKey), info, 2);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce)
    .setAAD(aad)
    .setAuthTag(ciphertext.subarray(-16));
  return Buffer.concat([decipher.update(ciphertext.subarray(0, -16)), decipher.final()]);
}

/** RFC 9180 appendix A.1.1: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM; sequence number 0. */
const A11 = {
  info: hex('4f6465206f6e2061204772656369616e2055726e'),
  skEm: hex('52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736'),
  pkRm: hex('3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d'),
  skRm: hex('4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8'),
  enc: hex('37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431'),
  pt: hex('4265617574792069732074727574682c20747275746820626561757479'),
  aad: hex('436f756e742d30'),
  ct: hex('f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a'),
};

describe('RFC 9180', () => {
  test('A.1.1: the library and the implementation beside it agree with the published vector', async () => {
    const suite = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_128_GCM);
    const keys = {
      privateKey: await suite.DeserializePrivateKey(A11.skRm),
      publicKey: await suite.DeserializePublicKey(A11.pkRm),
    };
    expect(Buffer.from(await suite.Open(keys, A11.enc, A11.ct, { aad: A11.aad, info: A11.info }))).toEqual(
      A11.pt,
    );
    const parties = { ephemeral: A11.skEm, recipient: A11.pkRm, info: A11.info, aead: 1 } as const;
    expect(otherSeal(parties, A11.pt, A11.aad)).toEqual({ enc: A11.enc, ciphertext: A11.ct });
  });

  test('our suite (AES-256-GCM): each opens what the other sealed', async () => {
    const info = Buffer.from(context.info);
    for (let i = 0; i < 20; i++) {
      const random = fakeRandom(`other ${i}`);
      const plaintext = random.bytes(i * 7);
      const { enc, ciphertext } = read(await seal(pair.publicKey, plaintext, context));
      expect(otherOpen(pair.privateKey.reveal(), enc, ciphertext, info, context.associatedData)).toEqual(
        plaintext,
      );
      const theirs = otherSeal(
        { ephemeral: random.bytes(32), recipient: pair.publicKey, info, aead: 2 },
        plaintext,
        context.associatedData,
      );
      const opened = await openSealed(
        envelope(sealingKeyId(pair.publicKey), theirs.enc, theirs.ciphertext),
        pair,
        context,
      );
      expect(opened.reveal()).toEqual(plaintext);
    }
  });

  test('a generated key pair belongs together', () => {
    expect(rawPublic(pair.privateKey.reveal())).toEqual(pair.publicKey);
    expect(createSealingKeyPair(fakeRandom('two')).publicKey).not.toEqual(pair.publicKey);
    expect(JSON.stringify(pair)).toContain('"privateKey":"[secret]"');
  });
});

function read(bytes: Buffer): { version: number; keyId: Buffer; enc: Buffer; ciphertext: Buffer } {
  const reader = new BerReader(bytes);
  reader.enter(TAG.sequence);
  return {
    version: reader.integer(0, 9),
    keyId: reader.octets(),
    enc: reader.octets(),
    ciphertext: reader.octets(),
  };
}

function envelope(keyId: Buffer, enc: Buffer, ciphertext: Buffer, version = 1): Buffer {
  return encodeDer((writer) => {
    const outer = writer.open(TAG.sequence);
    writer.integer(version);
    for (const part of [keyId, enc, ciphertext]) writer.octets(part);
    writer.close(outer);
  });
}

describe('envelopes', () => {
  const failed = expect.objectContaining({ code: 'seal.open-failed', hint: expect.any(String) });

  test('round trip of anything, secrets included', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 2000 }),
        fc.uint8Array({ maxLength: 200 }),
        async (plaintext, associatedData) => {
          const sealed = await seal(pair.publicKey, plaintext, { info: 'postern test v1', associatedData });
          const opened = await openSealed(sealed, pair, { info: 'postern test v1', associatedData });
          expect(opened.reveal()).toEqual(Buffer.from(plaintext));
        },
      ),
      { numRuns: 50 },
    );
    const sealed = await seal(pair.publicKey, new Secret('pass'), context);
    expect((await openSealed(sealed, pair, context)).revealText()).toBe('pass');
    expect(sealed.includes('pass')).toBe(false);
  });

  test('sealing twice gives different bytes; the key it is for can be read', async () => {
    const [a, b] = [
      await seal(pair.publicKey, Buffer.from('x'), context),
      await seal(pair.publicKey, Buffer.from('x'), context),
    ];
    expect(a.equals(b)).toBe(false);
    expect(sealedTo(a)).toEqual(sealingKeyId(pair.publicKey));
    expect(sealedTo(a.subarray(1))).toBe(undefined);
  });

  test('any changed bit of envelope or associated data, other info, other key: refused', async () => {
    const sealed = await seal(pair.publicKey, Buffer.from('the password'), context);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const altered = Buffer.from(sealed);
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await expect(openSealed(altered, pair, context)).rejects.toThrow(failed);
    }
    for (let bit = 0; bit < context.associatedData.length * 8; bit++) {
      const associatedData = Buffer.from(context.associatedData);
      associatedData[bit >> 3] = (associatedData[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await expect(openSealed(sealed, pair, { ...context, associatedData })).rejects.toThrow(failed);
    }
    await expect(openSealed(sealed, pair, { ...context, associatedData: Buffer.alloc(0) })).rejects.toThrow(
      failed,
    );
    await expect(openSealed(sealed, pair, { ...context, info: 'postern test v2' })).rejects.toThrow(failed);
    const stranger = createSealingKeyPair(fakeRandom('stranger'));
    await expect(openSealed(sealed, stranger, context)).rejects.toThrow(failed);
    // Even a stranger who relabels the envelope as one for his key.
    const { enc, ciphertext } = read(sealed);
    await expect(
      openSealed(envelope(sealingKeyId(stranger.publicKey), enc, ciphertext), stranger, context),
    ).rejects.toThrow(failed);
    expect((await openSealed(sealed, [stranger, pair], context)).revealText()).toBe('the password');
  });

  test('every cut, every lengthening, any bytes: refused', async () => {
    const sealed = await seal(pair.publicKey, Buffer.from('x'), context);
    for (let length = 0; length < sealed.length; length++) {
      await expect(openSealed(sealed.subarray(0, length), pair, context)).rejects.toThrow(failed);
    }
    await expect(openSealed(Buffer.concat([sealed, Buffer.alloc(1)]), pair, context)).rejects.toThrow(failed);
    await expect(openSealed(Buffer.alloc(MOST_SEALED_BYTES * 2), pair, context)).rejects.toThrow(failed);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array(), (bytes) =>
        openSealed(bytes, pair, context).then(
          () => false,
          () => true,
        ),
      ),
    );
    const { keyId, enc, ciphertext } = read(sealed);
    for (const bad of [
      envelope(keyId, enc, ciphertext, 2),
      envelope(keyId, enc.subarray(1), ciphertext),
      envelope(keyId, enc, ciphertext.subarray(0, 15)),
      envelope(keyId.subarray(1), enc, ciphertext),
    ]) {
      await expect(openSealed(bad, pair, context)).rejects.toThrow(failed);
    }
  });

  test('keys that force a shared secret are refused (RFC 7748 §6.1), as is what is no key', async () => {
    const order8 = hex('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800');
    for (const bad of [
      Buffer.alloc(32),
      Buffer.concat([Buffer.from([1]), Buffer.alloc(31)]),
      order8,
      Buffer.alloc(31),
      Buffer.alloc(0),
    ]) {
      await expect(seal(bad, Buffer.from('x'), context)).rejects.toThrow(failed);
      await expect(
        openSealed(envelope(sealingKeyId(pair.publicKey), bad, Buffer.alloc(40)), pair, context),
      ).rejects.toThrow(failed);
    }
  });

  test('no more than 64 KiB', async () => {
    const largest = await seal(pair.publicKey, Buffer.alloc(MOST_SEALED_BYTES), context);
    expect((await openSealed(largest, pair, context)).length).toBe(MOST_SEALED_BYTES);
    await expect(seal(pair.publicKey, Buffer.alloc(MOST_SEALED_BYTES + 1), context)).rejects.toMatchObject({
      code: 'usage',
    });
  });
});
