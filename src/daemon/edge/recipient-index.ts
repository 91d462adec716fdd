/** The edge directory seen as lookups need it: synchronous, with a cache that any change of the directory empties. */
import { parseGeneralizedTime } from '../../asn1/time.ts';
import type { Directory, Entry } from '../../directory/directory.ts';
import type { ChangeNumber } from '../../directory/database.ts';
import { KeptEntry } from '../../directory/kept-entry.ts';
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

/** What an entry below cn=Sync says of one kind of data. */
interface KindState {
  readonly status: LoadStatus;
  /** Of the content, latin1. */
  readonly digest: string | undefined;
}

/** Lookups' window, and the state of any kind of data. */
export interface DirectoryIndex extends RecipientIndex {
  status(kind: string): LoadStatus;
  /** Of the accepted domains that state a longest age; infinite when none does. */
  shortestMaxAgeMs(): number;
}

export function directoryIndex(directory: Directory): DirectoryIndex {
  const domains = new Map<string, DomainPolicy | undefined>();
  let domainsAt = directory.database.lastChange;
  const states = new Map<string, KeptEntry<KindState>>();
  let shortest: number | undefined;
  /** The domains that `shortest` was found among, as their digest says: it outlives changes of recipients. */
  let shortestOf: string | undefined;
  let shortestAt = directory.database.lastChange;
  const state = (kind: string): KindState => {
    let kept = states.get(kind);
    if (kept === undefined) {
      kept = new KeptEntry(directory, `cn=${kind},cn=Sync`, readState);
      states.set(kind, kept);
    }
    return kept.value;
  };
  return {
    domain(name) {
      const now = directory.database.lastChange;
      if (!isSame(now, domainsAt) || domains.size >= MOST_CACHED_DOMAINS) domains.clear();
      domainsAt = now;
      if (domains.has(name)) return domains.get(name);
      const policy = readPolicy(directory, name);
      domains.set(name, policy);
      return policy;
    },
    find: (hash) => findRecipient(directory, hash),
    status: (kind) => state(kind).status,
    shortestMaxAgeMs() {
      const { digest } = state('domains');
      const now = directory.database.lastChange;
      const known = digest === undefined ? isSame(now, shortestAt) : digest === shortestOf;
      if (shortest === undefined || !known) shortest = readShortestMaxAge(directory);
      shortestOf = digest;
      shortestAt = now;
      return shortest;
    },
    domainStatus: () => state('domains').status,
    recipientStatus: () => state('recipients').status,
  };
}

function isSame(one: ChangeNumber, other: ChangeNumber): boolean {
  return one.time === other.time && one.count === other.count;
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

function readState(entry: Entry | undefined): KindState {
  if (entry === undefined) return { status: NO_LOAD, digest: undefined };
  const loadState = entry.text('posternLoadState');
  const confirmed = entry.text('posternLastConfirmed');
  return {
    status: {
      loadState: loadState === 'loading' || loadState === 'complete' ? loadState : 'none',
      generation: Number(entry.text('posternSyncEpoch') ?? 0),
      lastConfirmedMs: confirmed === undefined ? undefined : parseGeneralizedTime(confirmed),
    },
    digest: entry.values('posternContentDigest')[0]?.toString('latin1'),
  };
}
