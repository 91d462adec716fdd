/**
 * What the daemons answer on their control sockets, as plain data: the `--json` output of the command line is exactly
 * this. Versioned; fields are only ever added. Times are milliseconds since 1970-01-01 UTC by the daemon's clock.
 */

import type { SourceStatus } from '../sync/follow.ts';
import type { LinkState } from '../sync/push/link-status.ts';

export type { SourceStatus };

export const DOCUMENT_VERSION = 1;

export type Severity = 'warning' | 'critical';

/** A warning has a stable code, a cause in words, and a command that mends it. */
/** What a warning is about, for scripts and monitoring. `docs/warnings.md` explains each. */
export type WarningCode =
  | 'certificate.expired'
  | 'certificate.expiring'
  | 'certificate.rollover-waiting'
  | 'certificate.unproved'
  | 'certificate.unusable'
  | 'clock.skew'
  | 'credential.expired'
  | 'credential.not-admitted'
  | 'credential.recovered'
  | 'credential.recovery-exhausted'
  | 'credential.recovery-waits'
  | 'credential.restored'
  | 'credential.two-instances'
  | 'credential.unconfirmed'
  | 'edge.failing'
  | 'edge.not-subscribed'
  | 'ipsec.charon-away'
  | 'ipsec.clear-text'
  | 'ipsec.conflict'
  | 'ipsec.failing'
  | 'ipsec.guard'
  | 'ipsec.nat'
  | 'ipsec.no-traffic'
  | 'ipsec.peer-down'
  | 'ipsec.selectors-narrowed'
  | 'ipsec.settings'
  | 'ipsec.trap-missing'
  | 'ipsec.tunnel-mode'
  | 'ipsec.unpinned'
  | 'recipients.aging'
  | 'recipients.loading'
  | 'recipients.stale'
  | 'removals.pending'
  | 'source.failed'
  | 'store.full'
  | 'subscription.file-left'
  | 'trust.repaired';

export interface Warning {
  readonly code: WarningCode;
  readonly severity: Severity;
  readonly text: string;
  readonly mend?: string;
}

export type LoadState = 'none' | 'loading' | 'complete';

export interface KindStatus {
  readonly kind: 'recipients' | 'domains' | 'topology';
  readonly loadState: LoadState;
  readonly entries: number;
  readonly pendingRemovals: number;
  /** Removals that an administrator rejected: these entries answer although the source does not have them. */
  readonly keptRemovals: number;
  readonly lastConfirmed: number | undefined;
}

export interface LeaseStatus {
  readonly state: 'free' | 'held' | 'orphaned' | 'expired';
  readonly holder: string;
  readonly epoch: number;
  readonly remainingMs: number;
}

export interface AccountStatus {
  readonly name: string;
  readonly kind: 'bootstrap' | 'esra';
  readonly effective: number;
  readonly expires: number;
  readonly state: string;
}

/** What an edge says of its credentials (`credential list` there): one entry a hub. */
export interface EdgeCredentialsDocument {
  readonly version: typeof DOCUMENT_VERSION;
  readonly role: 'edge';
  readonly edge: string;
  readonly now: number;
  readonly hubs: readonly EdgeHubCredentials[];
}

export interface EdgeHubCredentials {
  readonly hub: string;
  /** `suspended`: two instances of the hub are alive; `ended`: it left, or was revoked; `fresh keys due`: its sessions may only hand them over. */
  readonly state: 'active' | 'suspended' | 'ended' | 'fresh keys due';
  /** When the hub last asked for something. */
  readonly lastHeard?: number;
  readonly recoveriesLeft: number;
  /** One more was allowed by `subscription recover --allow`. */
  readonly recoveryAllowed: boolean;
  readonly accounts: readonly (AccountStatus & {
    /** How it came: in a push, or by a request of the hub itself. */
    readonly by: 'push' | 'request';
    /** A bind inside its window has succeeded. */
    readonly proved: boolean;
  })[];
}

export interface EdgeStatus {
  readonly version: typeof DOCUMENT_VERSION;
  readonly role: 'edge';
  readonly name: string;
  readonly fqdn: string;
  readonly now: number;
  readonly startedAt: number;
  readonly fingerprint: string;
  readonly subscribed: boolean;
  readonly kinds: readonly KindStatus[];
  readonly lease: LeaseStatus;
  readonly accounts: readonly AccountStatus[];
  readonly lookups: {
    readonly known: number;
    readonly unknown: number;
    readonly temporary: number;
    readonly notOurs: number;
  };
  readonly connections: number;
  readonly memoryBytes: number;
  readonly warnings: readonly Warning[];
}

export interface EdgeSyncStatus {
  readonly edge: string;
  readonly address: string;
  readonly state: LinkState;
  readonly holdsLease: boolean;
  readonly lastAttempt: number | undefined;
  readonly lastSuccess: number | undefined;
  readonly consecutiveFailures: number;
  readonly failureDetail: string | undefined;
  /** Progress of a load: entries pushed, of how many (undefined while the source is still being read). */
  readonly pushed: number;
  readonly total: number | undefined;
  readonly pendingRemovals: number;
  readonly credential: string;
  readonly credentialExpires: number;
}

