/**
 * The string form of distinguished names, RFC 4514, both ways. Syntax only: which names are equal is the schema's
 * matter. More lenient than its grammar in one thing: spaces around `,`, `+` and `=` are passed over (RFC 2253 §4).
 */
import { isUtf8 } from 'node:buffer';
import { DecodeError } from '../base/decode-error.ts';
import { isOid } from '../asn1/oid.ts';
import { BerReader } from '../asn1/reader.ts';
import { TAG } from '../asn1/tag.ts';
import { encodeDer } from '../asn1/writer.ts';
import { isOidName } from './attribute-description.ts';
import { escapeOctet, hexPair } from './hex.ts';

/** One attribute type and value assertion; the value is in the type's LDAP-specific encoding, mostly UTF-8. */
export interface NamePart {
  readonly type: string;
  readonly value: Buffer;
}
/** A relative distinguished name: a set of at least one part. */
export type Rdn = readonly NamePart[];
/** The leftmost RDN first; empty for the root. */
export type Dn = readonly Rdn[];

/** What a directory has use for is far below. */
const MOST_CHARACTERS = 65_536;
const MOST_PARTS = 1024;

interface Cursor {
  readonly text: string;
  at: number;
  parts: number;
}

/** Text to a DN. Throws `DecodeError` (offset in characters). */
export function parseDn(text: string): Dn {
  if (text.length > MOST_CHARACTERS) throw new DecodeError('name is too long', MOST_CHARACTERS);
  if (!text.isWellFormed()) throw new DecodeError('name is not well-formed text', 0);
  const cursor: Cursor = { text, at: 0, parts: 0 };
  skipSpaces(cursor);
  if (cursor.at === text.length) return [];
  const rdns = [parseRdnAt(cursor)];
  while (cursor.at < text.length) {
    cursor.at++; // a comma: parseRdnAt stops nowhere else
    rdns.push(parseRdnAt(cursor));
  }
  return rdns;
}

/** Text to exactly one RDN. */
export function parseRdn(text: string): Rdn {
  const [rdn, ...others] = parseDn(text);
  if (rdn === undefined || others.length > 0) throw new DecodeError('expected one relative name', 0);
  return rdn;
}

function parseRdnAt(cursor: Cursor): Rdn {
  const parts = [parsePart(cursor)];
  while (cursor.text[cursor.at] === '+') {
    cursor.at++;
    parts.push(parsePart(cursor));
  }
  return parts;
}

function parsePart(cursor: Cursor): NamePart {
  const { text } = cursor;
  if (++cursor.parts > MOST_PARTS) throw new DecodeError('name has too many parts', cursor.at);
  skipSpaces(cursor);
  const start = cursor.at;
  while (cursor.at < text.length && !'=,+'.includes(text[cursor.at] as string)) cursor.at++;
  if (text[cursor.at] !== '=') throw new DecodeError('expected an attribute type and =', start);
  const type = text.slice(start, cursor.at).trimEnd();
  if (!isOidName(type)) throw new DecodeError('malformed attribute type', start);
  cursor.at++;
  skipSpaces(cursor);
  return { type, value: text[cursor.at] === '#' ? parseHexString(cursor) : parseString(cursor) };
}

/** RFC 4514 §2.4: `#` and the BER of the value; string types only, as LDAP knows no others. */
function parseHexString(cursor: Cursor): Buffer {
  const { text } = cursor;
  const start = cursor.at++;
  const octets: number[] = [];
  for (let octet = hexPair(text, cursor.at); octet >= 0; octet = hexPair(text, cursor.at)) {
    octets.push(octet);
    cursor.at += 2;
  }
  skipSpaces(cursor);
  if (cursor.at < text.length && text[cursor.at] !== ',' && text[cursor.at] !== '+') {
    throw new DecodeError('expected hexadecimal digits', cursor.at);
  }
  try {
    const reader = new BerReader(Buffer.from(octets));
    const tag = reader.peek();
    const decode = STRING_TYPES.get(tag) ?? reader.fail('not a string type');
    const value = reader.octets(tag);
    reader.finish();
    return decode(value);
  } catch (error) {
    if (error instanceof DecodeError)
      throw new DecodeError(`malformed value after #: ${error.message}`, start);
    throw error;
  }
}

