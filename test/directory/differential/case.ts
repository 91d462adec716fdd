/**
 * One generated case: a small tree on both servers, steps against it, each answer compared, and after each change everything that both hold.
 */
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import type { Difference } from './difference.ts';
import { explain, explainTransaction } from './differences.ts';
import { type Draw, drawAdd, drawCompare, drawDelete, drawModify, drawRename, Picker } from './generate.ts';
import { drawTransaction, type Planned } from './generate-transaction.ts';
import { runTransaction } from './transaction.ts';
import { drawSearch } from './generate-search.ts';
import type { Both, Pair } from './pair.ts';
import { type Asked, describe, type Entries, type Outcome, run } from './run.ts';
import { EVERYTHING, depth, type State, stateOf } from './state.ts';
import { HOME, octets } from './vocabulary.ts';

/** What a run of many cases came to. */
export interface Tally {
  cases: number;
  operations: number;
  /** On slapd; comparisons that answer are successes. */
  succeeded: number;
  readonly byOperation: Map<string, { asked: number; succeeded: number }>;
  readonly differences: Map<string, number>;
  /** How often slapd died, or lost entries, and was made anew. */
  died: number;
}

export function newTally(): Tally {
  return { cases: 0, operations: 0, succeeded: 0, byOperation: new Map(), differences: new Map(), died: 0 };
}

export const isSuccess = (code: number): boolean => code === 0 || code === 5 || code === 6;

export function count(tally: Tally, asked: Asked, outcome: Outcome): void {
  tally.operations++;
  const row = tally.byOperation.get(asked.request.op) ?? { asked: 0, succeeded: 0 };
  tally.byOperation.set(asked.request.op, row);
  row.asked++;
  if (!isSuccess(outcome.code)) return;
  tally.succeeded++;
  row.succeeded++;
}

export function tallyText({ cases, operations, succeeded, byOperation, differences, died }: Tally): string {
  const share = (a: number, b: number): string => `${((100 * a) / Math.max(1, b)).toFixed(1)} %`;
  return [
    `${cases} cases, ${operations} operations, ${share(succeeded, operations)} succeeded on slapd`,
    ...(died === 0 ? [] : [`  slapd died or lost entries ${died} times`]),
    ...[...byOperation].map(([op, row]) => `  ${op}: ${row.asked}, ${share(row.succeeded, row.asked)}`),
    ...[...differences].map(([name, times]) => `  differs as declared, ${times} times: ${name}`),
  ].join('\n');
}

const SETUP: readonly (readonly [string, Readonly<Record<string, readonly string[]>>])[] = [
  [HOME, { objectClass: ['organizationalUnit'], ou: ['case'] }],
  [
    `ou=People,${HOME}`,
    { objectClass: ['organizationalUnit'], ou: ['People'], description: ['a unit', ' odd  spaces '] },
  ],
  [`ou=Müller\\, Söhne,${HOME}`, { objectClass: ['organizationalUnit'], ou: ['Müller, Söhne'] }],
  [
    `cn=Ann Lee,ou=People,${HOME}`,
    {
      objectClass: ['inetOrgPerson', 'testThings'],
      cn: ['Ann Lee', 'Ann'],
      sn: ['Lee'],
      uid: ['ann'],
      mail: ['Ann@Example.org'],
      testCount: ['5'],
      testInteger: ['1', '42', '-1'],
      description: ['first', 'Second  Value'],
      testTime: ['20260101000000Z'],
      testBoolean: ['TRUE'],
    },
  ],
  [
    `cn=Bob+uid=bob,ou=People,${HOME}`,
    {
      objectClass: ['inetOrgPerson', 'testThings'],
      cn: ['Bob'],
      uid: ['bob', 'x'],
      sn: ['Ray'],
      testNumeric: ['12 34'],
      telephoneNumber: ['+49 30 1234-56'],
    },
  ],
  [
    `cn=wheel,${HOME}`,
    { objectClass: ['groupOfNames'], cn: ['wheel'], member: [`cn=Ann Lee,ou=People,${HOME}`, 'o=x'] },
  ],
];

