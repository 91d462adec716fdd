/**
 * A server's unix socket in the file system: made with its mode before anybody can reach it, in the place of a socket that
 * nobody listens on, and removed afterwards. Knows nothing of what is spoken on it.
 */
import { chmod, lstat, rename, rm } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { PosternError } from './error.ts';

/** Longest path of a unix socket on Linux (sun_path less its NUL), bytes, less what the temporary name adds. */
const LONGEST_PATH = 107 - '.new'.length;

/**
 * Listens on `path` (absolute) with `mode`. Resolves with a function that removes the socket file; call it after the server
 * was closed. Throws `daemon.running` when somebody answers there, `file.unwritable` for anything else.
 */
export async function listenOnUnixSocket(
  server: Server,
  path: string,
  mode: number,
): Promise<() => Promise<void>> {
  if (Buffer.byteLength(path) > LONGEST_PATH) {
    throw new PosternError('file.unwritable', 'the path of a unix socket is too long', {
      hint: `use a path of at most ${LONGEST_PATH} bytes`,
      fields: { path },
    });
  }
  await checkPlace(path);
  // Bound under another name and renamed: no instant without the right mode, and an old socket is replaced in one step.
  const temporary = `${path}.new`;
  try {
    await rm(temporary, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(temporary, () => {
        server.off('error', reject);
        resolve();
      });
    });
    await chmod(temporary, mode);
    await rename(temporary, path);
  } catch (cause) {
    if (server.listening) await new Promise((resolve) => server.close(resolve));
    throw new PosternError('file.unwritable', 'a unix socket cannot be made', {
      hint: 'check that its folder exists and that the daemon may write there',
      fields: { path },
      cause,
    });
  }
  const ours = await lstat(path, { bigint: true });
  return async () => {
    const there = await lstat(path, { bigint: true }).catch(() => undefined);
    // Inode numbers are used again, so the time of birth is compared too.
    if (there?.ino === ours.ino && there.birthtimeNs === ours.birthtimeNs) await rm(path, { force: true });
  };
}

async function checkPlace(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there === undefined) return;
  if (!there.isSocket()) {
    throw new PosternError('file.unwritable', 'there is something else where the unix socket should be', {
      hint: 'name another path, or remove that file',
      fields: { path },
    });
  }
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => resolve(true));
    probe.once('error', () => resolve(false));
    probe.once('close', () => probe.destroy());
    probe.once('connect', () => probe.destroy());
  });
  if (answered) {
    throw new PosternError('daemon.running', 'another process listens on this unix socket', {
      hint: 'stop the other daemon, or name another path',
      fields: { path },
    });
  }
}
