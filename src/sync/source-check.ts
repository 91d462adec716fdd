/**
 * What a source would give, before anything of it is sent anywhere: rights, counts, samples, addresses that two entries claim, entries that are left out and
 * why. Reads everything once; keeps addresses and names in memory meanwhile.
 */
import type { Mapper } from './mapping/mapping.ts';
import { RECIPIENT_KINDS, type RecipientKind } from './recipient.ts';
import type { Feed, SourceEntry, SourceRight } from './source/source.ts';

export interface SourceReport {
  readonly kind: string;
  readonly instance: string;
  readonly base: string;
  readonly rights: readonly SourceRight[];
  readonly entries: number;
  readonly recipients: number;
  readonly addresses: number;
  /** Values that are no addresses. */
  readonly dropped: number;
  readonly kinds: Readonly<Record<RecipientKind, number>>;
  readonly samples: readonly {
    readonly dn: string;
    readonly kind: RecipientKind;
    readonly addresses: readonly string[];
  }[];
  readonly leftOut: readonly {
    readonly reason: string;
    readonly count: number;
    readonly samples: readonly string[];
  }[];
  readonly claimedTwice: {
    readonly count: number;
    readonly samples: readonly { readonly address: string; readonly entries: readonly string[] }[];
  };
}

export interface SourceCheckOptions {
  readonly feed: Feed;
  readonly map: Mapper;
  /** How many of each kind are named. */
  readonly samples: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (entries: number) => void;
}

/** Throws as feeds do. */
export async function checkSource(options: SourceCheckOptions): Promise<SourceReport> {
  const { feed, signal } = options;
  const rights = (await feed.examine?.(signal)) ?? [];
  const tally = new Tally(options);
  reading: for await (const events of feed.follow(undefined, signal)) {
    for (const event of events) {
      if (event.kind === 'upsert') tally.take(event.entry);
      if (event.kind === 'complete') break reading;
    }
    options.onProgress?.(tally.entries);
  }
  const { kind, instance, base } = feed.identity;
  return { kind, instance, base, rights: rights.filter((right) => !tally.proves(right)), ...tally.report() };
}

class Tally {
  readonly #map: Mapper;
  readonly #most: number;
  /** The latest of an entry counts: it may have changed while everything was read. */
  readonly #seen = new Set<string>();
  readonly #claims = new Map<string, string>();
  readonly #attributes = new Set<string>();
  readonly #kinds = Object.fromEntries(RECIPIENT_KINDS.map((kind) => [kind, 0])) as Record<
    RecipientKind,
    number
  >;
  readonly #leftOut = new Map<string, { count: number; samples: string[] }>();
  readonly #samples: { dn: string; kind: RecipientKind; addresses: readonly string[] }[] = [];
  readonly #twice: { address: string; entries: string[] }[] = [];
  #twiceCount = 0;
  #recipients = 0;
  #dropped = 0;

  constructor({ map, samples }: SourceCheckOptions) {
    this.#map = map;
    this.#most = samples;
  }

  get entries(): number {
    return this.#seen.size;
  }

  take(entry: SourceEntry): void {
    const id = entry.guid.toString('latin1');
    if (this.#seen.has(id)) return;
    this.#seen.add(id);
    for (const type of entry.attributes.keys()) this.#attributes.add(type);
    const mapped = this.#map(entry);
    this.#dropped += mapped.dropped;
    if (mapped.recipient === undefined) return this.#leaveOut(mapped.reason, entry.dn);
    const { kind, addresses } = mapped.recipient;
    this.#recipients++;
    this.#kinds[kind]++;
    if (this.#samples.length < this.#most) this.#samples.push({ dn: entry.dn, kind, addresses });
    for (const address of addresses) this.#claim(address, entry.dn);
  }

  /** An attribute that came with an entry may be read, whatever the schema says of it. */
  proves({ name, granted }: SourceRight): boolean {
    return !granted && name.startsWith('read ') && this.#attributes.has(name.slice(5).toLowerCase());
  }

  report() {
    return {
      entries: this.entries,
      recipients: this.#recipients,
      addresses: this.#claims.size,
      dropped: this.#dropped,
      kinds: this.#kinds,
      samples: this.#samples,
      leftOut: [...this.#leftOut].map(([reason, { count, samples }]) => ({ reason, count, samples })),
      claimedTwice: { count: this.#twiceCount, samples: this.#twice },
    };
  }

  #leaveOut(reason: string, dn: string): void {
    const known = this.#leftOut.get(reason) ?? { count: 0, samples: [] };
    this.#leftOut.set(reason, known);
    known.count++;
    if (known.samples.length < this.#most) known.samples.push(dn);
  }

  #claim(address: string, dn: string): void {
    const first = this.#claims.get(address);
    if (first === undefined) {
      this.#claims.set(address, dn);
      return;
    }
    this.#twiceCount++;
    if (this.#twice.length < this.#most) this.#twice.push({ address, entries: [first, dn] });
  }
}
