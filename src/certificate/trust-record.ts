/**
 * One copy of the trust store as bytes: a header line and a JSON document.
 *
 *   postern-trust 1 NAME SEQUENCE BYTES SHA256\n{ ...document... }\n
 *
 * The checksum covers name, sequence number and document. It finds damage, not malice: the file is as trustworthy as the folder it is in.
 */
import { createHash } from 'node:crypto';
import { PosternError } from '../base/error.ts';

export interface TrustRecord {
  /** Grows with every write; the copy with the larger one is the newer. */
  readonly sequence: number;
  readonly document: unknown;
}

export const MOST_TRUST_BYTES = 16 * 1024 * 1024;
const HEADER = /^postern-trust 1 ([a-z0-9-]{1,40}) ([0-9]{1,15}) ([0-9]{1,8}) ([0-9a-f]{64})\n/;
const LONGEST_HEADER = 160;

export function encodeTrustRecord(name: string, record: TrustRecord): Buffer {
  const body = Buffer.from(`${JSON.stringify(record.document, null, 1)}\n`);
  if (body.length > MOST_TRUST_BYTES - LONGEST_HEADER) throw damaged('the document is too large');
  const head = Buffer.from(
    `postern-trust 1 ${name} ${record.sequence} ${body.length} ${checksum(name, record.sequence, body)}\n`,
  );
  return Buffer.concat([head, body]);
}

/** Throws `trust.damaged` with what is wrong, for anything that isn't exactly a whole record of that name. */
export function decodeTrustRecord(name: string, bytes: Buffer): TrustRecord {
  const match = HEADER.exec(bytes.toString('latin1', 0, LONGEST_HEADER));
  if (match === null) throw damaged(bytes.length === 0 ? 'it is empty' : 'its header is damaged');
  const [header, found, sequence, length, sum] = match;
  const body = bytes.subarray(header.length);
  if (found !== name) throw damaged(`it belongs to another store (${found})`);
  if (body.length !== Number(length)) throw damaged(`it has ${body.length} of ${length} bytes`);
  if (checksum(name, Number(sequence), body) !== sum) throw damaged('its checksum does not fit');
  return { sequence: Number(sequence), document: parse(body) };
}

/** The parser's own message would quote the document, and with it secrets. */
function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw damaged('its document is not JSON');
  }
}

function checksum(name: string, sequence: number, body: Buffer): string {
  return createHash('sha256').update(`${name} ${sequence}\n`).update(body).digest('hex');
}

function damaged(why: string): PosternError {
  return new PosternError('trust.damaged', why);
}
