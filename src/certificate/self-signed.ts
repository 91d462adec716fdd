/**
 * Writing self-signed X.509 v3 certificates for P-256 keys (RFC 5280). It owns the profile: end entity, digital signature, server and client
 * authentication, names in the subject alternative name.
 */
import { createHash, type KeyObject, sign } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import { contextConstructed, contextTag, TAG } from '../asn1/tag.ts';
import { type BerWriter, encodeDer } from '../asn1/writer.ts';
import { PosternError } from '../base/error.ts';

export interface SelfSignedOptions {
  /** P-256. */
  privateKey: KeyObject;
  publicKey: KeyObject;
  /** DNS names or IP addresses; the first one is the subject. */
  names: readonly [string, ...string[]];
  /** 16 random bytes. */
  serial: Uint8Array;
  /** Milliseconds since 1970. */
  notBefore: number;
  notAfter: number;
}

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/** Upper bound of a common name (RFC 5280 appendix A.1, ub-common-name); longer names stand in the alternative name only. */
const MOST_COMMON_NAME = 64;

/** The certificate, DER. */
export function selfSignedCertificate(options: SelfSignedOptions): Buffer {
  const body = encodeDer((writer) => writeBody(writer, options));
  return encodeDer((writer) => {
    const outer = writer.open(TAG.sequence);
    writer.raw(body);
    writeAlgorithm(writer);
    writer.bitString(sign('sha256', body, { key: options.privateKey, dsaEncoding: 'der' }));
    writer.close(outer);
  });
}

/** RFC 5280 §4.1.2. */
function writeBody(writer: BerWriter, options: SelfSignedOptions): void {
  const spki = options.publicKey.export({ type: 'spki', format: 'der' });
  const outer = writer.open(TAG.sequence);
  const version = writer.open(contextConstructed(0));
  writer.integer(2);
  writer.close(version);
  writer.integer(positive(options.serial));
  writeAlgorithm(writer);
  writeName(writer, options.names[0]);
  const validity = writer.open(TAG.sequence);
  writer.time(options.notBefore);
  writer.time(options.notAfter);
  writer.close(validity);
  writeName(writer, options.names[0]);
  writer.raw(spki);
  const tagged = writer.open(contextConstructed(3));
  const extensions = writer.open(TAG.sequence);
  writeExtension(writer, OID.basicConstraints, true, (value) => value.close(value.open(TAG.sequence)));
  writeExtension(writer, OID.keyUsage, true, (value) => value.bitString(Uint8Array.of(0x80), 7));
  writeExtension(writer, OID.extKeyUsage, false, (value) => {
    const list = value.open(TAG.sequence);
    value.oid(OID.serverAuth);
    value.oid(OID.clientAuth);
    value.close(list);
  });
  writeExtension(writer, OID.subjectKeyIdentifier, false, (value) => value.octets(keyIdentifier(spki)));
  writeExtension(writer, OID.subjectAltName, false, (value) => {
    const list = value.open(TAG.sequence);
    for (const name of options.names) writeAlternativeName(value, name);
    value.close(list);
  });
  writer.close(extensions);
  writer.close(tagged);
  writer.close(outer);
}

function positive(serial: Uint8Array): bigint {
  const value = BigInt(`0x${Buffer.from(serial).toString('hex')}`);
  if (serial.length !== 16 || value === 0n)
    throw new PosternError('internal', 'a serial number is 16 random bytes');
  return value;
}

/** ECDSA algorithm identifiers have no parameters (RFC 5758 §3.2). */
function writeAlgorithm(writer: BerWriter): void {
  const outer = writer.open(TAG.sequence);
  writer.oid(OID.ecdsaWithSha256);
  writer.close(outer);
}

function writeName(writer: BerWriter, name: string): void {
  const text = name.length <= MOST_COMMON_NAME ? name : (name.split('.')[0] ?? '');
  const list = writer.open(TAG.sequence);
  const set = writer.open(TAG.set);
  const pair = writer.open(TAG.sequence);
  writer.oid(OID.commonName);
  writer.utf8String(text);
  writer.close(pair);
  writer.close(set);
  writer.close(list);
}

function writeExtension(
  writer: BerWriter,
  oid: string,
  critical: boolean,
  write: (value: BerWriter) => void,
): void {
  const outer = writer.open(TAG.sequence);
  writer.oid(oid);
  if (critical) writer.boolean(true);
  writer.octets(encodeDer(write));
  writer.close(outer);
}

function writeAlternativeName(writer: BerWriter, name: string): void {
  if (isIPv4(name)) writer.octets(Uint8Array.from(name.split('.'), Number), contextTag(7));
  else if (isIPv6(name)) writer.octets(addressBytes(name), contextTag(7));
  else writer.text(name, contextTag(2));
}

/** The 16 bytes of an IPv6 address; the platform's URL parser writes it without `::` only when told, so groups are counted here. */
function addressBytes(text: string): Buffer {
  const [head = '', tail] = new URL(`http://[${text}]/`).hostname.slice(1, -1).split('::');
  const groups = (part: string | undefined): string[] =>
    part === undefined || part === '' ? [] : part.split(':');
  const [left, right] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return Buffer.from([...left, ...zeros, ...right].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** The leftmost 160 bits of the SHA-256 of the public key's bits (RFC 7093 §2, method 1). */
function keyIdentifier(spki: Buffer): Buffer {
  // The 65 octets of an uncompressed P-256 point end the structure.
  return createHash('sha256').update(spki.subarray(-65)).digest().subarray(0, 20);
}
