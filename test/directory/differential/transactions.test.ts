import { expect, it } from 'vitest';
import { PLANS, runMany } from './many.ts';

it('transactions: slapd and we answer alike and hold the same', async () => {
  const tally = await runMany('transactions', PLANS.transactions);
  expect(tally.cases + tally.died).toBeGreaterThanOrEqual(PLANS.transactions.cases);
});
