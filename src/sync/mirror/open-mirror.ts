/** Opens the mirror's files. They are a cache: what can't be used is put aside, said so, and everything is read from the source again. */
import type { Clock } from '../../base/clock.ts';
import type { Files } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { StoreOptions } from '../../directory/store/store.ts';
import { openOrPutAside } from '../open-or-put-aside.ts';
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
  readonly tuning?: NonNullable<StoreOptions['tuning']>;
}

/** Throws `folder.in-use`, `file.unreadable`, `file.unwritable`; never `store.damaged`. */
export function openMirror(options: OpenMirrorOptions): Promise<Mirror> {
  const { clock, random } = options;
  return openOrPutAside(
    // A mirror doesn't undo: on a full disk the daemon ends and begins again when there is room.
    { ...options, whenFull: 'stop' },
    (store) => new Mirror({ store, clock, random }),
    'the mirror of the source could not be used and begins empty; its files are put aside',
  );
}
