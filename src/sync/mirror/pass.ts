/**
 * One opening of the feed, applied to the mirror: what its events do to the records, and when. During the refresh nothing is taken
 * away: deletions wait for `complete`, so that an answer cut short removes nothing, and so that the edges' removal guard knows how many
 * are coming before the first. Afterwards, in the persist stage, every event takes effect at once.
 */
import { PosternError } from '../../base/error.ts';
import type { RecordId } from '../../directory/store/store.ts';
import type { Mapped, Mapper } from '../mapping/mapping.ts';
import type { FeedEvent, SourceEntry } from '../source/source.ts';
import type { MirrorContent } from './content.ts';
import { LEFT_OUT_REASONS } from './record.ts';
import { Verdicts } from './verdicts.ts';

export interface PassOptions {
  readonly map: Mapper;
  /** The stored form of the source's cookie (`cookie.ts`); undefined: the source gave none. */
  readonly packCookie: (native: Buffer | undefined) => Buffer;
}

/** What a batch does to the mirror's position. `cookie` undefined: nothing; `forget`: it is worth nothing any more. */
export interface BatchEnd {
  readonly cookie?: Buffer | 'forget' | undefined;
  /** The refresh is complete: the mirror is current. */
  readonly complete?: boolean;
  readonly plannedRemovals?: number;
}

/** The mirror's side: opens a batch, lets `change` fill it, commits, tells the listeners. Resolves when there is room for more. */
export type Commit = (change: () => BatchEnd) => Promise<void>;

/** Records removed in one batch, and records looked at in one slice of the event loop. */
const REMOVALS_A_BATCH = 2000;
const SCANNED_A_SLICE = 50_000;

export class Pass {
  readonly #content: MirrorContent;
  readonly #options: PassOptions;
  readonly #commit: Commit;
  readonly #pause: () => Promise<void>;
  readonly #verdicts = new Verdicts();
  #refreshing = true;
  #busy = false;

  /** `pause` lets other work of the event loop run. For `Mirror.begin`. */
  constructor(content: MirrorContent, options: PassOptions, commit: Commit, pause: () => Promise<void>) {
    this.#content = content;
    this.#options = options;
    this.#commit = commit;
    this.#pause = pause;
  }

  /** True until `complete`. */
  get refreshing(): boolean {
    return this.#refreshing;
  }

