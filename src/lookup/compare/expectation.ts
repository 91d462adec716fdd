/** What is in use today says of an address, and how the edge's answer differs. Pure. */

export interface Expectation {
  readonly address: string;
  readonly expected: 'known' | 'unknown';
  /** Line of the file that says so, from 1. */
  readonly line: number;
}

export type Verdict = 'known' | 'unknown' | 'temporary' | 'notOurs';

/**
 * `lost`: accepted today, and refused by the edge. `gained`: refused today, and accepted by the edge. `waiting`: the edge cannot say yet.
 * `not-ours`: accepted today, and of a domain that is not accepted.
 */
export type Difference = 'lost' | 'gained' | 'waiting' | 'not-ours';

export function differenceOf(expected: Expectation['expected'], answer: Verdict): Difference | undefined {
  if (answer === 'temporary') return 'waiting';
  if (expected === 'unknown') return answer === 'known' ? 'gained' : undefined;
  if (answer === 'known') return undefined;
  return answer === 'unknown' ? 'lost' : 'not-ours';
}

/** Takes a file apart, line by line. `skipped` counts what says nothing about one address. */
export interface ExpectationReader {
  readonly skipped: number;
  /** `line` without its end, `number` from 1. Yields what is certain by now. */
  take(line: string, number: number): readonly Expectation[];
  /** The rest. */
  end(): readonly Expectation[];
}
