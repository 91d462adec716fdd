/**
 * The address key of an edge: 32 random bytes under which addresses are hashed there. The importing hub makes it, and hands it to the edge and to
 * hubs as a sealed, signed record (`posternSealedKey`).
 *
 *   AddressKeyFields ::= SEQUENCE { version INTEGER (1), edgeFQDN UTF8String, keyId OCTET STRING (SIZE 16), createdAt INTEGER (ms since 1970),
 *     sealedTo OCTET STRING (SIZE 32), issuer OCTET STRING (SIZE 32) }
 */
import { createHash, createHmac } from 'node:crypto';
import { BerReader } from '../asn1/reader.ts';
import { TAG } from '../asn1/tag.ts';
import { encodeDer } from '../asn1/writer.ts';
import { PosternError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import { Secret } from '../base/secret.ts';
import type { Identity } from '../certificate/identity.ts';
import { isHostName } from '../certificate/name.ts';
import { type Pin, pinBytes, pinFromBytes, samePin } from '../certificate/pin.ts';
import type { SealingKeyPair } from '../certificate/sealing.ts';
import type { SealingRecipient } from './record.ts';
import {
  createSealedRecord,
  decodeSealedRecord,
  openSealedRecord,
  type SealedRecord,
  verifySealedRecord,
} from './sealed-record.ts';

export const ADDRESS_KEY_BYTES = 32;
const KEY_ID_BYTES = 16;
const PURPOSE = 'postern address key v1';
const VERSION = 1;

export interface AddressKey {
  /** Lower-case hex, 32 digits; derived from the key, so two nodes that name the same id hash alike. */
  readonly id: string;
  readonly key: Secret;
}

export interface AddressKeyRecord {
  /** Host name in lower case. */
  readonly edgeFqdn: string;
  readonly keyId: string;
  /** Unix milliseconds. */
  readonly createdAt: number;
  readonly sealedTo: Pin;
  readonly issuer: Pin;
  /** SHA-256 (hex) of the record's bytes. */
  readonly id: string;
  readonly sealedRecord: SealedRecord;
}

export function createAddressKey(random: Pick<Random, 'bytes'>): AddressKey {
  const bytes = random.bytes(ADDRESS_KEY_BYTES);
  const key = new Secret(bytes);
  bytes.fill(0);
  return { id: addressKeyId(key), key };
}

export function addressKeyId(key: Secret): string {
  return createHmac('sha256', key.reveal())
    .update('key id')
    .digest()
    .subarray(0, KEY_ID_BYTES)
    .toString('hex');
}

export function createAddressKeyRecord(
  addressKey: AddressKey,
  edge: { readonly fqdn: string; readonly createdAt: number },
  recipient: SealingRecipient,
  issuer: Identity,
): Promise<Buffer> {
  const fields = encodeDer((writer) => {
    const outer = writer.open(TAG.sequence);
    writer.integer(VERSION);
    writer.utf8String(edge.fqdn);
    writer.octets(Buffer.from(addressKey.id, 'hex'));
    writer.integer(edge.createdAt);
    writer.octets(pinBytes(recipient.pin));
    writer.octets(pinBytes(issuer.pin));
    writer.close(outer);
  });
  decodeFields(fields);
  return createSealedRecord(PURPOSE, fields, addressKey.key, recipient.sealingKey, issuer);
}

/** Structure only, no proof. Throws `DecodeError` or `credential.invalid`. */
export function decodeAddressKeyRecord(bytes: Uint8Array): AddressKeyRecord {
  const sealedRecord = decodeSealedRecord(bytes);
  const fields = decodeFields(sealedRecord.fields);
  if (!samePin(fields.issuer, sealedRecord.issuer))
    throw new PosternError(
      'credential.invalid',
      'an address key names another issuer than the key that signed it',
    );
  return { ...fields, sealedRecord, id: createHash('sha256').update(bytes).digest('hex') };
}

/** Throws `pin.mismatch` unless one of `trusted` issued the record, `credential.invalid` when its signature does not fit. */
export function verifyAddressKeyRecord(record: AddressKeyRecord, trusted: Pin | readonly Pin[]): void {
  verifySealedRecord(record.sealedRecord, PURPOSE, trusted);
}

/** Verify first. Throws `seal.open-failed`, or `credential.invalid` when the key is not the one that the record names. */
export async function openAddressKeyRecord(
  record: AddressKeyRecord,
  keys: SealingKeyPair | readonly SealingKeyPair[],
): Promise<AddressKey> {
  const key = await openSealedRecord(record.sealedRecord, PURPOSE, keys);
  if (key.length !== ADDRESS_KEY_BYTES || addressKeyId(key) !== record.keyId) {
    throw new PosternError('credential.invalid', 'an address key record holds another key than it names');
  }
  return { id: record.keyId, key };
}

function decodeFields(bytes: Buffer): Omit<AddressKeyRecord, 'id' | 'sealedRecord'> {
  const reader = new BerReader(bytes, 0, bytes.length, { der: true });
  const octets = (length: number): Buffer => {
    const value = reader.octets();
    if (value.length !== length) reader.fail(`expected ${length} bytes`);
    return value;
  };
  const outer = reader.enter(TAG.sequence);
  reader.integer(VERSION, VERSION);
  const edgeFqdn = reader.text(TAG.utf8String);
  if (!isHostName(edgeFqdn)) reader.fail('not a host name in lower case');
  const keyId = octets(KEY_ID_BYTES).toString('hex');
  const createdAt = reader.integer(0, Number.MAX_SAFE_INTEGER);
  const sealedTo = pinFromBytes(octets(32));
  const issuer = pinFromBytes(octets(32));
  reader.leave(outer);
  reader.finish();
  return { edgeFqdn, keyId, createdAt, sealedTo, issuer };
}
