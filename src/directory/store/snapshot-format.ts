/**
 * A snapshot's end as bytes; pure. A snapshot is: header (`file-format`), chunks of blocks as they stand in slabs (`slab`, record numbers rising
 * throughout), then this trailer: sequence (u64), above every record number (u32), records (u32), number of chunks (u32), length and CRC-32 of each chunk,
 * number of named values (u32), for each: name length (u8), length (u32), name, bytes; then its own end of 32 bytes:
 * magic (8), place of the trailer (u64), its length without this end (u32), its CRC-32 (u32), 0 (4), CRC-32 of these 28 bytes (u32).
 */
import { crc32 } from 'node:zlib';

export const SNAPSHOT_END_BYTES = 32;
const END_MAGIC = Buffer.from('PSTNEND1');

export interface SnapshotTrailer {
  /** The snapshot holds parts of changes up to this group; it is whole only with the journals up to there. */
  readonly sequence: number;
  readonly idLimit: number;
  readonly records: number;
  readonly chunks: readonly { readonly length: number; readonly checksum: number }[];
  readonly meta: ReadonlyMap<string, Buffer>;
}

/** `place`: where in the file the trailer begins. */
export function encodeTrailer(trailer: SnapshotTrailer, place: number): Buffer {
  const fixed = Buffer.alloc(20 + trailer.chunks.length * 8 + 4);
  fixed.writeBigUInt64LE(BigInt(trailer.sequence), 0);
  fixed.writeUInt32LE(trailer.idLimit, 8);
  fixed.writeUInt32LE(trailer.records, 12);
  fixed.writeUInt32LE(trailer.chunks.length, 16);
  for (const [index, chunk] of trailer.chunks.entries()) {
    fixed.writeUInt32LE(chunk.length, 20 + index * 8);
    fixed.writeUInt32LE(chunk.checksum, 24 + index * 8);
  }
  fixed.writeUInt32LE(trailer.meta.size, fixed.length - 4);
  const meta = [...trailer.meta].flatMap(([name, bytes]) => {
    const nameBytes = Buffer.from(name);
    const head = Buffer.alloc(5);
    head[0] = nameBytes.length;
    head.writeUInt32LE(bytes.length, 1);
    return [head, nameBytes, bytes];
  });
  const body = Buffer.concat([fixed, ...meta]);
  const end = Buffer.alloc(SNAPSHOT_END_BYTES);
  END_MAGIC.copy(end);
  end.writeBigUInt64LE(BigInt(place), 8);
  end.writeUInt32LE(body.length, 16);
  end.writeUInt32LE(crc32(body), 20);
  end.writeUInt32LE(crc32(end.subarray(0, 28)), 28);
  return Buffer.concat([body, end]);
}

/** Where the trailer is, from the last 32 bytes of a file of `size`; undefined when they are broken. */
export function decodeEnd(
  end: Buffer,
  size: number,
): { place: number; length: number; checksum: number } | undefined {
  if (end.length !== SNAPSHOT_END_BYTES || !end.subarray(0, 8).equals(END_MAGIC)) return undefined;
  if (end.readUInt32LE(28) !== crc32(end.subarray(0, 28))) return undefined;
  const found = {
    place: Number(end.readBigUInt64LE(8)),
    length: end.readUInt32LE(16),
    checksum: end.readUInt32LE(20),
  };
  return found.place + found.length + SNAPSHOT_END_BYTES === size ? found : undefined;
}

/** `body`: the trailer without its end, checksum verified. Undefined when it isn't well formed. */
export function decodeTrailer(body: Buffer): SnapshotTrailer | undefined {
  if (body.length < 24) return undefined;
  const count = body.readUInt32LE(16);
  if (24 + count * 8 > body.length) return undefined;
  const chunks = Array.from({ length: count }, (_, index) => ({
    length: body.readUInt32LE(20 + index * 8),
    checksum: body.readUInt32LE(24 + index * 8),
  }));
  const meta = new Map<string, Buffer>();
  let at = 24 + count * 8;
  for (let left = body.readUInt32LE(at - 4); left > 0; left -= 1) {
    if (at + 5 > body.length) return undefined;
    const name = at + 5;
    const value = name + (body[at] as number);
    at = value + body.readUInt32LE(name - 4);
    if (at > body.length) return undefined;
    meta.set(body.toString('utf8', name, value), Buffer.from(body.subarray(value, at)));
  }
  if (at !== body.length) return undefined;
  return {
    sequence: Number(body.readBigUInt64LE(0)),
    idLimit: body.readUInt32LE(8),
    records: body.readUInt32LE(12),
    chunks,
    meta,
  };
}