/** Takes the tree of the last case away, leaves first: a server may carry out several requests at once. */
export async function emptyHome(pair: Pair): Promise<void> {
  await pair.both(async (client) => {
    const { entries } = await run(client, { request: { ...EVERYTHING, base: HOME, attributes: ['1.1'] } });
    const levels = Map.groupBy(Object.keys(entries), depth);
    for (const level of [...levels.keys()].sort((a, b) => b - a))
      await Promise.all((levels.get(level) ?? []).map((dn) => client.delete(dn).result));
  });
}

/** The tree of a new case, on both. */
async function begin(pair: Pair, tally: Tally, mayDie: boolean): Promise<Entries> {
  try {
    await reset(pair);
    return await dump(pair, 'the beginning');
  } catch (error) {
    if (!mayDie) throw error;
    tally.died++;
    await pair.renewSlapd();
    await reset(pair);
    return dump(pair, 'the beginning');
  }
}

/** The tree of a new case, as the generator sees it. */
export async function beginCase(pair: Pair): Promise<State> {
  await reset(pair);
  return stateOf(await dump(pair, 'the beginning'));
}

async function reset(pair: Pair): Promise<void> {
  await emptyHome(pair);
  await pair.both(async (client) => {
    for (const [dn, attributes] of SETUP) {
      const list = Object.entries(attributes).map(([type, values]) => ({
        type,
        values: values.map((v) => octets(type, v)),
      }));
      await client.add(dn, list).result;
    }
  });
}

/** `toEqual`, with only what differs in the message. */
function expectSame(ours: Readonly<Record<string, unknown>>, slapd: Readonly<Record<string, unknown>>): void {
  if (isDeepStrictEqual(ours, slapd)) return;
  const differ = (a: unknown, b: unknown): [unknown, unknown] => {
    if (
      typeof a !== 'object' ||
      typeof b !== 'object' ||
      a === null ||
      b === null ||
      Array.isArray(a) ||
      Array.isArray(b)
    )
      return [a, b];
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    const rows = keys
      .map((key) => [key, (a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]] as const)
      .filter(([, x, y]) => !isDeepStrictEqual(x, y))
      .map(([key, x, y]) => [key, differ(x, y)] as const);
    return [
      Object.fromEntries(rows.map(([key, [x]]) => [key, x])),
      Object.fromEntries(rows.map(([key, [, y]]) => [key, y])),
    ];
  };
  const [a, b] = differ(ours, slapd);
  expect.fail(`ours:  ${JSON.stringify(a, null, 1)}\nslapd: ${JSON.stringify(b, null, 1)}`);
}

/** Entries of both, which must be the same. */
async function dump(pair: Pair, after: string): Promise<Entries> {
  const { slapd, ours } = await pair.both((client) => run(client, { request: EVERYTHING }));
  expectSame({ after, entries: ours.entries }, { after, entries: slapd.entries });
  return slapd.entries;
}

function resolve({ kind, picks }: Draw, state: State): Asked {
  const pick = new Picker(picks);
  switch (kind) {
    case 'add':
      return drawAdd(pick, state);
    case 'modify':
      return drawModify(pick, state);
    case 'rename':
      return drawRename(pick, state);
    case 'delete':
      return drawDelete(pick, state);
    case 'compare':
      return drawCompare(pick, state);
    case 'search':
      return drawSearch(pick, state);
    default:
      return { request: { op: 'extendedRequest', oid: '1.3.6.1.4.1.4203.1.11.3' } };
  }
}

const CHANGES: ReadonlySet<string> = new Set([
  'addRequest',
  'modifyRequest',
  'deleteRequest',
  'modifyDnRequest',
]);