  /**
   * Applies what the feed delivered, in order; one call at a time. Throws `source.incomplete` when the source calls entries unchanged
   * that the mirror doesn't have: then the cookie is forgotten, and the next opening of the feed must begin anew.
   */
  async apply(events: readonly FeedEvent[]): Promise<void> {
    if (this.#busy) throw new PosternError('internal', 'the pass is busy');
    this.#busy = true;
    try {
      // Mapping may throw; nothing may once a batch is open.
      const mapped = events.map((event) =>
        event.kind === 'upsert' ? this.#options.map(event.entry) : undefined,
      );
      for (let at = 0; at < events.length; ) at = await this.#run(events, mapped, at);
    } finally {
      this.#busy = false;
    }
  }

  /** Applies events from `at` up to and with the next one that ends a batch; returns where to go on. */
  async #run(
    events: readonly FeedEvent[],
    mapped: readonly (Mapped | undefined)[],
    at: number,
  ): Promise<number> {
    let next = at;
    let cookie: Buffer | undefined;
    let complete: (FeedEvent & { kind: 'complete' }) | undefined;
    await this.#commit(() => {
      for (; next < events.length && complete === undefined; next++) {
        const event = events[next] as FeedEvent;
        if (event.kind === 'upsert') this.#upsert(event.entry, mapped[next] as Mapped);
        else if (event.kind === 'delete') this.#delete(event.guid);
        else if (event.kind === 'present') this.#present(event.guids);
        else if (event.kind === 'position') cookie = event.cookie;
        else if (event.kind === 'restart') this.#restart();
        else complete = event;
      }
      return cookie === undefined ? {} : { cookie: this.#options.packCookie(cookie) };
    });
    if (complete !== undefined) await this.#complete(complete.sweep, complete.cookie);
    return next;
  }

  #upsert(entry: SourceEntry, mapped: Mapped): void {
    const content = this.#content;
    const { guid } = entry;
    const id = content.find(guid);
    if (this.#refreshing && id !== 0 && mapped.recipient === undefined && content.foundRecipient) {
      const state = 1 + LEFT_OUT_REASONS.indexOf(mapped.reason);
      this.#verdicts.mark(id, state, mapped.dropped, content.store.idLimit);
      return;
    }
    this.#keep(content.put(id, guid, mapped));
  }

  #delete(guid: Buffer): void {
    const id = this.#content.find(guid);
    if (id === 0) return;
    if (this.#refreshing) this.#verdicts.delete(id, this.#content.store.idLimit);
    else this.#content.delete(id);
  }

  /** A provider may name what it is going to send afterwards. */
  #present(guids: readonly Buffer[]): void {
    if (!this.#refreshing) return;
    for (const guid of guids) this.#keep(this.#content.find(guid) || this.#content.addUndelivered(guid));
  }

  #keep(id: RecordId): void {
    if (this.#refreshing) this.#verdicts.keep(id, this.#content.store.idLimit);
  }

  #restart(): void {
    this.#verdicts.clear();
    this.#refreshing = true;
  }

  /** Carries out what waited, in slices, and stores the cookie with the last one. */
  async #complete(sweep: boolean, native: Buffer | undefined): Promise<void> {
    await this.#requireDelivered(sweep);
    const idle = !sweep && this.#verdicts.removals === 0;
    let planned = idle
      ? 0
      : await this.#count((id) => this.#verdicts.removes(id, sweep) && this.#content.isRecipientAt(id));
    for (let after = 0; !idle && after >= 0; ) {
      const slice = this.#nextRemovals(after, sweep);
      after = slice.after;
      if (slice.ids.length > 0) {
        const plannedRemovals = planned;
        await this.#commit(() => {
          this.#remove(slice.ids);
          return { plannedRemovals };
        });
        planned -= slice.recipients;
      } else await this.#pause();
    }
    this.#verdicts.clear();
    this.#refreshing = false;
    await this.#commit(() => ({ cookie: this.#options.packCookie(native), complete: true }));
  }

  /** Nothing may be missing that the source counts on; before anything is removed. */
  async #requireDelivered(sweep: boolean): Promise<void> {
    if (this.#content.counts.undelivered === 0) return;
    const missing = await this.#count(
      (id) => !this.#verdicts.removes(id, sweep) && this.#content.isUndeliveredAt(id),
    );
    if (missing === 0) return;
    await this.#commit(() => ({ cookie: 'forget' }));
    throw new PosternError(
      'source.incomplete',
      'the source calls entries unchanged that it never delivered',
      {
        hint: 'everything is read again; were the access rules of the directory widened?',
        fields: { entries: missing },
      },
    );
  }

  /** Records that fit, counted in slices. */
  async #count(fits: (id: RecordId) => boolean): Promise<number> {
    const { store } = this.#content;
    let count = 0;
    let left = SCANNED_A_SLICE;
    for (let id = store.nextId(0); id !== 0; id = store.nextId(id)) {
      if (fits(id)) count++;
      if (--left > 0) continue;
      await this.#pause();
      left = SCANNED_A_SLICE;
    }
    return count;
  }

  /** The next records to be removed above number `after`; `after` -1 in the answer: these are the last. */
  #nextRemovals(after: number, sweep: boolean): { ids: RecordId[]; recipients: number; after: number } {
    const { store } = this.#content;
    const ids: RecordId[] = [];
    let recipients = 0;
    let id = store.nextId(after);
    for (let left = SCANNED_A_SLICE; id !== 0; id = store.nextId(id)) {
      if (this.#verdicts.removes(id, sweep)) {
        ids.push(id);
        if (this.#content.isRecipientAt(id)) recipients++;
      }
      if (ids.length === REMOVALS_A_BATCH || --left === 0) return { ids, recipients, after: id };
    }
    return { ids, recipients, after: -1 };
  }

  #remove(ids: readonly RecordId[]): void {
    for (const id of ids) {
      const verdict = this.#verdicts.get(id);
      if (verdict.kind === 'mark') this.#content.putMark(id, verdict.state, verdict.dropped);
      else this.#content.delete(id);
    }
  }
}
