/**
 * The trust store: a small document (identity, pins, accounts, counters, keys) kept apart from the data, in two copies `NAME.a` and `NAME.b`.
 *
 * Each write makes a new file, flushes it, renames it over one copy and flushes the folder, so a copy is always a whole one, old or new. An update is
 * acknowledged when one copy holds it; the other follows when nothing else waits, so that a copy that rots later costs nothing. It
 * knows files and a schema, not what the document means.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { describeError, isPosternError, PosternError } from '../base/error.ts';
import { type Files, replaceFile } from '../base/files.ts';
import { type Log, silentLog } from '../base/log.ts';
import { decodeTrustRecord, encodeTrustRecord, MOST_TRUST_BYTES } from './trust-record.ts';

const COPIES = ['a', 'b'] as const;
type Copy = (typeof COPIES)[number];

export interface RepairedCopy {
  /** File name. */
  readonly file: string;
  /** What was wrong with it. */
  readonly reason: string;
}

export interface TrustStore<T> {
  /** What is in force: everything acknowledged, nothing else. Frozen. */
  readonly value: T;
  /** Copies found damaged when the store was opened; they were written again from the other one. */
  readonly repaired: readonly RepairedCopy[];
  /**
   * Changes the value. `change` gets a copy of its own, which it may alter, and returns the new value. Updates run one after the other; those that wait
   * share one write. Resolves when the change is on the disk. Rejects, with the old value in force, when `change` throws, when its result doesn't
   * fit the schema, or when the write fails (`file.unwritable`).
   */
  update(change: (draft: T) => T): Promise<void>;
  /** Waits for outstanding writes; later updates are refused. */
  close(): Promise<void>;
}

export interface TrustStoreOptions {
  log?: Log;
}

/** Documents are JSON; a schema with codecs (`z.codec`) may hold richer values (Secret, Buffer) in memory. */
type DocumentSchema<T> = z.ZodType<T>;

/**
 * Opens the store `name` in `folder`. `initial` makes the first value when neither copy exists; undefined when there must be one already.
 * Throws `trust.damaged` when no copy is usable (never starts anew in that case), or when the document is of another version.
 */
export async function openTrustStore<T>(
  files: Files,
  folder: string,
  name: string,
  schema: DocumentSchema<T>,
  initial: T | undefined,
  options: TrustStoreOptions = {},
): Promise<TrustStore<T>> {
  const store = new TwoCopies<T>(files, folder, name, schema, options.log ?? silentLog);
  await store.load(initial);
  return store;
}

interface Waiting<T> {
  readonly change: (draft: T) => T;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

class TwoCopies<T> implements TrustStore<T> {
  readonly #files: Files;
  readonly #folder: string;
  readonly #name: string;
  readonly #schema: DocumentSchema<T>;
  readonly #log: Log;
  readonly #repaired: RepairedCopy[] = [];
  readonly #queue: Waiting<T>[] = [];
  #value!: T;
  /** Number of the last write tried, failed ones included: a failed one may be on the disk all the same. */
  #sequence = 0;
  /** Number of the write that made `value` durable. */
  #durable = 0;
  /** The copy that holds `value` for certain; the other one is written next. */
  #newest: Copy = 'b';
  #mirrored = false;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(files: Files, folder: string, name: string, schema: DocumentSchema<T>, log: Log) {
    this.#files = files;
    this.#folder = folder;
    this.#name = name;
    this.#schema = schema;
    this.#log = log;
  }

  get value(): T {
    return this.#value;
  }

