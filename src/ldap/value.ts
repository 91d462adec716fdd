/** What the codecs of control and extended values share. */
import { DecodeError } from '../base/decode-error.ts';
import { BerReader } from '../asn1/reader.ts';

/** Decodes a value that is one BER element with nothing after it. A missing value is a `DecodeError`. */
export function decodeValue<T>(value: Buffer | undefined, decode: (reader: BerReader) => T): T {
  if (value === undefined) throw new DecodeError('value is missing', 0);
  const reader = new BerReader(value);
  const decoded = decode(reader);
  reader.finish();
  return decoded;
}

/** For operations and controls that have no value (RFC 4511 §4.1.11, §4.12): having one is a `DecodeError`. */
export function requireNoValue(value: Buffer | undefined): void {
  if (value !== undefined) throw new DecodeError('unexpected value', 0);
}
