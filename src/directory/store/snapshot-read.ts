/** Reads and checks a snapshot: straight into slabs, or only its checksums. */
import type { OpenFile } from '../../base/files.ts';
import { crc32 } from 'node:zlib';
import type { RecordMemory } from './batch.ts';
import { damaged, decodeHeader, HEADER_BYTES, SNAPSHOT_MAGIC } from './file-format.ts';
import { decodeEnd, decodeTrailer, SNAPSHOT_END_BYTES, type SnapshotTrailer } from './snapshot-format.ts';

export interface SnapshotFound {
  readonly store: Buffer;
  /** Last group before the journal of the same number. */
  readonly after: number;
  /** When it was begun, milliseconds since 1970. */
  readonly time: number;
  readonly trailer: SnapshotTrailer;
  readonly size: number;
}

/** Reads header and trailer. Throws `store.damaged`. */
export async function readOutline(file: OpenFile, path: string, number: number): Promise<SnapshotFound> {
  const size = await file.size();
  const header = decodeHeader(SNAPSHOT_MAGIC, await readAt(file, 0, HEADER_BYTES));
  if (header === undefined || header.number !== number)
    throw damaged(path, 0, 'the header of a snapshot is broken');
  const endPlace = Math.max(0, size - SNAPSHOT_END_BYTES);
  const end = decodeEnd(await readAt(file, endPlace, SNAPSHOT_END_BYTES), size);
  if (end === undefined) throw damaged(path, endPlace, 'the end of a snapshot is broken');
  const body = await readAt(file, end.place, end.length);
  const trailer = crc32(body) === end.checksum ? decodeTrailer(body) : undefined;
  const chunks = trailer?.chunks.reduce((sum, chunk) => sum + chunk.length, HEADER_BYTES);
  if (trailer === undefined || chunks !== end.place)
    throw damaged(path, end.place, 'the directory of a snapshot is broken');
  return { store: header.store, after: header.sequence, time: header.time, trailer, size };
}

/** Fills an empty memory. While one chunk is checked, the next is being read. */
export async function loadSnapshot(
  file: OpenFile,
  path: string,
  found: SnapshotFound,
  memory: RecordMemory,
): Promise<void> {
  const { heap, meta } = memory;
  const { chunks } = found.trailer;
  let place = HEADER_BYTES;
  let last = 0;
  const read = (index: number): Reading | undefined => {
    const chunk = chunks[index];
    if (chunk === undefined) return undefined;
    const room = heap.reserve(chunk.length);
    const bytes = room.buffer.subarray(room.start, room.start + chunk.length);
    const reading = { ...chunk, bytes, place, address: room.address, done: file.read(bytes, place) };
    // Awaited later, perhaps never: a failure of a chunk before this one comes first.
    reading.done.catch(() => {});
    place += chunk.length;
    return reading;
  };
  let ahead = read(0);
  for (let index = 1; ahead !== undefined; index += 1) {
    const reading: Reading = ahead;
    ahead = read(index);
    if ((await reading.done) !== reading.length || crc32(reading.bytes) !== reading.checksum) {
      throw damaged(
        path,
        reading.place,
        `records in a snapshot are broken (part ${index} of ${chunks.length})`,
      );
    }
    last = heap.adopt(reading.address, reading.length, last);
    if (last < 0) {
      throw damaged(
        path,
        reading.place,
        `records in a snapshot cannot be understood (part ${index} of ${chunks.length})`,
      );
    }
  }
  if (heap.records !== found.trailer.records || last >= found.trailer.idLimit) {
    throw damaged(path, 0, 'a snapshot contradicts its directory');
  }
  for (const [name, bytes] of found.trailer.meta) meta.set(name, bytes);
}

interface Reading {
  readonly length: number;
  readonly checksum: number;
  readonly bytes: Buffer;
  readonly place: number;
  readonly address: number;
  readonly done: Promise<number>;
}

/** Reads every chunk again and compares checksums, without keeping anything. */
export async function checkSnapshot(file: OpenFile, path: string, found: SnapshotFound): Promise<void> {
  let place = HEADER_BYTES;
  let bytes = Buffer.alloc(0);
  for (const { length, checksum } of found.trailer.chunks) {
    if (bytes.length < length) bytes = Buffer.allocUnsafeSlow(length);
    const chunk = bytes.subarray(0, length);
    if ((await file.read(chunk, place)) !== length || crc32(chunk) !== checksum) {
      throw damaged(path, place, 'records in a snapshot are broken');
    }
    place += length;
  }
}

async function readAt(file: OpenFile, place: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, await file.read(bytes, place));
}
