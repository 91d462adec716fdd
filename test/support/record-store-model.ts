/** A model of the record store to compare it with: what is in it after each batch, and batches of random changes. */
import type { Batch, BlobView, RecordStore, StoreOptions } from '../../src/directory/store/store.ts';
import type { Files } from '../../src/base/files.ts';
import type { Random } from '../../src/base/random.ts';
import { FakeClock } from '../fakes/clock.ts';
import { fakeRandom } from '../fakes/random.ts';

export interface State {
  records: Map<number, Buffer>;
  meta: Map<string, Buffer>;
}

export function emptyState(): State {
  return { records: new Map(), meta: new Map() };
}

export function copyState(state: State): State {
  return { records: new Map(state.records), meta: new Map(state.meta) };
}

/** Everything a store holds, by way of `scan`; checked against `read`, `nextId` and `size`. */
export function stateOf(store: RecordStore): State {
  const state = emptyState();
  store.scan((id, buffer, start, end) => state.records.set(id, Buffer.from(buffer.subarray(start, end))));
  const view: BlobView = { buffer: Buffer.alloc(0), start: 0, end: 0 };
  let at = 0;
  for (const [id, bytes] of state.records) {
    if (!store.read(id, view) || !view.buffer.subarray(view.start, view.end).equals(bytes)) {
      throw new Error(`record ${id} is read otherwise than scanned`);
    }
    if (store.nextId(at) !== id) throw new Error(`nextId(${at}) is not ${id}`);
    at = id;
  }
  if (store.nextId(at) !== 0) throw new Error('nextId goes on after the last record');
  if (store.size !== state.records.size) throw new Error('size is not what scan found');
  for (const name of store.metaNames()) state.meta.set(name, Buffer.from(store.getMeta(name) as Buffer));
  return state;
}

/** One text for one state: for comparing many. */
export function fingerprint(state: State): string {
  const records = [...state.records].sort(([a], [b]) => a - b);
  const meta = [...state.meta].sort(([a], [b]) => (a < b ? -1 : 1));
  return [...records, ...meta].map(([key, bytes]) => `${key}=${bytes.toString('latin1')}`).join('\n');
}

/** Puts 1 to `most` random changes into a batch and the model. */
export function randomChanges(
  batch: Batch,
  state: State,
  random: Random,
  most: number,
  longest: number,
): void {
  const below = (limit: number): number => Math.floor(random.fraction() * limit);
  const bytes = (): Buffer => random.bytes(random.fraction() < 0.1 ? 0 : below(longest));
  for (let left = 1 + below(most); left > 0; left -= 1) {
    const ids = [...state.records.keys()];
    const id = ids[below(ids.length)];
    const kind = random.fraction();
    if (id === undefined || kind < 0.4) {
      const value = bytes();
      const added = batch.add(value);
      if (state.records.has(added)) throw new Error(`record number ${added} was given twice`);
      state.records.set(added, value);
    } else if (kind < 0.65) {
      const value = bytes();
      batch.put(id, value);
      state.records.set(id, value);
    } else if (kind < 0.85) {
      batch.delete(id);
      state.records.delete(id);
    } else {
      const name = `name ${below(3)}`;
      const value = random.fraction() < 0.3 ? undefined : bytes();
      batch.setMeta(name, value);
      if (value === undefined) state.meta.delete(name);
      else state.meta.set(name, value);
    }
  }
}

/** A small store: many slabs, chunks and snapshots with few bytes. */
export function smallStore(files: Files, seed: string, tuning: StoreOptions['tuning'] = {}): StoreOptions {
  return {
    folder: '/data/store',
    files,
    clock: new FakeClock(),
    random: fakeRandom(seed),
    tuning: {
      slabBytes: 4096,
      preallocateBytes: 512,
      snapshotJournalBytes: 1200,
      snapshotJournalShare: 0.1,
      snapshotChunkBytes: 300,
      ...tuning,
    },
  };
}
