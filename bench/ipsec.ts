/** `bench ipsec`: bringing charon in line with policies of 1, 100 and 1,000 peers, beside `swanctl --load-all` with the same connections. IKE and policies only: no ESP. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemFiles } from '../src/base/files.ts';
import { look } from '../src/ipsec/charon/actual.ts';
import { desiredOf } from '../src/ipsec/state/policy-state.ts';
import { makePlan } from '../src/ipsec/trial/plan.ts';
import { type Charon, startCharon } from '../test/support/charon.ts';
import { IpsecProcess } from '../test/support/ipsec-process.ts';
import { Reconciled } from '../test/support/reconciled.ts';
import { manyPeers, type ManyPeers, stateOf, writeSwanctl } from './ipsec/policy.ts';
import { median, type Report, round } from './report.ts';
import type { BenchmarkOptions } from './sync.ts';
import { timed } from './sync/organisation.ts';

const COUNTS = [1, 100, 1000] as const;
export const IPSEC_PARTS = COUNTS.map(String);

export async function runIpsecBenchmark(report: Report, { quick, only }: BenchmarkOptions): Promise<void> {
  for (const count of COUNTS) {
    if (only?.includes(String(count)) === false || (quick && count > 100)) continue;
    await benchPeers(report, count, quick ? 1 : 3);
  }
}

async function benchPeers(report: Report, count: number, runs: number): Promise<void> {
  const taken: Measured[] = [];
  for (let run = 0; run < runs; run++) taken.push(await measure(count));
  const of = (key: keyof Measured): number => median(taken.map((one) => one[key]));
  const beside = (name: string, ours: keyof Measured, theirs: keyof Measured): void =>
    report.add({
      name: `${name}-${count}-ms`,
      value: of(ours),
      unit: 'ms',
      peer: of(theirs),
      ratio: of(theirs) / of(ours),
    });
  report.add({ name: `plan-${count}-ms`, value: of('plan'), unit: 'ms' });
  beside('load', 'load', 'swanctlLoad');
  beside('unchanged', 'unchanged', 'swanctlUnchanged');
  report.add({ name: `light-look-${count}-ms`, value: of('lightLook'), unit: 'ms' });
  report.add({ name: `daemon-${count}-rss-mib`, value: of('rss') / 2 ** 20, unit: 'MiB' });
  report.note(`charon itself with ${count} connections: ${round(of('charonRss') / 2 ** 20)} MiB`);
}

interface Measured {
  /** Policy, state, and what it would change in an empty charon. */
  readonly plan: number;
  readonly load: number;
  readonly unchanged: number;
  readonly lightLook: number;
  readonly swanctlLoad: number;
  readonly swanctlUnchanged: number;
  readonly rss: number;
  readonly charonRss: number;
}

async function measure(count: number): Promise<Measured> {
  const made = await prepare(count);
  await using charon = made.charon;
  const { many, keyFile } = made;
  const state = stateOf(many, keyFile);
  const desired = await desiredOf(systemFiles, state);
  let figures: Pick<Measured, 'plan' | 'load' | 'unchanged' | 'lightLook'>;
  {
    await using at = await Reconciled.start(charon);
    const plan = await timed(async () => {
      makePlan(undefined, stateOf(many, keyFile), undefined);
      return at.reconciler.plan(desired);
    });
    if (plan.value.length !== count + 1) throw new Error(`${plan.value.length} steps planned`);
    const load = await timed(() => at.reconciler.setDesired(desired));
    const unchanged = await timed(() => at.reconciler.refresh());
    const lightLook = await timed(() =>
      look({ charon: at.reconciler.session, connections: false, kernel: undefined }),
    );
    figures = { plan: plan.ms, load: load.ms, unchanged: unchanged.ms, lightLook: lightLook.ms };
    if (load.value.length > 0) throw new Error(`${load.value.length} steps failed`);
  }
  const charonRss = await rssOf(charon);
  // The daemon beside a charon that holds all of it already, and its memory after a few looks.
  await using daemon = new IpsecProcess(charon, POLICY);
  await daemon.putInForce(state);
  await daemon.start();
  await daemon.when('in line', ({ lastLook, peers }) => lastLook !== undefined && peers.length === count);
  for (let look = 0; look < 3; look++) await daemon.reconcile();
  const { memoryBytes: rss } = await daemon.status();
  await daemon.stop();
  // A charon that has never seen them.
  await charon.kill('SIGTERM');
  await charon.start();
  await writeSwanctl(charon.folder, many, state);
  const swanctlLoad = await timed(() => charon.swanctl('--load-all', '--noprompt'));
  const swanctlUnchanged = await timed(() => charon.swanctl('--load-all', '--noprompt'));
  const loaded = swanctlLoad.value.match(/^loaded connection/gm)?.length;
  if (loaded !== count) throw new Error(`swanctl loaded ${loaded} connections of ${count}`);
  return { ...figures, rss, charonRss, swanctlLoad: swanctlLoad.ms, swanctlUnchanged: swanctlUnchanged.ms };
}

const POLICY = 'role = "front-end"\nname = "fe.example"\naddresses = ["10.66.0.1"]';

async function prepare(count: number): Promise<{ charon: Charon; many: ManyPeers; keyFile: string }> {
  const charon = await startCharon();
  const many = manyPeers(count, POLICY);
  const keyFile = join(charon.folder, 'key.pem');
  await writeFile(keyFile, many.privateKey, { mode: 0o600 });
  return { charon, many, keyFile };
}

async function rssOf(charon: Charon): Promise<number> {
  const text = (await systemFiles.readFile(`/proc/${charon.pid}/status`)).toString();
  return Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1] ?? 0) * 1024;
}
