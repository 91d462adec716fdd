/** `bench sync`: the main job measured end to end with real processes, beside slapd's own replication where it does the same. */
import type { Report } from './report.ts';
import { round } from './report.ts';
import { slapdSource } from '../test/support/deployment.ts';
import { benchChangeToAnswer } from './sync/change-to-answer.ts';
import { benchFirstLoad } from './sync/first-load.ts';
import { benchLargeLoad } from './sync/large-load.ts';
import { startOrganisation, timed } from './sync/organisation.ts';
import { BenchSite } from './sync/site.ts';

export interface BenchmarkOptions {
  readonly quick: boolean;
  /** Parts to run; all of them when undefined. */
  readonly only: readonly string[] | undefined;
  /** Folder for CPU profiles of the daemons. */
  readonly profile: string | undefined;
}

export const SYNC_PARTS = ['first-load', 'change', 'large'] as const;

export async function runSyncBenchmark(report: Report, options: BenchmarkOptions): Promise<void> {
  const { quick, only, profile } = options;
  const wanted = (part: (typeof SYNC_PARTS)[number]): boolean => only?.includes(part) ?? true;
  if (wanted('first-load') || wanted('change')) {
    const count = quick ? 5000 : 100_000;
    const { ms, value } = await timed(() => startOrganisation(count));
    await using slapd = value;
    report.note(`slapd with ${count} people: ready after ${round(ms / 1000)} s`);
    if (wanted('first-load'))
      await benchFirstLoad(report, slapd, { count, runs: quick ? 1 : 5, durableRuns: 1, profile });
    if (wanted('change')) {
      await using site = await BenchSite.create({ profile });
      await site.load(await slapdSource(slapd, site.deployment.folder), count);
      await benchChangeToAnswer(report, slapd, site, {
        count,
        samples: quick ? 100 : 1000,
        loadPerSecond: 100,
      });
    }
  }
  if (wanted('large'))
    await benchLargeLoad(report, {
      ...(quick ? { count: 20_000, label: '20k' } : { count: 1_000_000, label: '1m' }),
      profile,
    });
}
