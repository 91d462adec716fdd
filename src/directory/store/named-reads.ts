/** A file layer whose failed reads say in one way which file, and where in it, the disk would not give. Writes are the writers' business. */
import { PosternError } from '../../base/error.ts';
import type { Files, OpenFile } from '../../base/files.ts';

/** Throws `file.unreadable` where `files` fails to open, list or read. */
export function withNamedReads(files: Files): Files {
  return {
    ...bound(files),
    open: async (path, how) => {
      if (how === 'create') return files.open(path, how);
      return namedFile(await named(path, undefined, files.open(path, how)), path);
    },
    readFile: (path) => named(path, undefined, files.readFile(path)),
    exists: (path) => named(path, undefined, files.exists(path)),
    list: (folder) => named(folder, undefined, files.list(folder)),
  };
}

function bound(files: Files): Files {
  return {
    open: (path, how) => files.open(path, how),
    readFile: (path) => files.readFile(path),
    rename: (from, to) => files.rename(from, to),
    remove: (path) => files.remove(path),
    exists: (path) => files.exists(path),
    list: (folder) => files.list(folder),
    makeFolder: (path) => files.makeFolder(path),
    syncFolder: (folder) => files.syncFolder(folder),
  };
}

function namedFile(file: OpenFile, path: string): OpenFile {
  return {
    ...file,
    read: (buffer, position) => named(path, position, file.read(buffer, position)),
    size: () => named(path, undefined, file.size()),
  };
}

async function named<T>(path: string, offset: number | undefined, read: Promise<T>): Promise<T> {
  try {
    return await read;
  } catch (error) {
    const where = offset === undefined ? path : `${path} at byte ${offset}`;
    throw new PosternError('file.unreadable', `cannot read ${where}`, {
      cause: error,
      fields: offset === undefined ? { file: path } : { file: path, offset },
      hint: 'check the disk (its log has read errors), and owner and permissions of the file; nothing was changed',
    });
  }
}
