/** `npm run bench -- NAME [--quick] [--json] [--only PART] [--profile FOLDER] [--minutes N]`: one benchmark beside its peer, in one run. */
import { parseArgs } from 'node:util';
import { DIRECTORY_PARTS, runDirectoryBenchmark } from './directory.ts';
import { IPSEC_PARTS, runIpsecBenchmark } from './ipsec.ts';
import { FLEET_PARTS, runFleetBenchmark } from './fleet.ts';
import { Report } from './report.ts';
import { runSoak } from './soak.ts';
import { type BenchmarkOptions, runSyncBenchmark, SYNC_PARTS } from './sync.ts';
import { useWorkFolder } from './work-folder.ts';

interface Benchmark {
  readonly run: (report: Report, options: BenchmarkOptions) => Promise<void>;
  readonly parts: readonly string[];
}

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  directory: { run: runDirectoryBenchmark, parts: DIRECTORY_PARTS },
  ipsec: { run: runIpsecBenchmark, parts: IPSEC_PARTS },
  fleet: { run: runFleetBenchmark, parts: FLEET_PARTS },
  soak: { run: (report) => runSoak(report, { minutes: Number(values.minutes) }), parts: [] },
  sync: { run: runSyncBenchmark, parts: SYNC_PARTS },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    profile: { type: 'string' },
    minutes: { type: 'string', default: '60' },
  },
});
const benchmark = BENCHMARKS[positionals[0] ?? ''];
if (benchmark === undefined || values.only?.some((part) => !benchmark.parts.includes(part)) === true) {
  const known = Object.entries(BENCHMARKS).map(
    ([name, { parts }]) => `  ${name} (parts: ${parts.join(', ')})`,
  );
  console.error(
    `usage: npm run bench -- NAME [--quick] [--json] [--only PART] [--profile FOLDER] [--minutes N]\nbenchmarks:\n${known.join('\n')}`,
  );
  process.exit(2);
}
useWorkFolder();
const report = new Report((line) => console.error(line));
try {
  await benchmark.run(report, { quick: values.quick, only: values.only, profile: values.profile });
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
if (values.json) console.log(JSON.stringify({ figures: report.figures }));
process.exit();
