/**
 * Many generated cases with a new seed each time, which is printed. To replay: DIFFERENTIAL_SEED, and DIFFERENTIAL_PATH as the failure
 * prints them; to shrink a failure (slow): DIFFERENTIAL_SHRINK=1; to look longer: DIFFERENTIAL_FACTOR=10.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import { judge, newTally, type Tally, tallyText } from './case.ts';
import { type Draw, draws, type StepKind } from './generate.ts';
import { Pair } from './pair.ts';

export interface Plan {
  readonly cases: number;
  readonly steps: readonly [least: number, most: number];
  readonly weights: Readonly<Partial<Record<StepKind, number>>>;
}

/** The suites; all cases together are at least a thousand. */
export const PLANS = {
  updates: {
    cases: 350,
    steps: [6, 16],
    weights: { add: 5, modify: 8, rename: 4, delete: 2, compare: 3, search: 2, whoAmI: 1 },
  },
  searches: { cases: 450, steps: [8, 20], weights: { add: 4, search: 12 } },
  transactions: { cases: 300, steps: [2, 6], weights: { transaction: 6, add: 1 } },
} as const satisfies Readonly<Record<string, Plan>>;

/** RFC-abiding sense of what is generated: so many of the operations succeed on slapd. */
export const LEAST_SUCCESS = 0.7;

const env = process.env;

export async function runMany(name: string, { cases, steps, weights }: Plan): Promise<Tally> {
  await using pair = await Pair.start();
  const tally = newTally();
  const [minLength, maxLength] = steps;
  const lists = fc.array(draws(weights), { minLength, maxLength });
  await check(name, cases, tally, lists, (list) =>
    judge(pair, list, tally, weights.transaction !== undefined),
  );
  expect(tally.died).toBeLessThanOrEqual(cases / 5);
  expect(tally.succeeded / tally.operations).toBeGreaterThanOrEqual(LEAST_SUCCESS);
  return tally;
}

/** Runs the cases and tells of them, seed first. */
export async function check(
  name: string,
  cases: number,
  tally: Tally,
  lists: fc.Arbitrary<readonly Draw[]>,
  run: (list: readonly Draw[]) => Promise<void>,
): Promise<void> {
  const { DIFFERENTIAL_SEED: seed, DIFFERENTIAL_PATH: path, DIFFERENTIAL_FACTOR: factor } = env;
  const details = await fc.check(fc.asyncProperty(lists, run), {
    numRuns: cases * Number(factor ?? 1),
    ...(seed !== undefined && { seed: Number(seed) }),
    ...(path !== undefined && { path }),
    endOnFailure: env['DIFFERENTIAL_SHRINK'] === undefined,
  });
  process.stdout.write(`${name}, seed ${details.seed}: ${tallyText(tally)}\n`);
  if (details.failed)
    throw new Error(fc.defaultReportMessage(details) ?? 'failed', { cause: details.errorInstance });
}
