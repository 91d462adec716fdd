/**
 * The file layer is handed in, so that tests can lose power (drop what was not synced), fill the disk or fail a flush.
 * Only what the stores need; everything is asynchronous: nothing may flush on the event loop.
 */
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

export interface OpenFile {
  /** Writes all of `bytes` at `position`. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Writes all of `bytes` at `position` and flushes them, as `write` and `datasync` would, but in one trip where the system can. */
  writeThrough(bytes: Uint8Array, position: number): Promise<void>;
  /** Reads up to `buffer.length` bytes at `position`; returns how many (less only at the end of the file). */
  read(buffer: Uint8Array, position: number): Promise<number>;
  truncate(length: number): Promise<void>;
  /** Flushes data and length to the disk (fdatasync). */
  datasync(): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

export interface Files {
  /** `create`: new file, must not exist; `write`: read and write, created when missing; `read`: read only. Mode 0600. */
  open(path: string, how: 'read' | 'write' | 'create'): Promise<OpenFile>;
  readFile(path: string): Promise<Buffer>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  list(folder: string): Promise<string[]>;
  /** Makes a folder (0700) and its parents, durably. */
  makeFolder(path: string): Promise<void>;
  /** Makes names in `folder` durable (fsync of the directory): after create, rename, remove. */
  syncFolder(folder: string): Promise<void>;
}

export const systemFiles: Files = {
  async open(path, how) {
    const flags =
      how === 'read'
        ? constants.O_RDONLY
        : how === 'create'
          ? constants.O_RDWR | constants.O_CREAT | constants.O_EXCL
          : constants.O_RDWR | constants.O_CREAT;
    return wrap(await fs.open(path, flags | constants.O_NOFOLLOW, 0o600));
  },
  readFile: (path) => fs.readFile(path),
  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.rm(path, { force: true }),
  exists: (path) =>
    fs.access(path).then(
      () => true,
      () => false,
    ),
  list: (folder) => fs.readdir(folder),
  async makeFolder(path) {
    const first = await fs.mkdir(path, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    // Each new folder's name stands in its parent: flushed from the innermost new one outwards.
    for (let made = resolve(path); ; made = dirname(made)) {
      await this.syncFolder(dirname(made));
      if (made === first || made === dirname(made)) return;
    }
  },
  async syncFolder(folder) {
    const handle = await fs.open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

function wrap(handle: fs.FileHandle): OpenFile {
  /** A second descriptor of the same file, whose writes are flushed by the system (O_DSYNC); opened when first used. */
  let through: Promise<fs.FileHandle | undefined> | undefined;
  return {
    write: (bytes, position) => writeAll(handle, bytes, position),
    async writeThrough(bytes, position) {
      through ??= fs
        .open(`/proc/self/fd/${handle.fd}`, constants.O_WRONLY | constants.O_DSYNC)
        .catch(() => undefined);
      const direct = await through;
      await writeAll(direct ?? handle, bytes, position);
      if (direct === undefined) await handle.datasync();
    },
    async read(buffer, position) {
      let done = 0;
      while (done < buffer.length) {
        const { bytesRead } = await handle.read(buffer, done, buffer.length - done, position + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    },
    truncate: (length) => handle.truncate(length),
    datasync: () => handle.datasync(),
    size: async () => (await handle.stat()).size,
    async close() {
      await (await through)?.close();
      await handle.close();
    },
  };
}

async function writeAll(handle: fs.FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

/** Replaces `path` atomically and durably: temporary file beside it, flush, rename, flush of the folder. */
export async function replaceFile(files: Files, path: string, bytes: Uint8Array): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${path.slice(folder.length + 1)}.new`);
  await files.remove(temporary);
  const file = await files.open(temporary, 'create');
  try {
    await file.write(bytes, 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, path);
  await files.syncFolder(folder);
}
