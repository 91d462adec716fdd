/** Values of our own extended operations both ways, as `docs/architecture.md` lays them down. Decoders throw `DecodeError`. */
import type { BerReader } from '../asn1/reader.ts';
import { contextTag, TAG } from '../asn1/tag.ts';
import { type BerWriter, encodeDer } from '../asn1/writer.ts';
import { MAX_INT } from './max-int.ts';
import { decodeValue } from './value.ts';

const LEASE_ACTIONS = ['acquire', 'renew', 'release'] as const;
const LEASE_STATES = ['free', 'held', 'orphaned', 'expired'] as const;
const REMOVAL_ACTIONS = ['list', 'approve', 'reject', 'reopen'] as const;

export type LeaseAction = (typeof LEASE_ACTIONS)[number];
export type LeaseState = (typeof LEASE_STATES)[number];
export type RemovalAction = (typeof REMOVAL_ACTIONS)[number];

export interface LeaseRequest {
  readonly action: LeaseAction;
  readonly holder: string;
  readonly durationSeconds: number;
  /** The current lease's, shown to take it over or renew it. */
  readonly leaseId?: Buffer;
}

export interface LeaseResponse {
  readonly state: LeaseState;
  readonly epoch: number;
  readonly holder: string;
  readonly remainingMs: number;
  /** To its holder only. */
  readonly leaseId?: Buffer;
}

export interface ContentDigestRequest {
  readonly kind: string;
  /** How many leading bits of SHA-256(guid) choose the bucket: 0 to 12. */
  readonly bits: number;
  /** Names the entries of this bucket instead of summing up all of them. */
  readonly prefix?: number;
}

export interface DigestSum {
  readonly count: number;
  /** 32 octets: the sum modulo 2^256, big-endian. */
  readonly digest: Buffer;
}

export interface ContentDigestSummary extends DigestSum {
  readonly buckets: readonly DigestSum[];
}

export interface BucketEntry {
  /** 16 octets. */
  readonly guid: Buffer;
  /** 32 octets. */
  readonly hash: Buffer;
}

export interface RemovalsRequest {
  readonly action: RemovalAction;
  readonly kind: string;
}

export interface RemovalsResponse {
  /** Marks that wait for a decision. */
  readonly pending: number;
  /** Carried out by this request. */
  readonly approved: number;
  /** Kept by this request; for `list` and `reopen`, those that are kept now. */
  readonly rejected: number;
}

const GUID_OCTETS = 16;
const DIGEST_OCTETS = 32;
export const MOST_DIGEST_BITS = 12;
/** Entries of one bucket that a client takes: 10 million recipients in 4,096 buckets are about 2,500 each; 0 bits means all. */
const MOST_BUCKET_ENTRIES = 16_000_000;

export function encodeLeaseRequest(value: LeaseRequest): Buffer {
  return sequence((writer) => {
    writer.enumerated(LEASE_ACTIONS.indexOf(value.action));
    writer.utf8String(value.holder);
    writer.integer(value.durationSeconds);
    if (value.leaseId !== undefined) writer.octets(value.leaseId, contextTag(0));
  });
}

export function decodeLeaseRequest(value: Buffer | undefined): LeaseRequest {
  return inSequence(value, (reader) => {
    const action = LEASE_ACTIONS[reader.enumerated(2)] as LeaseAction;
    const holder = reader.text(TAG.utf8String);
    const durationSeconds = reader.integer(0, MAX_INT);
    return { action, holder, durationSeconds, ...optionalLeaseId(reader) };
  });
}

export function encodeLeaseResponse(value: LeaseResponse): Buffer {
  return sequence((writer) => {
    writer.enumerated(LEASE_STATES.indexOf(value.state));
    writer.integer(value.epoch);
    writer.utf8String(value.holder);
    writer.integer(value.remainingMs);
    if (value.leaseId !== undefined) writer.octets(value.leaseId, contextTag(0));
  });
}

export function decodeLeaseResponse(value: Buffer | undefined): LeaseResponse {
  return inSequence(value, (reader) => {
    const state = LEASE_STATES[reader.enumerated(3)] as LeaseState;
    const epoch = reader.integer(0, Number.MAX_SAFE_INTEGER);
    const holder = reader.text(TAG.utf8String);
    const remainingMs = reader.integer(0, Number.MAX_SAFE_INTEGER);
    return { state, epoch, holder, remainingMs, ...optionalLeaseId(reader) };
  });
}

export function encodeContentDigestRequest(value: ContentDigestRequest): Buffer {
  return sequence((writer) => {
    writer.utf8String(value.kind);
    writer.integer(value.bits);
    if (value.prefix !== undefined) writer.integer(value.prefix, contextTag(0));
  });
}

