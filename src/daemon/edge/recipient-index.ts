/** The edge directory seen as lookups need it: synchronous, with a cache that any change of the directory empties. */
import { parseGeneralizedTime } from '../../asn1/time.ts';
import type { Directory } from '../../directory/directory.ts';
import type {
  DomainPolicy,
  LoadStatus,
  RecipientIndex,
  RecipientMatch,
} from '../../lookup/recipient-index.ts';
import { guidBytes } from '../../sync/recipient.ts';
import { readDomain } from '../../sync/organisation/domain.ts';

const DOMAINS = 'cn=AcceptedDomains,cn=Configuration';
const MOST_CACHED_DOMAINS = 10_000;
const NO_LOAD: LoadStatus = { loadState: 'none', generation: 0, lastConfirmedMs: undefined };

/** Lookups' window, and the state of any kind of data. */
export interface DirectoryIndex extends RecipientIndex {
  status(kind: string): LoadStatus;
  /** Of the accepted domains that state a longest age; infinite when none does. */
  shortestMaxAgeMs(): number;
}

export function directoryIndex(directory: Directory): DirectoryIndex {
  let seenTime = -1;
  let seenCount = -1;
  const domains = new Map<string, DomainPolicy | undefined>();
  const statuses = new Map<string, LoadStatus>();
  let shortest: number | undefined;
  /** The domains that `shortest` was found among, as their digest says: it outlives changes of recipients. */
  let shortestOf: Buffer | undefined;
  const fresh = (): void => {
    const { time, count } = directory.database.lastChange;
    if (time === seenTime && count === seenCount && domains.size < MOST_CACHED_DOMAINS) return;
    seenTime = time;
    seenCount = count;
    domains.clear();
    statuses.clear();
    const digest = directory.readEntry('cn=domains,cn=Sync')?.values('posternContentDigest')[0];
    if (shortestOf === undefined || digest?.equals(shortestOf) !== true) shortest = undefined;
    shortestOf = digest === undefined ? undefined : Buffer.from(digest);
  };
  const status = (kind: string): LoadStatus => {
    fresh();
    const known = statuses.get(kind);
    if (known !== undefined) return known;
    const found = readStatus(directory, kind);
    statuses.set(kind, found);
    return found;
  };
  return {
    domain(name) {
      fresh();
      if (domains.has(name)) return domains.get(name);
      const policy = readPolicy(directory, name);
      domains.set(name, policy);
      return policy;
    },
    find: (hash) => findRecipient(directory, hash),
    status,
    shortestMaxAgeMs() {
      fresh();
      shortest ??= readShortestMaxAge(directory);
      return shortest;
    },
    domainStatus: () => status('domains'),
    recipientStatus: () => status('recipients'),
  };
}

function findRecipient(directory: Directory, hash: Buffer): RecipientMatch | undefined {
  for (const id of directory.lookupEquality('posternAddress', hash)) {
    const entry = directory.readEntry(id);
    const guid = guidBytes(entry?.text('cn') ?? '');
    if (entry === undefined || guid === undefined) continue;
    const kind = entry.text('posternRecipientKind');
    return {
      guid,
      pendingDelete: entry.values('posternPendingDelete').length > 0,
      ...(kind === undefined ? {} : { kind }),
    };
  }
  return undefined;
}

function readPolicy(directory: Directory, name: string): DomainPolicy | undefined {
  const entry = directory.readEntry(`cn=${name},${DOMAINS}`);
  const domain = entry === undefined ? undefined : readDomain(entry.attributes());
  if (domain === undefined) return undefined;
  const { kind, catchAll, recipientDelimiter, maxAgeMs } = domain;
  return { kind, catchAll, recipientDelimiter, ...(maxAgeMs === undefined ? {} : { maxAgeMs }) };
}

function readShortestMaxAge(directory: Directory): number {
  const { tree } = directory.database;
  let shortest = Number.POSITIVE_INFINITY;
  for (let id = tree.firstChild(directory.resolve(DOMAINS)); id !== 0; id = tree.nextSibling(id)) {
    const domain = readDomain(directory.readEntry(id)?.attributes() ?? []);
    shortest = Math.min(shortest, domain?.maxAgeMs ?? shortest);
  }
  return shortest;
}

function readStatus(directory: Directory, kind: string): LoadStatus {
  const entry = directory.readEntry(`cn=${kind},cn=Sync`);
  if (entry === undefined) return NO_LOAD;
  const state = entry.text('posternLoadState');
  const confirmed = entry.text('posternLastConfirmed');
  return {
    loadState: state === 'loading' || state === 'complete' ? state : 'none',
    generation: Number(entry.text('posternSyncEpoch') ?? 0),
    lastConfirmedMs: confirmed === undefined ? undefined : parseGeneralizedTime(confirmed),
  };
}
