/** The IPsec daemon: wires the policy in force, the guard, charon and the kernel. Nothing is decided here. */
import { join } from 'node:path';
import { createControlApp, serveControl } from '../admin/control-server.ts';
import { describeError } from '../base/error.ts';
import { VERSION } from '../base/version.ts';
import type { IpsecConfig } from '../config/ipsec-config.ts';
import { xfrmKernel } from '../ipsec/charon/kernel.ts';
import { describeStep } from '../ipsec/charon/perform.ts';
import { Reconciler } from '../ipsec/charon/reconciler.ts';
import { readServiceNames } from '../ipsec/charon/selector-text.ts';
import { SNIPPET_PATH } from '../ipsec/charon/settings.ts';
import { runProgram } from '../ipsec/run-program.ts';
import {
  type EffectiveState,
  followEffective,
  type StateFolders,
  trialFolder,
} from '../ipsec/state/effective-state.ts';
import { desiredOf } from '../ipsec/state/policy-state.ts';
import { type DaemonParts, runDaemon } from './frame.ts';
import { CharonSettings } from './ipsec/charon-settings.ts';
import { GuardWatch } from './ipsec/guard-watch.ts';
import { PolicyFaults } from './ipsec/policy-faults.ts';
import { ipsecStatus } from './ipsec/status.ts';
import { TrialKeeper } from './ipsec/trial-keeper.ts';
import { PolicyHost } from './ipsec-host.ts';
import { keepNurserySmall } from './nursery.ts';

export interface IpsecRunOptions {
  /** Where the policy in force is. */
  readonly folders: StateFolders;
  /** The administrator has said that settings which hold for every connection of charon may be written. */
  readonly manageStrongswanConf: boolean;
  /** strongswan.conf, as charon reads it. */
  readonly strongswanConf: string;
}

/** Runs until `signal` aborts; throws when it cannot start. What charon and the kernel hold stays when it ends. */
export function runIpsec(config: IpsecConfig, options: IpsecRunOptions, signal: AbortSignal): Promise<void> {
  keepNurserySmall();
  return runDaemon('ipsec', config, signal, (parts) => startIpsec(config, options, parts));
}

async function startIpsec(config: IpsecConfig, options: IpsecRunOptions, parts: DaemonParts): Promise<void> {
  const { files, clock, random, log, lifecycle } = parts;
  const startedAt = clock.now();
  const guard = new GuardWatch({ run: runProgram, clock, log: log.child('guard') });
  lifecycle.add('guard', () => guard.stop());
  const settings = new CharonSettings({
    files,
    log: log.child('settings'),
    conf: options.strongswanConf,
    snippet: options.manageStrongswanConf ? SNIPPET_PATH : undefined,
  });
  const services = await files.readFile('/etc/services').catch(() => Buffer.alloc(0));
  const reconciler = new Reconciler({
    viciPath: config.charon.socket,
    memoryPath: join(config.data, 'charon.json'),
    kernel: xfrmKernel(runProgram),
    serviceNames: readServiceNames(services.toString('utf8')),
    files,
    clock,
    random,
    log: log.child('charon'),
    // First the guard; but where it cannot stand, traps are better than nothing. Its status says so.
    beforeLoading: () => guard.stands().catch(() => undefined),
    clearText: () => guard.clearText(),
  });
  await reconciler.start();
  lifecycle.add('charon', () => reconciler.stop());

  let effective: EffectiveState | undefined;
  const faults = new PolicyFaults(clock, log);
  const follow = async (state: EffectiveState): Promise<void> => {
    effective = state;
    // The guard of the new policy first, then what makes its traffic possible.
    guard.follow(state);
    await guard.stands().catch(() => undefined);
    const desired = await desiredOf(files, state.state);
    await settings.follow(desired.settings, reconciler.session);
    log.info('policy', {
      origin: state.origin,
      id: state.state?.id,
      connections: desired.connections.length,
    });
    faults.used();
    // What charon refuses is in the status; when it is away, that too, and it is brought about later.
    await reconciler.setDesired(desired).catch(() => undefined);
  };
  // One after the other: the last one that came is the one that stays.
  let turn: Promise<void> = Promise.resolve();
  const take = (state: EffectiveState): void => {
    turn = turn
      .then(() => follow(state))
      .catch((error: unknown) => faults.unusable(error, () => effective === state && take(state)));
  };
  const following = followEffective({ files, folders: options.folders, clock }, take, (error) =>
    faults.unreadable(error),
  );
  lifecycle.add('policy', async () => {
    following.stop();
    faults.stop();
    await turn;
  });

  const { trials } = new PolicyHost(config, 'ipsec.toml', { files, clock, random });
  const keeper = new TrialKeeper({
    trials,
    folder: trialFolder(options.folders),
    charon: () => reconciler.status,
    files,
    clock,
    log: log.child('trial'),
  });
  keeper.start();
  lifecycle.add('trial', () => keeper.stop());

  const app = createControlApp(log);
  app.get('/v1/status', async (context) => {
    const wanted = reconciler.desired;
    const checked =
      wanted === undefined ? { checks: [], fault: undefined } : await settings.check(wanted.settings);
    return context.json(
      ipsecStatus({
        now: clock.now(),
        startedAt,
        connections: wanted?.connections ?? [],
        policy: {
          origin: effective?.origin ?? 'none',
          ...(effective?.state === undefined ? {} : { id: effective.state.id }),
        },
        policyFault: faults.text,
        guard: await guard.status(),
        charon: reconciler.status,
        settings: checked.checks,
        settingsFault: checked.fault,
        memoryBytes: process.memoryUsage.rss(),
      }),
    );
  });
  app.post('/v1/reconcile', async (context) => {
    const failures = await reconciler.refresh();
    return context.json({
      failures: failures.map(({ step, error }) => ({
        what: describeStep(step),
        error: describeError(error),
        code: error.code,
      })),
    });
  });
  const control = await serveControl(app, join(config.data, 'control.sock'));
  lifecycle.add('control socket', () => control.stop());
  log.info('ipsec is running', { version: VERSION, charon: config.charon.socket });
}
