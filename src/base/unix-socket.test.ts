import { spawnSync } from 'node:child_process';
import { lstat, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { listenOnUnixSocket } from './unix-socket.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-unix-'));
  path = join(folder, 'socket');
});
afterEach(() => rm(folder, { recursive: true }));

const close = (server: ReturnType<typeof createServer>): Promise<unknown> =>
  new Promise((resolve) => server.close(resolve));

it('listens with the mode asked for and leaves nothing behind', async () => {
  const server = createServer((socket) => socket.end('hello'));
  const remove = await listenOnUnixSocket(server, path, 0o640);
  expect((await lstat(path)).mode & 0o777).toBe(0o640);
  expect(await readdir(folder)).toEqual(['socket']);
  const text = await new Promise<string>((resolve) =>
    connect(path).on('data', (chunk) => resolve(chunk.toString())),
  );
  expect(text).toBe('hello');
  await close(server);
  await remove();
  expect(await readdir(folder)).toEqual([]);
});

it('replaces the socket of a process that was killed', async () => {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script]);
  expect((await lstat(path)).isSocket()).toBe(true);
  await writeFile(`${path}.new`, 'left by a start that was killed');
  const server = createServer();
  const remove = await listenOnUnixSocket(server, path, 0o600);
  expect(server.listening).toBe(true);
  await close(server);
  await remove();
  expect(await readdir(folder)).toEqual([]);
});

it('removes only its own socket', async () => {
  const first = createServer();
  const remove = await listenOnUnixSocket(first, path, 0o600);
  await close(first);
  await rm(path);
  const second = createServer();
  const removeSecond = await listenOnUnixSocket(second, path, 0o600);
  await remove();
  expect(await readdir(folder)).toEqual(['socket']);
  await close(second);
  await removeSecond();
});

it.each([
  [
    'somebody answers',
    'daemon.running',
    async () => {
      const other = createServer();
      await listenOnUnixSocket(other, path, 0o600);
      return () => close(other);
    },
  ],
  [
    'a file is there',
    'file.unwritable',
    async () => {
      await writeFile(path, '');
      return async () => {};
    },
  ],
])('refuses when %s', async (_name, code, prepare) => {
  const undo = await prepare();
  await expect(listenOnUnixSocket(createServer(), path, 0o600)).rejects.toMatchObject({ code });
  expect((await lstat(path)).isDirectory()).toBe(false);
  await undo();
});

it('refuses a path that is too long, or in no folder', async () => {
  await expect(listenOnUnixSocket(createServer(), `/${'a'.repeat(110)}`, 0o600)).rejects.toMatchObject({
    code: 'file.unwritable',
  });
  const server = createServer();
  await expect(listenOnUnixSocket(server, join(folder, 'none', 'socket'), 0o600)).rejects.toMatchObject({
    code: 'file.unwritable',
  });
  expect(server.listening).toBe(false);
});
