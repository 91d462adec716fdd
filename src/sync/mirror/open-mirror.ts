/** Opens the mirror's files. They are a cache: what can't be used is put aside, said so, and everything is read from the source again. */
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { isPosternError } from '../../base/error.ts';
import type { Files } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { openStore, type StoreOptions } from '../../directory/store/store.ts';
import { Mirror } from './mirror.ts';

export interface OpenMirrorOptions {
  /** The mirror's own folder; made when missing. */
  readonly folder: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** As in `StoreOptions`: the process should stop. */
  readonly onFatal?: (error: Error) => void;
  readonly tuning?: StoreOptions['tuning'];
}

const STORE_FILE = /^(?:journal|snapshot)\.\d+(?:\.new)?$/;

/** Throws `folder.in-use`, `file.unreadable`, `file.unwritable`; never `store.damaged`. */
export async function openMirror(options: OpenMirrorOptions): Promise<Mirror> {
  try {
    return await open(options);
  } catch (error) {
    if (!isPosternError(error, 'store.damaged')) throw error;
    await putAside(options);
    options.log.warn('the mirror of the source could not be used and begins empty; its files are put aside', {
      folder: options.folder,
      error,
    });
    return open(options);
  }
}

async function open(options: OpenMirrorOptions): Promise<Mirror> {
  const { folder, files, clock, random, log, onFatal, tuning } = options;
  const store = await openStore({
    folder,
    files,
    clock,
    random,
    log,
    // A mirror doesn't undo: on a full disk the daemon ends and begins again when there is room.
    whenFull: 'stop',
    ...(onFatal === undefined ? {} : { onFatal }),
    ...(tuning === undefined ? {} : { tuning }),
  });
  try {
    return new Mirror({ store, clock, random });
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Renamed, not removed: should the folder have been somebody else's, nothing is lost. */
async function putAside({ folder, files }: OpenMirrorOptions): Promise<void> {
  for (const name of await files.list(folder)) {
    if (STORE_FILE.test(name)) await files.rename(join(folder, name), join(folder, `${name}.aside`));
  }
  await files.syncFolder(folder);
}