/** Throws when answers or entries differ and no declared difference says why. */
export async function judge(
  pair: Pair,
  draws: readonly Draw[],
  tally: Tally,
  mayDie: boolean = false,
): Promise<void> {
  const history: string[] = [];
  try {
    await carryOut(pair, await begin(pair, tally, mayDie), draws, tally, history);
    tally.cases++;
  } catch (error) {
    // slapd 2.5 now and then dies, or loses entries, some time after a transaction that was given up or failed. So what a slapd with a
    // past does counts for nothing: a new one has to do it again.
    if (mayDie) {
      tally.died++;
      const { slapdDied } = pair;
      await pair.renewSlapd();
      return slapdDied ? undefined : judge(pair, draws, tally);
    }
    throw new Error(
      `after:\n  ${history.join('\n  ')}\n${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

async function carryOut(
  pair: Pair,
  beginning: Entries,
  draws: readonly Draw[],
  tally: Tally,
  history: string[],
): Promise<void> {
  let entries = beginning;
  let state = stateOf(entries);
  for (const draw of draws) {
    if (draw.kind === 'transaction') {
      const planned = drawTransaction(new Picker(draw.picks), state);
      const after = await transaction(pair, entries, planned, tally, history);
      if (after === undefined) return;
      entries = after;
      state = stateOf(entries);
      continue;
    }
    const asked = resolve(draw, state);
    history.push(describe(asked));
    const both = await pair.both((client) => run(client, asked));
    count(tally, asked, both.slapd);
    const difference = compare(asked, both);
    if (difference !== undefined) {
      tally.differences.set(difference.name, (tally.differences.get(difference.name) ?? 0) + 1);
      // The two now hold different entries: nothing more can be learned from this case.
      if (CHANGES.has(asked.request.op) && (both.slapd.code === 0 || both.ours.code === 0)) return;
      continue;
    }
    if (!CHANGES.has(asked.request.op) || both.slapd.code !== 0) continue;
    entries = await dump(pair, describe(asked));
    state = stateOf(entries);
  }
}

/** What both hold afterwards; undefined when they differ as declared. */
async function transaction(
  pair: Pair,
  before: Entries,
  planned: Planned,
  tally: Tally,
  history: string[],
): Promise<Entries | undefined> {
  const text = [
    'transaction',
    ...planned.updates.map((asked) => `  ${describe(asked)}`),
    planned.commit ? 'commit' : 'abort',
  ];
  history.push(...text);
  const both = await pair.both((client) => runTransaction(client, planned));
  tally.operations++;
  const row = tally.byOperation.get('transaction') ?? { asked: 0, succeeded: 0 };
  tally.byOperation.set('transaction', row);
  row.asked++;
  if (both.slapd.end === 0) {
    tally.succeeded++;
    row.succeeded++;
  }
  const difference = isDeepStrictEqual(both.slapd, both.ours) ? undefined : explainTransaction(planned, both);
  if (difference !== undefined) {
    tally.differences.set(difference.name, (tally.differences.get(difference.name) ?? 0) + 1);
    if (both.slapd.end !== both.ours.end) return undefined;
  } else expectSame({ ...both.ours }, { ...both.slapd });
  if (both.ours.end === 0 && planned.commit) return dump(pair, text.join('\n'));
  // Nothing may have changed. slapd 2.5 sometimes loses entries here.
  const after = await pair.both((client) => run(client, { request: EVERYTHING }));
  expectSame({ unchanged: after.ours.entries }, { unchanged: before });
  if (isDeepStrictEqual(after.slapd.entries, before)) return before;
  tally.died++;
  await pair.renewSlapd();
  return undefined;
}

/** Equal: nothing. Different as declared: which difference. Else throws. */
export function compare(asked: Asked, both: Both<Outcome>): Difference | undefined {
  if (isDeepStrictEqual(both.slapd, both.ours)) return undefined;
  const found = explain(asked, both);
  if (found !== undefined) return found;
  const text = describe(asked);
  expectSame({ asked: text, ...both.ours }, { asked: text, ...both.slapd });
  return undefined;
}
