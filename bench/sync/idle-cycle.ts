/** What a cycle costs in which nothing has changed: it must not depend on the number of recipients. */
import { systemClock } from '../../src/base/clock.ts';
import { cpuMs } from '../process-cost.ts';
import { median, type Report, round } from '../report.ts';
import type { BenchSite } from './site.ts';

export interface IdleCost {
  /** CPU of hub and edge, milliseconds. */
  readonly cpu: number;
  readonly wall: number;
}

const CYCLES = 20;
const QUIET_MS = 5000;

/** Median of several forced cycles (`postern sync run`). */
export async function idleCycle(report: Report, site: BenchSite, what: string): Promise<IdleCost> {
  const costs: IdleCost[] = [];
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    const before = await cpu(site);
    const start = systemClock.monotonic();
    await site.deployment.hubDaemon?.control.stream('POST', '/v1/sync/run', { full: false }, () => undefined);
    const wall = systemClock.monotonic() - start;
    costs.push({ cpu: (await cpu(site)) - before, wall });
  }
  const before = await cpu(site);
  await systemClock.sleep('bench', QUIET_MS);
  const quiet = ((await cpu(site)) - before) / (QUIET_MS / 1000);
  const cost = { cpu: median(costs.map(({ cpu: ms }) => ms)), wall: median(costs.map(({ wall }) => wall)) };
  report.note(
    `${what}: a cycle without changes takes ${round(cost.wall)} ms and ${round(cost.cpu)} ms of CPU (hub and edge); between cycles ${round(quiet)} ms of CPU a second`,
  );
  return cost;
}

async function cpu(site: BenchSite): Promise<number> {
  return (await cpuMs(site.hubPid)) + (await cpuMs(site.edgePid));
}
