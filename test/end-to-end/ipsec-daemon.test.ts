/** The IPsec daemon beside a real charon and a real nft guard, in a network namespace. Associations need ESP, which the lab has. */
import { rename, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { collect } from '../../src/vici/collect.ts';
import * as command from '../../src/vici/command.ts';
import { connectVici } from '../../src/vici/connection.ts';
import { systemClock } from '../../src/base/clock.ts';
import { type CharonPair, startCharonPair } from '../support/charon-pair.ts';
import { confirm, ipsecDaemon } from '../support/ipsec-daemon.ts';
import type { IpsecProcess } from '../support/ipsec-process.ts';
import { until } from '../support/until.ts';

let pair: CharonPair;
let daemon: IpsecProcess;

beforeEach(async () => {
  pair = await startCharonPair();
  daemon = ipsecDaemon(pair.frontEnd);
});

afterEach(async () => {
  await daemon[Symbol.asyncDispose]();
  await pair[Symbol.asyncDispose]();
});

const ruleset = (): Promise<string> => pair.frontEnd.charon.namespace.run('nft', 'list', 'ruleset');

const isDone = ({ lastLook, peers }: Awaited<ReturnType<IpsecProcess['status']>>): boolean =>
  lastLook !== undefined && peers.length > 0;

describe('postern ipsec run', () => {
  it('brings charon and the guard in line with the policy in force, and says so', async () => {
    await confirm(daemon, pair.frontEnd, pair.backEnd);
    await daemon.start();
    const status = await daemon.when('in line', isDone);
    expect(status).toMatchObject({
      role: 'ipsec',
      charon: { version: '5.9.8' },
      policy: { origin: 'confirmed' },
      guard: { state: 'ok' },
      peers: [
        {
          family: 'ipv4',
          local: { id: 'fe.example', address: '10.66.0.1' },
          remote: { id: 'be.example', address: '10.66.0.2' },
          state: 'waiting',
          children: [{ state: 'waiting' }],
        },
      ],
    });
    expect(status.settings.find(({ name }) => name === 'charon.retransmit_timeout')).toMatchObject({
      found: '0.5',
      ok: true,
    });
    expect(await ruleset()).toContain('clear_out');
    expect(await pair.frontEnd.charon.swanctl('--list-pols')).toContain('TRANSPORT');
    await daemon.stop();
    expect(daemon.output).toContain('stopping');
    // Protection does not end with the daemon.
    expect(await pair.frontEnd.charon.swanctl('--list-pols')).toContain('TRANSPORT');
    expect(await ruleset()).toContain('clear_out');
  });

  it('puts the guard back when somebody flushed the whole ruleset, and counts it', async () => {
    await confirm(daemon, pair.frontEnd, pair.backEnd);
    await daemon.start();
    await daemon.when('in line', isDone);
    await pair.frontEnd.charon.namespace.run('nft', 'flush', 'ruleset');
    await until('back', ruleset, (text) => text.includes('clear_out'));
    const { guard } = await daemon.when('counted', (status) => status.guard.mended > 0);
    expect(guard.state).toBe('ok');
  });

  it('survives the death of charon and its own', async () => {
    await confirm(daemon, pair.frontEnd, pair.backEnd);
    await daemon.start();
    await daemon.when('in line', isDone);
    await pair.frontEnd.charon.kill('SIGKILL');
    const away = await daemon.when('away', ({ charon }) => charon.away !== undefined);
    expect(away.warnings).toMatchObject([{ code: 'ipsec.charon-away', severity: 'critical' }]);
    expect(away.peers[0]?.children[0]?.state).toBe('missing');
    await pair.frontEnd.charon.start();
    await daemon.when(
      'back',
      ({ charon, peers }) => charon.away === undefined && peers[0]?.children[0]?.state === 'waiting',
    );
    expect(await pair.frontEnd.charon.swanctl('--list-pols')).toContain('TRANSPORT');
    await daemon.stop('SIGKILL');
    await using vici = await connectVici({ path: pair.frontEnd.charon.viciPath, clock: systemClock });
    const [connection = ''] = await command.getConnections(vici);
    await command.unloadConnection(vici, connection);
    await daemon.start();
    await until(
      'traps again',
      () => collect(command.listPolicies(vici)),
      (policies) => policies.length === 1,
    );
  });

  it('follows the policy in force, and clears away what it does not have any more', async () => {
    await confirm(daemon, pair.frontEnd, pair.backEnd, ['passwords', 'tcp/8080']);
    await daemon.start();
    await daemon.when('two', ({ peers }) => peers[0]?.children.length === 2);
    await confirm(daemon, pair.frontEnd, pair.backEnd, ['passwords']);
    await daemon.when(
      'one',
      ({ peers, lastLook }) => peers[0]?.children.length === 1 && lastLook !== undefined,
    );
    await until(
      'one trap',
      () => pair.frontEnd.charon.swanctl('--list-pols'),
      (text) => text.match(/TRANSPORT/g)?.length === 1,
    );
  });

  it('keeps what runs when the policy in force is damaged, and says so', async () => {
    await confirm(daemon, pair.frontEnd, pair.backEnd);
    await daemon.start();
    await daemon.when('in line', isDone);
    await writeFile(`${daemon.folders.confirmed}/state.json`, '{');
    const { warnings, peers } = await daemon.when('noticed', (status) =>
      status.warnings.some(({ code }) => code === 'ipsec.failing'),
    );
    expect(warnings.find(({ code }) => code === 'ipsec.failing')).toMatchObject({
      severity: 'critical',
      text: expect.stringContaining('state.json') as string,
    });
    expect(peers).toHaveLength(1);
    expect(await pair.frontEnd.charon.swanctl('--list-pols')).toContain('TRANSPORT');
    await confirm(daemon, pair.frontEnd, pair.backEnd);
    await daemon.when('mended', (status) => status.warnings.every(({ code }) => code !== 'ipsec.failing'));
    // Its key is away for a while.
    const key = `${pair.frontEnd.charon.folder}/own-key.pem`;
    await confirm(daemon, pair.frontEnd, pair.backEnd, ['streams'], 'no-key.pem');
    await daemon.when('without a key', (status) =>
      status.warnings.some(({ code }) => code === 'ipsec.failing'),
    );
    await rename(key, `${pair.frontEnd.charon.folder}/no-key.pem`);
    await daemon.when(
      'with its key',
      (status) => status.peers[0]?.children[0]?.name.endsWith('-streams') === true,
    );
  });

  it('counts clear text that the guard stopped', async () => {
    await confirm(daemon, pair.frontEnd, pair.backEnd);
    await daemon.start();
    await daemon.when('in line', isDone);
    // The peer has no policy: what comes from its port 110 comes in clear.
    await pair.backEnd.charon.namespace.run(
      process.execPath,
      '-e',
      "require('node:net').connect({ host: '10.66.0.1', port: 7777, localPort: 110 }).on('error', () => {}); setTimeout(() => process.exit(), 100)",
    );
    const { guard } = await daemon.when('met', (status) =>
      Object.values(status.guard.counters).some((count) => count > 0),
    );
    expect(guard.counters['clear_in']).toBeGreaterThan(0);
    // Named at the next look.
    await daemon.reconcile();
    const { warnings } = await daemon.status();
    expect(warnings.find(({ code }) => code === 'ipsec.clear-text')).toMatchObject({ severity: 'critical' });
  });
});
