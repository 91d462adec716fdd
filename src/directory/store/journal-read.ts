/**
 * Reads a journal from its beginning, group by group, and judges its end: a clean end, a write that never was whole (so never acknowledged), or
 * damage. Changes nothing.
 */
import type { OpenFile } from '../../base/files.ts';
import { damaged, decodeHeader, HEADER_BYTES, JOURNAL_MAGIC } from './file-format.ts';
import { GROUP_HEADER, type GroupFound, readGroup } from './journal-format.ts';

const WINDOW = 4 * 1024 * 1024;

export interface JournalSource {
  readonly file: OpenFile;
  readonly path: string;
  readonly number: number;
  /** Expected identity; undefined when this file is the first to tell it. */
  readonly store: Buffer | undefined;
  /** The sequence number before its first group. */
  readonly after: number;
  /** Where the journal before it ended. */
  readonly previous?: { readonly path: string; readonly offset: number } | undefined;
  /** Read no further than this: what is being written now. */
  readonly limit?: number;
}

export interface JournalEnd {
  readonly store: Buffer;
  readonly tag: Buffer;
  /** Last sequence number; `after` of the source when there is no group. */
  readonly sequence: number;
  readonly groups: number;
  /** Where the groups begin that no later one knew to be durable: the last write. */
  readonly unproved: number;
  /** Where the next group belongs. */
  readonly offset: number;
  readonly size: number;
  /** Bytes of a torn write that follow; 0 when nothing but zeros does. */
  readonly torn: number;
}

export type OnGroup = (bytes: Buffer, group: GroupFound) => boolean;

/** `onGroup` gets each group in order and says whether it is well formed. Throws `store.damaged`. */
export async function readJournal(source: JournalSource, onGroup: OnGroup): Promise<JournalEnd> {
  const { file, path } = source;
  const size = Math.min(await file.size(), source.limit ?? Number.POSITIVE_INFINITY);
  const header = await readHeader(source);
  const window = new Window(file, size);
  const found = emptyGroup();
  let sequence = source.after;
  let groups = 0;
  let offset = HEADER_BYTES;
  let unproved = offset;
  let durable = -1;
  for (let need = GROUP_HEADER; ; ) {
    const at = await window.show(offset, need);
    const kind = readGroup(window.bytes, at, window.end, header.tag, found);
    if (kind === 'more' && offset + found.next - at <= window.size) {
      need = found.next - at;
      continue;
    }
    if (kind === 'group' && groups === 0 && found.sequence > sequence + 1 && source.previous !== undefined) {
      throw damaged(
        source.previous.path,
        source.previous.offset,
        `groups of changes ${sequence + 1} to ${found.sequence - 1} are broken or missing`,
      );
    }
    if (kind !== 'group' || found.sequence !== sequence + 1) break;
    if (!onGroup(window.bytes, found))
      throw damaged(path, offset, `group of changes ${found.sequence} cannot be understood`);
    // All groups of one write name the same number.
    if (found.durable !== durable) unproved = offset;
    durable = found.durable;
    sequence = found.sequence;
    groups += 1;
    offset += found.next - at;
    need = GROUP_HEADER;
  }
  const torn = await judgeRest(window, path, offset, sequence + 1, header.tag);
  return {
    store: header.store,
    tag: header.tag,
    sequence,
    groups,
    unproved,
    offset,
    size: window.size,
    torn,
  };
}

async function readHeader(source: JournalSource): Promise<{ store: Buffer; tag: Buffer }> {
  const bytes = Buffer.alloc(HEADER_BYTES);
  const read = await source.file.read(bytes, 0);
  const header = decodeHeader(JOURNAL_MAGIC, bytes.subarray(0, read));
  if (header === undefined || header.number !== source.number)
    throw damaged(source.path, 0, 'the header of a journal is broken');
  if (source.store !== undefined && !source.store.equals(header.store)) {
    throw damaged(source.path, 0, 'a journal belongs to another store');
  }
  return header;
}

/**
 * No whole group `expected` at `offset`: if a later group of this file knew that one to be durable, it was acknowledged and is now broken. Else it is
 * the last write, which power loss or a kill cut short (parts of it may be whole, in any order). Returns the bytes from `offset` to the last that
 * isn't zero.
 */
async function judgeRest(
  window: Window,
  path: string,
  offset: number,
  expected: number,
  tag: Buffer,
): Promise<number> {
  const found = emptyGroup();
  let end = offset;
  for (let from = offset; from < window.size; ) {
    let at = await window.show(from, GROUP_HEADER);
    const hit = window.bytes.indexOf(tag, at);
    const stop = hit < 0 || hit + tag.length > window.end ? window.end : hit;
    end = Math.max(end, from + usedBytes(window.bytes, at, stop));
    from += stop - at;
    if (stop !== hit) {
      // A tag may straddle the end of what was read.
      if (from < window.size) from -= tag.length - 1;
      continue;
    }
    let kind = readGroup(window.bytes, hit, window.end, tag, found);
    if (kind === 'more' && from + found.next - hit <= window.size) {
      at = await window.show(from, found.next - hit);
      kind = readGroup(window.bytes, at, window.end, tag, found);
    }
    if (kind === 'group' && found.durable >= expected) {
      throw damaged(
        path,
        offset,
        `group of changes ${expected}, which had been written completely, is broken`,
      );
    }
    end = Math.max(end, from + tag.length);
    from += tag.length;
  }
  return end - offset;
}

/** Bytes of `[start, end)` without the zeros at its end. */
function usedBytes(bytes: Buffer, start: number, end: number): number {
  let at = end;
  while (at > start && bytes[at - 1] === 0) at -= 1;
  return at - start;
}

function emptyGroup(): GroupFound {
  return { sequence: 0, durable: 0, changes: 0, start: 0, end: 0, next: 0 };
}

/** A part of a file in memory that moves forward. */
class Window {
  readonly #file: OpenFile;
  size: number;
  bytes = Buffer.alloc(0);
  /** How much of `bytes` holds something. */
  end = 0;
  /** Place in the file of the first byte of `bytes`. */
  #base = 0;

  constructor(file: OpenFile, size: number) {
    this.#file = file;
    this.size = size;
  }

  /** Where `offset` of the file stands in `bytes`; at least `need` bytes from there are present, or all up to the file's end. */
  async show(offset: number, need: number): Promise<number> {
    const wanted = Math.min(need, this.size - offset);
    const at = offset - this.#base;
    if (at >= 0 && at + wanted <= this.end) return at;
    const kept = at >= 0 && at < this.end ? this.end - at : 0;
    const capacity = Math.min(Math.max(WINDOW, wanted), Math.max(wanted, this.size - offset));
    const next = this.bytes.length >= capacity ? this.bytes : Buffer.allocUnsafeSlow(capacity);
    if (kept > 0) this.bytes.copy(next, 0, at, this.end);
    this.bytes = next;
    this.#base = offset;
    const rest = Math.min(next.length, this.size - offset) - kept;
    const read = await this.#file.read(next.subarray(kept, kept + rest), offset + kept);
    this.end = kept + read;
    if (read < rest) this.size = offset + this.end;
    return 0;
  }
}
