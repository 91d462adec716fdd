/**
 * The content digest: the sum modulo 2^256 of one keyed hash an entry, so that it can be kept up to date by adding and
 * subtracting, and computed in any order by the edge (from what it stores) and by the hub (from its mirror).
 */
import { createHmac, hash as hashOnce } from 'node:crypto';

export interface ContentAttribute {
  readonly type: string;
  readonly values: readonly Buffer[];
}

/** The attributes that count, in the order in which they are hashed. Everything else (marks, operational) does not. */
export const CONTENT_ATTRIBUTES: readonly string[] = [
  'posternAddress',
  'posternCatchAll',
  'posternDomainKind',
  'posternMaxAge',
  'posternRecipientDelimiter',
  'posternRecipientKind',
];
/** By the usual spelling and by the one in lower case. */
const RANK = new Map(
  CONTENT_ATTRIBUTES.flatMap((type, rank): [string, number][] => [
    [type, rank],
    [type.toLowerCase(), rank],
  ]),
);

/** Key of the digests of one edge, derived from its address key (a KeyObject-free 32-byte value). */
export function deriveDigestKey(addressKey: Buffer): Buffer {
  return createHmac('sha256', addressKey).update('digest').digest();
}

/** What is hashed, put together here: one call into native code an entry instead of one a value. */
let scratch = Buffer.allocUnsafeSlow(4096);

/**
 * SHA-256 over key || id || canonical content. `id` is the entry's 16-byte GUID. Canonical content: for each attribute that counts, its
 * rank (1 byte), the number of its values (u32), and each value in byte order with its length (u32) before it.
 */
export function entryHash(key: Buffer, id: Buffer, attributes: readonly ContentAttribute[]): Buffer {
  const content = canonical(attributes);
  let length = key.length + id.length;
  for (const { values } of content) {
    length += 5;
    for (const value of values) length += 4 + value.length;
  }
  if (length > scratch.length) scratch = Buffer.allocUnsafeSlow(length * 2);
  scratch.set(key, 0);
  scratch.set(id, key.length);
  let at = key.length + id.length;
  for (const { rank, values } of content) {
    scratch[at] = rank;
    at = scratch.writeUInt32BE(values.length, at + 1);
    for (const value of values) {
      at = scratch.writeUInt32BE(value.length, at);
      scratch.set(value, at);
      at += value.length;
    }
  }
  // As text of one octet a character it comes out of native code three times as fast as a buffer.
  return Buffer.from(hashOnce('sha256', scratch.subarray(0, at), 'binary'), 'latin1');
}

function canonical(
  attributes: readonly ContentAttribute[],
): { readonly rank: number; readonly values: readonly Buffer[] }[] {
  const counted: { rank: number; values: readonly Buffer[] }[] = [];
  for (const { type, values } of attributes) {
    const rank = RANK.get(type) ?? RANK.get(type.toLowerCase());
    if (rank === undefined || values.length === 0) continue;
    counted.push({ rank, values: values.length === 1 ? values : [...values].sort(Buffer.compare) });
  }
  return counted.sort((a, b) => a.rank - b.rank);
}

/** The bucket (0 .. 2^bits - 1) of an entry: the first bits of SHA-256(id), so that GUIDs made in sequence spread. */
export function bucketOf(id: Buffer, bits: number): number {
  return bits === 0 ? 0 : hashOnce('sha256', id, 'buffer').readUInt32BE() >>> (32 - bits);
}

const LIMBS = 8;

/** A count and a sum; plain data, changed in place since it is updated for every entry. */
export class DigestSum {
  count = 0;
  /** 32 bits each, the lowest first. */
  readonly #limbs = new Uint32Array(LIMBS);

  add(hash: Buffer): void {
    this.count++;
    let carry = 0;
    for (let limb = 0; limb < LIMBS; limb++) {
      const sum = (this.#limbs[limb] as number) + limbOf(hash, limb) + carry;
      this.#limbs[limb] = sum;
      carry = sum > 0xffff_ffff ? 1 : 0;
    }
  }

  subtract(hash: Buffer): void {
    this.count--;
    let borrow = 0;
    for (let limb = 0; limb < LIMBS; limb++) {
      const difference = (this.#limbs[limb] as number) - limbOf(hash, limb) - borrow;
      this.#limbs[limb] = difference;
      borrow = difference < 0 ? 1 : 0;
    }
  }

  /** 32 bytes, big-endian. */
  toBytes(): Buffer {
    const bytes = Buffer.allocUnsafe(4 * LIMBS);
    for (let limb = 0; limb < LIMBS; limb++)
      bytes.writeUInt32BE(this.#limbs[limb] as number, 4 * (LIMBS - 1 - limb));
    return bytes;
  }

  static from(count: number, bytes: Buffer): DigestSum {
    const digest = new DigestSum();
    digest.add(bytes);
    digest.count = count;
    return digest;
  }

  equals(other: DigestSum): boolean {
    return this.count === other.count && this.toBytes().equals(other.toBytes());
  }
}

function limbOf(hash: Buffer, limb: number): number {
  return hash.readUInt32BE(4 * (LIMBS - 1 - limb));
}