  get repaired(): readonly RepairedCopy[] {
    return this.#repaired;
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

  // --- loading ---

  async load(initial: T | undefined): Promise<void> {
    await this.#files.makeFolder(this.#folder);
    const found = await Promise.all(COPIES.map(async (copy) => ({ copy, ...(await this.#readCopy(copy)) })));
    const valid = found.flatMap(({ copy, record }) => (record === undefined ? [] : [{ copy, record }]));
    const newest = valid.sort((a, b) => b.record.sequence - a.record.sequence)[0];
    const damaged = found.filter(({ reason }) => reason !== undefined);
    if (newest === undefined) {
      if (damaged.length > 0)
        throw this.#lost(damaged.map(({ copy, reason }) => `${this.#file(copy)}: ${reason ?? ''}`));
      return this.#create(initial);
    }
    this.#value = this.#decode(newest.record.document);
    this.#sequence = newest.record.sequence;
    this.#durable = newest.record.sequence;
    this.#newest = newest.copy;
    for (const { copy, reason } of damaged) {
      this.#repaired.push({ file: this.#file(copy), reason: reason ?? '' });
      this.#log.warn('a copy of the trust store was damaged; the other one is used', {
        file: join(this.#folder, this.#file(copy)),
        reason,
      });
    }
    this.#mirrored = valid.length === 2 && valid[0]?.record.sequence === valid[1]?.record.sequence;
    if (!this.#mirrored) await this.#mirror();
  }

  async #create(initial: T | undefined): Promise<void> {
    if (initial === undefined) {
      throw new PosternError('trust.damaged', `the trust store ${this.#name} is missing`, {
        hint: `put the files ${COPIES.map((copy) => this.#file(copy)).join(' and ')} back into ${this.#folder} from a backup`,
        fields: { folder: this.#folder },
      });
    }
    await this.#commit(this.#copyOf(initial));
    await this.#mirror();
  }

  /** A missing copy has neither record nor reason. */
  async #readCopy(copy: Copy): Promise<{ record?: ReturnType<typeof decodeTrustRecord>; reason?: string }> {
    const path = join(this.#folder, this.#file(copy));
    try {
      return { record: decodeTrustRecord(this.#name, await this.#readFile(path)) };
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === 'ENOENT') return {};
      if (
        code === 'EACCES' ||
        code === 'EPERM' ||
        code === 'ELOOP' ||
        code === 'EISDIR' ||
        code === 'EMFILE' ||
        code === 'ENFILE'
      ) {
        throw new PosternError('file.unreadable', `cannot read ${path}`, {
          cause: error,
          hint: 'the trust store belongs to the daemon’s user; start the daemon as that user',
          fields: { path },
        });
      }
      return { reason: describeError(error) };
    }
  }

  async #readFile(path: string): Promise<Buffer> {
    const file = await this.#files.open(path, 'read');
    try {
      const size = await file.size();
      if (size > MOST_TRUST_BYTES) throw new PosternError('trust.damaged', 'it is too large');
      const bytes = Buffer.alloc(size);
      return bytes.subarray(0, await file.read(bytes, 0));
    } finally {
      await file.close();
    }
  }

  #lost(reasons: string[]): PosternError {
    return new PosternError(
      'trust.damaged',
      `no copy of the trust store ${this.#name} can be used (${reasons.join('; ')})`,
      {
        hint: `put ${this.#file('a')} and ${this.#file('b')} back into ${this.#folder} from a backup; without one, move them away and subscribe again`,
        fields: { folder: this.#folder },
      },
    );
  }

  // --- updating ---

  async #run(): Promise<void> {
    // Updates asked for in the same breath go together.
    await null;
    while (this.#queue.length > 0 || !this.#mirrored) {
      if (this.#queue.length > 0) await this.#commitWaiting(this.#queue.splice(0));
      else if (!(await this.#mirror()) && this.#queue.length === 0) break;
    }
    this.#running = undefined;
  }

  async #commitWaiting(waiting: Waiting<T>[]): Promise<void> {
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
      await this.#write(target, next);
    } catch (error) {
      await this.#takeBack(target);
      throw new PosternError(
        'file.unwritable',
        'the trust store could not be written; the change was not made',
        {
          cause: error,
          hint: `check free space and health of the disk under ${this.#folder}`,
          fields: { file: join(this.#folder, this.#file(target)) },
        },
      );
    }
    this.#durable = this.#sequence;
    this.#newest = target;
    this.#mirrored = false;
    this.#value = freeze(next);
  }

  /** A write that failed after the rename may be on the disk: the old value goes over it, with a later number. */
  async #takeBack(target: Copy): Promise<void> {
    if (this.#durable === 0) return;
    try {
      const before = await this.#readCopy(target);
      if (before.record !== undefined && before.record.sequence <= this.#durable) return;
      await this.#write(target, this.#value);
      this.#durable = this.#sequence;
      this.#newest = target;
      this.#mirrored = false;
    } catch (error) {
      this.#log.error('a refused change could not be taken back; after a crash it might be in force', {
        error,
      });
    }
  }

  /** Brings the other copy up to date; false when that failed (the next update tries again). */
  async #mirror(): Promise<boolean> {
    try {
      await this.#writeAs(this.#other(), this.#durable, this.#value);
      this.#mirrored = true;
      return true;
    } catch (error) {
      this.#log.warn('only one copy of the trust store is up to date', {
        file: join(this.#folder, this.#file(this.#other())),
        error,
      });
      return false;
    }
  }

  async #write(copy: Copy, value: T): Promise<void> {
    this.#sequence += 1;
    await this.#writeAs(copy, this.#sequence, value);
  }

  async #writeAs(copy: Copy, sequence: number, value: T): Promise<void> {
    const bytes = encodeTrustRecord(this.#name, { sequence, document: this.#encode(value) });
    if (bytes.length > MOST_TRUST_BYTES) throw new PosternError('trust.damaged', 'the document is too large');
    try {
      await replaceFile(this.#files, join(this.#folder, this.#file(copy)), bytes);
    } finally {
      bytes.fill(0);
    }
  }

  #file(copy: Copy): string {
    return `${this.#name}.${copy}`;
  }

  #other(): Copy {
    return this.#newest === 'a' ? 'b' : 'a';
  }

  // --- documents ---

  #encode(value: T): unknown {
    const result = z.safeEncode(this.#schema, value);
    if (result.success) return result.data;
    throw new PosternError(
      'internal',
      `the new value does not fit the trust store ${this.#name}: ${places(result.error)}`,
    );
  }

  #decode(document: unknown): T {
    const result = z.safeDecode(this.#schema, document as z.input<DocumentSchema<T>>);
    if (result.success) return freeze(result.data);
    throw new PosternError(
      'trust.damaged',
      `the trust store ${this.#name} was written by another version: ${places(result.error)}`,
      {
        hint: 'start the version that wrote it; the files were left as they are',
        fields: { folder: this.#folder },
      },
    );
  }

  /** Through the schema both ways: a copy that shares nothing, and a check. */
  #copyOf(value: T): T {
    try {
      return z.decode(
        this.#schema,
        JSON.parse(JSON.stringify(this.#encode(value))) as z.input<DocumentSchema<T>>,
      );
    } catch (error) {
      if (isPosternError(error)) throw error;
      throw new PosternError('internal', `the new value does not fit the trust store ${this.#name}`);
    }
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
