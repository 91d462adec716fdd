/** Our view of a real charon, beside swanctl's view of the same one. */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fakeRandom } from '../../test/fakes/random.ts';
import { type CharonPair, plainConnection, startCharonPair } from '../../test/support/charon-pair.ts';
import { type RawSection, readSwanctlRaw } from '../../test/support/swanctl-raw.ts';
import { until } from '../../test/support/until.ts';
import { systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import { Secret } from '../base/secret.ts';
import { readAssociations } from './association.ts';
import { collect } from './collect.ts';
import * as command from './command.ts';
import type { ViciSection } from './message.ts';
import { plain } from './section.ts';
import { ViciSession } from './session.ts';

let pair: CharonPair;

beforeAll(async () => {
  pair = await startCharonPair();
});

afterAll(() => pair[Symbol.asyncDispose]());

/** Messages of our own stream and swanctl's, as plain data. */
async function both(
  side: 'frontEnd' | 'backEnd',
  [ourCommand, event]: readonly [string, string],
  swanctl: string,
  message: Record<string, boolean> = {},
): Promise<{ ours: unknown[]; theirs: RawSection[] }> {
  const { vici, charon } = pair[side];
  const ours = (await collect(vici.stream(ourCommand, event, message))).map(plain);
  const theirs = readSwanctlRaw(await charon.swanctl(swanctl, '--raw'))
    .filter(({ kind }) => kind === `${event} event`)
    .map((item) => item.message);
  return { ours: JSON.parse(JSON.stringify(ours)) as unknown[], theirs };
}

describe('charon', () => {
  it('is of a version that we know, with the plugins we need', async () => {
    const { vici, charon } = pair.frontEnd;
    const version = await command.getVersion(vici);
    expect(version.daemon).toBe('charon-systemd');
    expect(await charon.swanctl('--version', '--daemon')).toContain(version.version);
    const stats = await command.getStats(vici);
    expect(stats.plugins).toContain('vici');
    expect(stats.workers.total).toBeGreaterThan(0);
    const theirs = await charon.swanctl('--stats');
    expect(theirs).toContain(`loaded plugins: ${stats.plugins.join(' ')}`);
    const { encryption, dh } = await command.getAlgorithms(vici);
    expect(encryption).toMatchObject({ AES_CBC: expect.any(String) as string });
    expect(dh).toMatchObject({ ECP_384: 'openssl' });
  });

  it('names keys by the SHA-1 of the public key, as its own pki tool does', async () => {
    const { vici, certificate, charon } = pair.frontEnd;
    const id = await command.loadKey(vici, new Secret(certificate.key));
    const file = join(charon.folder, 'key.pem');
    await writeFile(file, certificate.key);
    const { stdout } = await promisify(execFile)('pki', ['--keyid', '--type', 'priv', '--in', file]);
    expect(stdout.replaceAll(':', '')).toContain(id);
    expect(id).toMatch(/^[0-9a-f]{40}$/);
    expect(await command.getKeys(vici)).toEqual([id]);
    await command.unloadKey(vici, id);
    expect(await command.getKeys(vici)).toEqual([]);
    await expect(command.unloadKey(vici, id)).rejects.toMatchObject({ code: 'vici.refused' });
    await command.loadKey(vici, new Secret(certificate.key));
    await expect(command.loadKey(vici, new Secret('not a key'))).rejects.toMatchObject({
      code: 'vici.refused',
    });
  });

  it('refuses what it does not understand, in its own words', async () => {
    const { frontEnd } = pair;
    const { vici } = frontEnd;
    const refused = command.loadConnection(
      vici,
      'wrong',
      plainConnection(frontEnd, pair.backEnd, { children: { a: { mode: 'transprot' } } }),
    );
    await expect(refused).rejects.toMatchObject({
      code: 'vici.refused',
      fields: { command: 'load-conn', reason: expect.stringContaining('mode') as string },
    });
    await expect(command.unloadConnection(vici, 'wrong')).rejects.toThrow(/not found/);
    await expect(vici.call('no-such-command')).rejects.toMatchObject({ code: 'vici.unsupported' });
    expect(await command.terminate(vici, { connection: 'none', force: true, timeoutMs: 1000 })).toBe(0);
  });

  it('shows us and swanctl the same connections, policies and certificates', async () => {
    const { frontEnd, backEnd } = pair;
    await command.loadConnection(frontEnd.vici, 'one', plainConnection(frontEnd, backEnd));
    await command.loadConnection(
      frontEnd.vici,
      'two',
      plainConnection(frontEnd, backEnd, { remote_addrs: ['10.66.0.77'], children: {}, dpd_delay: '2s' }),
    );
    expect(await command.getConnections(frontEnd.vici)).toEqual(['one', 'two']);
    const connections = await both('frontEnd', ['list-conns', 'list-conn'], '--list-conns');
    expect(connections.ours).toHaveLength(2);
    expect(connections.ours).toEqual(connections.theirs);
    const [one] = await collect(command.listConnections(frontEnd.vici, 'one'));
    expect(one).toMatchObject({
      name: 'one',
      settings: {
        version: 'IKEv2',
        'remote-1': { id: 'be.example', certs: ['CN=be.example'] },
        children: {
          mail: { mode: 'TRANSPORT', 'remote-ts': ['10.66.0.2/32[tcp/pop3]', '10.66.0.2/32[tcp/imap2]'] },
        },
      },
    });
    const policies = await both('frontEnd', ['list-policies', 'list-policy'], '--list-pols', {
      trap: true,
      pass: true,
      drop: true,
    });
    expect(policies.ours).toHaveLength(1);
    expect(policies.ours).toEqual(policies.theirs);
    expect(await collect(command.listPolicies(frontEnd.vici, ['drop']))).toEqual([]);
    const certificates = await collect(command.listCertificates(frontEnd.vici));
    expect(
      certificates
        .map(({ type, hasPrivateKey, der }) => [type, hasPrivateKey, new X509Certificate(der).subject])
        .sort(),
    ).toEqual([
      ['X509', false, 'CN=be.example'],
      ['X509', true, 'CN=fe.example'],
    ]);
    await command.unloadConnection(frontEnd.vici, 'two');
  });

  it('takes traps away and puts them back', async () => {
    const { frontEnd, backEnd } = pair;
    await command.loadConnection(frontEnd.vici, 'one', plainConnection(frontEnd, backEnd));
    await command.uninstallTrap(frontEnd.vici, 'one', 'mail');
    expect(await collect(command.listPolicies(frontEnd.vici))).toEqual([]);
    await command.installTrap(frontEnd.vici, 'one', 'mail');
    expect(await collect(command.listPolicies(frontEnd.vici))).toMatchObject([
      { name: 'one/mail', connection: 'one', child: 'mail', mode: 'TRANSPORT' },
    ]);
    await expect(command.installTrap(frontEnd.vici, 'one', 'none')).rejects.toThrow(/not found/);
  });

  it('makes an IKE_SA with the pinned peer, tells of it, and ends it', async () => {
    const { frontEnd, backEnd } = pair;
    const events: [string, ViciSection][] = [];
    await using session = new ViciSession({
      path: frontEnd.charon.viciPath,
      clock: systemClock,
      random: fakeRandom(),
      log: silentLog,
      events: ['ike-updown', 'child-updown', 'ike-rekey', 'child-rekey', 'alert'],
      onEvent: (name, message) => void events.push([name, message]),
      onUp: () => undefined,
      onDown: () => undefined,
    });
    session.start();
    await until('up', () => session.up, Boolean);
    // 5.9.8 has no alerts.
    expect(session.missingEvents).toEqual(['alert']);
    await command.loadConnection(frontEnd.vici, 'one', plainConnection(frontEnd, backEnd));
    await command.loadConnection(backEnd.vici, 'back', plainConnection(backEnd, frontEnd));
    const before = await command.getCounters(session);
    // Whether a CHILD_SA follows is the kernel's business (ESP); the IKE_SA stands either way.
    await command
      .initiate(session, { connection: 'one', child: 'mail', timeoutMs: 10_000 })
      .catch((error: unknown) => expect(error).toMatchObject({ code: 'vici.refused' }));
    const [ours, ...others] = await collect(command.listAssociations(session));
    expect(others).toEqual([]);
    expect(ours).toMatchObject({
      connection: 'one',
      version: 2,
      state: 'ESTABLISHED',
      initiator: true,
      local: { address: '10.66.0.1', port: 500, id: 'fe.example' },
      remote: { address: '10.66.0.2', port: 500, id: 'be.example' },
      nat: false,
      algorithms: expect.stringMatching(/^AES_.*\/.*_/) as string,
    });
    const [, up] =
      (await until(
        'told',
        () => events.find(([name]) => name === 'ike-updown'),
        (event) => event !== undefined,
      )) ?? [];
    expect(readAssociations(up ?? new Map())).toMatchObject([{ connection: 'one', id: ours?.id }]);
    const told = await both('frontEnd', ['list-sas', 'list-sa'], '--list-sas');
    // Seconds pass between the two questions.
    const timeless = (message: unknown): unknown =>
      JSON.parse(JSON.stringify(message).replace(/"(established|rekey-time)":"\d+"/g, '"$1":"t"'));
    expect(told.ours).toHaveLength(1);
    expect(told.ours.map(timeless)).toEqual(told.theirs.map(timeless));
    expect((await command.getCounters(session)).get('one')).not.toEqual(before.get('one'));
    expect(await command.rekey(session, { ikeId: ours?.id ?? 0 })).toBe(1);
    await until(
      'rekeyed',
      () => events.map(([name]) => name),
      (names) => names.includes('ike-rekey'),
    );
    const [renewed] = await collect(command.listAssociations(session, { connection: 'one' }));
    expect(renewed?.id).not.toBe(ours?.id);
    expect(await command.terminate(session, { ikeId: renewed?.id ?? 0, force: true, timeoutMs: 2000 })).toBe(
      1,
    );
    expect(await collect(command.listAssociations(session))).toEqual([]);
  });

  it('closes its socket at once when it is killed', async () => {
    const { backEnd } = pair;
    await backEnd.charon.kill('SIGKILL');
    await until(
      'closed',
      () => backEnd.vici.open,
      (open) => !open,
    );
    await expect(backEnd.vici.call('version')).rejects.toMatchObject({ code: 'vici.closed' });
  });
});
