/**
 * Proof that an edge holds what it should: what the mirror stands for, computed anew with that edge's key, against what the edge says
 * it stores. Reads the mirror in slices; the questions to the edge are handed in. Changes that arrive meanwhile are no differences:
 * what differs is compared again.
 */
import { yieldToLoop } from '../base/clock.ts';
import type { BucketEntry, ContentDigestSummary } from '../ldap/postern-extended.ts';
import { bucketOf, DigestSum, entryHash } from './content-digest.ts';
import { EdgeListing } from './push/edge-listing.ts';
import { bitsFor } from './push/edge-query.ts';
import type { MirrorView } from './push/mirror-view.ts';
import { edgeAttributes, guidText, unpackRecipient } from './recipient.ts';

/** An edge's content, as it says itself. */
export interface EdgeContent {
  summary(bits: number): Promise<ContentDigestSummary>;
  /** Costs the edge a walk through all its entries, as a summary does. */
  bucket(bits: number, prefix: number): Promise<readonly BucketEntry[]>;
  /** Everything: for when many buckets differ. */
  listing(): Promise<EdgeListing>;
}

export interface CompareOptions {
  readonly mirror: MirrorView;
  /** Hashes a canonical address with this edge's key. */
  readonly hash: (address: string) => Buffer;
  readonly digestKey: Buffer;
  readonly edge: EdgeContent;
  /** Most differences to name. */
  readonly maxReport: number;
  /** Resolves when the edge has, as far as is known, everything that the mirror has (or when waiting is of no use). */
  readonly settled: () => Promise<void>;
}

export interface Difference {
  readonly guid: string;
  readonly what: 'missing' | 'unexpected' | 'altered';
  /** Of the mirror; unknown for what only the edge has. */
  readonly addresses?: readonly string[];
}

export interface Comparison {
  readonly equal: boolean;
  readonly hubCount: number;
  readonly edgeCount: number;
  /** At most `maxReport`. */
  readonly differences: readonly Difference[];
  readonly differenceCount: number;
  /** Changes arrived during every comparison, so that some of the differences may be changes on their way. */
  readonly disturbed: boolean;
}

/** Records of the mirror looked at in one turn of the event loop. */
const SLICE = 1000;
const MOST_ROUNDS = 4;
/** Differing buckets that are asked for one by one. */
const MOST_BUCKETS = 4;

export async function compareContent(options: CompareOptions): Promise<Comparison> {
  const { mirror } = options;
  let last: Comparison | undefined;
  for (let round = 1; ; round++) {
    await options.settled();
    const { sequence } = mirror.position;
    const found = await compareOnce(options);
    last = last === undefined ? found : inBoth(last, found);
    const disturbed = mirror.position.sequence !== sequence;
    if (last.equal || !disturbed || round === MOST_ROUNDS)
      return { ...last, disturbed: disturbed && !last.equal };
  }
}

async function compareOnce(options: CompareOptions): Promise<Comparison> {
  const bits = bitsFor(options.mirror.size);
  const [summary, expected] = await Promise.all([options.edge.summary(bits), expectedBuckets(options, bits)]);
  const stored = bits === 0 ? [summary] : summary.buckets;
  const differing = new Set<number>();
  for (const [prefix, sum] of expected.entries()) {
    const there = stored[prefix];
    if (there === undefined || there.count !== sum.count || !there.digest.equals(sum.toBytes()))
      differing.add(prefix);
  }
  const hubCount = expected.reduce((count, sum) => count + sum.count, 0);
  const counts = { hubCount, edgeCount: summary.count, disturbed: false };
  if (differing.size === 0) return { equal: true, ...counts, differences: [], differenceCount: 0 };
  const found =
    differing.size > MOST_BUCKETS
      ? await compareEntries(options, await options.edge.listing(), () => true)
      : await compareEntries(options, await bucketListing(options.edge, bits, differing), (guid) =>
          differing.has(bucketOf(guid, bits)),
        );
  return { equal: found.differenceCount === 0, ...counts, ...found };
}

/** What an edge that equals the mirror would answer. */
export async function expectedBuckets(
  { mirror, hash, digestKey }: Pick<CompareOptions, 'mirror' | 'hash' | 'digestKey'>,
  bits: number,
): Promise<DigestSum[]> {
  const buckets = Array.from({ length: 2 ** bits }, () => new DigestSum());
  await walk(mirror, (guid, packed) => {
    buckets[bucketOf(guid, bits)]?.add(
      entryHash(digestKey, guid, edgeAttributes(unpackRecipient(packed), hash)),
    );
  });
  return buckets;
}

async function bucketListing(
  edge: EdgeContent,
  bits: number,
  prefixes: ReadonlySet<number>,
): Promise<EdgeListing> {
  const listing = new EdgeListing();
  for (const prefix of prefixes)
    for (const { guid, hash } of await edge.bucket(bits, prefix)) listing.add(guid, hash);
  return listing;
}

/** Compares the recipients of the mirror that `concerned` is true for with all of `listing`. */
async function compareEntries(
  { mirror, hash, digestKey, maxReport }: CompareOptions,
  listing: EdgeListing,
  concerned: (guid: Buffer) => boolean,
): Promise<Pick<Comparison, 'differences' | 'differenceCount'>> {
  const differences: Difference[] = [];
  let differenceCount = 0;
  const report = (difference: () => Difference): void => {
    differenceCount++;
    if (differences.length < maxReport) differences.push(difference());
  };
  await walk(mirror, (guid, packed) => {
    if (!concerned(guid)) return;
    const recipient = unpackRecipient(packed);
    const verdict = listing.compare(guid, entryHash(digestKey, guid, edgeAttributes(recipient, hash)));
    if (verdict === 'equal') return;
    const what = verdict === 'missing' ? 'missing' : 'altered';
    report(() => ({ guid: guidText(guid), what, addresses: recipient.addresses }));
  });
  for (const guids of listing.unseenGuids(SLICE))
    for (const guid of guids) report(() => ({ guid: guidText(guid), what: 'unexpected' }));
  return { differences, differenceCount };
}

/** A recipient that differed in one comparison and not in the next was on its way. */
function inBoth(earlier: Comparison, later: Comparison): Comparison {
  const whole = earlier.differences.length === earlier.differenceCount;
  if (later.equal || !whole || later.differences.length !== later.differenceCount) return later;
  const before = new Set(earlier.differences.map(({ guid }) => guid));
  const differences = later.differences.filter(({ guid }) => before.has(guid));
  return {
    ...later,
    equal: differences.length === 0,
    differences,
    differenceCount: differences.length,
  };
}

/** Recipients of the mirror that have a canonical address. */
export async function findByAddress(
  mirror: MirrorView,
  address: string,
): Promise<{ readonly guid: Buffer; readonly packed: Buffer }[]> {
  const wanted = Buffer.from(address, 'utf8');
  const found: { guid: Buffer; packed: Buffer }[] = [];
  await walk(mirror, (guid, packed) => {
    if (packed.includes(wanted) && unpackRecipient(packed).addresses.includes(address))
      found.push({ guid: Buffer.from(guid), packed: Buffer.from(packed) });
  });
  return found;
}

async function walk(mirror: MirrorView, visitor: (guid: Buffer, packed: Buffer) => void): Promise<void> {
  for (let from: number | undefined = 0; from !== undefined; ) {
    from = mirror.visit(from, SLICE, (_id, guid, packed) => visitor(guid, packed));
    await yieldToLoop();
  }
}
