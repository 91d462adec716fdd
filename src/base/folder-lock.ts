/**
 * Keeps a second process out of a folder. The holder listens on a unix socket in it, so the kernel itself ends the lock with the process, however
 * that ends: a number used again by another process, or a file left behind, means nothing. Works between containers that share the folder.
 *
 * Each process makes its own socket first and looks for others afterwards: of two that start at once, at least one sees the other.
 */
import * as fs from 'node:fs/promises';
import { createConnection, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { PosternError } from './error.ts';
import { systemRandom } from './random.ts';

export interface FolderLock {
  release(): Promise<void>;
}

const NAME = /^\.lock\.(\d{1,10})\.[0-9a-f]{12}$/;
/** Two that start at once may refuse each other: each tries again after a random while. */
const ATTEMPTS = 5;

/** Throws `folder.in-use` naming the process. The folder must exist. */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const pid = await fs.readlink('/proc/self');
  for (let attempt = 1; ; attempt += 1) {
    const own = `.lock.${pid}.${systemRandom.bytes(6).toString('hex')}`;
    const release = await listen(folder, own);
    const holder = await findOther(folder, own).catch(async (error: unknown) => {
      await release();
      throw error;
    });
    if (holder === undefined) return { release };
    await release();
    if (attempt < ATTEMPTS) {
      await new Promise((resolve) => setTimeout(resolve, systemRandom.fraction() * 20 * attempt));
      continue;
    }
    throw new PosternError('folder.in-use', `another process uses the folder ${folder}`, {
      fields: { folder, pid: holder },
      hint: `process ${holder} holds it: stop that one first`,
    });
  }
}

async function listen(folder: string, name: string): Promise<() => Promise<void>> {
  const server = createServer((socket) => socket.destroy());
  const path = join(folder, name);
  // A name that is there must be answering: listen first, give the socket its name afterwards.
  const early = `.new${name}`;
  try {
    await throughDescriptor(folder, early, (short) => {
      return new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(short, resolve);
      });
    });
    await fs.rename(join(folder, early), path);
  } catch (error) {
    server.close();
    throw new PosternError('file.unwritable', `no lock can be made in ${folder}`, {
      cause: error,
      hint:
        (error as { code?: unknown }).code === 'ENOSPC'
          ? 'there is no space on the disk: free some'
          : 'run the daemon as the user who owns the folder, or give the folder to the user it runs as (chown -R)',
      fields: { folder },
    });
  }
  server.unref();
  return () => release(server, path);
}

/** The path of a socket is limited to 107 bytes, the one of a folder isn't: `use` gets a short one by way of an open descriptor. */
async function throughDescriptor<T>(
  folder: string,
  name: string,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const handle = await fs.open(folder, 'r');
  try {
    return await use(`/proc/self/fd/${handle.fd}/${name}`);
  } finally {
    await handle.close();
  }
}

async function release(server: Server, path: string): Promise<void> {
  await fs.rm(path, { force: true });
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}

/** The process number of another living holder; what dead ones left is removed. */
async function findOther(folder: string, own: string): Promise<number | undefined> {
  for (const name of await fs.readdir(folder)) {
    const match = NAME.exec(name);
    if (match === null || name === own) continue;
    if (await answers(folder, name)) return Number(match[1]);
    await fs.rm(join(folder, name), { force: true });
  }
  return undefined;
}

function answers(folder: string, name: string): Promise<boolean> {
  return throughDescriptor(folder, name, (path) => {
    return new Promise<boolean>((resolve) => {
      const socket = createConnection(path);
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      // Only these say that nobody listens; anything else (a full queue) is an answer of sorts.
      socket.once('error', (error: NodeJS.ErrnoException) => {
        resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
      });
    });
  });
}
