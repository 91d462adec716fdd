/** Parts that several operations share: attributes (RFC 4511 §4.1.7) and lists of them. */
import type { BerReader } from '../asn1/reader.ts';
import { TAG } from '../asn1/tag.ts';
import type { DecodeLimits } from './limits.ts';
import type { Attribute } from './message.ts';

/** PartialAttribute; no values is for the directory to judge. `room` is how many values the message may still hold. */
export function decodeAttribute(reader: BerReader, room: number): Attribute {
  const outer = reader.enter(TAG.sequence);
  const type = reader.name();
  const set = reader.enter(TAG.set);
  const values: Buffer[] = [];
  while (reader.more) {
    if (values.length >= room) reader.fail('too many values');
    values.push(reader.octets());
  }
  reader.leave(set);
  reader.skipRest(outer);
  return { type, values };
}

/** PartialAttributeList and AttributeList. */
export function decodeAttributes(reader: BerReader, limits: DecodeLimits): Attribute[] {
  const outer = reader.enter(TAG.sequence);
  const attributes: Attribute[] = [];
  let room = limits.values;
  while (reader.more) {
    if (attributes.length >= limits.attributes) reader.fail('too many attributes');
    const attribute = decodeAttribute(reader, room);
    room -= attribute.values.length;
    attributes.push(attribute);
  }
  reader.leave(outer);
  return attributes;
}

/** SEQUENCE OF LDAPString or LDAPOID, up to `most`; the reader is inside the SEQUENCE. */
export function decodeTexts(reader: BerReader, most: number): string[] {
  const texts: string[] = [];
  while (reader.more) {
    if (texts.length >= most) reader.fail('too many elements');
    texts.push(reader.text());
  }
  return texts;
}
