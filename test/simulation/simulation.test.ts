/** Drawn sites, and drawn faults, through years. POSTERN_SIMULATION_SEED replays a seed; the whole size is for `run.ts`, by hand. */
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { DAY, type Fault, HOUR, MINUTE, type PairPlan } from './plan.ts';
import { type Outcome, samplePairs, simulatePair } from './simulate.ts';

const SEED = Number(process.env['POSTERN_SIMULATION_SEED'] ?? 20261122);
let events = 0;
let pairs = 0;
let without = 0;

afterAll(() => {
  process.stdout.write(
    `simulated-events ${events}, pairs ${pairs}, pairs-without-credential ${without}, seed ${SEED}\n`,
  );
});

function holds(plan: PairPlan): Outcome {
  const outcome = simulatePair(plan);
  events += outcome.steps;
  pairs += 1;
  if (outcome.without > 0) without += 1;
  expect({ pair: plan.name, violations: outcome.violations.slice(0, 3) }).toEqual({
    pair: plan.name,
    violations: [],
  });
  return outcome;
}

/** Mostly small ones. */
const sites = fc.record({
  seed: fc.nat(),
  hubs: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 4 }) }, fc.integer({ min: 1, max: 50 })),
  edges: fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 10 }) },
    fc.integer({ min: 1, max: 1000 }),
  ),
  years: fc.constant(10),
});

it('any pair of any site has a credential for ten years, or gets one within two intervals', () => {
  fc.assert(
    fc.property(sites, (site) => {
      for (const plan of samplePairs(site, 2)) {
        const outcome = holds(plan);
        expect(outcome.disturbedShare).toBeLessThanOrEqual(0.2);
        expect(outcome.judged).toBeGreaterThan(50);
      }
    }),
    { seed: SEED, numRuns: 30 },
  );
});

const LENGTH = 75 * DAY;
const at = fc
  .tuple(fc.constantFrom(10, 24, 27, 31, 50), fc.integer({ min: -DAY, max: DAY }))
  .map(([day, by]) => day * DAY + by);
const span = fc.oneof(
  fc.integer({ min: MINUTE, max: 2 * HOUR }),
  fc.integer({ min: HOUR, max: 4 * DAY }),
  fc.integer({ min: DAY, max: 60 * DAY }),
);
const OUTAGES = [
  'edge-down',
  'hub-down',
  'link-down',
  'config-down',
  'config-lag',
  'push-down',
  'others-down',
] as const;
const bySide = fc.constantFrom('hub' as const, 'edge' as const);
const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ kind: fc.constantFrom(...OUTAGES), at, ms: span }),
  fc.record({
    kind: fc.constantFrom('hub-skew' as const, 'edge-skew' as const),
    at,
    ms: span,
    by: fc.oneof(
      fc.integer({ min: -5 * MINUTE, max: 5 * MINUTE }),
      fc.integer({ min: -30 * DAY, max: 30 * DAY }),
    ),
  }),
  fc.record({ kind: fc.constantFrom('kill-hub' as const, 'kill-edge' as const), at, after: fc.nat(30) }),
  fc.record({ kind: fc.constant('lost-write' as const), at }),
  fc.record({ kind: fc.constantFrom('restore-hub' as const, 'restore-edge' as const), at, age: span }),
  fc.record({ kind: fc.constant('clone' as const), at, age: span }),
  fc.record({ kind: fc.constant('rotate' as const), at, now: fc.boolean() }),
  fc.record({ kind: fc.constant('revoke' as const), at, side: bySide }),
  fc.record({ kind: fc.constant('end' as const), at, side: bySide }),
);

it('any few faults around a renewal, in any order', () => {
  fc.assert(
    fc.property(fc.nat(), fc.boolean(), fc.array(fault, { maxLength: 8 }), (seed, others, faults) => {
      const sorted = [...faults].sort((a, b) => a.at - b.at);
      holds({ name: 'drawn', seed, length: LENGTH, others, faults: sorted });
    }),
    { seed: SEED, numRuns: 400 },
  );
});
