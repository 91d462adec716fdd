/** What lookups need to know, and no more: the edge directory seen through a narrow window. Interfaces only. */

/** How mail for a domain is treated; `internalRelay` and `externalRelay` have recipients that we do not know. */
export type DomainKind = 'authoritative' | 'internalRelay' | 'externalRelay';

export interface DomainPolicy {
  readonly kind: DomainKind;
  /** Every local part is accepted. */
  readonly catchAll?: boolean;
  /** Characters, each of which may part a user from a tag ("+", "+-"); none when missing or empty. */
  readonly recipientDelimiter?: string;
  /** Milliseconds without confirmation by the source after which "unknown" is no longer said. */
  readonly maxAgeMs?: number;
}

export interface RecipientMatch {
  /** 16 bytes, of the source's entry. */
  readonly guid: Uint8Array;
  /** Recipient kind as the hub wrote it (`user`, `group`...). */
  readonly kind?: string;
  /** The source says it is gone, and an administrator has not approved that yet: goes on answering. */
  readonly pendingDelete: boolean;
}

export interface LoadStatus {
  readonly loadState: 'none' | 'loading' | 'complete';
  /** Which load the data belong to. */
  readonly generation: number;
  /** When the holder last confirmed that this is what its source says (milliseconds since 1970); undefined: never. */
  readonly lastConfirmedMs: number | undefined;
}

export interface RecipientIndex {
  /** `name` is canonical (`Address.domain`). Never a subdomain's or parent's policy. */
  domain(name: string): DomainPolicy | undefined;
  /** `hash` as `AddressHasher` makes it. */
  find(hash: Buffer): RecipientMatch | undefined;
  domainStatus(): LoadStatus;
  recipientStatus(): LoadStatus;
}
