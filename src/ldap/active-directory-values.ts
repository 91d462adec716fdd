/** Values of Active Directory's own controls, both ways ([MS-ADTS] 3.1.1.3.4.1). Decoders throw `DecodeError`. */
import { TAG } from '../asn1/tag.ts';
import { encodeDer } from '../asn1/writer.ts';
import { MAX_INT } from './max-int.ts';
import { decodeValue } from './value.ts';

/** LDAP_SERVER_DIRSYNC_OID, request. */
export interface DirSyncRequest {
  /** A signed integer of 32 bits: Active Directory refuses a flag 0x80000000 that is written with five octets. */
  readonly flags: number;
  /** Size of one answer, octets; 0: the server's own. */
  readonly maxBytes: number;
  /** Empty at the beginning. */
  readonly cookie: Buffer;
}

/** LDAP_SERVER_DIRSYNC_OID, with the result. */
export interface DirSyncResponse {
  /** There is more to be fetched with `cookie` at once. */
  readonly more: boolean;
  readonly cookie: Buffer;
}

const LEAST_INT = -0x8000_0000;

export function encodeDirSyncRequest(value: DirSyncRequest): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    writer.integer(value.flags);
    writer.integer(value.maxBytes);
    writer.octets(value.cookie);
    writer.close(mark);
  });
}

export function decodeDirSyncRequest(value: Buffer | undefined): DirSyncRequest {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const flags = reader.integer(LEAST_INT, MAX_INT);
    const maxBytes = reader.integer(0, MAX_INT);
    const cookie = reader.octets();
    reader.skipRest(outer);
    return { flags, maxBytes, cookie };
  });
}

export function encodeDirSyncResponse(value: DirSyncResponse): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    writer.integer(value.more ? 1 : 0);
    writer.integer(0);
    writer.octets(value.cookie);
    writer.close(mark);
  });
}

export function decodeDirSyncResponse(value: Buffer | undefined): DirSyncResponse {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const more = reader.integer(LEAST_INT, MAX_INT) !== 0;
    // Not used; Active Directory says 0 and Samba an attribute count.
    reader.integer(LEAST_INT, MAX_INT);
    const cookie = reader.octets();
    reader.skipRest(outer);
    return { more, cookie };
  });
}
