/**
 * An entry being made or changed: plain data with its attributes as PartialAttribute octets, and its way to and from the
 * stored layout. Structure only: the schema is checked elsewhere.
 */
import { lengthOctets } from '../../asn1/writer.ts';
import { refuse } from '../refusal.ts';
import type { Descriptor, Dictionary } from './dictionary.ts';
import {
  EntryView,
  HEADER_LENGTH,
  LAYOUT_VERSION,
  OFFSET,
  ROW_LENGTH,
  SAME_RDN,
  valuesBetween,
  valuesStart,
} from './layout.ts';

export interface DraftAttribute {
  readonly descriptor: Descriptor;
  /** Decoded when needed. At least one. */
  values: Buffer[];
}

export interface Draft {
  parent: number;
  /** 16 octets. */
  uuid: Buffer;
  created: number;
  changed: number;
  changeCount: number;
  creator: number;
  modifier: number;
  /** As shown (UTF-8); a naming context has its whole DN here. */
  rdn: Buffer;
  normalRdn: Buffer;
  attributes: DraftAttribute[];
}

/** Longest entry as stored: half of what a store's slab holds. */
export const LONGEST_ENTRY = 4 << 20;
/** Longest RDN; its length has 16 bits. */
export const LONGEST_RDN = 0xffff;

/** Copies a stored entry into a draft. */
export function readDraft(view: EntryView, dictionary: Dictionary): Draft {
  const { buffer } = view;
  const attributes: DraftAttribute[] = [];
  for (let n = 0, count = view.attributeCount; n < count; n++) {
    const start = view.attributeStart(n);
    const values = valuesBetween(buffer, valuesStart(buffer, start), view.attributeEnd(n));
    attributes.push({ descriptor: dictionary.descriptor(view.descriptor(n)), values });
  }
  return {
    parent: view.parent,
    uuid: view.uuid(),
    created: view.created(),
    changed: view.changed(),
    changeCount: view.changeCount(),
    creator: view.creator(),
    modifier: view.modifier(),
    rdn: view.rdn(),
    normalRdn: Buffer.from(buffer.subarray(view.normalRdnStart, view.normalRdnStart + view.normalRdnLength)),
    attributes,
  };
}

/** Reused from entry to entry; grows to the longest one. */
let scratch = Buffer.allocUnsafeSlow(65_536);

/** The stored form: octets `0` to `length` of `buffer`, valid until the next call. */
export function encodeDraft(draft: Draft): { buffer: Buffer; length: number } {
  const sameRdn = draft.rdn === draft.normalRdn || draft.rdn.equals(draft.normalRdn);
  if (draft.rdn.length > LONGEST_RDN || draft.normalRdn.length > LONGEST_RDN)
    refuse('namingViolation', 'name is too long');
  const normalLength = sameRdn ? 0 : draft.normalRdn.length;
  const rows = HEADER_LENGTH + draft.rdn.length + normalLength;
  const first = rows + draft.attributes.length * ROW_LENGTH;
  let length = first;
  for (const attribute of draft.attributes) length += attributeOctets(attribute).total;
  if (length > LONGEST_ENTRY) refuse('adminLimitExceeded', 'the entry is too large');
  if (length > scratch.length) scratch = Buffer.allocUnsafeSlow(length + (length >> 1));
  const out = scratch;
  out[0] = LAYOUT_VERSION;
  out[OFFSET.flags] = sameRdn ? SAME_RDN : 0;
  out.writeUInt16LE(draft.attributes.length, OFFSET.attributeCount);
  out.writeUInt32LE(draft.parent, OFFSET.parent);
  out.set(draft.uuid, OFFSET.uuid);
  out.writeUIntLE(draft.created, OFFSET.created, 6);
  out.writeUIntLE(draft.changed, OFFSET.changed, 6);
  out.writeUInt32LE(draft.changeCount, OFFSET.count);
  out.writeUInt16LE(draft.creator, OFFSET.creator);
  out.writeUInt16LE(draft.modifier, OFFSET.modifier);
  out.writeUInt16LE(draft.rdn.length, OFFSET.rdnLength);
  out.writeUInt16LE(normalLength, OFFSET.normalRdnLength);
  out.set(draft.rdn, HEADER_LENGTH);
  if (!sameRdn) out.set(draft.normalRdn, HEADER_LENGTH + draft.rdn.length);
  let at = first;
  for (const [n, attribute] of draft.attributes.entries()) {
    at = writeAttribute(out, at, attribute);
    const row = rows + n * ROW_LENGTH;
    out.writeUInt16LE(attribute.descriptor.id, row);
    out.writeUInt32LE(at - first, row + 2);
  }
  return { buffer: out, length };
}

function attributeOctets({ descriptor, values }: DraftAttribute): {
  set: number;
  content: number;
  total: number;
} {
  let set = 0;
  for (const value of values) set += 1 + lengthOctets(value.length) + value.length;
  const content = descriptor.wire.length + 1 + lengthOctets(set) + set;
  return { set, content, total: 1 + lengthOctets(content) + content };
}

function writeAttribute(out: Buffer, start: number, attribute: DraftAttribute): number {
  const { set, content } = attributeOctets(attribute);
  let at = writeHeader(out, start, 0x30, content);
  out.set(attribute.descriptor.wire, at);
  at = writeHeader(out, at + attribute.descriptor.wire.length, 0x31, set);
  for (const value of attribute.values) {
    at = writeHeader(out, at, 0x04, value.length);
    out.set(value, at);
    at += value.length;
  }
  return at;
}

/** Identifier and length octets; returns the offset behind them. */
export function writeHeader(out: Buffer, start: number, tag: number, length: number): number {
  let at = start;
  out[at++] = tag;
  const octets = lengthOctets(length);
  if (octets === 1) out[at++] = length;
  else {
    out[at++] = 0x80 | (octets - 1);
    for (let shift = (octets - 2) * 8; shift >= 0; shift -= 8) out[at++] = (length >>> shift) & 0xff;
  }
  return at;
}
