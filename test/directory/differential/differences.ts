/**
 * Where we answer differently from slapd on purpose: all of it, each with the clause that says so. `explains` recognises it in generated
 * cases; `witnesses` make it happen, so a difference that no longer exists is found.
 */
import type { Difference } from './difference.ts';
import { SEARCH_DIFFERENCES, UNSEEN } from './difference-searches.ts';
import { TRANSACTION_DIFFERENCES } from './difference-transactions.ts';
import { UPDATE_DIFFERENCES } from './difference-updates.ts';
import type { Planned } from './generate-transaction.ts';
import type { Both } from './pair.ts';
import type { Asked, Outcome } from './run.ts';
import type { TransactionOutcome } from './transaction.ts';

export const DIFFERENCES: readonly Difference[] = [
  ...UPDATE_DIFFERENCES,
  ...SEARCH_DIFFERENCES,
  ...TRANSACTION_DIFFERENCES,
  UNSEEN,
];

/** The declared difference between two answers that are not equal, if there is one. */
export function explain(asked: Asked, both: Both<Outcome>): Difference | undefined {
  return DIFFERENCES.find((one) => one.explains(asked, both));
}

export function explainTransaction(planned: Planned, both: Both<TransactionOutcome>): Difference | undefined {
  return DIFFERENCES.find((one) => one.explainsTransaction?.(planned, both) === true);
}
