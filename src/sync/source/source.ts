/**
 * What every source of recipients looks like to the rest: a stream of events, and what a cookie from it is worth.
 * Knows nothing of mapping, edges or stores.
 */

export interface SourceEntry {
  /** 16 bytes: entryUUID, objectGUID. */
  readonly guid: Buffer;
  readonly dn: string;
  /** Attribute descriptions in lower case, without options. */
  readonly attributes: ReadonlyMap<string, readonly Buffer[]>;
}

/**
 * `upsert`: the whole entry as it is now. `delete`: gone, or left the filter. `present`: there; unchanged since the cookie unless it is
 * delivered later in the same refresh.
 * `complete`: the refresh ended *whole*; with `sweep`, whatever was neither upserted nor present since the feed was opened is gone.
 * `position`: everything so far is what `cookie` stands for (persist stage). `restart`: the source gave up the incremental
 * refresh, the pass starts again from nothing seen.
 */
export type FeedEvent =
  | { readonly kind: 'upsert'; readonly entry: SourceEntry }
  | { readonly kind: 'delete'; readonly guid: Buffer }
  | { readonly kind: 'present'; readonly guids: readonly Buffer[] }
  | { readonly kind: 'complete'; readonly sweep: boolean; readonly cookie: Buffer | undefined }
  | { readonly kind: 'position'; readonly cookie: Buffer }
  | { readonly kind: 'restart' };

/** What a native cookie depends on; when any of it differs, the cookie is worth nothing (DESIGN: difference synchronisation). */
export interface FeedIdentity {
  readonly kind: string;
  /** Server instance or file, as configured. */
  readonly instance: string;
  readonly base: string;
  readonly filter: string;
  readonly attributes: readonly string[];
  readonly bindIdentity: string;
  readonly mapping: string;
}

/** Something that the account may do or see, or may not. `hint`: how it is granted, when it is missing. */
export interface SourceRight {
  readonly name: string;
  readonly granted: boolean;
  /** What is worse without it. */
  readonly matter: string;
  readonly hint?: string;
}

export interface Feed {
  readonly identity: FeedIdentity;
  /** True when changes arrive by themselves after `complete`; otherwise the stream ends there and is opened again on schedule. */
  readonly live: boolean;
  /**
   * Opens the feed after `cookie`, or from the beginning. Ends normally only after `complete`, when not live (or when a source
   * does not stay so); in the persist stage an empty array says that the source has just proved to be alive. Every failure
   * throws (`source.unavailable`, `source.incomplete`, `source.behind`, `source.invalid`) and proves nothing about absence.
   */
  follow(cookie: Buffer | undefined, signal: AbortSignal): AsyncIterable<readonly FeedEvent[]>;
  /** What the account may do, asked of the server. Throws as `follow` does. */
  examine?(signal: AbortSignal): Promise<readonly SourceRight[]>;
}
