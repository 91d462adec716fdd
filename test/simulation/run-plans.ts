/** The pair that a seed stands for in a long run: one of a small site, or of one of 50 hubs. */
import type { PairPlan } from './plan.ts';
import { samplePairs } from './simulate.ts';

export function planOfRun(seed: number, years: number): PairPlan {
  const site = { seed, hubs: seed % 3 === 1 ? 1 : 50, edges: 1000, years };
  return samplePairs(site, 1)[0] as PairPlan;
}
