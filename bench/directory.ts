/** `bench directory`: the edge's directory beside slapd with the same recipients, asked and changed by the same requests. */
import { tmpdir } from 'node:os';
import { benchLarge } from './directory/large.ts';
import type { Comparison } from './directory/compare.ts';
import { buildLoad } from './directory/load.ts';
import { benchMixed, benchPipelined, benchSearch } from './directory/search.ts';
import { EdgeServer, fill, SlapdServer } from './directory/server.ts';
import { benchWrite } from './directory/write.ts';
import type { Report } from './report.ts';
import type { BenchmarkOptions } from './sync.ts';

export const DIRECTORY_PARTS = ['search', 'pipelined', 'mixed', 'write', 'large'] as const;

/** Numbers of recipients that a measurement adds; each measurement has its own. */
const ROOM = 2_000_000;
const MIXED_FROM = 100_000_000;
const WRITE_FROM = 200_000_000;

export async function runDirectoryBenchmark(report: Report, options: BenchmarkOptions): Promise<void> {
  const { quick, only, profile } = options;
  const wanted = (part: (typeof DIRECTORY_PARTS)[number]): boolean => only?.includes(part) ?? true;
  const program = await buildLoad(tmpdir());
  if (DIRECTORY_PARTS.some((part) => part !== 'large' && wanted(part))) {
    const count = quick ? 20_000 : 100_000;
    await using edge = await EdgeServer.create(profile);
    await edge.start();
    await fill(program, edge, count);
    await using slapd = await SlapdServer.start(count);
    const shared = { report, program, edge, slapd, count };
    const searches: Comparison = { ...shared, rounds: quick ? 1 : 5, seconds: quick ? 1 : 2 };
    const writes: Comparison = { ...shared, rounds: quick ? 1 : 3, seconds: quick ? 1 : 2 };
    if (wanted('search')) await benchSearch(searches);
    if (wanted('pipelined')) await benchPipelined(searches);
    if (wanted('mixed')) await benchMixed(writes, MIXED_FROM, ROOM);
    if (wanted('write')) await benchWrite(writes, WRITE_FROM, ROOM);
  }
  if (wanted('large'))
    await benchLarge(report, {
      program,
      profile,
      ...(quick ? { count: 20_000, label: '20k' } : { count: 1_000_000, label: '1m' }),
    });
}
