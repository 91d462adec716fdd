/** First load of an edge from slapd, beside slapd replicating from the same slapd by syncrepl. */
import { slapdSource } from '../../test/support/deployment.ts';
import type { Slapd } from '../../test/support/slapd.ts';
import { cpuMs } from '../process-cost.ts';
import { median, type Report, round } from '../report.ts';
import { timeSyncrepl } from '../syncrepl-peer.ts';
import { BenchSite } from './site.ts';

export interface FirstLoadOptions {
  readonly count: number;
  readonly runs: number;
  /** Runs of the durable peer, which takes minutes. */
  readonly durableRuns: number;
  readonly profile: string | undefined;
}

export async function benchFirstLoad(report: Report, slapd: Slapd, options: FirstLoadOptions): Promise<void> {
  const { count, runs, durableRuns } = options;
  const ours: number[] = [];
  const durable: number[] = [];
  const nondurable: number[] = [];
  for (let run = 0; run < runs; run++) {
    // Alternating, so that a slow minute of the machine hits both.
    ours.push(await loadOnce(report, slapd, options));
    nondurable.push(await peerOnce(report, slapd, count, false));
    if (run < durableRuns) durable.push(await peerOnce(report, slapd, count, true));
  }
  const mine = median(ours);
  report.add({ name: 'first-load-s', value: mine, unit: 's' });
  report.add({ name: 'first-load-entries-per-s', value: count / mine, unit: '1/s' });
  for (const [name, times] of [
    ['first-load-vs-durable-syncrepl', durable],
    ['first-load-vs-nondurable-syncrepl', nondurable],
  ] as const) {
    const peer = median(times);
    report.add({ name, value: peer / mine, unit: 'ratio', peer, ratio: peer / mine });
  }
}

async function peerOnce(report: Report, slapd: Slapd, count: number, durable: boolean): Promise<number> {
  const { seconds, cpu } = await timeSyncrepl(slapd, count, durable);
  report.note(
    `syncrepl, ${durable ? 'durable' : 'not durable'}: ${round(seconds)} s; CPU of the consumer ${round(cpu)} s`,
  );
  return seconds;
}

async function loadOnce(report: Report, slapd: Slapd, options: FirstLoadOptions): Promise<number> {
  await using site = await BenchSite.create({ profile: options.profile });
  const edgeBefore = await cpuMs(site.edgePid);
  const { fromFeed, fromProcess } = await site.load(
    await slapdSource(slapd, site.deployment.folder),
    options.count,
  );
  const [hub, edge] = [await cpuMs(site.hubPid), (await cpuMs(site.edgePid)) - edgeBefore];
  report.note(
    `first load of ${options.count}: ${round(fromFeed / 1000)} s (${round(fromProcess / 1000)} s with the start of the hub's process); CPU of the hub ${round(hub / 1000)} s, of the edge ${round(edge / 1000)} s`,
  );
  return fromFeed / 1000;
}
