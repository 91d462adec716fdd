import { expect, it } from 'vitest';
import { PLANS, runMany } from './many.ts';

it('searches: slapd and we answer alike and hold the same', async () => {
  const tally = await runMany('searches', PLANS.searches);
  expect(tally.cases).toBeGreaterThanOrEqual(PLANS.searches.cases);
});
