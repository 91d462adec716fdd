/** A record store of what can be made again: files that cannot be used are put aside, said so, and it begins empty. */
import { join } from 'node:path';
import { isPosternError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import { openStore, type RecordStore, type StoreOptions } from '../directory/store/store.ts';

export interface PutAsideOptions extends StoreOptions {
  readonly log: Log;
}

const STORE_FILE = /^(?:journal|snapshot)\.\d+(?:\.new)?$/;

/**
 * `over` makes what the caller wants of the open store, and may throw `store.damaged`, too. `warning` goes to the log when files are put aside. Throws
 * `folder.in-use`, `file.unreadable`, `file.unwritable`; never `store.damaged`.
 */
export async function openOrPutAside<T>(
  options: PutAsideOptions,
  over: (store: RecordStore) => T,
  warning: string,
): Promise<T> {
  try {
    return await open(options, over);
  } catch (error) {
    if (!isPosternError(error, 'store.damaged')) throw error;
    await putAside(options);
    options.log.warn(warning, { folder: options.folder, error });
    return open(options, over);
  }
}

async function open<T>(options: StoreOptions, over: (store: RecordStore) => T): Promise<T> {
  const store = await openStore(options);
  try {
    return over(store);
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Renamed, not removed: should the folder have been somebody else's, nothing is lost. */
async function putAside({ folder, files }: StoreOptions): Promise<void> {
  for (const name of await files.list(folder)) {
    if (STORE_FILE.test(name)) await files.rename(join(folder, name), join(folder, `${name}.aside`));
  }
  await files.syncFolder(folder);
}
