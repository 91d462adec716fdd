import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Files, systemFiles } from '../../base/files.ts';
import { operatorSession, parseConnection } from './operator-session.ts';

/** A process tree, as proc(5) writes it. */
function proc(
  tree: Record<number, { name: string; parent: number; started: number; connection?: string }>,
): Files {
  return {
    ...systemFiles,
    readFile: (path) => {
      const [, pid, file] = /^\/proc\/(\d+)\/(stat|environ)$/.exec(path) ?? [];
      const one = tree[Number(pid)];
      if (one === undefined) return Promise.reject(new Error('ENOENT'));
      if (file === 'environ')
        return Promise.resolve(
          Buffer.from(`A=b\0${one.connection === undefined ? '' : `SSH_CONNECTION=${one.connection}\0`}`),
        );
      const rest = ['S', one.parent, ...Array.from({ length: 17 }, () => 0), one.started, 0];
      return Promise.resolve(Buffer.from(`${pid} (${one.name}) ${rest.join(' ')}\n`));
    },
  };
}
const CONNECTION = '203.0.113.5 50123 192.0.2.10 22';
const FLOW = { peer: '203.0.113.5', peerPort: 50_123, own: '192.0.2.10', ownPort: 22 };

describe('whoever gives the command', () => {
  it.each([
    [
      'sits at the end of an SSH session',
      {
        9: { name: 'bash', parent: 8, started: 500, connection: CONNECTION },
        8: { name: 'sshd-session', parent: 1, started: 480 },
      },
      undefined,
      { flow: FLOW, openedAt: 4.8 },
    ],
    [
      'became root with sudo, which drops the variable',
      {
        9: { name: 'sudo', parent: 7, started: 600 },
        7: { name: 'bash', parent: 6, started: 500, connection: CONNECTION },
        6: { name: 'sshd', parent: 1, started: 480 },
      },
      undefined,
      { flow: FLOW, openedAt: 4.8 },
    ],
    [
      'has a program with blanks and parentheses above',
      {
        9: { name: 'a) R (b', parent: 6, started: 500, connection: CONNECTION },
        6: { name: 'sshd', parent: 1, started: 480 },
      },
      undefined,
      { flow: FLOW, openedAt: 4.8 },
    ],
    [
      'is in a multiplexer that outlived its session',
      {
        9: { name: 'bash', parent: 8, started: 900, connection: CONNECTION },
        8: { name: 'tmux: server', parent: 1, started: 400 },
      },
      undefined,
      { flow: FLOW, openedAt: undefined },
    ],
    [
      'sits at the machine',
      { 9: { name: 'bash', parent: 8, started: 500 }, 8: { name: 'login', parent: 1, started: 300 } },
      undefined,
      { flow: undefined, openedAt: 3 },
    ],
    [
      'is a job',
      { 9: { name: 'sh', parent: 1, started: 500 } },
      undefined,
      { flow: undefined, openedAt: undefined },
    ],
    [
      'says so itself',
      { 9: { name: 'sh', parent: 1, started: 500 } },
      CONNECTION,
      { flow: FLOW, openedAt: undefined },
    ],
    ['is gone', {}, undefined, { flow: undefined, openedAt: undefined }],
    [
      'stands in a ring',
      { 9: { name: 'a', parent: 8, started: 1 }, 8: { name: 'b', parent: 9, started: 1 } },
      undefined,
      { flow: undefined, openedAt: undefined },
    ],
  ])('%s', async (_name, tree, own, session) => {
    expect(await operatorSession(proc(tree), 9, own)).toEqual(session);
  });

  it.each([
    [CONNECTION, FLOW],
    ['::ffff:203.0.113.5 50123 ::ffff:192.0.2.10 22', FLOW],
    [
      'fe80::1%eth0 50123 fe80::2%eth0 22',
      { peer: 'fe80::1', peerPort: 50_123, own: 'fe80::2', ownPort: 22 },
    ],
    ['UNKNOWN 65535 UNKNOWN 65535', undefined],
    ['203.0.113.5 50123 192.0.2.10 70000', undefined],
    ['203.0.113.5 50123 2001:db8::1', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%s', (text, flow) => {
    expect(parseConnection(text)).toEqual(flow);
  });

  it('is found in a real process tree', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-session-'));
    try {
      // Its name is what counts: a shell that is called sshd, and one below it.
      await symlink('/bin/sh', join(folder, 'sshd'));
      const child = execFile(join(folder, 'sshd'), [
        '-c',
        'SSH_CONNECTION="$0" sh -c "echo \\$\\$; read -r _"; :',
        CONNECTION,
      ]);
      const pid = await new Promise<number>((resolve) =>
        child.stdout?.once('data', (data) => resolve(Number(data))),
      );
      const { flow, openedAt } = await operatorSession(systemFiles, pid, undefined);
      child.stdin?.end('\n');
      expect(flow).toEqual(FLOW);
      const uptime = Number((await systemFiles.readFile('/proc/uptime')).toString().split(' ')[0]);
      expect(openedAt).toBeGreaterThan(uptime - 60);
      expect(openedAt).toBeLessThanOrEqual(uptime);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
