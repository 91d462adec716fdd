/** What an intended difference from slapd is, and what their descriptions have in common. */
import type { Filter } from '../../../src/ldap/message.ts';
import type { Planned } from './generate-transaction.ts';
import type { Both } from './pair.ts';
import type { Asked, Outcome } from './run.ts';
import type { TransactionOutcome } from './transaction.ts';
import { HOME } from './vocabulary.ts';

export interface Difference {
  /** What we do. */
  readonly name: string;
  readonly clause: string;
  /** What slapd does instead. */
  readonly slapd: string;
  explains(asked: Asked, both: Both<Outcome>): boolean;
  explainsTransaction?(planned: Planned, both: Both<TransactionOutcome>): boolean;
  readonly witnesses: readonly Witness[];
}

export interface Witness {
  /** Carried out on both before, with the same results. */
  readonly given: readonly Asked[];
  /** One request, or several in a transaction. */
  readonly asked: Asked | readonly Asked[];
  /** Code, and for searches number of entries: of slapd and ours. */
  readonly slapd: readonly number[];
  readonly ours: readonly number[];
}

export const codes = ({ slapd, ours }: Both<Outcome>): string => `${slapd.code} ${ours.code}`;
export const never = (): boolean => false;
export const ANN = `cn=Ann,${HOME}`;

/** Some part of a filter is true of `test`. */
function has(filter: Filter, test: (leaf: Filter) => boolean): boolean {
  if (filter.kind === 'and' || filter.kind === 'or') return filter.filters.some((one) => has(one, test));
  if (filter.kind === 'not') return has(filter.filter, test);
  return test(filter);
}
export const filterHas = ({ request }: Asked, test: (leaf: Filter) => boolean): boolean =>
  request.op === 'searchRequest' && has(request.filter, test);
