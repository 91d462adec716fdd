/**
 * Pairs of whole sites, and drawn faults, through years; and every rule left out once. POSTERN_SIMULATION_SEED replays a seed; a long run is
 * `node test/simulation/run.ts PAIRS SEED`.
 */
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { DAY, type Fault, HOUR, MINUTE } from './plan.ts';
import { samplePairs, simulatePair } from './simulate.ts';

const SEED = Number(process.env['POSTERN_SIMULATION_SEED'] ?? 20261122);
let events = 0;

afterAll(() => {
  process.stdout.write(`simulated-events ${events}, seed ${SEED}\n`);
});

const sites = fc.record({
  seed: fc.nat(),
  hubs: fc.integer({ min: 1, max: 50 }),
  edges: fc.integer({ min: 1, max: 1000 }),
  years: fc.constant(10),
});

it('any pair of any site has a credential for ten years, or gets one within two intervals', () => {
  fc.assert(
    fc.property(sites, (site) => {
      for (const plan of samplePairs(site, 1)) {
        const outcome = simulatePair(plan);
        events += outcome.steps;
        expect({ pair: plan.name, violations: outcome.violations.slice(0, 3) }).toEqual({
          pair: plan.name,
          violations: [],
        });
        expect(outcome.without).toBe(0);
        expect(outcome.disturbedShare).toBeLessThanOrEqual(0.2);
        expect(outcome.judged).toBeGreaterThan(50);
      }
    }),
    { seed: SEED, numRuns: 10 },
  );
});

const LENGTH = 150 * DAY;
const at = fc.integer({ min: 0, max: LENGTH });
const length = fc.integer({ min: HOUR, max: 40 * DAY });
const age = fc.integer({ min: MINUTE, max: 40 * DAY });
const skew = fc.integer({ min: -5 * MINUTE, max: 5 * MINUTE });
const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({
    kind: fc.constantFrom(
      ...([
        'edge-down',
        'hub-down',
        'link-down',
        'config-down',
        'config-lag',
        'push-down',
        'others-down',
      ] as const),
    ),
    at,
    ms: length,
  }),
  fc.record({ kind: fc.constantFrom('hub-skew' as const, 'edge-skew' as const), at, ms: length, by: skew }),
  fc.record({ kind: fc.constantFrom('kill-hub' as const, 'kill-edge' as const), at, after: fc.nat(40) }),
  fc.record({ kind: fc.constant('lost-write' as const), at }),
  fc.record({ kind: fc.constantFrom('restore-hub' as const, 'restore-edge' as const), at, age }),
  fc.record({ kind: fc.constant('clone' as const), at, age: fc.integer({ min: MINUTE, max: DAY }) }),
  fc.record({ kind: fc.constant('rotate' as const), at, now: fc.boolean() }),
  fc.record({
    kind: fc.constant('revoke' as const),
    at,
    side: fc.constantFrom('hub' as const, 'edge' as const),
  }),
);

it('any few faults, in any order', () => {
  fc.assert(
    fc.property(fc.nat(), fc.boolean(), fc.array(fault, { maxLength: 12 }), (seed, others, faults) => {
      const plan = { name: 'drawn', seed, length: LENGTH, others, faults };
      const outcome = simulatePair(plan);
      events += outcome.steps;
      expect(outcome.violations.slice(0, 3)).toEqual([]);
    }),
    { seed: SEED, numRuns: 100 },
  );
});
