/** A large directory: what it takes of memory while it is filled and afterwards, and how long it takes to answer after a start. */
import { systemClock } from '../../src/base/clock.ts';
import { connectLdap } from '../../src/ldap/client.ts';
import { memoryUse } from '../process-cost.ts';
import { median, type Report, round } from '../report.ts';
import { runLoads } from './load.ts';
import { BASE, EdgeServer, fill } from './server.ts';

const STARTS = 3;

export interface LargeOptions {
  readonly program: string;
  readonly count: number;
  /** In the names of figures. */
  readonly label: string;
  readonly profile: string | undefined;
}

export async function benchLarge(report: Report, options: LargeOptions): Promise<void> {
  const { program, count, label, profile } = options;
  await using edge = await EdgeServer.create(profile);
  await edge.start();
  await fill(program, edge, count);
  const { peakMib, nowMib } = await memoryUse(edge.pid);
  report.note(
    `${count} recipients loaded: at most ${round(peakMib)} MiB meanwhile, ${round(nowMib)} MiB then`,
  );
  const starts: number[] = [];
  for (let n = 0; n < STARTS; n++) {
    await edge.stop();
    starts.push(await startToAnswer(edge, count));
  }
  const search = { ...edge.plain, connections: 8, from: 0, count, warm: 0, seconds: 3 };
  await runLoads(program, { operation: 'search', options: search });
  const restarted = await memoryUse(edge.pid);
  report.note(
    `after a restart and searches: at most ${round(restarted.peakMib)} MiB, ${round(restarted.nowMib)} MiB then`,
  );
  report.add({ name: `rss-${label}-mib`, value: Math.max(peakMib, restarted.peakMib), unit: 'MiB' });
  report.add({ name: `rss-${label}-restarted-mib`, value: restarted.peakMib, unit: 'MiB' });
  report.add({ name: `start-${label}-s`, value: median(starts) / 1000, unit: 's' });
}

/** Milliseconds from the start of the process to a right answer. */
async function startToAnswer(edge: EdgeServer, count: number): Promise<number> {
  const begun = systemClock.monotonic();
  await edge.start();
  const client = await connectLdap({ target: `ldap://127.0.0.1:${edge.plain['port']}`, clock: systemClock });
  try {
    const value = Buffer.from(`user.number${count - 1}@example.org`);
    let found = 0;
    for await (const { operation } of client.search({
      base: BASE,
      filter: { kind: 'equality', attribute: 'mail', value },
      attributes: ['posternResult'],
    }))
      if (operation.op === 'searchResultEntry') found++;
    if (found !== 1) throw new Error(`${found} entries after a start instead of one`);
    return systemClock.monotonic() - begun;
  } finally {
    client.unbind();
  }
}
