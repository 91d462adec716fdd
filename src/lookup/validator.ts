/**
 * The one decision behind every lookup front: may mail for this address come in? Pure: data through `RecipientIndex`, time as
 * a number. Knows no protocol.
 *
 * Staleness contract: "unknown" turns into a bounce that nobody can take back, so it is only said of an authoritative domain
 * when a complete load is there and the source confirmed it recently enough; else the answer is "temporarily unable". What
 * is found is said at any time: too much mail accepted is the smaller harm.
 */
import {
  type Address,
  type AddressProblem,
  composeAddress,
  parseAddress,
} from '../directory/address/address.ts';
import { normaliseDomain } from '../directory/address/domain.ts';
import type { AddressHasher } from '../directory/address/hasher.ts';
import { withoutExtension } from './delimiter.ts';
import type {
  DomainKind,
  DomainPolicy,
  LoadStatus,
  RecipientIndex,
  RecipientMatch,
} from './recipient-index.ts';

/** As long as a cookie of the source is good for: a hub's outage must not stop mail. */
export const DEFAULT_MAX_AGE_MS = 21 * 86_400_000;
/** A confirmation from further ahead than this means that a clock is wrong, so its age is not known. */
export const CLOCK_TOLERANCE_MS = 10 * 60_000;

export type Verdict = 'known' | 'unknown' | 'temporarilyUnable' | 'notOurs';

export type LookupRule =
  /** The address itself is a recipient's. */
  | 'exact'
  /** The address without its extension is a recipient's. */
  | 'withoutExtension'
  /** postmaster@ of a domain of ours: RFC 5321 §4.5.1 wants it to work, so it does not depend on data. */
  | 'postmaster'
  | 'catchAll'
  /** A relay domain has recipients that we do not know. */
  | 'relay'
  /** No recipient has this address, and the data are good enough to say so. */
  | 'noSuchRecipient'
  | 'recipientsNotLoaded'
  | 'recipientsStale'
  | 'domainsNotLoaded'
  | 'foreignDomain'
  /** No address at all, so nobody's. */
  | 'malformed';

export interface LookupAnswer {
  readonly verdict: Verdict;
  readonly rule: LookupRule;
  /** Canonical spelling of what was asked; missing when malformed. */
  readonly address?: string;
  /** Canonical spelling of what was found. */
  readonly matched?: string;
  readonly problem?: AddressProblem;
  readonly domain?: string;
  readonly domainKind?: DomainKind;
  readonly recipient?: RecipientMatch;
  /** Of the recipients. */
  readonly generation?: number;
  /** Milliseconds since the source confirmed the recipients; missing when it never did. Negative: ahead of our clock. */
  readonly ageMs?: number;
  readonly maxAgeMs?: number;
}

export interface ValidatorOptions {
  readonly index: RecipientIndex;
  readonly hasher: Pick<AddressHasher, 'hash'>;
  /** For domains that state none; 21 days unless told. */
  readonly defaultMaxAgeMs?: number;
}

/** `input`: the address as the mail server sees it, without angle brackets; bytes are taken as UTF-8. Never throws. */
export function lookupAddress(
  input: string | Uint8Array,
  options: ValidatorOptions,
  now: number,
): LookupAnswer {
  const address = parseAddress(input);
  if (typeof address === 'string') return { verdict: 'unknown', rule: 'malformed', problem: address };
  const { index } = options;
  const policy = index.domain(address.domain);
  if (policy === undefined) return foreign(address.domain, index, address);

  const status = index.recipientStatus();
  const maxAgeMs = policy.maxAgeMs ?? options.defaultMaxAgeMs ?? DEFAULT_MAX_AGE_MS;
  const found = find(address, policy, options);
  const decided = found ?? (acceptsAnything(address, policy) || refuse(status, maxAgeMs, now));
  return {
    ...decided,
    address: address.canonical,
    domain: address.domain,
    domainKind: policy.kind,
    generation: status.generation,
    ...(status.lastConfirmedMs === undefined ? {} : { ageMs: now - status.lastConfirmedMs }),
    maxAgeMs,
  };
}

/**
 * Is mail for this domain let in at all (`relay_domains`)? 'known', 'notOurs' or 'temporarilyUnable'. The age of the list
 * does not matter: a domain that is not on it may be anybody's, and deferring every outgoing message would not help.
 */
export function lookupDomain(input: string | Uint8Array, index: RecipientIndex): LookupAnswer {
  const domain = normaliseDomain(typeof input === 'string' ? input : Buffer.from(input).toString('utf8'));
  if (domain === undefined) return { verdict: 'notOurs', rule: 'malformed', problem: 'bad-domain' };
  const policy = index.domain(domain);
  if (policy === undefined) return foreign(domain, index);
  return {
    verdict: 'known',
    rule: 'exact',
    domain,
    domainKind: policy.kind,
    generation: index.domainStatus().generation,
  };
}

type Decision = Pick<LookupAnswer, 'verdict' | 'rule' | 'matched' | 'recipient'>;

function find(address: Address, policy: DomainPolicy, options: ValidatorOptions): Decision | undefined {
  const exact = options.index.find(options.hasher.hash(address.canonical));
  if (exact !== undefined)
    return { verdict: 'known', rule: 'exact', matched: address.canonical, recipient: exact };
  const delimiters = policy.recipientDelimiter;
  if (delimiters === undefined) return undefined;
  const local = withoutExtension(address.local, delimiters);
  if (local === undefined) return undefined;
  const { canonical } = composeAddress(local, address.domain);
  const recipient = options.index.find(options.hasher.hash(canonical));
  return recipient === undefined
    ? undefined
    : { verdict: 'known', rule: 'withoutExtension', matched: canonical, recipient };
}

function acceptsAnything(address: Address, policy: DomainPolicy): Decision | false {
  if (address.local === 'postmaster') return { verdict: 'known', rule: 'postmaster' };
  if (policy.catchAll === true) return { verdict: 'known', rule: 'catchAll' };
  return policy.kind === 'authoritative' ? false : { verdict: 'known', rule: 'relay' };
}

function refuse(status: LoadStatus, maxAgeMs: number, now: number): Decision {
  const rule = uncertainty(status, maxAgeMs, now);
  return rule === undefined
    ? { verdict: 'unknown', rule: 'noSuchRecipient' }
    : { verdict: 'temporarilyUnable', rule };
}

/** Why nobody may be called unknown now; undefined when the data are good enough for it. */
export function uncertainty(
  status: LoadStatus,
  maxAgeMs: number,
  now: number,
): 'recipientsNotLoaded' | 'recipientsStale' | undefined {
  if (status.loadState !== 'complete') return 'recipientsNotLoaded';
  const age = status.lastConfirmedMs === undefined ? Number.NaN : now - status.lastConfirmedMs;
  // Written so that NaN counts as stale.
  return age <= maxAgeMs && age >= -CLOCK_TOLERANCE_MS ? undefined : 'recipientsStale';
}

function foreign(domain: string, index: RecipientIndex, address?: Address): LookupAnswer {
  const loaded = index.domainStatus().loadState === 'complete';
  return {
    verdict: loaded ? 'notOurs' : 'temporarilyUnable',
    rule: loaded ? 'foreignDomain' : 'domainsNotLoaded',
    domain,
    ...(address === undefined ? {} : { address: address.canonical }),
  };
}
