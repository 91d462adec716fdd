/** `npm run bench -- NAME [--quick] [--json]`: one benchmark beside its peer, in one run. */
import { runSyncBenchmark } from './sync.ts';
import { Report } from './report.ts';

const BENCHMARKS: Readonly<Record<string, (report: Report, quick: boolean) => Promise<void>>> = {
  sync: runSyncBenchmark,
};

const words = process.argv.slice(2);
const name = words.find((word) => !word.startsWith('--'));
const benchmark = name === undefined ? undefined : BENCHMARKS[name];
if (benchmark === undefined) {
  console.error(
    `usage: npm run bench -- NAME [--quick] [--json]\nbenchmarks: ${Object.keys(BENCHMARKS).join(', ')}`,
  );
  process.exit(2);
}
const report = new Report((line) => console.error(line));
await benchmark(report, words.includes('--quick'));
if (words.includes('--json')) console.log(JSON.stringify({ figures: report.figures }));
process.exit(0);
