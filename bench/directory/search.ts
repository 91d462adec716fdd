/** Equality searches as a mail server asks: alone, in pipelines, and beside adds. */
import { type Comparison, cpuPerAnswer, measure, medianOf, reportRate } from './compare.ts';
import type { LoadOptions } from './load.ts';
import type { ComparedServer } from './server.ts';

const WARM_SECONDS = 0.3;

export async function benchSearch(comparison: Comparison): Promise<void> {
  const { report } = comparison;
  for (const kind of ['plain', 'tls'] as const) {
    for (const connections of [8, 32]) {
      const results = await measure(comparison, (server, round) => [
        search(comparison, server[kind], { connections, seed: round }),
      ]);
      reportRate(report, `search-${kind}-${connections}`, results);
      if (kind !== 'plain' || connections !== 32) continue;
      for (const [name, unit, of] of [
        ['search-cpu', 'us', cpuPerAnswer],
        ['search-p99-32', 'us', ({ p99 }: { p99: number }) => p99],
      ] as const) {
        const [value, peer] = [medianOf(results.edge, 0, of), medianOf(results.slapd, 0, of)];
        report.add({ name, value, unit, peer, ratio: value / peer });
      }
    }
  }
}

export async function benchPipelined(comparison: Comparison): Promise<void> {
  const results = await measure(comparison, (server, round) => [
    search(comparison, server.plain, { connections: 8, depth: 64, seed: round }),
  ]);
  reportRate(comparison.report, 'search-pipelined', results);
}

/** Eight searchers and one loader with 64 adds in flight, all over TLS. */
export async function benchMixed(comparison: Comparison, freshFrom: number, room: number): Promise<void> {
  const results = await measure(comparison, (server: ComparedServer, round) => [
    search(comparison, server.tls, { connections: 8, seed: round }),
    {
      operation: 'add',
      options: {
        ...server.writer,
        depth: 64,
        from: freshFrom + round * room,
        count: room,
        warm: WARM_SECONDS,
        seconds: comparison.seconds,
      },
    },
  ]);
  reportRate(comparison.report, 'mixed-search', results, 0);
  reportRate(comparison.report, 'mixed-add', results, 1);
}

function search({ count, seconds }: Comparison, server: LoadOptions, options: LoadOptions) {
  return {
    operation: 'search',
    options: { ...server, from: 0, count, warm: WARM_SECONDS, seconds, ...options },
  } as const;
}
