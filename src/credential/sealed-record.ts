/**
 * A secret on its way through directories that anybody may write to: sealed to one node, bound to the fields beside it, signed by its issuer.
 * One octet string, since directories rewrite times and case. Shared by credential records and address keys; knows nothing of their fields.
 *
 *   SealedRecord ::= SEQUENCE { content OCTET STRING (DER of Content), issuerKey OCTET STRING (SubjectPublicKeyInfo), signature OCTET STRING }
 *   Content ::= SEQUENCE { fields OCTET STRING, sealed OCTET STRING (SealedEnvelope) }
 *
 * The signature covers the purpose, a zero byte, and the exact octets of `content`. The envelope's info is the purpose, its associated data the exact
 * octets of `fields`. `issuerKey` isn't signed: it must hash to a pin that is trusted already, and the fields name that pin again.
 */
import { createPublicKey } from 'node:crypto';
import { BerReader } from '../asn1/reader.ts';
import { TAG } from '../asn1/tag.ts';
import { encodeDer } from '../asn1/writer.ts';
import { PosternError } from '../base/error.ts';
import type { Secret } from '../base/secret.ts';
import { type Identity, signAs } from '../certificate/identity.ts';
import { type Pin, pinOfSpki, samePin } from '../certificate/pin.ts';
import { openSealed, type SealingKeyPair, seal } from '../certificate/sealing.ts';
import { verifyBytes } from '../certificate/signature.ts';

export type RecordPurpose = 'postern credential v1' | 'postern address key v1';

/** Two RSA-4096 keys' worth, a long password, and the names. */
export const MOST_RECORD_BYTES = 8 * 1024;

export interface SealedRecord {
  /** DER of the record's fields. Not to be believed before `verifySealedRecord`. */
  readonly fields: Buffer;
  readonly sealed: Buffer;
  readonly content: Buffer;
  readonly issuerKey: Buffer;
  /** Pin of `issuerKey`: who seems to have issued it. */
  readonly issuer: Pin;
  readonly signature: Buffer;
}

export async function createSealedRecord(
  purpose: RecordPurpose,
  fields: Uint8Array,
  secret: Secret,
  recipientKey: Uint8Array,
  issuer: Identity,
): Promise<Buffer> {
  const sealed = await seal(recipientKey, secret, { info: purpose, associatedData: fields });
  const content = encodeDer((writer) => {
    const outer = writer.open(TAG.sequence);
    writer.octets(fields);
    writer.octets(sealed);
    writer.close(outer);
  });
  return encodeDer((writer) => {
    const outer = writer.open(TAG.sequence);
    writer.octets(content);
    writer.octets(issuer.certificate.spki);
    writer.octets(signAs(issuer, purpose, content));
    writer.close(outer);
  });
}

/** Structure only. Throws `DecodeError`. */
export function decodeSealedRecord(bytes: Uint8Array): SealedRecord {
  const buffer = Buffer.from(bytes);
  const reader = new BerReader(buffer, 0, buffer.length, { der: true });
  if (buffer.length > MOST_RECORD_BYTES) reader.fail('the record is too large');
  const outer = reader.enter(TAG.sequence);
  const content = reader.octets();
  const issuerKey = reader.octets();
  const signature = reader.octets();
  reader.leave(outer);
  reader.finish();
  const inner = new BerReader(content, 0, content.length, { der: true });
  const sequence = inner.enter(TAG.sequence);
  const fields = inner.octets();
  const sealed = inner.octets();
  inner.leave(sequence);
  inner.finish();
  return { fields, sealed, content, issuerKey, issuer: pinOfSpki(issuerKey), signature };
}

/** Throws `pin.mismatch` for an issuer that is none of `trusted`, `credential.invalid` for a signature that does not fit. */
export function verifySealedRecord(
  record: SealedRecord,
  purpose: RecordPurpose,
  trusted: Pin | readonly Pin[],
): void {
  const pins = typeof trusted === 'string' ? [trusted] : trusted;
  if (!pins.some((pin) => samePin(pin, record.issuer))) {
    throw new PosternError('pin.mismatch', 'a sealed record was issued by a key that is not trusted here', {
      fields: { issuer: record.issuer },
    });
  }
  let good = false;
  try {
    const publicKey = createPublicKey({ key: record.issuerKey, format: 'der', type: 'spki' });
    good = verifyBytes(publicKey, purpose, record.content, record.signature);
  } catch {
    // A key that cannot be read, or of a kind that is not supported: not a good signature.
  }
  if (!good) {
    throw new PosternError('credential.invalid', 'the signature of a sealed record does not fit', {
      hint: 'the directory that carried it altered it; have its hub issue it again',
    });
  }
}

/** Opens the secret. Verify first. Throws `seal.open-failed`. */
export function openSealedRecord(
  record: SealedRecord,
  purpose: RecordPurpose,
  keys: SealingKeyPair | readonly SealingKeyPair[],
): Promise<Secret> {
  return openSealed(record.sealed, keys, { info: purpose, associatedData: record.fields });
}
