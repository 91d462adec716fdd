/**
 * What the store's files have in common: names, the header (kind, number, identity), and how damage is named.
 *
 *   snapshot.<n>   all records as they were while journal n was begun, chunk by chunk
 *   journal.<n>    every change since; journal n+1 goes on where n ends
 *   *.new          not finished, so not there
 *
 * Header, 64 bytes: magic (8), number (u32), 0 (u32), store (16), tag (8), sequence (u64), time (u64), 0 (4), CRC-32 of all that (u32). Integers are little-endian.
 */
import { crc32 } from 'node:zlib';
import { PosternError } from '../../base/error.ts';

export const HEADER_BYTES = 64;
export const JOURNAL_MAGIC = Buffer.from('PSTNJRN1');
export const SNAPSHOT_MAGIC = Buffer.from('PSTNSNP1');

export interface FileHeader {
  readonly number: number;
  /** 16 random bytes, the same in all files of a store. */
  readonly store: Buffer;
  /** 8 random bytes of this file: groups of other files, or of nothing, don't begin with them. */
  readonly tag: Buffer;
  /** Snapshot: the last group before journal `number`. Journal: 0. */
  readonly sequence: number;
  /** When the file was begun, milliseconds since 1970. */
  readonly time: number;
}

export function encodeHeader(magic: Buffer, header: FileHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  magic.copy(bytes, 0);
  bytes.writeUInt32LE(header.number, 8);
  header.store.copy(bytes, 16);
  header.tag.copy(bytes, 32);
  bytes.writeBigUInt64LE(BigInt(header.sequence), 40);
  bytes.writeBigUInt64LE(BigInt(Math.max(0, Math.trunc(header.time))), 48);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 60)), 60);
  return bytes;
}

/** Undefined when the bytes aren't a whole header of that kind. */
export function decodeHeader(magic: Buffer, bytes: Buffer): FileHeader | undefined {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, 8).equals(magic)) return undefined;
  if (bytes.readUInt32LE(60) !== crc32(bytes.subarray(0, 60))) return undefined;
  return {
    number: bytes.readUInt32LE(8),
    store: Buffer.from(bytes.subarray(16, 32)),
    tag: Buffer.from(bytes.subarray(32, 40)),
    sequence: Number(bytes.readBigUInt64LE(40)),
    time: Number(bytes.readBigUInt64LE(48)),
  };
}

export const journalName = (number: number): string => `journal.${number}`;
export const snapshotName = (number: number): string => `snapshot.${number}`;

/** The numbers of the files of each kind, rising, and the names of unfinished ones. */
export function sortNames(names: readonly string[]): {
  snapshots: number[];
  journals: number[];
  unfinished: string[];
} {
  const numbers = (kind: string): number[] =>
    names
      .flatMap((name) => new RegExp(`^${kind}\\.(\\d{1,9})$`).exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  return {
    snapshots: numbers('snapshot'),
    journals: numbers('journal'),
    unfinished: names.filter((name) => /^(snapshot|journal)\.\d{1,9}\.new$/.test(name)),
  };
}

export function damaged(file: string, offset: number, what: string): PosternError {
  return new PosternError('store.damaged', `stored data is damaged in ${file} at byte ${offset}: ${what}`, {
    fields: { file, offset },
    hint: 'check the disk, then move the folder away: a replica is loaded again from its source, anything else comes from a backup',
  });
}
