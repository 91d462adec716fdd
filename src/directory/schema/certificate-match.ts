/**
 * RFC 4523 §2.6 certificateExactMatch: certificates are the same when serial number and issuer are. Looks at nothing else in them, and
 * trusts nothing: it compares.
 */
import { DecodeError } from '../../base/decode-error.ts';
import { BerReader } from '../../asn1/reader.ts';
import { contextConstructed, TAG } from '../../asn1/tag.ts';
import { decodeUtf8 } from './string-preparation.ts';

interface Names {
  normalDn(value: Buffer): Buffer | undefined;
}

/** GSER as §3.1 writes it, with `""` for a quote; and the older `serial$issuer`. */
const GSER = /^\{\s*serialNumber\s+(\d{1,60})\s*,\s*issuer\s+(?:rdnSequence\s*:\s*)?"((?:[^"]|"")*)"\s*\}$/;
const DOLLAR = /^(\d{1,60})\s*\$\s*(.*)$/su;

/** Is it an assertion (§3.1)? The issuer's name is looked at when it is normalised. */
export function isCertificateAssertion(value: Buffer): boolean {
  return read(value) !== undefined;
}

/** Normal form of a certificate (DER) or of an assertion; undefined when it is neither. */
export function normalCertificate(value: Buffer, names: Names): Buffer | undefined {
  const found = value[0] === TAG.sequence ? readCertificate(value) : read(value);
  const issuer = found === undefined ? undefined : names.normalDn(Buffer.from(found.issuer));
  return found === undefined || issuer === undefined
    ? undefined
    : Buffer.concat([Buffer.from(`${found.serial}$`), issuer]);
}

interface Exact {
  readonly serial: bigint;
  readonly issuer: string;
}

function read(value: Buffer): Exact | undefined {
  const text = value.length > 65_536 ? undefined : decodeUtf8(value)?.trim();
  const match = text === undefined ? null : (GSER.exec(text) ?? DOLLAR.exec(text));
  if (match === null) return undefined;
  return { serial: BigInt(match[1] ?? ''), issuer: (match[2] ?? '').replaceAll('""', '"') };
}

/** RFC 5280 §4.1: only as far as the issuer. */
function readCertificate(value: Buffer): Exact | undefined {
  try {
    const reader = new BerReader(value);
    reader.enter(TAG.sequence);
    reader.enter(TAG.sequence);
    if (reader.peek() === contextConstructed(0)) reader.skip();
    const serial = signed(reader.octets(TAG.integer));
    reader.skip(); // signature algorithm
    const names = reader.enter(TAG.sequence);
    const rdns: string[] = [];
    while (reader.more) rdns.unshift(readRdn(reader));
    reader.leave(names);
    return { serial, issuer: rdns.join(',') };
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** RFC 5280 §4.1.2.2: 20 octets at most; some write more. */
function signed(octets: Buffer): bigint {
  if (octets.length === 0 || octets.length > 64) throw new DecodeError('no serial number', 0);
  return BigInt.asIntN(8 * octets.length, BigInt(`0x${octets.toString('hex')}`));
}

/** `type=#BER`, so that the value means itself whatever it holds. */
function readRdn(reader: BerReader): string {
  const set = reader.enter(TAG.set);
  const parts: string[] = [];
  while (reader.more) {
    const part = reader.enter(TAG.sequence);
    const type = reader.oid();
    parts.push(`${type}=#${reader.raw().toString('hex')}`);
    reader.leave(part);
  }
  reader.leave(set);
  return parts.join('+');
}
