/** `sync verify`: asks an edge what it really stores and compares that with the mirror. The comparison itself is in `sync/verify.ts`. */
import type { VerifyDocument } from '../../admin/documents.ts';
import type { Clock } from '../../base/clock.ts';
import { describeError, isPosternError } from '../../base/error.ts';
import { requireAddress } from '../../directory/address/address.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { domainDigest } from '../../sync/push/configuration-push.ts';
import { entryHash } from '../../sync/content-digest.ts';
import type { EdgeLink, EdgeTarget } from '../../sync/push/edge-link.ts';
import {
  askRemovals,
  fetchBucket,
  fetchHash,
  fetchListing,
  fetchSummary,
  GUARDED_KINDS,
} from '../../sync/push/edge-query.ts';
import type { MirrorView } from '../../sync/push/mirror-view.ts';
import { edgeAttributes, guidBytes, guidText, unpackRecipient } from '../../sync/recipient.ts';
import { compareContent, findByAddress } from '../../sync/verify.ts';
import { connected } from './edge-facts.ts';

export interface VerifyOptions {
  readonly link: EdgeLink;
  readonly mirror: MirrorView | undefined;
  readonly target: () => Promise<EdgeTarget>;
  /** Only this recipient. */
  readonly address: string | undefined;
  /** The source has been reread for this. */
  readonly source: boolean;
  readonly maxReport: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** So long an edge may take for what the mirror has already. */
const SETTLE_WITHIN_MS = 30_000;

/** Never throws for an edge that can't be asked: that is its answer (`nothing`). */
export async function verifyEdge(options: VerifyOptions): Promise<VerifyDocument> {
  const { link, mirror, address } = options;
  try {
    const client = connected(link);
    if (mirror === undefined) return await verifyDomainsOnly(options, client);
    await settled(options, mirror);
    if (!link.status.progress.inStep || mirror.position.cookie === undefined)
      return nothing(
        link,
        mirror,
        `the edge is not in step yet (${link.status.state}); postern sync run --edge ${link.name}`,
      );
    return address === undefined
      ? await verifyContent(options, client, mirror)
      : await verifyAddress(options, client, mirror, address);
  } catch (error) {
    if (options.signal.aborted || !isPosternError(error) || error.code === 'usage') throw error;
    const hint = error.hint === undefined ? '' : ` (${error.hint})`;
    return nothing(link, mirror, `${describeError(error)}${hint}`);
  }
}

async function verifyContent(
  options: VerifyOptions,
  client: LdapClient,
  mirror: MirrorView,
): Promise<VerifyDocument> {
  const { link, maxReport, source } = options;
  const target = await options.target();
  const { disturbed, ...comparison } = await compareContent({
    mirror,
    hash: target.hash,
    digestKey: target.digestKey,
    edge: {
      summary: (bits) => fetchSummary(client, 'recipients', bits),
      bucket: (bits, prefix) => fetchBucket(client, 'recipients', bits, prefix),
      listing: () => fetchListing(client, target.digestKey, mirror.size),
    },
    maxReport,
    settled: () => settled(options, mirror),
  });
  const domains = await domainsEqual(client, target);
  const waiting = await waitingRemovals(client);
  const details = [
    comparison.equal
      ? 'the digest of all recipients that the edge stores is the expected one'
      : `${comparison.differenceCount} recipients differ; postern sync run --full --edge ${link.name} compares and mends them`,
    ...(disturbed ? ['changes arrived all the time, so some differences may be changes on their way'] : []),
    domains ? 'the accepted domains are equal' : 'the accepted domains differ; postern sync run mends them',
    ...(waiting === '' ? [] : [`${waiting}: they go on answering, and are not counted as differences`]),
  ];
  return {
    edge: link.name,
    level: source ? 'source' : 'content',
    ...comparison,
    equal: comparison.equal && domains,
    detail: details.join('; '),
  };
}

/** What the removal guard holds back there, in words; empty when nothing is. */
async function waitingRemovals(client: LdapClient): Promise<string> {
  const said: string[] = [];
  for (const kind of GUARDED_KINDS) {
    const { pending, rejected } = await askRemovals(client, 'list', kind, SETTLE_WITHIN_MS);
    if (pending > 0) said.push(`the removal of ${pending} ${kind} waits for "postern sync approve"`);
    if (rejected > 0) said.push(`the removal of ${rejected} ${kind} was rejected`);
  }
  return said.join(', ');
}

async function verifyDomainsOnly(options: VerifyOptions, client: LdapClient): Promise<VerifyDocument> {
  const { link } = options;
  const equal = await domainsEqual(client, await options.target());
  return {
    ...nothing(
      link,
      undefined,
      `this hub has no [source], so nothing is known of recipients; the accepted domains ${equal ? 'are equal' : 'differ'}`,
    ),
    equal,
  };
}

async function domainsEqual(client: LdapClient, target: EdgeTarget): Promise<boolean> {
  const { count, digest } = await fetchSummary(client, 'domains', 0);
  const expected = domainDigest(target.domains, target.digestKey);
  return expected.count === count && expected.toBytes().equals(digest);
}

/** One recipient: who has the address here and there, and whether the entries are the same. */
async function verifyAddress(
  options: VerifyOptions,
  client: LdapClient,
  mirror: MirrorView,
  text: string,
): Promise<VerifyDocument> {
  const { link } = options;
  const { canonical } = requireAddress(text);
  const target = await options.target();
  const here = await findByAddress(mirror, canonical);
  const there = await searchEdge(client, canonical);
  const differences: VerifyDocument['differences'][number][] = [];
  for (const { guid, packed } of here) {
    const recipient = unpackRecipient(packed);
    const expected = entryHash(target.digestKey, guid, edgeAttributes(recipient, target.hash));
    const stored = await fetchHash(client, target.digestKey, guid);
    if (stored?.equals(expected) === true && there.has(guidText(guid))) continue;
    differences.push({
      guid: guidText(guid),
      what: stored === undefined ? 'missing' : 'altered',
      addresses: recipient.addresses,
    });
  }
  const known = new Set(here.map(({ guid }) => guidText(guid)));
  for (const [guid, pending] of there)
    if (!known.has(guid) && !pending) differences.push({ guid, what: 'unexpected' });
  const waiting = [...there].filter(([guid, pending]) => pending && !known.has(guid)).length;
  const equal = differences.length === 0;
  return {
    edge: link.name,
    level: 'address',
    equal,
    detail: `${addressDetail(canonical, here.length, equal, waiting)}${domainDetail(canonical, target)}`,
    hubCount: here.length,
    edgeCount: there.size,
    differences,
    differenceCount: differences.length,
  };
}

function addressDetail(address: string, here: number, equal: boolean, waiting: number): string {
  const held =
    waiting === 0 ? '' : '; its removal waits there for "postern sync approve", so it still answers';
  if (!equal) return `${address} is not the same here and there${held}`;
  return here === 0
    ? `${address} is no recipient, neither here nor there${held}`
    : `the recipient of ${address} is stored there exactly as it is here`;
}

/** A recipient whose domain was never accepted is stored, and yet refused by the mail server. */
function domainDetail(address: string, { domains }: EdgeTarget): string {
  const domain = address.slice(address.lastIndexOf('@') + 1);
  const accepted = domains.some(({ dn }) => dn.toLowerCase().startsWith(`cn=${domain.toLowerCase()},`));
  return accepted
    ? ''
    : `; but ${domain} is no accepted domain, so the edge answers "not ours" (postern domain add ${domain})`;
}

/** GUIDs of the entries that answer for the address, with whether their removal waits. */
async function searchEdge(client: LdapClient, address: string): Promise<Map<string, boolean>> {
  const found = new Map<string, boolean>();
  const search = client.search({
    base: 'cn=Recipients',
    scope: 'one',
    filter: { kind: 'equality', attribute: 'posternAddress', value: Buffer.from(address, 'utf8') },
    attributes: ['cn', 'posternPendingDelete', 'posternPendingAddress'],
  });
  for await (const { operation } of search) {
    if (operation.op !== 'searchResultEntry') continue;
    const has = (type: string): boolean =>
      operation.attributes.some((one) => one.type.toLowerCase() === type && one.values.length > 0);
    const name = operation.attributes.find(({ type }) => type.toLowerCase() === 'cn')?.values[0];
    const guid = guidBytes(name?.toString('utf8') ?? '');
    if (guid !== undefined)
      found.set(guidText(guid), has('posternpendingdelete') || has('posternpendingaddress'));
  }
  return found;
}

/** Waits until the edge has what the mirror has now; not for ever. */
export async function settled(
  { link, clock, signal }: Pick<VerifyOptions, 'link' | 'clock' | 'signal'>,
  mirror: MirrorView,
): Promise<void> {
  const { sequence } = mirror.position;
  const isThere = (): boolean => {
    const { progress, configurationDue } = link.status;
    return !configurationDue && (progress.settledSequence ?? -1) >= sequence;
  };
  const given = new AbortController();
  const stop = (): void => given.abort(new Error('settled'));
  const unwatch = link.watch(() => {
    if (isThere() || link.client === undefined) stop();
  });
  try {
    if (isThere() || link.client === undefined) return;
    await clock
      .sleep('verify.settle', SETTLE_WITHIN_MS, AbortSignal.any([signal, given.signal]))
      .catch(() => undefined);
    signal.throwIfAborted();
  } finally {
    unwatch();
  }
}

function nothing(link: EdgeLink, mirror: MirrorView | undefined, detail: string): VerifyDocument {
  return {
    edge: link.name,
    level: 'nothing',
    equal: false,
    detail,
    hubCount: mirror?.size ?? 0,
    edgeCount: 0,
    differences: [],
    differenceCount: 0,
  };
}
