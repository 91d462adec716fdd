/**
 * A file layer in memory that can lose power. It keeps what programs see apart from what the disk holds:
 *   - writes and truncations are volatile until `datasync()` of that file; `writeThrough` flushes its own bytes only;
 *   - create, rename and remove are volatile until `syncFolder()` of the folder (`makeFolder` is durable at once);
 *   - `powerLoss()` turns this layer off (everything on it fails from then on) and returns a new one holding what survived: all that was
 *     synced, and a random part of what wasn't: names up to some point in their order or any of them, writes wholly, not at all, or torn.
 * Faults are planned by `fail()`, the instant of the loss by `powerOffAtStep()`; `before` lets a test hold or observe any step.
 *
 *   for (let step = 0; ; step++) {
 *     const files = new FakeFiles();
 *     files.powerOffAtStep(step);
 *     const finished = await run(files).then(() => true, () => false);
 *     for (const seed of ['a', 'b', 'c']) check(files.powerLoss({ seed }));
 *     if (finished) break;
 *   }
 */
import { basename, dirname, normalize } from 'node:path';
import type { Files, OpenFile } from '../../src/base/files.ts';
import type { Random } from '../../src/base/random.ts';
import { DiskFile } from './disk-file.ts';
import { fakeRandom } from './random.ts';

export type StepKind =
  | 'create'
  | 'write'
  | 'truncate'
  | 'datasync'
  | 'rename'
  | 'remove'
  | 'makeFolder'
  | 'syncFolder'
  | 'read';

export interface Step {
  readonly kind: StepKind;
  readonly path: string;
  /** Counts the changing steps (all but `read`) from 0. */
  readonly number: number;
}

export interface Fault {
  on: StepKind;
  code: 'ENOSPC' | 'EIO' | 'EROFS' | 'EACCES' | 'EMFILE' | 'ENOENT';
  /** The nth such step from now; 1 (the next) unless told. */
  nth?: number;
  /** How many in a row fail; 1 unless told. */
  times?: number;
  /** Only steps on a path that ends so. */
  path?: string;
  /**
   * What a failed step did all the same. A write: this many bytes were written before it failed (0). A datasync: 1 when the data reached
   * the disk although the flush was reported as failed; else the pending writes are lost, and a later flush reports success without them.
   */
  done?: number;
}

export interface PowerLossOptions {
  seed?: string;
  /** Changes that no sync covered: a random part survives (unless told), none, or all. */
  unsynced?: 'random' | 'dropped' | 'kept';
}

/** A change of names: `from` goes away, `to` appears with `file`. */
interface NameChange {
  readonly from?: string;
  readonly to?: string;
  readonly file?: DiskFile;
}

export class FakeFiles implements Files {
  readonly #seen = new Map<string, DiskFile>();
  readonly #onDisk = new Map<string, DiskFile>();
  #renames: NameChange[] = [];
  readonly #folders = new Set<string>(['/']);
  readonly #faults: { fault: Fault; skip: number; left: number }[] = [];
  #offAt = Number.POSITIVE_INFINITY;
  #off = false;

  /** Files that were opened and not closed. */
  openFiles = 0;
  /** Changing steps begun so far. */
  steps = 0;
  readonly counts: Record<StepKind, number> = {
    create: 0,
    write: 0,
    truncate: 0,
    datasync: 0,
    rename: 0,
    remove: 0,
    makeFolder: 0,
    syncFolder: 0,
    read: 0,
  };
  /** Bytes that all files together may have; what grows a file beyond that is written in part and fails with ENOSPC. */
  capacity = Number.POSITIVE_INFINITY;
  /** Called before each step takes effect; may wait, or throw to make the step fail. */
  before: ((step: Step) => void | Promise<void>) | undefined;

  // --- what tests do ---

  /** Plans a fault. */
  fail(fault: Fault): void {
    this.#faults.push({ fault, skip: (fault.nth ?? 1) - 1, left: fault.times ?? 1 });
  }

  /** Forgets planned faults: the disk works again. */
  heal(): void {
    this.#faults.length = 0;
  }

  /** Power goes off just before changing step `number`: it and everything after it fails, without effect. */
  powerOffAtStep(number: number): void {
    this.#offAt = number;
  }

  /** Turns this layer off and returns what survived. May be called again with another seed. */
  powerLoss(options: PowerLossOptions = {}): FakeFiles {
    this.#off = true;
    return this.survivor(options);
  }

