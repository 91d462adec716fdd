/** The same work on both servers, in turns, and its median. */
import { median, type Report, round } from '../report.ts';
import type { LoadOperation, LoadOptions, LoadResult } from './load.ts';
import { runLoads } from './load.ts';
import type { ComparedServer, EdgeServer, SlapdServer } from './server.ts';

export interface Comparison {
  readonly report: Report;
  /** The load generator. */
  readonly program: string;
  readonly edge: EdgeServer;
  readonly slapd: SlapdServer;
  /** Recipients that are there all the time: 0 to `count`. */
  readonly count: number;
  readonly rounds: number;
  readonly seconds: number;
}

export interface Load {
  readonly operation: LoadOperation;
  readonly options: LoadOptions;
}

/** Results by round and by load of a round. */
export interface Measured {
  readonly edge: readonly LoadResult[][];
  readonly slapd: readonly LoadResult[][];
}

/** Runs `loads` on one server and then on the other, the first one changing with each round. */
export async function measure(
  { program, edge, slapd, rounds }: Comparison,
  loads: (server: ComparedServer, round: number) => readonly Load[],
  after?: (server: ComparedServer, results: readonly LoadResult[], round: number) => Promise<void>,
): Promise<Measured> {
  const results = { edge: [] as LoadResult[][], slapd: [] as LoadResult[][] };
  for (let turn = 0; turn < rounds; turn++) {
    for (const name of turn % 2 === 0 ? (['slapd', 'edge'] as const) : (['edge', 'slapd'] as const)) {
      const server = name === 'edge' ? edge : slapd;
      const found = await runLoads(program, ...loads(server, turn));
      results[name].push(found);
      await after?.(server, found, turn);
    }
  }
  return results;
}

/** Median over the rounds of a number of load `n`. */
export function medianOf(
  results: readonly (readonly LoadResult[])[],
  n: number,
  of: (result: LoadResult) => number,
): number {
  return median(results.map((loads) => of(loads[n] as LoadResult)));
}

export function perSecond({ measured, seconds }: LoadResult): number {
  return measured / seconds;
}

/** Microseconds of processor time for one answer. */
export function cpuPerAnswer({ measured, cpuMs }: LoadResult): number {
  return (cpuMs * 1000) / measured;
}

/** Reports a rate of load `n`, and in a note what it cost. */
export function reportRate(report: Report, name: string, { edge, slapd }: Measured, n = 0): void {
  const [value, peer] = [medianOf(edge, n, perSecond), medianOf(slapd, n, perSecond)];
  report.add({ name, value, unit: '/s', peer, ratio: value / peer });
  const [cost, peerCost] = [medianOf(edge, n, cpuPerAnswer), medianOf(slapd, n, cpuPerAnswer)];
  const [late, peerLate] = [
    medianOf(edge, n, (result) => result.p99),
    medianOf(slapd, n, (result) => result.p99),
  ];
  report.note(
    `CPU ${round(cost)} us (slapd ${round(peerCost)} us), p99 ${round(late / 1000)} ms (slapd ${round(peerLate / 1000)} ms)`,
  );
}
