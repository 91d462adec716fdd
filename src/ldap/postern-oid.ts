/**
 * Every object identifier of our own. Numbers are for ever: a retired one is not given again, new ones go at the end.
 * `docs/architecture.md` says what the things are; the schema of each is with the directory.
 */

/** A UUID arc (X.667), so it needs no registration. */
export const POSTERN_ARC = '2.25.166232607415017693816478881864819517156';

export const POSTERN_ATTRIBUTE = {
  posternFqdn: `${POSTERN_ARC}.1.1`,
  posternCertificate: `${POSTERN_ARC}.1.2`,
  posternStatement: `${POSTERN_ARC}.1.3`,
  posternCredential: `${POSTERN_ARC}.1.4`,
  posternDomainKind: `${POSTERN_ARC}.1.5`,
  posternCatchAll: `${POSTERN_ARC}.1.6`,
  posternRecipientDelimiter: `${POSTERN_ARC}.1.7`,
  posternMaxAge: `${POSTERN_ARC}.1.8`,
  posternAddress: `${POSTERN_ARC}.1.9`,
  posternRecipientKind: `${POSTERN_ARC}.1.10`,
  posternPendingDelete: `${POSTERN_ARC}.1.11`,
  posternPendingAddress: `${POSTERN_ARC}.1.12`,
  posternEffectiveTime: `${POSTERN_ARC}.1.13`,
  posternExpirationTime: `${POSTERN_ARC}.1.14`,
  posternAccountState: `${POSTERN_ARC}.1.15`,
  posternLeaseState: `${POSTERN_ARC}.1.16`,
  posternLeaseEpoch: `${POSTERN_ARC}.1.17`,
  posternLeaseHolder: `${POSTERN_ARC}.1.18`,
  posternLeaseExpiry: `${POSTERN_ARC}.1.19`,
  posternCookie: `${POSTERN_ARC}.1.20`,
  posternContentDigest: `${POSTERN_ARC}.1.21`,
  posternEntryCount: `${POSTERN_ARC}.1.22`,
  posternLoadState: `${POSTERN_ARC}.1.23`,
  posternLastConfirmed: `${POSTERN_ARC}.1.24`,
  posternMappingVersion: `${POSTERN_ARC}.1.25`,
  posternSyncEpoch: `${POSTERN_ARC}.1.26`,
  posternResult: `${POSTERN_ARC}.1.27`,
  /** HPKE-sealed key of an edge's address hashes. */
  posternSealedKey: `${POSTERN_ARC}.1.28`,
  /** How many removals the hub is about to make in this pass: the removal guard judges the pass by it. */
  posternPlannedRemovals: `${POSTERN_ARC}.1.29`,
  /** Time at which an administrator rejected a removal: the entry goes on answering. */
  posternKept: `${POSTERN_ARC}.1.30`,
  posternPort: `${POSTERN_ARC}.1.31`,
  /** Of the root DSE: the server's clock. The name is Active Directory's, which gives it no number. */
  currentTime: `${POSTERN_ARC}.1.32`,
} as const;
export type PosternAttribute = keyof typeof POSTERN_ATTRIBUTE;

export const POSTERN_OBJECT_CLASS = {
  posternEdge: `${POSTERN_ARC}.2.1`,
  posternHub: `${POSTERN_ARC}.2.2`,
  posternEdgeServer: `${POSTERN_ARC}.2.3`,
  posternAcceptedDomain: `${POSTERN_ARC}.2.4`,
  posternRecipient: `${POSTERN_ARC}.2.5`,
  posternAccount: `${POSTERN_ARC}.2.6`,
  /** cn=Sync: the lease. */
  posternLease: `${POSTERN_ARC}.2.7`,
  /** cn=recipients, cn=domains, cn=topology under cn=Sync. */
  posternSyncState: `${POSTERN_ARC}.2.8`,
  /** cn=Configuration's and the suffixes' branches. */
  posternContainer: `${POSTERN_ARC}.2.9`,
} as const;
export type PosternObjectClass = keyof typeof POSTERN_OBJECT_CLASS;

export const POSTERN_EXTENDED = {
  lease: `${POSTERN_ARC}.3.1`,
  contentDigest: `${POSTERN_ARC}.3.2`,
  removals: `${POSTERN_ARC}.3.3`,
  /** A hub hands one sealed record to the edge itself: a recovery, or fresh keys. */
  installCredential: `${POSTERN_ARC}.3.4`,
  /** A hub deletes an account of its own pair, or ends the pair. */
  retireCredential: `${POSTERN_ARC}.3.5`,
  /** Hub and edge tell each other what they state of their keys, and by which pins they know each other. */
  identities: `${POSTERN_ARC}.3.6`,
} as const;

export const POSTERN_CONTROL = {
  /** No value. On add: an existing entry is replaced; on delete: a missing entry is success. */
  idempotent: `${POSTERN_ARC}.4.1`,
  /** On binds of hubs: which installation calls, and for the how manieth time. On the answer: what the edge makes of it. */
  instance: `${POSTERN_ARC}.4.2`,
} as const;

export const POSTERN_MATCHING_RULE = {
  posternAddressMatch: `${POSTERN_ARC}.5.1`,
} as const;
