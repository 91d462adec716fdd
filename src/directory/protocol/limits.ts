/** What one client may ask of the directory. Numbers only. */

export interface ClientLimits {
  /** Requests being worked on; above it nothing more is read until some are answered. */
  readonly outstanding: number;
  /** Searches that take more than one turn (no index helps); above it nothing more is read until one has ended. */
  readonly long: number;
  /** Searches that stay open (RFC 4533 refreshAndPersist). */
  readonly persistent: number;
  /** Most entries of one search, unless the client asks for fewer; 0 = no limit. */
  readonly sizeLimit: number;
  /** Milliseconds one search may take; 0 = no limit. */
  readonly timeLimitMs: number;
  /** Entries one search may look at; 0 = no limit. */
  readonly lookThrough: number;
  /** Largest page of a paged search. */
  readonly pageSize: number;
  /** Most results that are sorted (RFC 2891). */
  readonly sortEntries: number;
  /** Updates and request octets of one transaction. */
  readonly transactionUpdates: number;
  readonly transactionBytes: number;
  /** Milliseconds from its start to the request to end it; 0 = no limit. */
  readonly transactionMs: number;
  /** Longest message. */
  readonly messageBytes: number;
}

/** For clients nobody knows: enough to read the root DSE and to bind. */
export const STRANGER_LIMITS: ClientLimits = {
  outstanding: 8,
  long: 2,
  persistent: 0,
  sizeLimit: 10,
  timeLimitMs: 5_000,
  lookThrough: 1_000,
  pageSize: 10,
  sortEntries: 100,
  transactionUpdates: 0,
  transactionBytes: 0,
  transactionMs: 0,
  messageBytes: 65_536,
};

/** For local mail servers. */
export const READER_LIMITS: ClientLimits = {
  outstanding: 128,
  long: 16,
  persistent: 0,
  sizeLimit: 500,
  timeLimitMs: 10_000,
  lookThrough: 10_000,
  pageSize: 500,
  sortEntries: 10_000,
  transactionUpdates: 0,
  transactionBytes: 0,
  transactionMs: 0,
  messageBytes: 65_536,
};

/** For hubs and administrators. */
export const TRUSTED_LIMITS: ClientLimits = {
  outstanding: 1024,
  long: 64,
  persistent: 16,
  sizeLimit: 0,
  timeLimitMs: 0,
  lookThrough: 0,
  pageSize: 10_000,
  sortEntries: 100_000,
  transactionUpdates: 2_000,
  transactionBytes: 32 << 20,
  transactionMs: 600_000,
  messageBytes: 8 << 20,
};
