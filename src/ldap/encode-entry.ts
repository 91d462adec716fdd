/**
 * SearchResultEntry (RFC 4511 §4.5.2), of which a server sends millions: lengths are computed first, so that nothing is
 * moved, and names may be given as octets that were prepared once.
 */
import { TAG } from '../asn1/tag.ts';
import { type BerWriter, lengthOctets } from '../asn1/writer.ts';
import { encodeControls } from './encode-control.ts';
import type { Control } from './message.ts';
import { OPERATION_TAG } from './operation-tag.ts';

/** An attribute whose type may be UTF-8 octets. */
export interface WireAttribute {
  readonly type: string | Uint8Array;
  readonly values: readonly Uint8Array[];
}

/** Appends one message that holds an entry. */
export function encodeSearchResultEntry(
  writer: BerWriter,
  messageId: number,
  dn: string | Uint8Array,
  attributes: readonly WireAttribute[],
  controls: readonly Control[] = [],
): void {
  const dnLength = size(dn);
  let listLength = 0;
  for (const attribute of attributes) {
    const content = attributeLength(attribute);
    listLength += 1 + lengthOctets(content) + content;
  }
  const bodyLength = 1 + lengthOctets(dnLength) + dnLength + 1 + lengthOctets(listLength) + listLength;
  const message = controls.length === 0 ? undefined : writer.open(TAG.sequence);
  if (message === undefined)
    writer.header(TAG.sequence, integerSize(messageId) + 1 + lengthOctets(bodyLength) + bodyLength);
  writer.integer(messageId);
  writer.header(OPERATION_TAG.searchResultEntry, bodyLength);
  string(writer, dn);
  writer.header(TAG.sequence, listLength);
  for (const attribute of attributes) {
    writer.header(TAG.sequence, attributeLength(attribute));
    string(writer, attribute.type);
    writer.header(TAG.set, valuesLength(attribute.values));
    for (const value of attribute.values) writer.octets(value);
  }
  if (message === undefined) return;
  encodeControls(writer, controls);
  writer.close(message);
}

function attributeLength(attribute: WireAttribute): number {
  const type = size(attribute.type);
  const values = valuesLength(attribute.values);
  return 1 + lengthOctets(type) + type + 1 + lengthOctets(values) + values;
}

function valuesLength(values: readonly Uint8Array[]): number {
  let total = 0;
  for (const value of values) total += 1 + lengthOctets(value.length) + value.length;
  return total;
}

function string(writer: BerWriter, value: string | Uint8Array): void {
  if (typeof value === 'string') writer.text(value);
  else writer.octets(value);
}

function size(value: string | Uint8Array): number {
  return typeof value === 'string' ? Buffer.byteLength(value) : value.length;
}

/** A message id as INTEGER, identifier and length included. */
function integerSize(value: number): number {
  return value < 0x80 ? 3 : value < 0x8000 ? 4 : value < 0x80_0000 ? 5 : 6;
}