  /** What would survive if power were lost now; this layer goes on working. */
  survivor(options: PowerLossOptions = {}): FakeFiles {
    const random = fakeRandom(`power loss ${options.seed ?? ''}`);
    const likelihood = (): number => {
      if (options.unsynced === 'dropped') return 0;
      if (options.unsynced === 'kept') return 1;
      const mood = random.fraction();
      return mood < 0.2 ? 0 : mood < 0.4 ? 1 : random.fraction();
    };
    const after = new FakeFiles();
    for (const folder of this.#folders) after.#folders.add(folder);
    const names = this.#namesAfterLoss(likelihood, random, (options.unsynced ?? 'random') === 'random');
    const data = likelihood();
    for (const [path, file] of names) {
      const copy = file.survivor(data, random);
      after.#seen.set(path, copy);
      after.#onDisk.set(path, copy);
    }
    return after;
  }

  /** Every name in a folder came to the disk in order, up to a point of its own; or any of them did. */
  #namesAfterLoss(likelihood: () => number, random: Random, anyOrderToo: boolean): Map<string, DiskFile> {
    const names = new Map(this.#onDisk);
    const limits = new Map<string, number>();
    for (const folder of new Set(this.#renames.map(homeOf))) {
      const count = this.#renames.filter((change) => homeOf(change) === folder).length;
      const share = likelihood();
      limits.set(
        folder,
        share === 0 || share === 1 ? share * count : Math.floor(random.fraction() * (count + 1)),
      );
    }
    // A file system without a journal brings names to the disk in any order.
    const anyOrder = anyOrderToo && random.fraction() < 0.3;
    for (const change of this.#renames) {
      if (anyOrder) {
        if (random.fraction() < (limits.get(homeOf(change)) ?? 0) / this.#renames.length)
          applyName(names, change);
        continue;
      }
      const left = limits.get(homeOf(change)) ?? 0;
      if (left > 0) applyName(names, change);
      limits.set(homeOf(change), left - 1);
    }
    return names;
  }

  /** What programs see in a file; undefined when it doesn't exist. */
  peek(path: string): Buffer | undefined {
    const file = this.#seen.get(normalize(path));
    return file === undefined ? undefined : Buffer.from(file.cache.view());
  }

  /** Puts a file there, durably. */
  put(path: string, bytes: Uint8Array): void {
    const file = new DiskFile(bytes);
    for (let folder = dirname(normalize(path)); !this.#folders.has(folder); folder = dirname(folder))
      this.#folders.add(folder);
    this.#seen.set(normalize(path), file);
    this.#onDisk.set(normalize(path), file);
  }

  /** Turns one bit round, on the disk as well (a rotten sector). */
  flipBit(path: string, bit: number): void {
    const file = this.#file(normalize(path));
    for (const content of [file.cache, file.disk]) {
      const old = content.view()[bit >> 3];
      if (old !== undefined) content.write(bit >> 3, Uint8Array.of(old ^ (1 << (bit & 7))));
    }
  }

  // --- Files ---

  async open(path: string, how: 'read' | 'write' | 'create'): Promise<OpenFile> {
    const at = normalize(path);
    let file = this.#seen.get(at);
    if (how === 'create' && file !== undefined) throw failure('EEXIST', 'open', at);
    if (file === undefined && how !== 'read') {
      this.#needFolder(dirname(at));
      await this.#step('create', at);
      file = this.#seen.get(at);
      if (file === undefined) {
        file = new DiskFile();
        this.#name({ to: at, file });
      } else if (how === 'create') {
        throw failure('EEXIST', 'open', at);
      }
    } else {
      await this.#step('read', at);
    }
    return this.#handle(at, file ?? this.#file(at), how !== 'read');
  }

  async readFile(path: string): Promise<Buffer> {
    const at = normalize(path);
    await this.#step('read', at);
    return Buffer.from(this.#file(at).cache.view());
  }

  async rename(from: string, to: string): Promise<void> {
    const [source, target] = [normalize(from), normalize(to)];
    await this.#step('rename', source);
    this.#needFolder(dirname(target));
    const file = this.#file(source);
    if (source !== target) this.#name({ from: source, to: target, file });
  }

  async remove(path: string): Promise<void> {
    const at = normalize(path);
    await this.#step('remove', at);
    if (this.#folders.has(at)) throw failure('EISDIR', 'rm', at);
    if (this.#seen.has(at)) this.#name({ from: at });
  }

  async exists(path: string): Promise<boolean> {
    await this.#step('read', normalize(path));
    return this.#seen.has(normalize(path)) || this.#folders.has(normalize(path));
  }

  async list(folder: string): Promise<string[]> {
    const at = normalize(folder);
    await this.#step('read', at);
    this.#needFolder(at);
    return [...this.#seen.keys(), ...this.#folders]
      .filter((path) => path !== '/' && dirname(path) === at)
      .map((path) => basename(path))
      .sort();
  }

  async makeFolder(path: string): Promise<void> {
    await this.#step('makeFolder', normalize(path));
    for (let folder = normalize(path); !this.#folders.has(folder); folder = dirname(folder)) {
      if (this.#seen.has(folder)) throw failure('EEXIST', 'mkdir', folder);
      this.#folders.add(folder);
    }
  }

  async syncFolder(folder: string): Promise<void> {
    const at = normalize(folder);
    this.#needFolder(at);
    const before = this.#renames.length;
    await this.#step('syncFolder', at);
    this.#renames = this.#renames.filter((change, index) => {
      const synced = index < before && foldersOf(change).includes(at);
      if (synced) applyName(this.#onDisk, change);
      return !synced;
    });
  }

  // --- inside ---

  #handle(path: string, file: DiskFile, writable: boolean): OpenFile {
    let open = true;
    this.openFiles += 1;
    const need = (write: boolean): void => {
      if (!open || (write && !writable)) throw failure('EBADF', 'file', path);
    };
    const handle: OpenFile = {
      write: async (bytes, position) => {
        need(true);
        const copy = Buffer.from(bytes);
        await this.#step('write', path, (fault) => {
          const done = copy.subarray(0, fault.done ?? 0);
          if (done.length > 0) file.change({ kind: 'write', position, bytes: done });
        });
        need(true);
        const room = this.#roomFor(file, position, copy.length);
        if (room > 0) file.change({ kind: 'write', position, bytes: copy.subarray(0, room) });
        if (room < copy.length) throw failure('ENOSPC', 'write', path);
      },
      writeThrough: async (bytes, position) => {
        await handle.write(bytes, position);
        const own = file.pending.at(-1);
        await this.#step('datasync', path, (fault) =>
          file.flushOne(own, fault.done === 1 ? 'written' : 'dropped'),
        );
        file.flushOne(own);
      },
      read: async (buffer, position) => {
        need(false);
        await this.#step('read', path);
        return file.cache.view().copy(buffer, 0, Math.min(position, file.cache.length));
      },
      truncate: async (length) => {
        need(true);
        await this.#step('truncate', path);
        file.change({ kind: 'truncate', length });
      },
      datasync: async () => {
        need(false);
        const covered = file.pending.length;
        await this.#step('datasync', path, (fault) =>
          file.flush(covered, fault.done === 1 ? 'written' : 'dropped'),
        );
        file.flush(covered);
      },
      size: async () => {
        need(false);
        await this.#step('read', path);
        return file.cache.length;
      },
      close: async () => {
        need(false);
        open = false;
        this.openFiles -= 1;
      },
    };
    return handle;
  }

  async #step(kind: StepKind, path: string, onFault?: (fault: Fault) => void): Promise<void> {
    const number = this.steps;
    if (kind !== 'read') this.steps += 1;
    this.counts[kind] += 1;
    if (number >= this.#offAt) this.#off = true;
    if (this.#off) throw failure('EIO', 'power is off', path);
    await this.before?.({ kind, path, number });
    await null;
    if (this.#off) throw failure('EIO', 'power is off', path);
    const planned = this.#faults.find(
      ({ fault, left }) => left > 0 && fault.on === kind && path.endsWith(fault.path ?? ''),
    );
    if (planned === undefined) return;
    if (planned.skip > 0) {
      planned.skip -= 1;
      return;
    }
    planned.left -= 1;
    onFault?.(planned.fault);
    throw failure(planned.fault.code, kind, path);
  }

  /** How many of `length` bytes at `position` the disk takes. */
  #roomFor(file: DiskFile, position: number, length: number): number {
    if (this.capacity === Number.POSITIVE_INFINITY) return length;
    const used = [...this.#seen.values()].reduce((sum, { cache }) => sum + cache.length, 0);
    return Math.max(0, Math.min(length, file.cache.length + Math.max(0, this.capacity - used) - position));
  }

  #name(change: NameChange): void {
    applyName(this.#seen, change);
    this.#renames.push(change);
  }

  #file(path: string): DiskFile {
    const file = this.#seen.get(path);
    if (file === undefined) throw failure('ENOENT', 'open', path);
    return file;
  }

  #needFolder(path: string): void {
    if (!this.#folders.has(path)) throw failure('ENOENT', 'folder', path);
  }
}

function applyName(names: Map<string, DiskFile>, change: NameChange): void {
  if (change.from !== undefined) names.delete(change.from);
  if (change.to !== undefined && change.file !== undefined) names.set(change.to, change.file);
}

function foldersOf(change: NameChange): string[] {
  return [change.to, change.from].filter((path) => path !== undefined).map((path) => dirname(path));
}

function homeOf(change: NameChange): string {
  return foldersOf(change)[0] ?? '/';
}

function failure(code: string, what: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${what} '${path}'`), { code });
}
