/**
 * Reading certificates. The parts that trust stands on (the SubjectPublicKeyInfo) are cut out of the DER by our own strict reader and then
 * compared with what OpenSSL, which does the handshake, sees in the same bytes: two parsers that disagree would be a way round the pin.
 */
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { BerReader } from '../asn1/reader.ts';
import { contextConstructed, contextTag, TAG } from '../asn1/tag.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import { type Pin, pinOfSpki } from './pin.ts';
import { algorithmOf } from './signature.ts';

export const MOST_CERTIFICATE_BYTES = 16 * 1024;
const MOST_NAMES = 256;

export interface Certificate {
  readonly der: Buffer;
  readonly pin: Pin;
  readonly publicKey: KeyObject;
  /** Exact bytes of the SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  /** Hexadecimal, as OpenSSL prints it. */
  readonly serial: string;
  /** The last common name of the subject, when there is one. */
  readonly commonName: string | undefined;
  /** dNSName and iPAddress entries of the subject alternative name. */
  readonly names: readonly string[];
  readonly selfIssued: boolean;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Parses one DER certificate. Throws `certificate.invalid` for anything that isn't one, or whose key is not supported. */
export function parseCertificate(der: Uint8Array): Certificate {
  if (der.length > MOST_CERTIFICATE_BYTES) throw invalid(`is larger than ${MOST_CERTIFICATE_BYTES} bytes`);
  const bytes = Buffer.from(der);
  try {
    const fields = readFields(bytes);
    const publicKey = createPublicKey({ key: fields.spki, format: 'der', type: 'spki' });
    const seen = new X509Certificate(bytes);
    if (!seen.raw.equals(bytes) || !seen.publicKey.equals(publicKey))
      throw invalid('is read differently by two parsers');
    algorithmOf(publicKey);
    return { der: bytes, pin: pinOfSpki(fields.spki), publicKey, serial: seen.serialNumber, ...fields };
  } catch (error) {
    if (isPosternError(error, 'certificate.invalid')) throw error;
    throw invalid('cannot be read', error);
  }
}

function invalid(what: string, cause?: unknown): PosternError {
  return new PosternError('certificate.invalid', `the certificate ${what}`, {
    hint: 'give one X.509 certificate, DER or PEM',
    ...(cause === undefined ? {} : { cause }),
  });
}

type Fields = Pick<Certificate, 'spki' | 'commonName' | 'names' | 'selfIssued' | 'notBefore' | 'notAfter'>;

/** RFC 5280 §4.1: Certificate and TBSCertificate. */
function readFields(der: Buffer): Fields {
  const reader = new BerReader(der, 0, der.length, { der: true });
  const certificate = reader.enter(TAG.sequence);
  const body = reader.enter(TAG.sequence);
  if (reader.peek() === contextConstructed(0)) reader.skip();
  reader.octets(TAG.integer);
  reader.skip(); // signature algorithm
  const issuer = reader.raw();
  const validity = reader.enter(TAG.sequence);
  const notBefore = reader.time();
  const notAfter = reader.time();
  reader.leave(validity);
  const subject = reader.raw();
  const spki = reader.raw();
  if (reader.peek() === contextTag(1)) reader.skip();
  if (reader.peek() === contextTag(2)) reader.skip();
  const names = reader.peek() === contextConstructed(3) ? readAlternativeNames(reader) : [];
  reader.leave(body);
  reader.skip(); // signature algorithm
  reader.bitString();
  reader.leave(certificate);
  reader.finish();
  return {
    spki,
    commonName: readCommonName(subject),
    names,
    selfIssued: issuer.equals(subject),
    notBefore,
    notAfter,
  };
}

const COMMON_NAME = '2.5.4.3';
const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17';

function readCommonName(subject: Buffer): string | undefined {
  const reader = new BerReader(subject, 0, subject.length, { der: true });
  let name: string | undefined;
  const outer = reader.enter(TAG.sequence);
  while (reader.more) {
    const set = reader.enter(TAG.set);
    while (reader.more) {
      const pair = reader.enter(TAG.sequence);
      const type = reader.oid();
      const tag = reader.peek();
      if (type === COMMON_NAME && (tag === TAG.utf8String || tag === TAG.printableString))
        name = reader.text(tag);
      else reader.skip();
      reader.leave(pair);
    }
    reader.leave(set);
  }
  reader.leave(outer);
  return name;
}

/** RFC 5280 §4.2: the extensions; only the subject alternative name (§4.2.1.6) is looked into. */
function readAlternativeNames(reader: BerReader): string[] {
  const names: string[] = [];
  const tagged = reader.enter(contextConstructed(3));
  const list = reader.enter(TAG.sequence);
  while (reader.more) {
    const extension = reader.enter(TAG.sequence);
    const type = reader.oid();
    if (reader.peek() === TAG.boolean) reader.boolean();
    const value = reader.octets();
    if (type === SUBJECT_ALTERNATIVE_NAME) names.push(...readGeneralNames(value));
    reader.leave(extension);
  }
  reader.leave(list);
  reader.leave(tagged);
  return names;
}

function readGeneralNames(value: Buffer): string[] {
  const reader = new BerReader(value, 0, value.length, { der: true });
  const names: string[] = [];
  const list = reader.enter(TAG.sequence);
  while (reader.more) {
    if (names.length >= MOST_NAMES) reader.fail('too many names');
    if (reader.peek() === contextTag(2)) names.push(reader.text(contextTag(2)));
    else if (reader.peek() === contextTag(7)) names.push(addressText(reader.octets(contextTag(7))));
    else reader.skip();
  }
  reader.leave(list);
  return names;
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  return (bytes.toString('hex').match(/.{1,4}/g) ?? []).join(':');
}
