/** What all consumers of content synchronisation (RFC 4533) share: the run, the change log, and who is to be told of changes. */
import type { ChangeNumber } from '../database.ts';
import type { RecordStore } from '../store/contract.ts';
import type { Directory } from '../directory.ts';
import type { Change } from '../update/commit.ts';
import { ChangeLog } from './change-log.ts';
import { formatCookie, isAfter, parseCookie } from './cookie.ts';

const RUN = 'sync-run';

export class SyncProvider {
  readonly #directory: Directory;
  /** Undefined when nothing is remembered. */
  readonly #log: ChangeLog | undefined;
  #run: string;
  readonly #stop: (() => void) | undefined;

  constructor(directory: Directory, capacity: number) {
    this.#directory = directory;
    const { store, lastChange } = directory.database;
    this.#log = capacity === 0 ? undefined : new ChangeLog(capacity, lastChange);
    // Kept over an orderly end only: see `cookie.ts`.
    const saved = store.getMeta(RUN);
    this.#run = saved?.toString('latin1') ?? directory.random.bytes(8).toString('hex');
    if (saved !== undefined) this.#save(undefined);
    directory.database.run = this.#run;
    this.#stop = capacity === 0 ? undefined : directory.onChange((changes) => this.#note(changes));
  }

  /** A cookie for a position. */
  cookie(change: ChangeNumber): Buffer {
    return formatCookie(change, this.#run);
  }

  /** The position of a client's cookie; undefined when it isn't of this run, or from a future we know nothing of. */
  position(cookie: Buffer): ChangeNumber | undefined {
    return parseCookie(cookie, this.#run);
  }

  /** What changed after a position; undefined when nobody remembers. */
  since(position: ChangeNumber): Set<string> | undefined {
    if (this.#log !== undefined) return this.#log.since(position);
    return isAfter(this.#directory.database.lastChange, position) ? undefined : new Set();
  }

  close(): void {
    this.#stop?.();
    this.#save(Buffer.from(this.#run));
  }

  #note(changes: readonly Change[]): void {
    for (const { uuid, number } of changes) this.#log?.add(uuid, number);
  }

  #save(run: Buffer | undefined): void {
    const change = this.#directory.database.begin();
    change.setMeta(RUN, run);
    change.commit((error) => {
      if (error !== undefined)
        this.#directory.log.debug('the state of content synchronisation was not saved', { error });
    });
  }
}

/** A copy of a directory is not the directory: no cookie that the original gave may fit it. */
export async function forgetHistory(store: RecordStore): Promise<void> {
  const batch = store.begin();
  batch.setMeta(RUN, undefined);
  await batch.commit();
}