const same = (octets: Buffer): Buffer => octets;

/** X.680 §41, by tag: how the octets of a string type become LDAP's, which are UTF-8 (RFC 4517 §3.3.6). */
const STRING_TYPES: ReadonlyMap<number, (octets: Buffer) => Buffer> = new Map([
  [TAG.octetString, same],
  [TAG.utf8String, same],
  [TAG.printableString, same],
  [TAG.ia5String, same],
  [0x12, same], // NumericString
  [0x1a, same], // VisibleString
  // TeletexString: T.61 is long gone; what is written into it is Latin-1.
  [0x14, (octets) => Buffer.from(octets.toString('latin1'))],
  [0x1e, (octets) => fromUnits(octets, 2)], // BMPString
  [0x1c, (octets) => fromUnits(octets, 4)], // UniversalString
]);

/** UTF-16 or UTF-32, big-endian, to UTF-8. */
function fromUnits(octets: Buffer, size: 2 | 4): Buffer {
  let text = '';
  for (let at = 0; at < octets.length; at += size) {
    const code = at + size > octets.length ? Number.NaN : octets.readUIntBE(at, size);
    if (!(code <= 0x10ffff)) throw new DecodeError('no Unicode text', at);
    text += size === 2 ? String.fromCharCode(code) : String.fromCodePoint(code);
  }
  if (!text.isWellFormed()) throw new DecodeError('no Unicode text', 0);
  return Buffer.from(text);
}

function parseString(cursor: Cursor): Buffer {
  const { text } = cursor;
  const pieces: Buffer[] = [];
  let literal = cursor.at;
  /** Behind the last character that isn't an unescaped space. */
  let significant = cursor.at;
  const flush = (end: number): void => {
    if (end > literal) pieces.push(Buffer.from(text.slice(literal, end)));
  };
  for (; cursor.at < text.length; ) {
    const character = text[cursor.at] as string;
    if (character === ',' || character === '+') break;
    if ('"<>;\0'.includes(character)) throw new DecodeError('character must be escaped', cursor.at);
    if (character === '\\') {
      flush(cursor.at);
      pieces.push(parseEscapes(cursor));
      literal = significant = cursor.at;
    } else {
      cursor.at++;
      if (character !== ' ') significant = cursor.at;
    }
  }
  flush(significant);
  return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
}

/** A run of `\` pairs: a special character or two hexadecimal digits each. */
function parseEscapes(cursor: Cursor): Buffer {
  const { text } = cursor;
  const octets: number[] = [];
  while (text[cursor.at] === '\\') {
    const next = text[cursor.at + 1] ?? '';
    if (next !== '' && ' "#+,;<=>\\'.includes(next)) {
      octets.push(next.charCodeAt(0));
      cursor.at += 2;
      continue;
    }
    const octet = hexPair(text, cursor.at + 1);
    if (octet < 0)
      throw new DecodeError('a backslash needs a special character or two hexadecimal digits', cursor.at);
    octets.push(octet);
    cursor.at += 3;
  }
  return Buffer.from(octets);
}

function skipSpaces(cursor: Cursor): void {
  while (cursor.text[cursor.at] === ' ') cursor.at++;
}

export function formatDn(dn: Dn): string {
  return dn.map(formatRdn).join(',');
}

export function formatRdn(rdn: Rdn): string {
  return rdn.map((part) => `${part.type}=${formatNameValue(part)}`).join('+');
}

/** Values of dotted-decimal types, and values that aren't UTF-8, in the `#` form (RFC 4514 §2.4). */
function formatNameValue({ type, value }: NamePart): string {
  if (isOid(type) || !isUtf8(value)) return `#${encodeDer((writer) => writer.octets(value)).toString('hex')}`;
  return escapeNameValue(value.toString());
}

/** A value to be put into a DN string, so that it means itself. Control characters are escaped too: nobody can forge a log line. */
export function escapeNameValue(value: string): string {
  let text = value
    .replace(/["+,;<>\\]/g, '\\$&')
    .replace(/[\0-\x1f\x7f]/g, (character) => escapeOctet(character.charCodeAt(0)));
  if (value.length > 1 && value.endsWith(' ')) text = `${text.slice(0, -1)}\\ `;
  return /^[ #]/.test(value) ? `\\${text}` : text;
}
