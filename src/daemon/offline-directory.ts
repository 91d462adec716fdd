/**
 * The embedded directory of a daemon that is not running: the same operations on its files, under the lock that keeps the daemon out, and the restoring of a
 * backup. Knows of each role only where its files are and how its directory is opened.
 */
import { readFile, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Hono } from 'hono';
import { z } from 'zod';
import { formatGeneralizedTime } from '../asn1/time.ts';
import { createControlApp } from '../admin/control-server.ts';
import type { RestoreDocument } from '../admin/directory-documents.ts';
import { systemClock } from '../base/clock.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import { systemFiles } from '../base/files.ts';
import { type FolderLock, lockFolder } from '../base/folder-lock.ts';
import { silentLog } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import { openTrustStore } from '../certificate/trust-store.ts';
import { Directory } from '../directory/directory.ts';
import { checkBackup, openStore, type RecordStore, restoreBackup } from '../directory/store/store.ts';
import { forgetHistory } from '../directory/sync/provider.ts';
import { EDGE_TRUST_STORE, edgeTrustSchema } from '../subscription/trust-state.ts';
import { BACKUP_ABOUT, directoryRoutes } from './directory-routes.ts';
import { EDGE_ACCESS } from './edge/access.ts';
import { EDGE_CONTEXTS, EDGE_OWN_ENTRIES, edgeStoreFolder } from './edge/base-entries.ts';
import { forgetPosition } from './edge/data.ts';
import { HUB_ACCESS, HUB_CONTEXTS, hubStoreFolder } from './hub/configuration.ts';

export interface OfflinePlace {
  readonly role: 'edge' | 'hub';
  readonly name: string;
  /** The daemon's data folder. */
  readonly data: string;
}

export interface OfflineDirectory {
  /** The operations of `directory-routes.ts`. */
  readonly app: Hono;
  close(): Promise<void>;
}

const PARTS = { files: systemFiles, clock: systemClock, random: systemRandom, log: silentLog };

