/** Controls on the wire (RFC 4511 §4.1.11). */
import type { BerReader } from '../asn1/reader.ts';
import { TAG } from '../asn1/tag.ts';
import type { DecodeLimits } from './limits.ts';
import type { Control } from './message.ts';

/** The reader is inside `Controls`; all of it is read. */
export function decodeControls(reader: BerReader, limits: DecodeLimits): readonly Control[] {
  const controls: Control[] = [];
  while (reader.more) {
    if (controls.length >= limits.controls) reader.fail('too many controls');
    const outer = reader.enter(TAG.sequence);
    const oid = reader.name();
    const critical = reader.peek() === TAG.boolean ? reader.boolean() : false;
    controls.push(
      reader.peek() === TAG.octetString ? { oid, critical, value: reader.octets() } : { oid, critical },
    );
    reader.skipRest(outer);
  }
  return controls;
}