export interface HubStatus {
  readonly version: typeof DOCUMENT_VERSION;
  readonly role: 'hub';
  readonly name: string;
  readonly fqdn: string;
  readonly site: string;
  readonly now: number;
  readonly startedAt: number;
  readonly fingerprint: string;
  readonly source: SourceStatus;
  readonly edges: readonly EdgeSyncStatus[];
  readonly domains: number;
  readonly memoryBytes: number;
  readonly warnings: readonly Warning[];
}

export type DaemonStatus = EdgeStatus | HubStatus;

export interface LookupDocument {
  readonly version: typeof DOCUMENT_VERSION;
  readonly address: string;
  readonly answer: 'known' | 'unknown' | 'temporary' | 'notOurs';
  /** What the mail server is told over socketmap. */
  readonly socketmap: string;
  readonly reason: string;
  readonly guid?: string;
  readonly domain?: string;
  readonly domainKind?: string;
  readonly confirmedAgoMs?: number;
}

/** `lookup compare`: the edge's answers beside what the mail server does today. */
export interface CompareDocument {
  readonly compared: number;
  readonly equal: number;
  /** Lines that name no address with a domain. */
  readonly skipped: number;
  /** `lost`: accepted today, refused by the edge. `gained`: the other way round. */
  readonly counts: Readonly<Record<'lost' | 'gained' | 'waiting' | 'not-ours', number>>;
  /** At most `--max-report`. */
  readonly differences: readonly {
    readonly address: string;
    readonly line: number;
    readonly difference: 'lost' | 'gained' | 'waiting' | 'not-ours';
    readonly reason: string;
  }[];
}

/** One edge's answer to `sync verify`. */
export interface VerifyDocument {
  readonly edge: string;
  /** What was proved: `content` (the digests of what is stored), `address`, `source` (the source was reread), or nothing. */
  readonly level: 'content' | 'address' | 'source' | 'nothing';
  readonly equal: boolean;
  readonly detail: string;
  readonly hubCount: number;
  readonly edgeCount: number;
  /** Entries that differ, by GUID; at most `--max-report`. */
  readonly differences: readonly {
    readonly guid: string;
    readonly what: 'missing' | 'unexpected' | 'altered';
    readonly addresses?: readonly string[];
  }[];
  readonly differenceCount: number;
}

export interface DomainDocument {
  readonly domain: string;
  readonly kind: 'authoritative' | 'internalRelay' | 'externalRelay';
  readonly catchAll: boolean;
  readonly recipientDelimiter: string;
  readonly maxAge: string;
}

export interface SiteHubDocument {
  readonly hub: string;
  readonly fqdn: string;
  readonly fingerprint: string;
  /** `unknown`: nobody whom this hub trusts has let it in. */
  readonly standing: 'this hub' | 'administrator' | 'endorsed' | 'unknown';
}

/** A hub has left: the edges that it told itself, and those that the other hubs tell. */
export interface DepartureDocument {
  readonly told: readonly string[];
  readonly untold: readonly string[];
}

export interface SubscriptionDocument {
  readonly edge: string;
  readonly fqdn: string;
  readonly port: number;
  readonly fingerprint: string;
  readonly importedAt: number;
  readonly phase: 'bootstrapping' | 'established';
  readonly account: string;
  readonly expires: number;
}

/** One generation of a pair: an account of this hub on an edge. */
export interface CredentialDocument {
  readonly account: string;
  readonly number: number;
  /**
   * `planned`: its number is reserved; `on its way`: made, and not proved by a bind yet; `ready`: proved, and used when its time comes; `superseded`: a later one is
   * used; `retiring`: deleted as soon as another one is in use; `lost`: its password is gone; `over`: expired or deleted.
   */
  readonly state: 'planned' | 'on its way' | 'ready' | 'in use' | 'superseded' | 'retiring' | 'lost' | 'over';
  readonly made: number;
  readonly effective: number;
  readonly expires: number;
  /** When a bind proved it. */
  readonly confirmed?: number;
  /** When its account was deleted, or had expired. */
  readonly gone?: number;
}

/** The credentials of this hub on one edge. */
export interface CredentialPairDocument {
  readonly edge: string;
  readonly state: 'active' | 'suspended' | 'leaving' | 'ended';
  /** When something changes next, or is tried again. */
  readonly nextLook?: number;
  readonly credentials: readonly CredentialDocument[];
  readonly warnings: readonly { readonly code: WarningCode; readonly text: string }[];
}

/** `credential list` and `credential timeline` on a hub. */
export interface CredentialsDocument {
  readonly version: typeof DOCUMENT_VERSION;
  readonly role: 'hub';
  readonly hub: string;
  readonly now: number;
  readonly pairs: readonly CredentialPairDocument[];
}

/** What `credential rotate` and `credential revoke` did with one pair; what is `under way` goes on by itself. */
export interface RotationDocument extends CredentialPairDocument {
  readonly outcome: 'done' | 'under way' | 'nothing to do' | 'refused';
}
