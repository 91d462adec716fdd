/** One pair, its world and its oracle. */
import { Oracle, type Violation } from './oracle.ts';
import type { Observation } from './observer.ts';
import { drawFrom, type PairPlan, planOfPair, type SitePlan } from './plan.ts';
import { type Machines, WHOLE, World } from './world.ts';

export interface Outcome {
  readonly violations: readonly Violation[];
  readonly steps: number;
  readonly judged: number;
  readonly without: number;
  readonly recoveries: number;
  readonly disturbedShare: number;
}

export function simulatePair(
  plan: PairPlan,
  rules: Machines = WHOLE,
  watch?: (at: number, seen: Observation) => void,
): Outcome {
  const oracle = new Oracle();
  const world = new World(
    plan,
    (at, seen) => {
      watch?.(at, seen);
      oracle.observe(at, seen);
    },
    rules,
  );
  world.run();
  oracle.finish(world.now, plan.length);
  return {
    violations: oracle.violations,
    steps: world.steps,
    judged: oracle.judged,
    without: oracle.without,
    recoveries: oracle.recoveries,
    disturbedShare: oracle.disturbedMs / plan.length,
  };
}

/** What is violated first, or nothing. Goes no further. */
export function firstViolation(plan: PairPlan, rules: Machines): string | undefined {
  const oracle = new Oracle();
  const world = new World(
    plan,
    (at, seen) => {
      oracle.observe(at, seen);
      if (oracle.violations.length > 0) throw new Stopped();
    },
    rules,
  );
  try {
    world.run();
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
  }
  oracle.finish(world.now, plan.length);
  return oracle.violations[0]?.what;
}

class Stopped extends Error {}

/** Pairs of a site, spread by its seed. */
export function samplePairs(site: SitePlan, count: number): PairPlan[] {
  const draw = drawFrom(site.seed, 5);
  return Array.from({ length: count }, () =>
    planOfPair(site, Math.floor(draw() * site.hubs), Math.floor(draw() * site.edges)),
  );
}
