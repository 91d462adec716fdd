/**
 * A position in the changes of one domain controller, and the native cookie that says it. It is worth something at that controller only:
 * update sequence numbers are each controller's own ([MS-ADTS] 3.1.1.1.9), and one that was restored has another invocationId.
 */
import { TAG } from '../../../asn1/tag.ts';
import { encodeDer } from '../../../asn1/writer.ts';
import { isPosternError } from '../../../base/error.ts';
import { decodeValue } from '../../../ldap/value.ts';

/** How changes are asked for: the DirSync control, or a search for uSNChanged. */
export type ChangeMethod = 'dirsync' | 'usn';

export interface AdPosition {
  readonly method: ChangeMethod;
  /** invocationId of the controller, 16 octets. */
  readonly server: Buffer;
  /** Milliseconds since 1970, when the position was reached. */
  readonly reachedAt: number;
  /** highestCommittedUSN, read before what this position stands for was asked. */
  readonly usn: number;
  /** Of DirSync; empty for `usn`. */
  readonly cookie: Buffer;
}

const METHODS: readonly ChangeMethod[] = ['dirsync', 'usn'];
const INVOCATION_ID_OCTETS = 16;

/** SEQUENCE { method ENUMERATED, server OCTET STRING (16), reachedAt INTEGER, usn INTEGER, cookie OCTET STRING } */
export function encodePosition(position: AdPosition): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    writer.enumerated(METHODS.indexOf(position.method));
    writer.octets(position.server);
    writer.integer(position.reachedAt);
    writer.integer(position.usn);
    writer.octets(position.cookie);
    writer.close(mark);
  });
}

/** Undefined for what is none: everything is read again then. */
export function decodePosition(bytes: Buffer | undefined): AdPosition | undefined {
  if (bytes === undefined) return undefined;
  try {
    return decodeValue(bytes, (reader) => {
      const outer = reader.enter(TAG.sequence);
      const method = METHODS[reader.enumerated(METHODS.length - 1)] as ChangeMethod;
      const server = Buffer.from(reader.octets());
      if (server.length !== INVOCATION_ID_OCTETS) reader.fail('the invocation id is not 16 octets long');
      const reachedAt = reader.integer(0, Number.MAX_SAFE_INTEGER);
      const usn = reader.integer(0, Number.MAX_SAFE_INTEGER);
      const cookie = Buffer.from(reader.octets());
      reader.leave(outer);
      return { method, server, reachedAt, usn, cookie };
    });
  } catch (error) {
    if (!isPosternError(error, 'decode')) throw error;
    return undefined;
  }
}
