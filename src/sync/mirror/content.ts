/**
 * The mirror's records and their index: what one batch of the store changes, and the list of changed recipients that others are told.
 * Knows nothing of feeds, passes or cookies.
 */
import { PosternError } from '../../base/error.ts';
import type { Batch, BlobView, RecordId, RecordStore } from '../../directory/store/store.ts';
import type { Mapped } from '../mapping/mapping.ts';
import type { MirrorChange } from '../push/mirror-view.ts';
import { GuidIndex } from './guid-index.ts';
import {
  GUID_BYTES,
  isRecipient,
  packedStart,
  RecordCounter,
  RecordWriter,
  stateOf,
  UNDELIVERED,
} from './record.ts';

export class MirrorContent {
  readonly store: RecordStore;
  readonly counts = new RecordCounter();
  readonly #index: GuidIndex;
  readonly #writer = new RecordWriter();
  readonly #view: BlobView = { buffer: Buffer.alloc(0), start: 0, end: 0 };
  #batch: Batch | undefined;
  #changes: MirrorChange[] = [];

  /** Reads every record. Throws `store.damaged` when one is not the mirror's. */
  constructor(store: RecordStore, seed: number) {
    this.store = store;
    this.#index = new GuidIndex(store, seed);
    this.#index.reserve(store.size);
    store.scan((id, buffer, start, end) => {
      const known = end - start > GUID_BYTES && stateOf(buffer, start) <= UNDELIVERED;
      if (!known || packedStart(buffer, start) > end)
        throw new PosternError('store.damaged', 'a record of the mirror is none', { fields: { id } });
      this.#index.add(buffer, start, id);
      this.counts.count(buffer, start, 1);
    });
  }

  get indexBytes(): number {
    return this.#index.bytes;
  }

  /** Opens a batch; until `end` there must be no `await`. */
  begin(): Batch {
    this.#batch = this.store.begin();
    this.#changes = [];
    return this.#batch;
  }

  /** The recipients changed since `begin`. The caller commits the batch. */
  end(): readonly MirrorChange[] {
    this.#batch = undefined;
    return this.#changes;
  }

  /** The record of a GUID, or 0. Its bytes can be asked about until the next call. */
  find(guid: Buffer): RecordId {
    return this.#index.find(guid, 0, this.#view);
  }

  /** Whether what `find` found is a recipient. */
  get foundRecipient(): boolean {
    return isRecipient(this.#view.buffer, this.#view.start);
  }

  /** The packed recipient of a GUID; a view that is valid until control returns to the event loop. */
  packed(guid: Buffer): Buffer | undefined {
    if (this.find(guid) === 0 || !this.foundRecipient) return undefined;
    const { buffer, start, end } = this.#view;
    return buffer.subarray(packedStart(buffer, start), end);
  }

  /** Stores what an entry became, unless it is stored already; `id` is what `find` said just before. Returns the record's number. */
  put(id: RecordId, guid: Buffer, mapped: Mapped): RecordId {
    this.#writer.write(guid, mapped);
    if (id === 0) return this.#add();
    const { buffer, start, end } = this.#view;
    const { buffer: next, length } = this.#writer;
    if (next.compare(buffer, start, end, 0, length) !== 0) this.#replace(id);
    return id;
  }

  /** Remembers a GUID whose entry is still to come. */
  addUndelivered(guid: Buffer): RecordId {
    this.#writer.writeMark(guid, UNDELIVERED, 0);
    return this.#add();
  }

  /** Turns a recipient into the mark of an entry that is none. */
  putMark(id: RecordId, state: number, dropped: number): void {
    this.#read(id);
    const { buffer, start } = this.#view;
    this.#writer.writeMark(buffer.subarray(start, start + GUID_BYTES), state, dropped);
    this.#replace(id);
  }

  delete(id: RecordId): void {
    this.#read(id);
    const { buffer, start, end } = this.#view;
    this.counts.count(buffer, start, -1);
    this.#index.remove(buffer, start, id);
    if (isRecipient(buffer, start)) {
      const before = Buffer.from(buffer.subarray(start, end));
      this.#changes.push({
        id,
        guid: before.subarray(0, GUID_BYTES),
        before: before.subarray(packedStart(before, 0)),
        after: undefined,
      });
    }
    this.#opened().delete(id);
  }

  /** Whether a record is a recipient. */
  isRecipientAt(id: RecordId): boolean {
    return this.store.read(id, this.#view) && this.foundRecipient;
  }

  isUndeliveredAt(id: RecordId): boolean {
    return this.store.read(id, this.#view) && stateOf(this.#view.buffer, this.#view.start) === UNDELIVERED;
  }

  /** Records from number `from` on, up to `most` of them; returns where to go on, or undefined at the end. */
  visit(
    from: number,
    most: number,
    visitor: (id: RecordId, guid: Buffer, packed: Buffer) => void,
  ): number | undefined {
    const view: BlobView = { buffer: this.#view.buffer, start: 0, end: 0 };
    let id = this.store.nextId(Math.max(0, from - 1));
    for (let left = most; id !== 0 && left > 0; left--) {
      if (this.store.read(id, view) && isRecipient(view.buffer, view.start)) {
        const { buffer, start, end } = view;
        visitor(
          id,
          buffer.subarray(start, start + GUID_BYTES),
          buffer.subarray(packedStart(buffer, start), end),
        );
      }
      id = this.store.nextId(id);
    }
    return id === 0 ? undefined : id;
  }

  #add(): RecordId {
    const { buffer, length } = this.#writer;
    const id = this.#opened().add(buffer, 0, length);
    this.#index.add(buffer, 0, id);
    this.counts.count(buffer, 0, 1);
    if (isRecipient(buffer, 0)) {
      const copy = Buffer.from(buffer.subarray(0, length));
      this.#changes.push({
        id,
        guid: copy.subarray(0, GUID_BYTES),
        before: undefined,
        after: copy.subarray(packedStart(copy, 0)),
      });
    }
    return id;
  }

  /** Puts the writer's record in the place of what `#view` shows. */
  #replace(id: RecordId): void {
    const { buffer, start, end } = this.#view;
    const next = Buffer.from(this.#writer.buffer.subarray(0, this.#writer.length));
    const before = isRecipient(buffer, start)
      ? Buffer.from(buffer.subarray(packedStart(buffer, start), end))
      : undefined;
    const after = isRecipient(next, 0) ? next.subarray(packedStart(next, 0)) : undefined;
    this.counts.count(buffer, start, -1);
    this.counts.count(next, 0, 1);
    this.#opened().put(id, next);
    const same = before === undefined || after === undefined ? before === after : before.equals(after);
    if (!same) this.#changes.push({ id, guid: next.subarray(0, GUID_BYTES), before, after });
  }

  #read(id: RecordId): void {
    if (!this.store.read(id, this.#view))
      throw new PosternError('internal', 'no such record in the mirror', { fields: { id } });
  }

  #opened(): Batch {
    if (this.#batch === undefined) throw new PosternError('internal', 'no batch of the mirror is open');
    return this.#batch;
  }
}
