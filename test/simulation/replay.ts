/** What went wrong with one pair: `node test/simulation/replay.ts SEED [YEARS [LINES]]` prints the fewest faults that show it, and what was seen last. */
import { planOfRun } from './run-plans.ts';
import { shrink } from './shrink.ts';
import { simulatePair } from './simulate.ts';

const [seed = 1, years = 10, lines = 60] = process.argv.slice(2).map(Number);
const plan = shrink(planOfRun(seed, years));
const seen: string[] = [];
const time = (at: number): string => new Date(at).toISOString().slice(0, 19);
const outcome = simulatePair(plan, undefined, (at, what) => {
  seen.push(`${time(at)} ${JSON.stringify(what)}`);
  return undefined;
});
const [first] = outcome.violations;
if (first === undefined) process.stdout.write(`${plan.name}: nothing is violated\n`);
else {
  for (const fault of plan.faults) {
    const { at, ...rest } = fault;
    process.stdout.write(`${time(Date.UTC(2026, 0, 1) + at)} ${JSON.stringify(rest)}\n`);
  }
  const until = seen.findLastIndex((line) => line.startsWith(time(first.at)));
  process.stdout.write(`${seen.slice(Math.max(0, until - lines), until + 1).join('\n')}\n`);
  process.stdout.write(`${plan.name}: ${time(first.at)} ${first.what}\n`);
}
process.exitCode = first === undefined ? 0 : 1;
