/** Credentials between real daemons: rotated by command, killed in the middle of it, restored from a backup, copied. */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  CredentialsDocument,
  DaemonStatus,
  EdgeCredentialsDocument,
  RotationDocument,
} from '../../src/admin/documents.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { DaemonProcess } from '../../src/daemon/demo/daemon-process.ts';
import { Deployment } from '../support/deployment.ts';
import { until } from '../support/until.ts';

let site: Deployment;
let backups: string;

beforeAll(async () => {
  backups = await mkdtemp(join(tmpdir(), 'postern-backup-'));
  // The shortest silence after which a second instance is taken for a restored one.
  site = await Deployment.create(async (folder) => {
    const path = join(folder, 'people.ldif');
    await writeFile(path, 'dn: cn=a\nobjectClass: person\nmail: a@example.org\n');
    return { source: { kind: 'ldif', path }, edge: { recovery: { quiet: '1s' } } };
  });
  await site.startEdge();
  await site.startHub();
  await site.subscribe();
  await site.hubOk('sync', 'run');
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
  await rm(backups, { recursive: true, force: true });
});

const ask = async <T>(daemon: DaemonProcess | undefined, path: string): Promise<T> => {
  if (daemon === undefined) throw new Error('it does not run');
  return daemon.control.call<T>('GET', path);
};
const inUse = async (): Promise<string | undefined> => {
  const { pairs } = await ask<CredentialsDocument>(site.hubDaemon, '/v1/credentials');
  return pairs[0]?.credentials.find(({ state }) => state === 'in use')?.account;
};
const numberInUse = async (): Promise<number> => Number((await inUse())?.split('.')[3] ?? -1);
const onEdge = async (): Promise<string[]> => {
  const { hubs } = await ask<EdgeCredentialsDocument>(site.edgeDaemon, '/v1/credentials');
  return hubs.flatMap(({ accounts }) => accounts.map(({ name }) => name));
};
const codes = async (role: 'hub' | 'edge'): Promise<string[]> => {
  const daemon = role === 'hub' ? site.hubDaemon : site.edgeDaemon;
  return (await ask<DaemonStatus>(daemon, '/v1/status')).warnings.map(({ code }) => code);
};
const rotateNow = (): Promise<unknown> | undefined =>
  site.hubDaemon?.control.call('POST', '/v1/credentials/rotate', { now: true });
const settled = (above: number): Promise<unknown> =>
  until(
    'one account that both sides have',
    async () => [await inUse(), ...(await onEdge())],
    ([used, ...accounts]) =>
      accounts.length === 1 && accounts[0] === used && Number(used?.split('.')[3]) > above,
  );

/** One account, the same on both sides, and the pushing goes on. */
async function isWhole(): Promise<void> {
  expect(await onEdge()).toEqual([await inUse()]);
  await site.hubOk('sync', 'run');
  await site.hubOk('sync', 'verify');
}

describe('credential', () => {
  it('rotate --now replaces the account within seconds; list, timeline and status say so', async () => {
    const rotated = JSON.parse(
      await site.hubOk('credential', 'rotate', '--now', 'edge1', '--json'),
    ) as RotationDocument[];
    expect(rotated).toMatchObject([{ edge: 'edge1', outcome: 'done', state: 'active', warnings: [] }]);
    expect(await inUse()).toBe('ESRA.edge1.hub1.1');
    await isWhole();
    const drawn = await site.hubOk('credential', 'timeline');
    expect(drawn).toMatch(/^hub1 on edge1\n {3}0 over +×\n {3}1 in use +[┿├]━+┤$/m);
    for (const line of drawn.split('\n').slice(0, -1)) expect(line.length).toBeLessThanOrEqual(100);
    expect((await site.hub('status')).exitCode).toBe(0);
    expect((await site.edge('status')).exitCode).toBe(0);
    expect(await site.hubOk('credential', 'rotate')).toMatch(/edge1: done/);
    expect(await onEdge()).toEqual(['ESRA.edge1.hub1.1', 'ESRA.edge1.hub1.2']);
    expect(await site.hubOk('credential', 'rotate')).toMatch(/under way already/);
    expect(await site.hubOk('credential', 'revoke', 'ESRA.edge1.hub1.2')).toMatch(/edge1: done/);
    expect(await onEdge()).toEqual(['ESRA.edge1.hub1.1']);
    const unknown = await site.hub('credential', 'revoke', 'ESRA.edge1.hub1.9');
    expect([unknown.exitCode, unknown.stderr]).toEqual([6, expect.stringContaining('[not-found]')]);
    expect((await site.hub('credential', 'timeline', 'edge9')).exitCode).toBe(6);
  });

  it.each([0, 60, 120, 180])(
    'kill -9 of the hub %i ms after it has begun: finished after the start',
    async (delay) => {
      const before = await numberInUse();
      const command = rotateNow();
      const cut = command?.then(
        () => 'done',
        () => 'cut',
      );
      await systemClock.sleep('in the middle', delay);
      await site.hubDaemon?.kill();
      await cut;
      await site.startHub();
      // A command that was cut off before it was on the disk was not given.
      await settled(before - 1);
      expect(await codes('hub')).toEqual([]);
    },
  );

  it('kill -9 of the edge in the middle of a rotation', async () => {
    const before = await numberInUse();
    const command = rotateNow();
    await site.edgeDaemon?.kill();
    await site.startEdge();
    await command;
    await settled(before);
    await isWhole();
  });
});

describe('the data folder of a hub restored from a backup', () => {
  it('gets fresh keys by itself; a warning until they are renewed', async () => {
    await site.hubDaemon?.stop();
    await cp(site.hubData, join(backups, 'hub'), { recursive: true });
    await site.startHub();
    await settled(-1);
    const before = await numberInUse();
    await rotateNow();
    await settled(before);
    await site.hubDaemon?.stop();
    await rm(site.hubData, { recursive: true });
    await cp(join(backups, 'hub'), site.hubData, { recursive: true });
    await site.startHub();
    await settled(before + 1);
    await isWhole();
    expect(await codes('hub')).toEqual([expect.stringMatching(/^credential\.(restored|recovered)$/)]);
    await rotateNow();
    expect(await codes('hub')).toEqual([]);
    expect(await codes('edge')).toEqual([]);
  });
});
