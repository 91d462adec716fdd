/**
 * What is in memory (slabs, record numbers, named values), and the one open batch that changes it: applied at once, remembered so that it
 * can be undone, and handed on to a `GroupSink`. Knows nothing of files.
 */
import { PosternError } from '../../base/error.ts';
import type { Batch, OnDurable, RecordId } from './contract.ts';
import { RecordIds } from './record-id.ts';
import { SlabHeap } from './slab.ts';

/** Where a batch's changes go besides memory: the journal, or nowhere. */
export interface GroupSink {
  /** Why what was gathered since the last `endGroup` cannot be committed. */
  readonly refusal: Error | undefined;
  put(id: RecordId, bytes: Uint8Array, start: number, end: number): void;
  delete(id: RecordId): void;
  setMeta(name: Buffer, bytes: Uint8Array | undefined): void;
  /** The changes since the last `endGroup` or `dropGroup` are one group (none: a barrier). */
  endGroup(onDurable: OnDurable): void;
  dropGroup(): void;
}

export class RecordMemory {
  readonly heap: SlabHeap;
  readonly ids = new RecordIds();
  readonly meta = new Map<string, Buffer>();

  constructor(slabBytes?: number) {
    this.heap = new SlabHeap(slabBytes);
  }
}

const MOST_NAME_BYTES = 255;

export class StoreBatch implements Batch {
  readonly #memory: RecordMemory;
  readonly #sink: GroupSink;
  readonly #whenClosed: (() => void)[] = [];
  #open = false;
  /** Pairs of record number and the address it had. */
  #undo = new Uint32Array(128);
  #undoLength = 0;
  readonly #undoMeta: { name: string; bytes: Buffer | undefined }[] = [];
  readonly #added: number[] = [];
  readonly #deleted: number[] = [];

  constructor(memory: RecordMemory, sink: GroupSink) {
    this.#memory = memory;
    this.#sink = sink;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  get refusal(): Error | undefined {
    return this.#sink.refusal;
  }

  begin(): this {
    if (this.#open) throw new PosternError('internal', 'a batch is open already');
    this.#open = true;
    return this;
  }

  /** Calls `run` as soon as no batch is open: at once, or when this one ends. */
  afterwards(run: () => void): void {
    if (this.#open) this.#whenClosed.push(run);
    else run();
  }

  add(bytes: Uint8Array, start = 0, end = bytes.length): RecordId {
    this.#needOpen();
    this.#needFitting(end - start);
    const id = this.#memory.ids.allocate();
    this.#added.push(id);
    this.#put(id, bytes, start, end);
    return id;
  }

  put(id: RecordId, bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.#needOpen();
    this.#needRecord(id);
    this.#needFitting(end - start);
    this.#put(id, bytes, start, end);
  }

  delete(id: RecordId): void {
    this.#needOpen();
    this.#needRecord(id);
    this.#sink.delete(id);
    this.#remember(id, this.#memory.heap.point(id, 0));
    this.#deleted.push(id);
  }

  setMeta(name: string, bytes: Uint8Array | undefined): void {
    this.#needOpen();
    const nameBytes = Buffer.from(name);
    if (nameBytes.length > MOST_NAME_BYTES)
      throw new PosternError('internal', 'name of a stored value is too long');
    if (bytes !== undefined) this.#needFitting(bytes.length);
    this.#sink.setMeta(nameBytes, bytes);
    const { meta } = this.#memory;
    this.#undoMeta.push({ name, bytes: meta.get(name) });
    if (bytes === undefined) meta.delete(name);
    else meta.set(name, Buffer.from(bytes));
  }

  rollback(): void {
    this.#needOpen();
    this.#sink.dropGroup();
    const { heap, ids, meta } = this.#memory;
    while (this.#undoLength > 0) {
      this.#undoLength -= 2;
      heap.point(this.#undo[this.#undoLength] as number, this.#undo[this.#undoLength + 1] as number);
    }
    for (const id of this.#added) ids.free(id);
    for (let old = this.#undoMeta.pop(); old !== undefined; old = this.#undoMeta.pop()) {
      if (old.bytes === undefined) meta.delete(old.name);
      else meta.set(old.name, old.bytes);
    }
    this.#close();
  }

  commit(onDurable: OnDurable): void;
  commit(): Promise<void>;
  commit(onDurable?: OnDurable): Promise<void> | undefined {
    if (onDurable === undefined) {
      return new Promise((resolve, reject) => {
        this.commit((error) => (error === undefined ? resolve() : reject(error)));
      });
    }
    this.#needOpen();
    const { refusal } = this.#sink;
    if (refusal !== undefined) {
      this.rollback();
      queueMicrotask(() => onDurable(refusal));
      return undefined;
    }
    for (const id of this.#deleted) this.#memory.ids.free(id);
    this.#sink.endGroup(onDurable);
    this.#close();
    return undefined;
  }

  #put(id: RecordId, bytes: Uint8Array, start: number, end: number): void {
    this.#sink.put(id, bytes, start, end);
    this.#remember(id, this.#memory.heap.put(id, bytes, start, end));
  }

  #remember(id: RecordId, address: number): void {
    if (this.#undoLength === this.#undo.length) {
      const grown = new Uint32Array(this.#undo.length * 2);
      grown.set(this.#undo);
      this.#undo = grown;
    }
    this.#undo[this.#undoLength] = id;
    this.#undo[this.#undoLength + 1] = address;
    this.#undoLength += 2;
  }

  #close(): void {
    this.#undoLength = 0;
    if (this.#undo.length > 65_536) this.#undo = new Uint32Array(128);
    this.#undoMeta.length = 0;
    this.#added.length = 0;
    this.#deleted.length = 0;
    this.#open = false;
    for (const run of this.#whenClosed.splice(0)) run();
  }

  #needOpen(): void {
    if (!this.#open) throw new PosternError('internal', 'the batch has ended');
  }

  #needRecord(id: RecordId): void {
    if (this.#memory.heap.address(id) === 0)
      throw new PosternError('internal', 'no such record', { fields: { id } });
  }

  #needFitting(length: number): void {
    const longest = this.#memory.heap.longestBlob;
    if (length <= longest) return;
    throw new PosternError('usage', `longer than the ${longest} bytes that a record can have`, {
      fields: { bytes: length },
    });
  }
}
