/**
 * The hub's mirror of its source: every entry that the feed delivered, as a recipient or as the mark of none, in a record store. It owns
 * the position (which batch, and the source's cookie it stands for) and tells the pushers of every batch in the turn in which it
 * becomes visible. It is a cache: damaged or foreign files are put aside and everything is read again.
 */
import { type Clock, yieldToLoop } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';
import type { RecordStore } from '../../directory/store/store.ts';
import type { MirrorChange, MirrorPosition, MirrorView } from '../push/mirror-view.ts';
import { type Recipient, unpackRecipient } from '../recipient.ts';
import { MirrorContent } from './content.ts';
import { type BatchEnd, type Commit, Pass, type PassOptions } from './pass.ts';
import { Pace, type PacedListener } from './pace.ts';
import {
  MIRROR_META,
  packMirrorId,
  packPosition,
  POSITION_META,
  unpackMirrorId,
  unpackPosition,
} from './position.ts';
import type { MirrorCounts } from './record.ts';

export type { MirrorCounts } from './record.ts';
export type { Pass } from './pass.ts';
export type { PacedListener } from './pace.ts';

export interface MirrorOptions {
  /** An open store that is the mirror's alone. */
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly random: Random;
}

/** Bytes committed and not yet on disk at which a pass waits. */
const MOST_PENDING_BYTES = 8 << 20;
/** The first batch after a start raises the sequence by up to so much more. */
const SEQUENCE_JUMP = 2 ** 30;

export class Mirror implements MirrorView, AsyncDisposable {
  readonly #store: RecordStore;
  readonly #content: MirrorContent;
  readonly #pace: Pace;
  readonly #listeners = new Set<PacedListener>();
  #position: MirrorPosition;
  #current = false;
  #jump: number;
  #pass: Pass | undefined;
  #failure: Error | undefined;

  /** Throws `store.damaged` when the store holds something else; `openMirror` then begins anew. */
  constructor(options: MirrorOptions) {
    const { store, random } = options;
    this.#store = store;
    this.#pace = new Pace(options.clock);
    this.#position = this.#found(random);
    this.#content = new MirrorContent(store, random.bytes(4).readUInt32LE());
    // A machine put back to an earlier state must not reach, by another way, a sequence that an edge has already seen.
    this.#jump = Math.floor(random.fraction() * SEQUENCE_JUMP);
  }

  /** Recipients. */
  get size(): number {
    return this.#content.counts.recipients;
  }

  get position(): MirrorPosition {
    return this.#position;
  }

  /** What the feed can go on from; undefined: it has to begin anew. */
  get cookie(): Buffer | undefined {
    return this.#position.cookie;
  }

  get current(): boolean {
    return this.#current;
  }

  get counts(): MirrorCounts {
    const { entries, recipients, leftOut, droppedAddresses } = this.#content.counts;
    return { entries, recipients, leftOut: { ...leftOut }, droppedAddresses };
  }

  /** The recipient with this GUID (16 bytes). */
  get(guid: Buffer): Recipient | undefined {
    const packed = this.#content.packed(guid);
    return packed === undefined ? undefined : unpackRecipient(packed);
  }

  /** Buffers handed to `visitor` are views, valid during the call. `most` counts records, recipients or not. */
  visit(
    from: number,
    most: number,
    visitor: (id: number, guid: Buffer, packed: Buffer) => void,
  ): number | undefined {
    return this.#content.visit(from, most, visitor);
  }

  /** A listener may have a `room` method, and so slow the feed down for a while (`pace.ts`). */
  subscribe(listener: PacedListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      this.#pace.forget(listener);
    };
  }

  async flushed(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await this.#store.flush();
  }

  /**
   * A new opening of the feed; an earlier one cannot be used any more. `forgetCookie`: it was made under other circumstances, so until
   * this pass is complete the content is no position of this source.
   */
  async begin(options: PassOptions, forgetCookie = false): Promise<Pass> {
    const commit: Commit = async (change) => {
      if (this.#pass !== pass) throw new PosternError('canceled', 'this pass of the feed is over');
      await this.#commit(change);
    };
    const pass: Pass = new Pass(this.#content, options, commit, yieldToLoop);
    this.#pass = pass;
    if (forgetCookie && this.cookie !== undefined) await this.#commit(() => ({ cookie: 'forget' }));
    return pass;
  }

  /** Bytes of the index, for those who watch memory. */
  get indexBytes(): number {
    return this.#content.indexBytes;
  }

  /** Closes the store. */
  async close(): Promise<void> {
    this.#pass = undefined;
    this.#listeners.clear();
    await this.#store.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #commit(change: () => BatchEnd): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const before = this.#position;
    const batch = this.#content.begin();
    let changes: readonly MirrorChange[];
    let end: BatchEnd;
    let durable: Promise<void>;
    try {
      end = change();
      changes = this.#content.end();
      this.#position = this.#after(end, changes.length > 0);
      if (this.#position !== before) batch.setMeta(POSITION_META, packPosition(this.#position));
      durable = batch.commit();
    } catch (error) {
      // Records and index may disagree now: nothing may be built on this mirror in this process.
      this.#failure = error as Error;
      throw error;
    }
    durable.catch((error: unknown) => {
      this.#failure ??= error as Error;
    });
    if (end.complete === true) this.#current = true;
    for (const listener of this.#listeners) {
      if (changes.length > 0) listener.onChanges(changes, this.#position, end.plannedRemovals ?? 0);
      else if (this.#position !== before || end.complete === true) listener.onPosition(this.#position);
    }
    if (this.#store.pendingBytes > MOST_PENDING_BYTES) await durable;
    await this.#pace.wait(this.#listeners);
  }

  #after(end: BatchEnd, changed: boolean): MirrorPosition {
    const { mirrorId, sequence, cookie } = this.#position;
    const next = end.cookie === undefined ? cookie : end.cookie === 'forget' ? undefined : end.cookie;
    const same = next === cookie || (next !== undefined && cookie?.equals(next) === true);
    if (!changed && same) return this.#position;
    if (!changed) return { mirrorId, sequence, cookie: next };
    const jump = this.#jump;
    this.#jump = 0;
    return { mirrorId, sequence: sequence + 1 + jump, cookie: next };
  }

  /** The position found in the store, or that of a new mirror. */
  #found(random: Random): MirrorPosition {
    const mirrorId = unpackMirrorId(this.#store.getMeta(MIRROR_META));
    if (mirrorId !== undefined) {
      const position = unpackPosition(mirrorId, this.#store.getMeta(POSITION_META));
      if (position !== undefined) return position;
    }
    if (this.#store.size > 0 || this.#store.metaNames().length > 0)
      throw new PosternError('store.damaged', 'the files of the mirror are those of something else');
    const fresh = random.bytes(16);
    const batch = this.#store.begin();
    batch.setMeta(MIRROR_META, packMirrorId(fresh));
    void batch.commit().catch((error: unknown) => {
      this.#failure ??= error as Error;
    });
    return { mirrorId: fresh, sequence: 0, cookie: undefined };
  }
}
