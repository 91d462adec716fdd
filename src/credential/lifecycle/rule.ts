/** The rows of this folder's tables: `base/rule-table.ts` with the timings of renewal. */
import type { Rule as TableRule } from '../../base/rule-table.ts';
import type { RenewalTimings } from '../schedule.ts';

export { on, type Outcome, printRules, runRules } from '../../base/rule-table.ts';

export type Rule<S, E extends { readonly type: string }, A> = TableRule<S, E, A, RenewalTimings>;
