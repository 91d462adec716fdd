/**
 * The trust store: a small document (identity, pins, accounts, counters, keys) kept apart from the data, in two copies `NAME.a` and `NAME.b`.
 *
 * Each write makes a new file, flushes it, renames it over one copy and flushes the folder, so a copy is always a whole one, old or new. An
 * update is acknowledged when one copy holds it; the other follows when nothing else waits, so that a copy that rots later costs nothing. It
 * knows copies and a schema, not what the document means.
 */
import { z } from 'zod';
import { PosternError } from '../base/error.ts';
import type { Files } from '../base/files.ts';
import { type Log, silentLog } from '../base/log.ts';
import { COPIES, type Copy, type RepairedCopy, TrustCopies } from './trust-copies.ts';

export type { RepairedCopy } from './trust-copies.ts';

export interface TrustStore<T> {
  /** What is in force: everything acknowledged, nothing else. Frozen. */
  readonly value: T;
  /** Copies found damaged when the store was opened; they were written again from the other one. */
  readonly repaired: readonly RepairedCopy[];
  /**
   * Changes the value. `change` gets a copy of its own, which it may alter, and returns the new value. Updates run one after the other; those
   * that wait share one write. Resolves when the change is on the disk. Rejects, with the old value in force, when `change` throws, when its
   * result doesn't fit the schema (`internal`), or when the write fails (`file.unwritable`).
   */
  update(change: (draft: T) => T): Promise<void>;
  /** Waits for outstanding writes; later updates are refused (`store.closed`). */
  close(): Promise<void>;
}

export interface TrustStoreOptions {
  log?: Log;
}

/**
 * Opens the store `name` (lower-case letters, digits, dashes) in `folder`. The document is JSON; a schema with codecs may hold richer values in
 * memory (see `trust-schema.ts`). `initial` makes the first value when neither copy exists; undefined when there must be one already.
 * Throws `trust.damaged` when no copy is usable (it never starts anew in that case), or when the document is of another version;
 * `file.unreadable` when the files belong to somebody else.
 */
export async function openTrustStore<T>(
  files: Files,
  folder: string,
  name: string,
  schema: z.ZodType<T>,
  initial: T | undefined,
  options: TrustStoreOptions = {},
): Promise<TrustStore<T>> {
  const store = new TwoCopies<T>(new TrustCopies(files, folder, name), schema, options.log ?? silentLog);
  await store.load(initial);
  return store;
}

interface Waiting<T> {
  readonly change: (draft: T) => T;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

class TwoCopies<T> implements TrustStore<T> {
  readonly #copies: TrustCopies;
  readonly #schema: z.ZodType<T>;
  readonly #log: Log;
  #queue: Waiting<T>[] = [];
  #repaired: readonly RepairedCopy[] = [];
  #value!: T;
  /** Number of the last write tried, failed ones included: a failed one may be on the disk all the same. */
  #sequence = 0;
  /** Number of the write that made `value` durable; 0 when nothing is yet. */
  #durable = 0;
  /** The copy that holds `value` for certain; the other one is written next. */
  #newest: Copy = 'b';
  #mirrored = true;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(copies: TrustCopies, schema: z.ZodType<T>, log: Log) {
    this.#copies = copies;
    this.#schema = schema;
    this.#log = log;
  }

  get value(): T {
    return this.#value;
  }

  get repaired(): readonly RepairedCopy[] {
    return this.#repaired;
  }

