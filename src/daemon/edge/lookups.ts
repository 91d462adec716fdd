/** What the mail server of this host asks: socketmap tables and the single question of `postern lookup`, over one validator. */
import type { Clock } from '../../base/clock.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import type { LookupDocument } from '../../admin/documents.ts';
import { DOCUMENT_VERSION } from '../../admin/documents.ts';
import {
  ADDRESS_HASH_LENGTH,
  type AddressHasher,
  createAddressHasher,
} from '../../directory/address/hasher.ts';
import { describeReason } from '../../lookup/describe.ts';
import { recipientReply, type SocketmapTable, socketmapTables } from '../../lookup/socketmap-table.ts';
import { type LookupAnswer, lookupAddress, uncertainty } from '../../lookup/validator.ts';
import { deriveDigestKey } from '../../sync/content-digest.ts';
import { guidText } from '../../sync/recipient.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import type { DirectoryIndex } from './recipient-index.ts';

/** The keys that follow from the edge's address key, made anew when that changes. */
export class AddressKeys {
  readonly #trust: TrustStore<EdgeTrustState>;
  #id: string | undefined;
  #hasher: AddressHasher | undefined;
  #digestKey: Buffer | undefined;

  constructor(trust: TrustStore<EdgeTrustState>) {
    this.#trust = trust;
  }

  /** Undefined before the first subscription: nothing can be stored then. */
  get hasher(): AddressHasher | undefined {
    this.#refresh();
    return this.#hasher;
  }

  get digestKey(): Buffer | undefined {
    this.#refresh();
    return this.#digestKey;
  }

  #refresh(): void {
    const stored = this.#trust.value.addressKey;
    if (stored?.id === this.#id) return;
    this.#id = stored?.id;
    this.#hasher = stored === undefined ? undefined : createAddressHasher(stored.key);
    this.#digestKey = stored === undefined ? undefined : deriveDigestKey(stored.key.reveal());
  }
}

export interface LookupsOptions {
  readonly index: DirectoryIndex;
  readonly keys: AddressKeys;
  readonly clock: Clock;
  readonly defaultMaxAgeMs: number;
}

export interface LookupCounts {
  known: number;
  unknown: number;
  temporary: number;
  notOurs: number;
}

const NO_HASH = Buffer.alloc(ADDRESS_HASH_LENGTH);
const COUNTED = {
  known: 'known',
  unknown: 'unknown',
  temporarilyUnable: 'temporary',
  notOurs: 'notOurs',
} as const;

export class Lookups {
  readonly counts: LookupCounts = { known: 0, unknown: 0, temporary: 0, notOurs: 0 };
  readonly #options: LookupsOptions;
  /** Without a key nothing is stored, so nothing can match. */
  readonly #hasher: Pick<AddressHasher, 'hash'>;

  constructor(options: LookupsOptions) {
    this.#options = options;
    this.#hasher = { hash: (canonical) => options.keys.hasher?.hash(canonical) ?? NO_HASH };
  }

  tables(): ReadonlyMap<string, SocketmapTable> {
    const { index, clock, defaultMaxAgeMs } = this.#options;
    return socketmapTables({
      index,
      hasher: this.#hasher,
      now: () => clock.now(),
      defaultMaxAgeMs,
      onAnswer: (map, answer) => {
        if (map === 'recipients') this.counts[COUNTED[answer.verdict]]++;
      },
    });
  }

  /** What the mail server would be told, and why; not counted. */
  explain(address: string): LookupDocument {
    const { index, clock, defaultMaxAgeMs } = this.#options;
    const answer: LookupAnswer = lookupAddress(
      address,
      { index, hasher: this.#hasher, defaultMaxAgeMs },
      clock.now(),
    );
    return {
      version: DOCUMENT_VERSION,
      address,
      answer: COUNTED[answer.verdict],
      socketmap: recipientReply(answer),
      reason: describeReason(answer),
      ...(answer.recipient === undefined ? {} : { guid: guidText(Buffer.from(answer.recipient.guid)) }),
      ...(answer.domain === undefined ? {} : { domain: answer.domain }),
      ...(answer.domainKind === undefined ? {} : { domainKind: answer.domainKind }),
      ...(answer.ageMs === undefined ? {} : { confirmedAgoMs: answer.ageMs }),
    };
  }

  /** The same for domains; a list that is old is better than none (see `lookup/validator.ts`). */
  get domainsUnavailable(): string | undefined {
    return this.#options.index.domainStatus().loadState === 'complete'
      ? undefined
      : 'accepted domains are not loaded yet';
  }

  /** Why a search of recipients that found nothing cannot be taken for an answer now; undefined when it can. */
  get unavailable(): string | undefined {
    const { index, clock, defaultMaxAgeMs } = this.#options;
    // A search does not say which domain it is about, so the strictest one decides.
    const maxAgeMs = Math.min(defaultMaxAgeMs, index.shortestMaxAgeMs());
    const why = uncertainty(index.recipientStatus(), maxAgeMs, clock.now());
    if (why === undefined) return undefined;
    return why === 'recipientsStale'
      ? 'recipients were not confirmed for too long'
      : 'recipients are not loaded yet';
  }
}
