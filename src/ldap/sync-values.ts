/** Values of the content synchronisation operation (RFC 4533 §2) both ways. Decoders throw `DecodeError`. */
import type { BerReader } from '../asn1/reader.ts';
import { contextConstructed, contextTag, TAG } from '../asn1/tag.ts';
import { type BerWriter, encodeDer } from '../asn1/writer.ts';
import { decodeValue } from './value.ts';

/** RFC 4533 §2.2 */
export interface SyncRequest {
  readonly mode: 'refreshOnly' | 'refreshAndPersist';
  readonly cookie?: Buffer;
  readonly reloadHint: boolean;
}

/** RFC 4533 §2.3, with an entry or a reference. */
export interface SyncState {
  readonly state: 'present' | 'add' | 'modify' | 'delete';
  /** 16 octets. */
  readonly entryUuid: Buffer;
  readonly cookie?: Buffer;
}

/** RFC 4533 §2.4, with the final result. */
export interface SyncDone {
  readonly cookie?: Buffer;
  readonly refreshDeletes: boolean;
}

/** RFC 4533 §2.5, in an intermediate response. */
export type SyncInfo =
  | { readonly kind: 'newCookie'; readonly cookie: Buffer }
  | {
      readonly kind: 'refreshDelete' | 'refreshPresent';
      readonly cookie?: Buffer;
      readonly refreshDone: boolean;
    }
  | {
      readonly kind: 'idSet';
      readonly cookie?: Buffer;
      readonly refreshDeletes: boolean;
      readonly entryUuids: readonly Buffer[];
    };

const STATES = ['present', 'add', 'modify', 'delete'] as const;
const UUID_OCTETS = 16;
/** slapd sends sets of up to 1,000; a server may put all identifiers of a directory into one. */
const MOST_UUIDS = 4_000_000;

export function encodeSyncRequest(value: SyncRequest): Buffer {
  return sequence((writer) => {
    writer.enumerated(value.mode === 'refreshOnly' ? 1 : 3);
    if (value.cookie !== undefined) writer.octets(value.cookie);
    if (value.reloadHint) writer.boolean(true);
  });
}

export function decodeSyncRequest(value: Buffer | undefined): SyncRequest {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const mode = reader.enumerated(3);
    if (mode !== 1 && mode !== 3) reader.fail('unknown synchronisation mode');
    const cookie = optionalCookie(reader);
    const reloadHint = optionalBoolean(reader, false);
    reader.skipRest(outer);
    return { mode: mode === 1 ? 'refreshOnly' : 'refreshAndPersist', reloadHint, ...cookie };
  });
}

export function encodeSyncState(value: SyncState): Buffer {
  return sequence((writer) => {
    writer.enumerated(STATES.indexOf(value.state));
    writer.octets(value.entryUuid);
    if (value.cookie !== undefined) writer.octets(value.cookie);
  });
}

export function decodeSyncState(value: Buffer | undefined): SyncState {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const state = STATES[reader.enumerated(3)] as SyncState['state'];
    const entryUuid = uuid(reader);
    const cookie = optionalCookie(reader);
    reader.skipRest(outer);
    return { state, entryUuid, ...cookie };
  });
}

export function encodeSyncDone(value: SyncDone): Buffer {
  return sequence((writer) => {
    if (value.cookie !== undefined) writer.octets(value.cookie);
    if (value.refreshDeletes) writer.boolean(true);
  });
}

export function decodeSyncDone(value: Buffer | undefined): SyncDone {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const cookie = optionalCookie(reader);
    const refreshDeletes = optionalBoolean(reader, false);
    reader.skipRest(outer);
    return { refreshDeletes, ...cookie };
  });
}

export function encodeSyncInfo(value: SyncInfo): Buffer {
  return encodeDer((writer) => {
    if (value.kind === 'newCookie') return writer.octets(value.cookie, contextTag(0));
    const mark = writer.open(
      contextConstructed(value.kind === 'refreshDelete' ? 1 : value.kind === 'refreshPresent' ? 2 : 3),
    );
    if (value.cookie !== undefined) writer.octets(value.cookie);
    if (value.kind === 'idSet') {
      if (value.refreshDeletes) writer.boolean(true);
      const set = writer.open(TAG.set);
      for (const id of value.entryUuids) writer.octets(id);
      writer.close(set);
    } else if (!value.refreshDone) {
      writer.boolean(false);
    }
    return writer.close(mark);
  });
}

export function decodeSyncInfo(value: Buffer | undefined): SyncInfo {
  return decodeValue(value, (reader): SyncInfo => {
    const tag = reader.peek();
    switch (tag) {
      case contextTag(0):
        return { kind: 'newCookie', cookie: reader.octets(tag) };
      case contextConstructed(1):
      case contextConstructed(2): {
        const outer = reader.enter(tag);
        const cookie = optionalCookie(reader);
        const refreshDone = optionalBoolean(reader, true);
        reader.skipRest(outer);
        return {
          kind: tag === contextConstructed(1) ? 'refreshDelete' : 'refreshPresent',
          refreshDone,
          ...cookie,
        };
      }
      case contextConstructed(3): {
        const outer = reader.enter(tag);
        const cookie = optionalCookie(reader);
        const refreshDeletes = optionalBoolean(reader, false);
        const set = reader.enter(TAG.set);
        const entryUuids: Buffer[] = [];
        while (reader.more) {
          if (entryUuids.length >= MOST_UUIDS) reader.fail('too many identifiers');
          entryUuids.push(uuid(reader));
        }
        reader.leave(set);
        reader.skipRest(outer);
        return { kind: 'idSet', refreshDeletes, entryUuids, ...cookie };
      }
      default:
        return reader.fail('unknown synchronisation information');
    }
  });
}

function sequence(write: (writer: BerWriter) => void): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    write(writer);
    writer.close(mark);
  });
}

function uuid(reader: BerReader): Buffer {
  const value = reader.octets();
  if (value.length !== UUID_OCTETS) reader.fail('entry UUID is not 16 octets long');
  return value;
}

function optionalCookie(reader: BerReader): { cookie?: Buffer } {
  return reader.peek() === TAG.octetString ? { cookie: reader.octets() } : {};
}

function optionalBoolean(reader: BerReader, otherwise: boolean): boolean {
  return reader.peek() === TAG.boolean ? reader.boolean() : otherwise;
}
