/**
 * How an entry's octets stand in the store, and a cursor over them that allocates nothing.
 *
 *    0  u8   version (1)
 *    1  u8   flags: 1 = the normalised RDN equals the written one
 *    2  u16  number of attributes
 *    4  u32  parent's record number; 0 for a naming context, whose "RDN" is its whole DN
 *    8  16   entryUUID
 *   24  u48  createTimestamp, ms
 *   30  u48  time of entryCSN, ms (modifyTimestamp)
 *   36  u32  count of entryCSN
 *   40  u16  creatorsName, 42 u16 modifiersName: numbers of the dictionary
 *   44  u16  length of the written RDN, 46 u16 length of the normalised one (0 when equal)
 *   48  written RDN, normalised RDN
 *       per attribute: u16 descriptor, u32 end of its octets (from the first attribute's start)
 *       per attribute: PartialAttribute (RFC 4511 §4.1.7), ready to be sent
 *
 * Little-endian. RDN and parent rather than a DN, so that a subtree moves without touching its entries.
 */
import type { BlobView } from '../store/contract.ts';

export const LAYOUT_VERSION = 1;
export const HEADER_LENGTH = 48;
export const SAME_RDN = 1;
/** Bytes of one row of the attribute directory. */
export const ROW_LENGTH = 6;

export const OFFSET = {
  flags: 1,
  attributeCount: 2,
  parent: 4,
  uuid: 8,
  created: 24,
  changed: 30,
  count: 36,
  creator: 40,
  modifier: 42,
  rdnLength: 44,
  normalRdnLength: 46,
} as const;

export function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

export function u32(bytes: Uint8Array, at: number): number {
  return (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;
}

export function u48(bytes: Uint8Array, at: number): number {
  return u32(bytes, at) + u16(bytes, at + 4) * 0x1_0000_0000;
}

const EMPTY = Buffer.alloc(0);

/** One entry at a time: `store.read(id, view)` moves it. Offsets it gives are into `buffer` and live as long as the view does. */
export class EntryView implements BlobView {
  buffer: Buffer = EMPTY;
  start = 0;
  end = 0;

  get parent(): number {
    return u32(this.buffer, this.start + OFFSET.parent);
  }

  get attributeCount(): number {
    return u16(this.buffer, this.start + OFFSET.attributeCount);
  }

  get rdnStart(): number {
    return this.start + HEADER_LENGTH;
  }

  get rdnLength(): number {
    return u16(this.buffer, this.start + OFFSET.rdnLength);
  }

  get normalRdnStart(): number {
    const sameRdn = ((this.buffer[this.start + OFFSET.flags] as number) & SAME_RDN) !== 0;
    return this.start + HEADER_LENGTH + (sameRdn ? 0 : this.rdnLength);
  }

  get normalRdnLength(): number {
    const length = u16(this.buffer, this.start + OFFSET.normalRdnLength);
    return ((this.buffer[this.start + OFFSET.flags] as number) & SAME_RDN) !== 0 ? this.rdnLength : length;
  }

  /** Start of the attribute directory. */
  get rows(): number {
    return (
      this.start + HEADER_LENGTH + this.rdnLength + u16(this.buffer, this.start + OFFSET.normalRdnLength)
    );
  }

  /** Start of the first attribute's octets. */
  get attributes(): number {
    return this.rows + this.attributeCount * ROW_LENGTH;
  }

  uuid(): Buffer {
    return Buffer.from(this.buffer.subarray(this.start + OFFSET.uuid, this.start + OFFSET.uuid + 16));
  }

  rdn(): Buffer {
    return Buffer.from(this.buffer.subarray(this.rdnStart, this.rdnStart + this.rdnLength));
  }

  created(): number {
    return u48(this.buffer, this.start + OFFSET.created);
  }

  changed(): number {
    return u48(this.buffer, this.start + OFFSET.changed);
  }

  changeCount(): number {
    return u32(this.buffer, this.start + OFFSET.count);
  }

  creator(): number {
    return u16(this.buffer, this.start + OFFSET.creator);
  }

  modifier(): number {
    return u16(this.buffer, this.start + OFFSET.modifier);
  }

  /** Descriptor number of attribute `n`. */
  descriptor(n: number): number {
    return u16(this.buffer, this.rows + n * ROW_LENGTH);
  }

  /** Start of attribute `n`'s PartialAttribute. */
  attributeStart(n: number): number {
    return n === 0
      ? this.attributes
      : this.attributes + u32(this.buffer, this.rows + (n - 1) * ROW_LENGTH + 2);
  }

  attributeEnd(n: number): number {
    return this.attributes + u32(this.buffer, this.rows + n * ROW_LENGTH + 2);
  }
}

/** Start of an element's content, `at` being its identifier octet (lengths as `writer.ts` makes them). */
export function contentStart(bytes: Uint8Array, at: number): number {
  const first = bytes[at + 1] as number;
  return first < 0x80 ? at + 2 : at + 2 + (first & 0x7f);
}

/** Length of an element's content, `at` being its identifier octet. */
export function contentLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at + 1] as number;
  if (first < 0x80) return first;
  let length = 0;
  for (let i = at + 2, end = i + (first & 0x7f); i < end; i++) length = length * 256 + (bytes[i] as number);
  return length;
}

/** Where the values of a PartialAttribute begin: behind the description and the SET's header. They end where it ends. */
export function valuesStart(bytes: Uint8Array, attributeStart: number): number {
  const description = contentStart(bytes, attributeStart);
  const set = contentStart(bytes, description) + contentLength(bytes, description);
  return contentStart(bytes, set);
}

/** Copies of the values between two offsets, as `valuesStart` and `attributeEnd` give them. */
export function valuesBetween(bytes: Buffer, start: number, end: number): Buffer[] {
  const values: Buffer[] = [];
  for (let at = start; at < end; ) {
    const content = contentStart(bytes, at);
    at = content + contentLength(bytes, at);
    values.push(Buffer.from(bytes.subarray(content, at)));
  }
  return values;
}
