/**
 * The credential record: one replication account's credential for one node, as it is kept in the configuration directory and pushed to the edge.
 * The password is sealed to that node with the other fields as associated data; the whole is signed by the issuing hub.
 *
 *   CredentialFields ::= SEQUENCE { version INTEGER (1), targetServerFQDN UTF8String, sourceServerFQDN UTF8String (empty: bootstrap),
 *     effectiveTime INTEGER, expirationTime INTEGER (ms since 1970), userName UTF8String, sealedTo OCTET STRING (SIZE 32), issuer OCTET STRING (SIZE 32) }
 *
 * `sealedTo` is the pin of the node that can open it: the same account's record for the edge and for the hub are told apart by it.
 */
import { createHash } from 'node:crypto';
import { BerReader } from '../asn1/reader.ts';
import { TAG } from '../asn1/tag.ts';
import { encodeDer } from '../asn1/writer.ts';
import { PosternError } from '../base/error.ts';
import type { Secret } from '../base/secret.ts';
import type { Identity } from '../certificate/identity.ts';
import { isHostName } from '../certificate/name.ts';
import { type Pin, pinBytes, pinFromBytes, samePin } from '../certificate/pin.ts';
import type { SealingKeyPair } from '../certificate/sealing.ts';
import { type AccountName, parseAccountName } from './account-name.ts';
import {
  createSealedRecord,
  decodeSealedRecord,
  openSealedRecord,
  type SealedRecord,
  verifySealedRecord,
} from './sealed-record.ts';

export interface CredentialFields {
  /** The edge that accepts the credential; host name in lower case. */
  readonly targetServerFqdn: string;
  /** The hub that presents it; empty for a bootstrap credential. */
  readonly sourceServerFqdn: string;
  /** Unix milliseconds. */
  readonly effectiveAt: number;
  readonly expiresAt: number;
  readonly userName: string;
  /** The node that can open it. */
  readonly sealedTo: Pin;
  readonly issuer: Pin;
}

export interface CredentialRecord extends CredentialFields {
  /** SHA-256 (hex) of the record's bytes. */
  readonly id: string;
  readonly account: AccountName;
  readonly sealedRecord: SealedRecord;
}

const PURPOSE = 'postern credential v1';
const VERSION = 1;
/** 9999-12-31T23:59:59.999Z: what a directory's time can hold. */
const LATEST_TIME = 253_402_300_799_999;

/** A node that something is sealed to: its pin, and the sealing key that it stated. */
export interface SealingRecipient {
  readonly pin: Pin;
  readonly sealingKey: Uint8Array;
}

export type NewCredential = Omit<CredentialFields, 'sealedTo' | 'issuer'>;

/** The record of `credential` for `recipient`, signed by `issuer`. */
export function createCredentialRecord(
  credential: NewCredential,
  password: Secret,
  recipient: SealingRecipient,
  issuer: Identity,
): Promise<Buffer> {
  const fields = encodeFields({ ...credential, sealedTo: recipient.pin, issuer: issuer.pin });
  // What would not be read is not written.
  checkMeaning(decodeFields(fields));
  return createSealedRecord(PURPOSE, fields, password, recipient.sealingKey, issuer);
}

/** Structure and meaning of the fields, no proof: to find out whose signature to verify. Throws `DecodeError` or `credential.invalid`. */
export function decodeCredentialRecord(bytes: Uint8Array): CredentialRecord {
  const sealedRecord = decodeSealedRecord(bytes);
  const fields = decodeFields(sealedRecord.fields);
  const account = checkMeaning(fields);
  if (!samePin(fields.issuer, sealedRecord.issuer))
    throw invalid('a credential record names another issuer than the key that signed it');
  return { ...fields, account, sealedRecord, id: createHash('sha256').update(bytes).digest('hex') };
}

/** Throws `pin.mismatch` unless one of `trusted` issued the record, `credential.invalid` when its signature does not fit. */
export function verifyCredentialRecord(record: CredentialRecord, trusted: Pin | readonly Pin[]): void {
  verifySealedRecord(record.sealedRecord, PURPOSE, trusted);
}

/** The password. Verify first. Throws `seal.open-failed`. */
export function openCredentialRecord(
  record: CredentialRecord,
  keys: SealingKeyPair | readonly SealingKeyPair[],
): Promise<Secret> {
  return openSealedRecord(record.sealedRecord, PURPOSE, keys);
}

function encodeFields(fields: CredentialFields): Buffer {
  return encodeDer((writer) => {
    const outer = writer.open(TAG.sequence);
    writer.integer(VERSION);
    writer.utf8String(fields.targetServerFqdn);
    writer.utf8String(fields.sourceServerFqdn);
    writer.integer(fields.effectiveAt);
    writer.integer(fields.expiresAt);
    writer.utf8String(fields.userName);
    writer.octets(pinBytes(fields.sealedTo));
    writer.octets(pinBytes(fields.issuer));
    writer.close(outer);
  });
}

function decodeFields(bytes: Buffer): CredentialFields {
  const reader = new BerReader(bytes, 0, bytes.length, { der: true });
  const outer = reader.enter(TAG.sequence);
  reader.integer(VERSION, VERSION);
  const fields = {
    targetServerFqdn: reader.text(TAG.utf8String),
    sourceServerFqdn: reader.text(TAG.utf8String),
    effectiveAt: reader.integer(0, LATEST_TIME),
    expiresAt: reader.integer(0, LATEST_TIME),
    userName: reader.text(TAG.utf8String),
    sealedTo: readPin(reader),
    issuer: readPin(reader),
  };
  reader.leave(outer);
  reader.finish();
  return fields;
}

function readPin(reader: BerReader): Pin {
  const bytes = reader.octets();
  if (bytes.length !== 32) reader.fail('a pin has 32 bytes');
  return pinFromBytes(bytes);
}

function checkMeaning(fields: CredentialFields): AccountName {
  const account = parseAccountName(fields.userName);
  if (account === undefined)
    throw invalid('the user name of a credential record is not that of a replication account');
  if (!isHostName(fields.targetServerFqdn))
    throw invalid('the target of a credential record is not a host name in lower case');
  // A bootstrap credential is presented by whichever hub comes first.
  const source =
    account.kind === 'bootstrap' ? fields.sourceServerFqdn === '' : isHostName(fields.sourceServerFqdn);
  if (!source) throw invalid('the source of a credential record does not fit its user name');
  if (fields.effectiveAt >= fields.expiresAt)
    throw invalid('a credential record expires before it is effective');
  return account;
}

function invalid(message: string): PosternError {
  return new PosternError('credential.invalid', message, { hint: 'have its hub issue it again' });
}