export function decodeContentDigestRequest(value: Buffer | undefined): ContentDigestRequest {
  return inSequence(value, (reader) => {
    const kind = reader.text(TAG.utf8String);
    const bits = reader.integer(0, MOST_DIGEST_BITS);
    if (reader.peek() !== contextTag(0)) return { kind, bits };
    return { kind, bits, prefix: reader.integer(0, 2 ** bits - 1, contextTag(0)) };
  });
}

/** Answer to a request without prefix. */
export function encodeContentDigestSummary(value: ContentDigestSummary): Buffer {
  return sequence((writer) => {
    writer.integer(value.count);
    writer.octets(value.digest);
    const list = writer.open(TAG.sequence);
    for (const bucket of value.buckets) {
      const mark = writer.open(TAG.sequence);
      writer.integer(bucket.count);
      writer.octets(bucket.digest);
      writer.close(mark);
    }
    writer.close(list);
  });
}

export function decodeContentDigestSummary(value: Buffer | undefined): ContentDigestSummary {
  return inSequence(value, (reader) => {
    const sum = digestSum(reader);
    const list = reader.enter(TAG.sequence);
    const buckets: DigestSum[] = [];
    while (reader.more) {
      if (buckets.length >= 2 ** MOST_DIGEST_BITS) reader.fail('too many buckets');
      const outer = reader.enter(TAG.sequence);
      buckets.push(digestSum(reader));
      reader.skipRest(outer);
    }
    reader.leave(list);
    return { ...sum, buckets };
  });
}

/** Answer to a request with prefix. */
export function encodeBucketEntries(entries: Iterable<BucketEntry>): Buffer {
  return sequence((writer) => {
    for (const entry of entries) {
      const mark = writer.open(TAG.sequence);
      writer.octets(entry.guid);
      writer.octets(entry.hash);
      writer.close(mark);
    }
  });
}

export function decodeBucketEntries(value: Buffer | undefined): BucketEntry[] {
  return decodeValue(value, (reader) => {
    const list = reader.enter(TAG.sequence);
    const entries: BucketEntry[] = [];
    while (reader.more) {
      if (entries.length >= MOST_BUCKET_ENTRIES) reader.fail('too many entries');
      const outer = reader.enter(TAG.sequence);
      entries.push({ guid: fixed(reader, GUID_OCTETS), hash: fixed(reader, DIGEST_OCTETS) });
      reader.skipRest(outer);
    }
    reader.leave(list);
    return entries;
  });
}

export function encodeRemovalsRequest(value: RemovalsRequest): Buffer {
  return sequence((writer) => {
    writer.enumerated(REMOVAL_ACTIONS.indexOf(value.action));
    writer.utf8String(value.kind);
  });
}

export function decodeRemovalsRequest(value: Buffer | undefined): RemovalsRequest {
  return inSequence(value, (reader) => ({
    action: REMOVAL_ACTIONS[reader.enumerated(REMOVAL_ACTIONS.length - 1)] as RemovalAction,
    kind: reader.text(TAG.utf8String),
  }));
}

export function encodeRemovalsResponse(value: RemovalsResponse): Buffer {
  return sequence((writer) => {
    writer.integer(value.pending);
    writer.integer(value.approved);
    writer.integer(value.rejected);
  });
}

export function decodeRemovalsResponse(value: Buffer | undefined): RemovalsResponse {
  return inSequence(value, (reader) => ({
    pending: reader.integer(0, MAX_INT),
    approved: reader.integer(0, MAX_INT),
    rejected: reader.integer(0, MAX_INT),
  }));
}

function sequence(write: (writer: BerWriter) => void): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    write(writer);
    writer.close(mark);
  });
}

function inSequence<T>(value: Buffer | undefined, decode: (reader: BerReader) => T): T {
  return decodeValue(value, (reader) => {
    const outer = reader.enter(TAG.sequence);
    const decoded = decode(reader);
    reader.skipRest(outer);
    return decoded;
  });
}

function optionalLeaseId(reader: BerReader): { leaseId?: Buffer } {
  return reader.peek() === contextTag(0) ? { leaseId: reader.octets(contextTag(0)) } : {};
}

function digestSum(reader: BerReader): DigestSum {
  return { count: reader.integer(0, MAX_INT), digest: fixed(reader, DIGEST_OCTETS) };
}

function fixed(reader: BerReader, length: number): Buffer {
  const value = reader.octets();
  if (value.length !== length) reader.fail(`octet string is not ${length} octets long`);
  return value;
}
