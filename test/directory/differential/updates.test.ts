import { expect, it } from 'vitest';
import { PLANS, runMany } from './many.ts';

it('updates: slapd and we answer alike and hold the same', async () => {
  const tally = await runMany('updates', PLANS.updates);
  expect(tally.cases).toBeGreaterThanOrEqual(PLANS.updates.cases);
});
