/** Durable changes, one connection over TLS with many in flight: every answer says that the change is on the disk. */
import { type Comparison, measure, reportRate } from './compare.ts';
import { runLoads } from './load.ts';

const WARM_SECONDS = 0.3;

/** `freshFrom`: first number of recipients that nobody has added; `room`: how many one measurement may add. */
export async function benchWrite(comparison: Comparison, freshFrom: number, room: number): Promise<void> {
  const { report, program, count, seconds, rounds, edge } = comparison;
  const timed = { warm: WARM_SECONDS, seconds };
  for (const [n, depth] of [64, 256].entries()) {
    const results = await measure(comparison, (server, round) => [
      {
        operation: 'add',
        options: {
          ...server.writer,
          ...timed,
          depth,
          from: freshFrom + (n * rounds + round) * room,
          count: room,
        },
      },
    ]);
    reportRate(report, `durable-add-${depth}`, results);
  }
  const modifies = await measure(comparison, (server) => [
    { operation: 'modify', options: { ...server.writer, ...timed, depth: 64, from: 0, count } },
  ]);
  reportRate(report, 'durable-modify-64', modifies);
  // The edge deletes more than slapd ever has, so what it deleted is put back after each round.
  const share = Math.floor(count / rounds);
  const deletes = await measure(
    comparison,
    (server, round) => [
      {
        operation: 'delete',
        options: {
          ...server.writer,
          ...timed,
          depth: 64,
          ...(server === edge ? { from: 0, count } : { from: round * share, count: share }),
        },
      },
    ],
    async (server, [result]) => {
      if (server !== edge || result === undefined) return;
      const options = { ...server.writer, depth: 256, from: 0, count: result.answered };
      await runLoads(program, { operation: 'add', options });
    },
  );
  reportRate(report, 'durable-delete-64', deletes);
}
