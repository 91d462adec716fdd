/**
 * Writes a snapshot in the background while the store goes on changing: records are copied in the order of their numbers, a slice at a time, each as
 * it is at that moment. Because the journal begun just before is replayed over it, it doesn't matter which of that journal's changes it
 * already holds; it is worth something as soon as those changes are on the disk.
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { type Clock, yieldToLoop } from '../../base/clock.ts';
import type { Files, OpenFile } from '../../base/files.ts';
import type { RecordMemory } from './batch.ts';
import type { BlobView } from './contract.ts';
import { encodeHeader, HEADER_BYTES, SNAPSHOT_MAGIC, snapshotName } from './file-format.ts';
import { BLOCK_HEADER, blockBytes } from './slab.ts';
import { encodeTrailer } from './snapshot-format.ts';

const SLICE_MS = 1;
/** Records copied between two looks at the clock. */
const RECORDS_A_LOOK = 64;
/** Bytes between two flushes, so that the disk isn't given all at once at the end. */
const FLUSH_EVERY = 4 * 1024 * 1024;

export interface SnapshotSource {
  files: Files;
  folder: string;
  clock: Clock;
  memory: RecordMemory;
  chunkBytes: number;
  number: number;
  store: Buffer;
  tag: Buffer;
  /** Last group before journal `number`. */
  after: number;
  /** Last group committed by now. */
  committed: () => number;
  /** Resolves when everything committed so far is on the disk. */
  flushJournal: () => Promise<void>;
  /** Resolves when no batch is open; throws to give up. */
  pause: () => Promise<void>;
}

/** Resolves with the snapshot's size when it stands, durably, under its name. Nothing is left behind when it fails. */
export async function writeSnapshot(source: SnapshotSource): Promise<number> {
  const { files, folder, number } = source;
  const path = join(folder, snapshotName(number));
  const file = await files.open(`${path}.new`, 'create');
  let size: number;
  try {
    try {
      size = await writeAll(file, source);
    } finally {
      await file.close();
    }
    await source.flushJournal();
    await files.rename(`${path}.new`, path);
    await files.syncFolder(folder);
  } catch (error) {
    await files.remove(`${path}.new`).catch(() => {});
    throw error;
  }
  return size;
}

async function writeAll(file: OpenFile, source: SnapshotSource): Promise<number> {
  const { memory, number, store, tag, after, clock } = source;
  await file.write(
    encodeHeader(SNAPSHOT_MAGIC, { number, store, tag, sequence: after, time: clock.now() }),
    0,
  );
  const out = new ChunkWriter(file, source.chunkBytes);
  const view: BlobView = { buffer: Buffer.alloc(0), start: 0, end: 0 };
  let records = 0;
  await source.pause();
  // Records that come later are in the journal; going after them might never end.
  const idLimit = memory.ids.limit;
  let sliceEnd = clock.monotonic() + SLICE_MS;
  for (let id = 1; id < idLimit; id += 1) {
    if (memory.heap.read(id, view)) {
      const length = blockBytes(view.end - view.start);
      if (!out.fits(length)) {
        await out.writeChunk();
        await source.pause();
        sliceEnd = clock.monotonic() + SLICE_MS;
        // The record may have changed meanwhile: look again.
        id -= 1;
        continue;
      }
      out.add(view.buffer, view.start - BLOCK_HEADER, length);
      records += 1;
    }
    if (id % RECORDS_A_LOOK === 0 && clock.monotonic() >= sliceEnd) {
      await yieldToLoop();
      await source.pause();
      sliceEnd = clock.monotonic() + SLICE_MS;
    }
  }
  // No turn of the loop between the last record, the named values and this number.
  const trailer = {
    sequence: source.committed(),
    idLimit,
    records,
    chunks: out.chunks,
    meta: new Map(memory.meta),
  };
  await out.writeChunk();
  const end = encodeTrailer(trailer, out.place);
  await file.write(end, out.place);
  await file.datasync();
  return out.place + end.length;
}

/** Gathers blocks to chunks. */
class ChunkWriter {
  readonly #file: OpenFile;
  #bytes: Buffer;
  #length = 0;
  #unflushed = 0;
  readonly chunks: { length: number; checksum: number }[] = [];
  /** Where the next chunk goes. */
  place = HEADER_BYTES;

  constructor(file: OpenFile, chunkBytes: number) {
    this.#file = file;
    this.#bytes = Buffer.allocUnsafeSlow(chunkBytes);
  }

  /** A block longer than a chunk makes a chunk of its own. */
  fits(length: number): boolean {
    return this.#length === 0 || this.#length + length <= this.#bytes.length;
  }

  add(from: Buffer, start: number, length: number): void {
    if (this.#length + length > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(length);
    from.copy(this.#bytes, this.#length, start, start + length);
    this.#length += length;
  }

  async writeChunk(): Promise<void> {
    if (this.#length === 0) return;
    const chunk = this.#bytes.subarray(0, this.#length);
    await this.#file.write(chunk, this.place);
    this.chunks.push({ length: chunk.length, checksum: crc32(chunk) });
    this.place += chunk.length;
    this.#unflushed += chunk.length;
    this.#length = 0;
    if (this.#unflushed < FLUSH_EVERY) return;
    await this.#file.datasync();
    this.#unflushed = 0;
  }
}