  async load(initial: T | undefined): Promise<void> {
    const { valid, damaged } = await this.#copies.find();
    const newest = valid[0];
    if (newest === undefined) {
      if (damaged.length > 0) throw this.#lost(damaged);
      if (initial === undefined) throw this.#missing();
      await this.#commit(this.#copyOf(initial));
    } else {
      this.#value = this.#decode(newest.record.document);
      this.#sequence = newest.record.sequence;
      this.#durable = newest.record.sequence;
      this.#newest = newest.copy;
      this.#mirrored = valid[1]?.record.sequence === newest.record.sequence;
      this.#repaired = damaged;
      for (const copy of damaged)
        this.#log.warn('a copy of the trust store was damaged; the other one is used', { ...copy });
    }
    if (!this.#mirrored) await this.#mirror();
  }

  update(change: (draft: T) => T): Promise<void> {
    if (this.#closed) return Promise.reject(new PosternError('store.closed', 'the trust store is closed'));
    return new Promise((resolve, reject) => {
      this.#queue.push({ change, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    // Updates asked for in the same breath go together.
    await null;
    for (let mirrors = true; this.#queue.length > 0 || (mirrors && !this.#mirrored); ) {
      if (this.#queue.length === 0) mirrors = await this.#mirror();
      else await this.#commitWaiting();
    }
    this.#running = undefined;
  }

  async #commitWaiting(): Promise<void> {
    const waiting = this.#queue;
    this.#queue = [];
    let next = this.#value;
    const applied: Waiting<T>[] = [];
    for (const one of waiting) {
      try {
        next = this.#copyOf(one.change(this.#copyOf(next)));
        applied.push(one);
      } catch (error) {
        one.reject(error);
      }
    }
    if (applied.length === 0) return;
    try {
      await this.#commit(next);
      for (const one of applied) one.resolve();
    } catch (error) {
      for (const one of applied) one.reject(error);
    }
  }

  /** Makes `next` durable in the copy that is not the newest, then puts it in force. */
  async #commit(next: T): Promise<void> {
    const target = this.#other();
    try {
      await this.#writeNext(target, next);
    } catch (error) {
      await this.#takeBack(target);
      throw new PosternError(
        'file.unwritable',
        'the trust store could not be written; the change was not made',
        {
          cause: error,
          hint: `check free space and health of the disk under ${this.#copies.folder}`,
          fields: { path: this.#copies.path(target) },
        },
      );
    }
    this.#value = freeze(next);
  }

  /** A write that failed after the rename may be on the disk: the old value goes over it, with a later number. */
  async #takeBack(target: Copy): Promise<void> {
    if (this.#durable === 0) return;
    try {
      const found = await this.#copies.read(target);
      if (found === undefined || (!(found instanceof PosternError) && found.sequence <= this.#durable))
        return;
      await this.#writeNext(target, this.#value);
    } catch (error) {
      this.#log.error(
        'a refused change of the trust store could not be taken back; after a crash it might be in force',
        { error },
      );
    }
  }

  async #writeNext(target: Copy, value: T): Promise<void> {
    this.#sequence += 1;
    await this.#copies.write(target, { sequence: this.#sequence, document: this.#encode(value) });
    this.#durable = this.#sequence;
    this.#newest = target;
    this.#mirrored = false;
  }

  /** Brings the other copy up to date; false when that failed (the next update tries again). */
  async #mirror(): Promise<boolean> {
    try {
      await this.#copies.write(this.#other(), {
        sequence: this.#durable,
        document: this.#encode(this.#value),
      });
      this.#mirrored = true;
    } catch (error) {
      this.#log.warn('only one copy of the trust store is up to date', {
        path: this.#copies.path(this.#other()),
        error,
      });
    }
    return this.#mirrored;
  }

  #other(): Copy {
    return this.#newest === 'a' ? 'b' : 'a';
  }

  #encode(value: T): unknown {
    const result = z.safeEncode(this.#schema, value);
    if (result.success) return result.data;
    throw new PosternError(
      'internal',
      `the new value does not fit the trust store ${this.#copies.name}: ${places(result.error)}`,
    );
  }

  #decode(document: unknown): T {
    const result = z.safeDecode(this.#schema, document as z.input<z.ZodType<T>>);
    if (result.success) return freeze(result.data);
    throw new PosternError(
      'trust.damaged',
      `the trust store ${this.#copies.name} was written by another version: ${places(result.error)}`,
      {
        hint: 'start the version that wrote it; the files were left as they are',
        fields: { folder: this.#copies.folder },
      },
    );
  }

  /** Through the schema and JSON both ways: a copy that shares nothing, and a check. */
  #copyOf(value: T): T {
    const document = JSON.parse(JSON.stringify(this.#encode(value))) as z.input<z.ZodType<T>>;
    const result = z.safeDecode(this.#schema, document);
    if (result.success) return result.data;
    throw new PosternError(
      'internal',
      `the new value does not survive the trust store ${this.#copies.name}: ${places(result.error)}`,
    );
  }

  #lost(damaged: readonly RepairedCopy[]): PosternError {
    const reasons = damaged.map(({ file, reason }) => `${file}: ${reason}`).join('; ');
    return new PosternError(
      'trust.damaged',
      `no copy of the trust store ${this.#copies.name} can be used (${reasons})`,
      {
        hint: `put ${COPIES.map((copy) => this.#copies.file(copy)).join(' and ')} back into ${this.#copies.folder} from a backup; without one, move them away and subscribe again`,
        fields: { folder: this.#copies.folder },
      },
    );
  }

  #missing(): PosternError {
    return new PosternError('trust.damaged', `the trust store ${this.#copies.name} is missing`, {
      hint: `put ${COPIES.map((copy) => this.#copies.file(copy)).join(' and ')} back into ${this.#copies.folder} from a backup`,
      fields: { folder: this.#copies.folder },
    });
  }
}

/** Where a document is wrong; never what stands there, since it may be a secret. */
function places(error: z.ZodError): string {
  return error.issues
    .slice(0, 3)
    .map(({ path, code }) => `${path.join('.') || 'document'} (${code})`)
    .join(', ');
}

/** Freezes plain objects and arrays all the way down; other objects (Secret, Buffer) look after themselves. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) return value;
  for (const part of Object.values(value)) freeze(part);
  return Object.freeze(value);
}