/** Throws `daemon.running`, `not-found` (it has never run here), `file.permissions`, `store.damaged`. */
export async function openOfflineDirectory(place: OfflinePlace): Promise<OfflineDirectory> {
  const folder = storeFolder(place);
  const lock = await holdData(place);
  try {
    if (!(await hasStore(folder)))
      throw new PosternError('not-found', `there is no directory in ${folder}`, {
        hint: `the ${place.role} makes one at its first start`,
      });
    const store = await openStore({ folder, ...PARTS });
    const directory = openDirectory(place, store);
    const app = createControlApp(silentLog);
    const addressKeyId = await knownAddressKey(place);
    directoryRoutes(app, {
      ...place,
      directory,
      store,
      folder,
      files: systemFiles,
      ownEntries: place.role === 'edge' ? EDGE_OWN_ENTRIES : [],
      addressKeyId: () => addressKeyId,
    });
    const close = async (): Promise<void> => {
      await directory.close();
      await store.close();
      await lock.release();
    };
    return { app, close };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

const aboutSchema = z.object({
  format: z.literal(1),
  role: z.enum(['edge', 'hub']),
  name: z.string(),
  addressKeyId: z.string().optional(),
});

/**
 * Makes the directory of a stopped daemon from a backup. An existing one is moved aside when `replace`, refused otherwise. The restored one is told apart from the
 * one it is a copy of: cookies of the other mean nothing to it, and hubs compare it entry by entry before they call it in step.
 */
export async function restoreDirectory(
  place: OfflinePlace,
  from: string,
  replace: boolean,
): Promise<RestoreDocument> {
  const folder = storeFolder(place);
  await checkBackup({ files: systemFiles, folder: from, clock: systemClock });
  const about = await readAbout(from);
  if (about.role !== place.role)
    throw new PosternError(
      'refused',
      `this is the backup of ${about.role === 'edge' ? 'an edge' : 'a hub'} (${about.name})`,
      {
        hint: `name the configuration of the ${about.role} with --config`,
      },
    );
  await systemFiles.makeFolder(place.data);
  const lock = await holdData(place);
  try {
    const key = await knownAddressKey(place);
    if (key !== undefined && about.addressKeyId !== undefined && key !== about.addressKeyId)
      throw new PosternError(
        'refused',
        'the recipients of this backup are hashed with another key than the one this edge has now',
        {
          hint: 'no address would be found in it: start the edge without a directory, and the hub loads everything anew',
        },
      );
    const exists = await hasStore(folder);
    if (exists && !replace)
      throw new PosternError('refused', `there is a directory in ${folder}`, {
        hint: 'with --replace it is moved aside, not deleted',
      });
    const fresh = `${folder}.restoring`;
    if (await systemFiles.exists(fresh))
      throw new PosternError('refused', `a restore was interrupted: ${fresh} is in the way`, {
        hint: `it is not in use: rm -r ${fresh}`,
      });
    const backup = await restoreBackup({ files: systemFiles, folder: from, clock: systemClock }, fresh);
    const entries = await tellApart(place, fresh);
    const former = exists
      ? `${folder}.before-${formatGeneralizedTime(systemClock.now()).replace(/\..*|Z$/, '')}`
      : undefined;
    if (former !== undefined) await rename(folder, former);
    await rename(fresh, folder);
    await systemFiles.syncFolder(dirname(folder));
    const { role, name } = place;
    return { role, name, entries, folder, backup, ...(former !== undefined && { former }) };
  } finally {
    await lock.release();
  }
}

async function tellApart(place: OfflinePlace, folder: string): Promise<number> {
  const store = await openStore({ folder, ...PARTS });
  try {
    await forgetHistory(store);
    const directory = openDirectory(place, store);
    if (place.role === 'edge') await forgetPosition(directory);
    const entries = directory.database.size;
    await directory.close();
    await forgetHistory(store);
    return entries;
  } finally {
    await store.close();
  }
}

async function readAbout(from: string): Promise<z.infer<typeof aboutSchema>> {
  const path = join(from, BACKUP_ABOUT);
  try {
    return aboutSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (cause) {
    throw new PosternError(
      'store.damaged',
      `the backup is damaged: ${path} cannot be read, or is of another version`,
      {
        cause,
        hint: 'use another backup',
        fields: { file: path },
      },
    );
  }
}

function openDirectory({ role }: OfflinePlace, store: RecordStore): Directory {
  return new Directory({
    store,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    contexts: role === 'edge' ? EDGE_CONTEXTS : HUB_CONTEXTS,
    access: role === 'edge' ? EDGE_ACCESS : HUB_ACCESS,
    ...(role === 'edge' && { indexes: ['posternAddress'] }),
  });
}

const storeFolder = ({ role, data }: OfflinePlace): string =>
  role === 'edge' ? edgeStoreFolder(data) : hubStoreFolder(data);

async function hasStore(folder: string): Promise<boolean> {
  const names = await systemFiles.list(folder).catch(() => []);
  return names.some((name) => /^(snapshot|journal)\.\d+$/.test(name));
}

/** The lock of the data folder, as the daemon takes it; files made here must be files of the daemon's user. */
async function holdData({ role, data }: OfflinePlace): Promise<FolderLock> {
  const owner = await stat(data).catch((cause: unknown) => {
    throw new PosternError('not-found', `there is no data folder ${data}`, {
      cause,
      hint: `the ${role} makes it at its first start; or does another configuration apply? (--config)`,
    });
  });
  const own = process.geteuid?.();
  if (own !== undefined && owner.uid !== own)
    throw new PosternError(
      'file.permissions',
      `the files in ${data} belong to another user (number ${owner.uid})`,
      {
        hint: `run it as that user: setpriv --reuid ${owner.uid} --regid ${owner.gid} --clear-groups postern ...`,
      },
    );
  process.umask(0o077);
  try {
    return await lockFolder(data);
  } catch (error) {
    if (!isPosternError(error, 'folder.in-use')) throw error;
    throw new PosternError('daemon.running', `a daemon uses ${data}`, {
      cause: error,
      hint: `stop it first (systemctl stop postern-${role})`,
    });
  }
}

/** Undefined when the edge has none yet. */
async function knownAddressKey({ role, data }: OfflinePlace): Promise<string | undefined> {
  const folder = join(data, 'trust');
  if (role !== 'edge' || !(await systemFiles.exists(folder))) return undefined;
  const names = await systemFiles.list(folder);
  if (!names.some((name) => name.startsWith(`${EDGE_TRUST_STORE}.`))) return undefined;
  const trust = await openTrustStore(systemFiles, folder, EDGE_TRUST_STORE, edgeTrustSchema, undefined);
  const id = trust.value.addressKey?.id;
  await trust.close();
  return id;
}
