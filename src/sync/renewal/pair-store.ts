/**
 * The pairs of this hub on its disk, one record an edge: what is acknowledged is there after a kill. A record store, so that a thousand pairs that
 * count their calls at once share a few flushes. It knows no rules.
 */
import type { Log } from '../../base/log.ts';
import { nameKey } from '../../credential/account-name.ts';
import type { RecordStore } from '../../directory/store/store.ts';
import { openOrPutAside, type PutAsideOptions } from '../open-or-put-aside.ts';
import { decodePair, encodePair, type StoredPair } from './pair-schema.ts';

export class PairStore implements AsyncDisposable {
  readonly #store: RecordStore;
  readonly #pairs = new Map<string, StoredPair & { readonly id: number }>();

  constructor(store: RecordStore, log: Log) {
    this.#store = store;
    store.scan((id, buffer, start, end) => {
      const found = decodePair(buffer.subarray(start, end));
      if (found === undefined)
        log.warn('a pair of credentials cannot be read, and begins anew', { record: id });
      else this.#pairs.set(nameKey(found.edge), { id, ...found });
    });
  }

  /** Names of edges, as they were given. */
  get edges(): string[] {
    return [...this.#pairs.values()].map(({ edge }) => edge);
  }

  get(edge: string): StoredPair | undefined {
    return this.#pairs.get(nameKey(edge));
  }

  /** Last number that was given to a credential of a pair. */
  lastNumber(edge: string): number | undefined {
    const next = this.get(edge)?.pair.nextNumber ?? 0;
    return next > 0 ? next - 1 : undefined;
  }

  /**
   * Resolves when it is on the disk; one after the other for each edge. Rejects with `store.full` (the former one stays), `store.write-failed`, `store.closed`.
   */
  async put(stored: StoredPair): Promise<void> {
    const key = nameKey(stored.edge);
    const bytes = encodePair(stored);
    const known = this.#pairs.get(key);
    const batch = this.#store.begin();
    if (known !== undefined) batch.put(known.id, bytes);
    const id = known?.id ?? batch.add(bytes);
    await batch.commit();
    this.#pairs.set(key, { id, ...stored });
  }

  async delete(edge: string): Promise<void> {
    const known = this.#pairs.get(nameKey(edge));
    if (known === undefined) return;
    const batch = this.#store.begin();
    batch.delete(known.id);
    this.#pairs.delete(nameKey(edge));
    await batch.commit();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store.close();
  }
}

/** A thousand pairs are a megabyte. */
const TUNING = { slabBytes: 1 << 20, preallocateBytes: 64 << 10, snapshotJournalBytes: 1 << 20 };

/**
 * Pairs that cannot be read begin anew: as a new instance, with the credentials that the configuration directory holds, which an edge takes for the
 * same hub. Throws `folder.in-use`, `file.unreadable`, `file.unwritable`.
 */
export function openPairStore(options: PutAsideOptions): Promise<PairStore> {
  return openOrPutAside(
    { tuning: TUNING, ...options },
    (store) => new PairStore(store, options.log),
    'what this hub knew of its credentials could not be read and is put aside: it goes by the configuration directory',
  );
}
