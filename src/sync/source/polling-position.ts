/** A position in the changes of a server that only dates its entries, and the native cookie that says it. */
import { TAG } from '../../asn1/tag.ts';
import { encodeDer } from '../../asn1/writer.ts';
import { isPosternError } from '../../base/error.ts';
import { decodeValue } from '../../ldap/value.ts';

/** Milliseconds since 1970, both. */
export interface PollingPosition {
  /** The latest modifyTimestamp that was seen, by the server's clock; 0 when none was. */
  readonly latest: number;
  /** When everything was read the last time, by this side's clock. */
  readonly fullAt: number;
}

/** SEQUENCE { latest INTEGER, fullAt INTEGER } */
export function encodePollingPosition({ latest, fullAt }: PollingPosition): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    writer.integer(latest);
    writer.integer(fullAt);
    writer.close(mark);
  });
}

/** Undefined for what is none: everything is read again then. */
export function decodePollingPosition(bytes: Buffer | undefined): PollingPosition | undefined {
  if (bytes === undefined) return undefined;
  try {
    return decodeValue(bytes, (reader) => {
      const outer = reader.enter(TAG.sequence);
      const latest = reader.integer(0, Number.MAX_SAFE_INTEGER);
      const fullAt = reader.integer(0, Number.MAX_SAFE_INTEGER);
      reader.leave(outer);
      return { latest, fullAt };
    });
  } catch (error) {
    if (!isPosternError(error, 'decode')) throw error;
    return undefined;
  }
}
