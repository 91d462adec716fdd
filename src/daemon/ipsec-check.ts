/** `postern ipsec check`: what an administrator would otherwise have to look at one by one, each with what mends it. */
import type { Clock } from '../base/clock.ts';
import { formatAge } from '../base/duration.ts';
import { describeError } from '../base/error.ts';
import type { Files } from '../base/files.ts';
import { parseCertificate } from '../certificate/parse.ts';
import { certificatesFromPem } from '../certificate/pem.ts';
import { runProgram } from '../ipsec/run-program.ts';
import { readEffective } from '../ipsec/state/effective-state.ts';
import type { PolicyState } from '../ipsec/state/policy-state.ts';
import { makePlan } from '../ipsec/trial/plan.ts';
import type { PolicyHost } from './ipsec-host.ts';

export interface CheckResult {
  readonly name: 'policy' | 'trial' | 'guard' | 'unit' | 'charon' | 'certificates';
  readonly state: 'ok' | 'warning' | 'critical';
  readonly text: string;
  readonly mend?: string;
}

export interface CheckParts {
  readonly files: Files;
  readonly clock: Clock;
}

export async function checkPolicy(host: PolicyHost, parts: CheckParts): Promise<CheckResult[]> {
  // First: what is overdue is taken back, and the rest is about what is in force then.
  const trial = await checkTrial(host);
  const { state } = await readEffective(parts.files, host.folders);
  return [
    await checkFile(host, state),
    trial,
    await checkGuard(host, state),
    ...(await checkUnit(parts.files, state)),
    await checkCharon(host, state),
    ...checkCertificates(state, parts.clock.now()),
  ];
}

async function checkFile(host: PolicyHost, state: PolicyState | undefined): Promise<CheckResult> {
  const name = 'policy';
  try {
    const { changes } = makePlan(state, await host.planned(), undefined);
    if (changes.length === 0) return { name, state: 'ok', text: `${host.path} is in force` };
    return {
      name,
      state: 'warning',
      text: `${host.path} differs from what is in force (${changes.length} changes)`,
      mend: 'postern ipsec plan',
    };
  } catch (error) {
    return {
      name,
      state: 'warning',
      text: `what is in force stays: ${describeError(error)}`,
      mend: 'correct it, then postern ipsec plan',
    };
  }
}

async function checkTrial(host: PolicyHost): Promise<CheckResult> {
  const { state, now } = await host.trials.look();
  if (state.phase !== 'trying') return { name: 'trial', state: 'ok', text: 'no policy is on trial' };
  const left = Math.max(0, Math.round(state.trial.deadline - now.seconds));
  return {
    name: 'trial',
    state: 'warning',
    text: `a policy is on trial, and taken back in ${left} s`,
    mend: 'postern ipsec confirm',
  };
}

async function checkGuard(host: PolicyHost, state: PolicyState | undefined): Promise<CheckResult> {
  const name = 'guard';
  const guard = await host.guard();
  if (guard === undefined || state === undefined)
    return {
      name,
      state: 'warning',
      text: 'no policy is in force, so nothing is guarded',
      mend: 'postern ipsec apply',
    };
  const found = await guard.check();
  if (found !== 'ok')
    return {
      name,
      state: 'critical',
      text: `the guard is ${found}`,
      mend: `sh ${host.folders.confirmed}/guard mend; systemctl enable --now postern-ipsec-guard`,
    };
  if (!state.guard.scope.drops)
    return {
      name,
      state: 'warning',
      text: 'it counts clear text, and drops none yet',
      mend: 'stage = "guarded"',
    };
  const counted = Object.entries(await guard.counters()).map(([counter, packets]) => `${counter} ${packets}`);
  return {
    name,
    state: 'ok',
    text: `it stands, as ${state.guard.mechanism}; dropped: ${counted.join(', ')}`,
  };
}

/** Only where systemd is. */
async function checkUnit(files: Files, state: PolicyState | undefined): Promise<CheckResult[]> {
  if (state === undefined || !(await files.exists('/run/systemd/system'))) return [];
  const { stdout } = await runProgram('systemctl', ['is-enabled', 'postern-ipsec-guard.service']);
  const { stdout: active } = await runProgram('systemctl', ['is-active', 'postern-ipsec-guard.service']);
  if (stdout.trim() === 'enabled' && active.trim() === 'active')
    return [{ name: 'unit', state: 'ok', text: 'the guard is loaded before the network' }];
  return [
    {
      name: 'unit',
      state: 'critical',
      text: 'after a reboot the network would be up before the guard',
      mend: 'systemctl enable --now postern-ipsec-guard',
    },
  ];
}

async function checkCharon(host: PolicyHost, state: PolicyState | undefined): Promise<CheckResult> {
  const name = 'charon';
  try {
    return { name, state: 'ok', text: `it answers, version ${await host.charonVersion()}` };
  } catch (error) {
    const needed = (state?.connections.length ?? 0) > 0;
    return {
      name,
      state: needed ? 'critical' : 'warning',
      text: describeError(error),
      mend: 'systemctl status strongswan',
    };
  }
}

const SOON_MS = 60 * 86_400_000;

/** charon refuses an expired certificate, pinned or not. */
function checkCertificates(state: PolicyState | undefined, now: number): CheckResult[] {
  const name = 'certificates';
  const all = new Map<string, number>();
  for (const { local, remote } of state?.connections ?? [])
    for (const [id, pem] of [
      [local.id, local.certificate] as const,
      ...remote.certificates.map((one) => [remote.id, one] as const),
    ])
      for (const der of certificatesFromPem(Buffer.from(pem)))
        all.set(id, Math.min(all.get(id) ?? Infinity, parseCertificate(der).notAfter));
  const ending = [...all].filter(([, notAfter]) => notAfter < now + SOON_MS);
  if (ending.length === 0)
    return [{ name, state: 'ok', text: `${all.size} identities, none expires within 60 days` }];
  return ending.map(([id, notAfter]) => ({
    name,
    state: notAfter <= now ? 'critical' : 'warning',
    text: `the certificate of ${id} expires ${formatAge(notAfter, now)}`,
    mend: 'on that node: remove its file below keys/, postern ipsec peer export, and import it here',
  }));
}
