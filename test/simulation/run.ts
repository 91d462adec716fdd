/** A long run by hand: `node test/simulation/run.ts PAIRS SEED [YEARS]`. Prints what failed, and the events simulated. */
import { planOfRun } from './run-plans.ts';
import { simulatePair } from './simulate.ts';

const [pairs = 1000, seed = 1, years = 10] = process.argv.slice(2).map(Number);
let events = 0;
let judged = 0;
let without = 0;
let recoveries = 0;
let failed = 0;
for (let index = 0; index < pairs; index++) {
  const plan = planOfRun(seed + index, years);
  const outcome = simulatePair(plan);
  events += outcome.steps;
  judged += outcome.judged;
  if (outcome.without > 0) without += 1;
  recoveries += outcome.recoveries;
  const [first] = outcome.violations;
  if (first === undefined) continue;
  failed += 1;
  process.stdout.write(`${plan.name}: ${new Date(first.at).toISOString()} ${first.what}\n`);
}
process.stdout.write(
  `pairs ${pairs}, seed ${seed}, years ${years}: simulated-events ${events}, looks judged ${judged}, pairs-without-credential ${without}, recoveries ${recoveries}, failed ${failed}\n`,
);
process.exitCode = failed === 0 ? 0 : 1;
