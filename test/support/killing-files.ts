/** The system's files for a process that is to die by its own hand at a certain step: before it, after it, or with a write half done. */
import { kill, pid } from 'node:process';
import { type Files, type OpenFile, systemFiles } from '../../src/base/files.ts';
import type { Random } from '../../src/base/random.ts';

/** Dies at changing step number `step` (from 0). */
export function killingFiles(step: number, random: Random): Files {
  let left = step;
  const die = (): void => void kill(pid, 'SIGKILL');
  const around = async <T>(run: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> => {
    if (left-- !== 0) return run();
    const way = random.fraction();
    if (way < 0.3) die();
    if (way < 0.6 && half !== undefined) await half();
    else await run();
    die();
    return run();
  };
  const wrap = (file: OpenFile): OpenFile => {
    const part = (bytes: Uint8Array): Uint8Array =>
      bytes.subarray(0, Math.floor(random.fraction() * bytes.length));
    return {
      ...file,
      write: (bytes, position) =>
        around(
          () => file.write(bytes, position),
          () => file.write(part(bytes), position),
        ),
      writeThrough: (bytes, position) =>
        around(
          () => file.writeThrough(bytes, position),
          () => file.write(part(bytes), position),
        ),
      truncate: (length) => around(() => file.truncate(length)),
      datasync: () => around(() => file.datasync()),
    };
  };
  return {
    ...systemFiles,
    open: async (path, how) => wrap(await around(() => systemFiles.open(path, how))),
    rename: (from, to) => around(() => systemFiles.rename(from, to)),
    remove: (path) => around(() => systemFiles.remove(path)),
    makeFolder: (path) => around(() => systemFiles.makeFolder(path)),
    syncFolder: (folder) => around(() => systemFiles.syncFolder(folder)),
  };
}
