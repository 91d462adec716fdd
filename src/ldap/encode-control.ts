/** Controls to the wire (RFC 4511 §4.1.11). */
import { contextConstructed, TAG } from '../asn1/tag.ts';
import { type BerWriter, encodeDer } from '../asn1/writer.ts';
import type { Control } from './message.ts';

/** `[0] Controls` of a message, or nothing when there are none. */
export function encodeControls(writer: BerWriter, controls: readonly Control[]): void {
  if (controls.length > 0) encodeControlList(writer, controls, contextConstructed(0));
}

/** `[0] Controls` as octets, for those who send the same ones with very many requests. */
export function encodedControls(controls: readonly Control[]): Buffer {
  return encodeDer((writer) => encodeControls(writer, controls));
}

/** `Controls` under a tag of the caller's. */
export function encodeControlList(writer: BerWriter, controls: readonly Control[], tag: number): void {
  const list = writer.open(tag);
  for (const control of controls) {
    const mark = writer.open(TAG.sequence);
    writer.text(control.oid);
    if (control.critical) writer.boolean(true);
    if (control.value !== undefined) writer.octets(control.value);
    writer.close(mark);
  }
  writer.close(list);
}
