/** What the hub asks an edge: its state of a data kind, and what it holds. */
import { PosternError } from '../../base/error.ts';
import type { LdapClient } from '../../ldap/client.ts';
import {
  type ContentDigestSummary,
  decodeBucketEntries,
  decodeContentDigestSummary,
  decodeRemovalsResponse,
  encodeContentDigestRequest,
  encodeRemovalsRequest,
  MOST_DIGEST_BITS,
  type RemovalAction,
  type RemovalsResponse,
} from '../../ldap/postern-extended.ts';
import { POSTERN_EXTENDED } from '../../ldap/postern-oid.ts';
import type { Attribute } from '../../ldap/message.ts';
import { entryHash } from '../content-digest.ts';
import { guidBytes, guidText } from '../recipient.ts';
import { EdgeListing } from './edge-listing.ts';
import { type DataKind, type EdgeState, edgeStateDn, parseEdgeState } from './edge-state.ts';

const NO_SUCH_OBJECT = 32;
const LISTED = [
  'cn',
  'posternAddress',
  'posternRecipientKind',
  'posternPendingDelete',
  'posternPendingAddress',
];
/** Entries that room is made for at once because an edge says that it has them. */
const MOST_RESERVED = 2_000_000;
const MOST_LISTED = 16_000_000;
/** The edge says nothing while it walks through its entries. */
const WALK_WITHIN_MS = 10 * 60_000;
/** Entries a bucket that keep one answer at about 100 kB. */
const BUCKET_ENTRIES = 2048;

export async function readEdgeState(client: LdapClient, kind: DataKind): Promise<EdgeState> {
  const search = client.search(
    { base: edgeStateDn(kind), scope: 'base', attributes: ['*'] },
    { accept: [NO_SUCH_OBJECT] },
  );
  for await (const { operation } of search) {
    if (operation.op === 'searchResultEntry')
      return parseEdgeState(
        operation.attributes.map(({ type, values }) => ({ type, values: values.map((v) => Buffer.from(v)) })),
      );
  }
  return parseEdgeState(undefined);
}

/** What the removal guard watches. */
export const GUARDED_KINDS = ['recipients', 'domains'] as const;

/** Counts, or decides about, the removals that an edge holds back. */
export async function askRemovals(
  client: LdapClient,
  action: RemovalAction,
  kind: (typeof GUARDED_KINDS)[number],
  timeoutMs: number,
): Promise<RemovalsResponse> {
  const request = encodeRemovalsRequest({ action, kind });
  const { operation } = await client.extended(POSTERN_EXTENDED.removals, request, { timeoutMs }).result;
  return decodeRemovalsResponse(operation.value);
}

/** Count and digest of what is really stored, in 2^bits buckets. */
export async function fetchSummary(
  client: LdapClient,
  kind: DataKind,
  bits: number,
): Promise<ContentDigestSummary> {
  const { operation } = await client.extended(
    POSTERN_EXTENDED.contentDigest,
    encodeContentDigestRequest({ kind, bits }),
    { timeoutMs: WALK_WITHIN_MS },
  ).result;
  return decodeContentDigestSummary(operation.value);
}

/** How many bits choose a bucket when there are `count` entries. */
export function bitsFor(count: number): number {
  let bits = 0;
  while (bits < MOST_DIGEST_BITS && count / 2 ** bits > BUCKET_ENTRIES) bits++;
  return bits;
}

/**
 * Every recipient that the edge stores, hashed here: one search, read as it comes, so it costs the edge one walk however many entries
 * there are. `expected`: about how many.
 */
export async function fetchListing(
  client: LdapClient,
  digestKey: Buffer,
  expected: number,
): Promise<EdgeListing> {
  const listing = new EdgeListing(Math.min(expected, MOST_RESERVED) + 16);
  const search = client.search(
    { base: 'cn=Recipients', scope: 'one', attributes: LISTED },
    { accept: [NO_SUCH_OBJECT] },
  );
  for await (const batch of search.batches()) {
    for (const { operation } of batch) {
      if (operation.op !== 'searchResultEntry') continue;
      const content = intended(operation.attributes);
      if (content !== undefined)
        listing.add(content.guid, entryHash(digestKey, content.guid, content.attributes));
    }
    if (listing.size > MOST_LISTED)
      throw new PosternError('ldap.protocol', `the edge lists more than ${MOST_LISTED} recipients`);
  }
  return listing;
}

/** The hash of one recipient that the edge stores; undefined when it stores none. */
export async function fetchHash(
  client: LdapClient,
  digestKey: Buffer,
  guid: Buffer,
): Promise<Buffer | undefined> {
  const search = client.search(
    { base: `cn=${guidText(guid)},cn=Recipients`, scope: 'base', attributes: LISTED },
    { accept: [NO_SUCH_OBJECT] },
  );
  for await (const { operation } of search) {
    const content = operation.op === 'searchResultEntry' ? intended(operation.attributes) : undefined;
    if (content !== undefined) return entryHash(digestKey, content.guid, content.attributes);
  }
  return undefined;
}

/** What the hub meant to store: what it has removed, and the edge holds back, is not there. Undefined: not there at all. */
function intended(
  attributes: readonly Attribute[],
): { readonly guid: Buffer; readonly attributes: readonly Attribute[] } | undefined {
  let guid: Buffer | undefined;
  let held: Attribute | undefined;
  for (const attribute of attributes) {
    const type = attribute.type.toLowerCase();
    if (type === 'cn') guid = guidBytes(attribute.values[0]?.toString('latin1') ?? '');
    else if (type === 'posternpendingdelete') return undefined;
    else if (type === 'posternpendingaddress') held = attribute;
  }
  if (guid === undefined) return undefined;
  if (held === undefined) return { guid, attributes };
  const gone = held.values;
  const kept = attributes.map((attribute) =>
    attribute.type.toLowerCase() === 'posternaddress'
      ? { ...attribute, values: attribute.values.filter((one) => !gone.some((other) => other.equals(one))) }
      : attribute,
  );
  return { guid, attributes: kept };
}

export async function fetchBucket(
  client: LdapClient,
  kind: DataKind,
  bits: number,
  prefix: number,
): Promise<{ guid: Buffer; hash: Buffer }[]> {
  const { operation } = await client.extended(
    POSTERN_EXTENDED.contentDigest,
    encodeContentDigestRequest({ kind, bits, prefix }),
    { timeoutMs: WALK_WITHIN_MS },
  ).result;
  if (operation.value === undefined)
    throw new PosternError('ldap.protocol', 'the edge answered a content request without content');
  return decodeBucketEntries(operation.value);
}
