/**
 * The content digest: the sum modulo 2^256 of one keyed hash an entry, so that it can be kept up to date by adding and
 * subtracting, and computed in any order by the edge (from what it stores) and by the hub (from its mirror).
 */
import { createHash, createHmac } from 'node:crypto';

export interface ContentAttribute {
  readonly type: string;
  readonly values: readonly Buffer[];
}

const MODULUS = 1n << 256n;
const MASK = MODULUS - 1n;

/** The attributes that count, in the order in which they are hashed. Everything else (marks, operational) does not. */
export const CONTENT_ATTRIBUTES: readonly string[] = [
  'posternAddress',
  'posternCatchAll',
  'posternDomainKind',
  'posternMaxAge',
  'posternRecipientDelimiter',
  'posternRecipientKind',
];
const RANK = new Map(CONTENT_ATTRIBUTES.map((type, rank) => [type.toLowerCase(), rank]));

/** Key of the digests of one edge, derived from its address key (a KeyObject-free 32-byte value). */
export function deriveDigestKey(addressKey: Buffer): Buffer {
  return createHmac('sha256', addressKey).update('digest').digest();
}

/** SHA-256 over key || id || canonical content. `id` is the entry's 16-byte GUID. */
export function entryHash(key: Buffer, id: Buffer, attributes: readonly ContentAttribute[]): Buffer {
  const hash = createHash('sha256').update(key).update(id);
  for (const { type, values } of canonical(attributes)) {
    const head = Buffer.allocUnsafe(5);
    head[0] = RANK.get(type.toLowerCase()) ?? 255;
    head.writeUInt32BE(values.length, 1);
    hash.update(head);
    for (const value of values) {
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32BE(value.length);
      hash.update(length).update(value);
    }
  }
  return hash.digest();
}

function canonical(attributes: readonly ContentAttribute[]): ContentAttribute[] {
  const counted: { type: string; values: Buffer[]; rank: number }[] = [];
  for (const { type, values } of attributes) {
    const rank = RANK.get(type.toLowerCase());
    if (rank !== undefined && values.length > 0)
      counted.push({ type, values: [...values].sort(Buffer.compare), rank });
  }
  return counted.sort((a, b) => a.rank - b.rank);
}

/** The bucket (0 .. 2^bits - 1) of an entry: the first bits of SHA-256(id), so that GUIDs made in sequence spread. */
export function bucketOf(id: Buffer, bits: number): number {
  return bits === 0 ? 0 : createHash('sha256').update(id).digest().readUInt32BE() >>> (32 - bits);
}

/** A count and a sum; plain data, changed in place since it is updated for every entry. */
export class DigestSum {
  count = 0;
  sum = 0n;

  add(hash: Buffer): void {
    this.count++;
    this.sum = (this.sum + toNumber(hash)) & MASK;
  }

  subtract(hash: Buffer): void {
    this.count--;
    this.sum = (this.sum - toNumber(hash) + MODULUS) & MASK;
  }

  /** 32 bytes, big-endian. */
  toBytes(): Buffer {
    return Buffer.from(this.sum.toString(16).padStart(64, '0'), 'hex');
  }

  static from(count: number, bytes: Buffer): DigestSum {
    const digest = new DigestSum();
    digest.count = count;
    digest.sum = toNumber(bytes);
    return digest;
  }

  equals(other: DigestSum): boolean {
    return this.count === other.count && this.sum === other.sum;
  }
}

function toNumber(hash: Buffer): bigint {
  return (
    (hash.readBigUInt64BE(0) << 192n) |
    (hash.readBigUInt64BE(8) << 128n) |
    (hash.readBigUInt64BE(16) << 64n) |
    hash.readBigUInt64BE(24)
  );
}
