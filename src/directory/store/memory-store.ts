/** A record store without files, for tests and for what need not outlive the process: "durable" is a moment later. */
import { RecordMemory, StoreBatch, type GroupSink } from './batch.ts';
import { PosternError } from '../../base/error.ts';
import type { RecordStore } from './contract.ts';

const NOWHERE: GroupSink = {
  refusal: undefined,
  put() {},
  delete() {},
  setMeta() {},
  endGroup: (onDurable) => queueMicrotask(() => onDurable()),
  dropGroup() {},
};

/** `slabBytes`: a power of two; 8 MiB unless told. Garbage is collected when `flush` is called. */
export function createMemoryStore(options: { slabBytes?: number } = {}): RecordStore {
  const memory = new RecordMemory(options.slabBytes);
  const batch = new StoreBatch(memory, NOWHERE);
  const { heap, ids, meta } = memory;
  const nothing = async (): Promise<void> => {};
  return {
    get size() {
      return heap.records;
    },
    get idLimit() {
      return ids.limit;
    },
    pendingBytes: 0,
    read: (id, into) => heap.read(id, into),
    has: (id) => heap.address(id) !== 0,
    getMeta: (name) => meta.get(name),
    metaNames: () => [...meta.keys()],
    scan: (visit) => heap.scan(ids.limit, visit),
    nextId: (after) => heap.nextId(after, ids.limit),
    holdIds: () => ids.hold(),
    begin: () => batch.begin(),
    async flush() {
      while (!batch.isOpen && heap.needsCompaction() && heap.compact(heap.slabBytes)) await null;
    },
    snapshot: nothing,
    async compact() {
      const before = heap.slabMemory;
      heap.beginCompaction();
      while (!batch.isOpen && heap.compact(heap.slabBytes)) await null;
      return {
        slabBytesBefore: before,
        slabBytes: heap.slabMemory,
        journalBytesBefore: 0,
        journalBytes: 0,
        snapshotBytes: 0,
        durationMs: 0,
      };
    },
    backup: async () => {
      throw new PosternError('refused', 'a store in memory has no files to back up');
    },
    verify: async () => ({ records: heap.records, groups: 0, bytes: 0 }),
    stats: () => ({
      records: heap.records,
      blobBytes: heap.blobBytes,
      slabBytes: heap.slabMemory,
      garbageBytes: heap.garbage,
      slabs: heap.slabStats(),
      tableBytes: heap.tableBytes + ids.tableBytes,
      journalBytes: 0,
      journalGroups: 0,
      flushes: 0,
      snapshotAgeMs: undefined,
      snapshotBytes: 0,
      full: false,
      recovery: { snapshotRecords: 0, groups: 0, bytesCut: 0, durationMs: 0 },
    }),
    close: nothing,
    [Symbol.asyncDispose]: nothing,
  };
}
