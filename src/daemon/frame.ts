/** What both daemons do around their own work: log, lock of the data folder, stop in good order, stop when a store has failed. */
import { stat } from 'node:fs/promises';
import { type Clock, systemClock } from '../base/clock.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import { type Files, systemFiles } from '../base/files.ts';
import { lockFolder } from '../base/folder-lock.ts';
import { Lifecycle } from '../base/lifecycle.ts';
import { createLog, type Log, type LogLevel } from '../base/log.ts';
import { type Random, systemRandom } from '../base/random.ts';

/** The world, as it is handed to everything else. */
export interface DaemonParts {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly lifecycle: Lifecycle;
  /** Aborted when the daemon is to stop. */
  readonly signal: AbortSignal;
  /** A store has failed: the daemon stops. */
  readonly onFatal: (error: Error) => void;
}

export interface DaemonConfig {
  readonly data: string;
  readonly log: { readonly level: LogLevel; readonly format: 'text' | 'json' };
}

/** Runs until `signal` aborts; throws when `start` does, or when a store has failed. A second daemon on the folder is `daemon.running`. */
export async function runDaemon(
  name: string,
  config: DaemonConfig,
  signal: AbortSignal,
  start: (parts: DaemonParts) => Promise<void>,
): Promise<void> {
  const [files, clock, random] = [systemFiles, systemClock, systemRandom];
  const log = createLog({ write: (line) => process.stderr.write(line), clock, ...config.log }, name);
  const lifecycle = new Lifecycle(log);
  const failed = new AbortController();
  const stopping = AbortSignal.any([signal, failed.signal]);
  // Sockets exist for an instant before they get their mode: nobody else shall reach them then, whatever umask we were started with.
  process.umask(0o077);
  try {
    await makeDataFolder(files, config.data);
    await checkDataFolder(config.data);
    const lock = await lockFolder(config.data);
    lifecycle.add('lock', () => lock.release());
    await start({
      files,
      clock,
      random,
      log,
      lifecycle,
      signal: stopping,
      onFatal: (error) => failed.abort(error),
    });
    await aborted(stopping);
    log.info('stopping', { why: failed.signal.aborted ? 'a store has failed' : String(signal.reason) });
  } catch (error) {
    if (!isPosternError(error, 'folder.in-use')) throw error;
    throw new PosternError('daemon.running', `another daemon uses ${config.data}`, {
      cause: error,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  } finally {
    await lifecycle.stop();
  }
  if (failed.signal.aborted) throw failed.signal.reason as Error;
}

async function makeDataFolder(files: Files, folder: string): Promise<void> {
  try {
    await files.makeFolder(folder);
  } catch (cause) {
    throw new PosternError('file.unwritable', `the data folder ${folder} cannot be made`, {
      cause,
      hint: 'make it as root and give it to the user of the daemon (install -d -o postern -m 0700), or choose another: data = "/..."',
      fields: { folder },
    });
  }
}

/** Whoever can rename things in the data folder can put a trust store of his own there. */
async function checkDataFolder(folder: string): Promise<void> {
  const { mode, uid } = await stat(folder);
  const own = process.geteuid?.();
  if ((mode & 0o022) === 0 && (own === undefined || uid === own)) return;
  throw new PosternError(
    'config.invalid',
    (mode & 0o022) === 0
      ? `the data folder ${folder} belongs to another user`
      : `others may write to the data folder ${folder}`,
    {
      hint:
        own === 0 && uid !== 0
          ? `run the daemon as that user (number ${uid}), as the unit in packaging/ does: what root writes there it could not read any more`
          : `give it to the user of the daemon alone: chown ${own ?? ''} ${folder}; chmod 0700 ${folder}`,
      fields: { folder },
    },
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
