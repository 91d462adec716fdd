/** What the hub asks an edge: its state of a data kind, and what it holds. */
import { PosternError } from '../../base/error.ts';
import type { LdapClient } from '../../ldap/client.ts';
import {
  type ContentDigestSummary,
  decodeBucketEntries,
  decodeContentDigestSummary,
  encodeContentDigestRequest,
  MOST_DIGEST_BITS,
} from '../../ldap/postern-extended.ts';
import { POSTERN_EXTENDED } from '../../ldap/postern-oid.ts';
import { EdgeListing } from './edge-listing.ts';
import { type DataKind, type EdgeState, edgeStateDn, parseEdgeState } from './edge-state.ts';

const NO_SUCH_OBJECT = 32;
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

/** Count and digest of what is really stored, in 2^bits buckets. */
export async function fetchSummary(
  client: LdapClient,
  kind: DataKind,
  bits: number,
): Promise<ContentDigestSummary> {
  const { operation } = await client.extended(
    POSTERN_EXTENDED.contentDigest,
    encodeContentDigestRequest({ kind, bits }),
  ).result;
  return decodeContentDigestSummary(operation.value);
}

/** How many bits choose a bucket when there are `count` entries. */
export function bitsFor(count: number): number {
  let bits = 0;
  while (bits < MOST_DIGEST_BITS && count / 2 ** bits > BUCKET_ENTRIES) bits++;
  return bits;
}

/** Everything the edge holds of a kind, a bucket at a time. */
export async function fetchListing(client: LdapClient, kind: DataKind): Promise<EdgeListing> {
  const { count } = await fetchSummary(client, kind, 0);
  const bits = bitsFor(count);
  const listing = new EdgeListing(count + 16);
  if (count === 0) return listing;
  for (let prefix = 0; prefix < 2 ** bits; prefix++) {
    for (const { guid, hash } of await fetchBucket(client, kind, bits, prefix)) listing.add(guid, hash);
  }
  return listing;
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
  ).result;
  if (operation.value === undefined)
    throw new PosternError('ldap.protocol', 'the edge answered a content request without content');
  return decodeBucketEntries(operation.value);
}
