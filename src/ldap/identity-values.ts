/**
 * Value of the extended operation `identities`, both ways: what the sender states of its own keys, and by which pins it knows the receiver.
 *
 *   Identities ::= SEQUENCE { statements SEQUENCE OF OCTET STRING, holds SEQUENCE OF OCTET STRING (SIZE 32) }
 *
 * Decoders throw `DecodeError`. Nothing is proved here.
 */
import type { BerReader } from '../asn1/reader.ts';
import { TAG } from '../asn1/tag.ts';
import { encodeDer } from '../asn1/writer.ts';
import { decodeValue } from './value.ts';

export interface Identities {
  /** Signed statements: successors of earlier keys, the earliest first, and the sealing key. */
  readonly statements: readonly Buffer[];
  /** Pins (32 octets each) by which the sender knows the receiver; none when it does not, or when it has no proof of who that is. */
  readonly holds: readonly Buffer[];
}

const PIN_OCTETS = 32;
const MOST_STATEMENTS = 16;
const MOST_PINS = 4;

export function encodeIdentities({ statements, holds }: Identities): Buffer {
  return encodeDer((writer) => {
    const outer = writer.open(TAG.sequence);
    for (const list of [statements, holds]) {
      const mark = writer.open(TAG.sequence);
      for (const octets of list) writer.octets(octets);
      writer.close(mark);
    }
    writer.close(outer);
  });
}

export function decodeIdentities(value: Buffer | undefined): Identities {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const statements = list(reader, MOST_STATEMENTS);
    const holds = list(reader, MOST_PINS);
    if (holds.some((pin) => pin.length !== PIN_OCTETS)) reader.fail('a pin has 32 octets');
    reader.skipRest(outer);
    return { statements, holds };
  });
}

/** Copies: what they stand in is given back to the connection. */
function list(reader: BerReader, most: number): Buffer[] {
  const values: Buffer[] = [];
  const mark = reader.enter(TAG.sequence);
  while (reader.more) {
    if (values.length >= most) reader.fail(`more than ${most} values`);
    values.push(Buffer.from(reader.octets()));
  }
  reader.leave(mark);
  return values;
}
