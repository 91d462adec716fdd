/** A large organisation: the load completes, memory stays bounded, a restart is quick, and a cycle without changes costs what it costs a small one. */
import { systemClock } from '../../src/base/clock.ts';
import { slapdSource } from '../../test/support/deployment.ts';
import { SocketmapClient } from '../../test/support/socketmap-client.ts';
import { cpuMs, memoryUse } from '../process-cost.ts';
import { median, type Report, round } from '../report.ts';
import { idleCycle } from './idle-cycle.ts';
import { startOrganisation, timed } from './organisation.ts';
import { BenchSite } from './site.ts';

export interface LargeLoadOptions {
  readonly count: number;
  /** In the names of figures. */
  readonly label: string;
  readonly profile: string | undefined;
}

/** People in the organisation that an idle cycle is compared with. */
const SMALL = 1000;
const RESTARTS = 3;

export async function benchLargeLoad(report: Report, options: LargeLoadOptions): Promise<void> {
  const { count, label, profile } = options;
  const small = await idleCycleOfSmall(report, profile);
  const { ms, value: slapd } = await timed(() => startOrganisation(count));
  await using organisation = slapd;
  report.note(`slapd with ${count} people, by slapadd: ready after ${round(ms / 1000)} s`);
  await using site = await BenchSite.create({ profile });
  const edgeBefore = await cpuMs(site.edgePid);
  const { fromFeed } = await site.load(await slapdSource(organisation, site.deployment.folder), count);
  const [hubCpu, edgeCpu] = [await cpuMs(site.hubPid), (await cpuMs(site.edgePid)) - edgeBefore];
  report.add({ name: `load-${label}-s`, value: fromFeed / 1000, unit: 's' });
  report.note(`CPU of the hub ${round(hubCpu / 1000)} s, of the edge ${round(edgeCpu / 1000)} s`);
  const cost = await idleCycle(report, site, `${count} recipients`);
  report.add({
    name: `idle-cycle-${label}-cpu-ms`,
    value: cost.cpu,
    unit: 'ms',
    peer: small.cpu,
    ratio: small.cpu / cost.cpu,
  });
  report.add({
    name: `idle-cycle-${label}-wall-ms`,
    value: cost.wall,
    unit: 'ms',
    peer: small.wall,
    ratio: small.wall / cost.wall,
  });
  for (const [role, pid] of [
    ['edge', site.edgePid],
    ['hub', site.hubPid],
  ] as const) {
    const { peakMib, nowMib } = await memoryUse(pid);
    report.add({ name: `load-${label}-${role}-rss-mib`, value: peakMib, unit: 'MiB' });
    report.add({ name: `load-${label}-${role}-steady-rss-mib`, value: nowMib, unit: 'MiB' });
  }
  for (const [name, end] of [
    ['', 'stop'],
    ['-killed', 'kill'],
  ] as const) {
    const times: number[] = [];
    for (let n = 0; n < RESTARTS; n++) times.push(await restart(site, count, end));
    report.add({ name: `restart-${label}${name}-s`, value: median(times) / 1000, unit: 's' });
  }
  const { peakMib } = await memoryUse(site.edgePid);
  report.note(`memory of the edge after the restart: at most ${round(peakMib)} MiB`);
}

async function idleCycleOfSmall(report: Report, profile: string | undefined) {
  await using organisation = await startOrganisation(SMALL);
  await using site = await BenchSite.create({ profile });
  await site.load(await slapdSource(organisation, site.deployment.folder), SMALL);
  // Awaited here: the site goes when this function ends.
  return await idleCycle(report, site, `${SMALL} recipients`);
}

/** Ends the edge and starts it again; milliseconds from the start of the process to the first right answer. */
async function restart(site: BenchSite, count: number, end: 'stop' | 'kill'): Promise<number> {
  await site.deployment.edgeDaemon?.[end]();
  const start = systemClock.monotonic();
  const started = site.deployment.startEdge();
  started.catch(() => undefined);
  await firstAnswer(site, `user.number${count - 1}@example.org`);
  const ms = systemClock.monotonic() - start;
  await started;
  await site.prove(count);
  return ms;
}

async function firstAnswer(site: BenchSite, address: string): Promise<void> {
  const giveUpAt = systemClock.monotonic() + 60_000;
  while (systemClock.monotonic() < giveUpAt) {
    const client = await SocketmapClient.connect({
      host: '127.0.0.1',
      port: site.deployment.socketmapPort,
    }).catch(() => undefined);
    if (client !== undefined) {
      await using asker = client;
      if ((await asker.ask('recipients', address)).startsWith('OK')) return;
    }
    await systemClock.sleep('bench', 10);
  }
  throw new Error('no right answer after the restart');
}
