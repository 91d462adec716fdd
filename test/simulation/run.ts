/** A long run by hand: `node test/simulation/run.ts PAIRS SEED [YEARS]`. Prints what failed, and the events simulated. */
import { samplePairs, simulatePair } from './simulate.ts';

const [pairs = 1000, seed = 1, years = 10] = process.argv.slice(2).map(Number);
let events = 0;
let judged = 0;
let without = 0;
let recoveries = 0;
let failed = 0;
for (let index = 0; index < pairs; index++) {
  const site = { seed: seed + index, hubs: index % 3 === 0 ? 1 : 50, edges: 1000, years };
  for (const plan of samplePairs(site, 1)) {
    const outcome = simulatePair(plan);
    events += outcome.steps;
    judged += outcome.judged;
    without += outcome.without;
    recoveries += outcome.recoveries;
    const [first] = outcome.violations;
    if (first === undefined) continue;
    failed += 1;
    process.stdout.write(`${plan.name}: ${new Date(first.at).toISOString()} ${first.what}\n`);
  }
}
process.stdout.write(
  `pairs ${pairs}, seed ${seed}, years ${years}: simulated-events ${events}, looks judged ${judged}, pairs-without-credential ${without}, recoveries ${recoveries}, failed ${failed}\n`,
);
process.exitCode = failed === 0 ? 0 : 1;
