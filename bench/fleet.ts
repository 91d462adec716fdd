/** `bench fleet`: what a look at every pair of a site costs, and a rotation of every pair, for sites of any size: linear in pairs. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Fleet, type FleetSize } from './fleet/fleet.ts';
import { countTraffic, traffic } from './fleet/traffic.ts';
import { type Report, round } from './report.ts';
import type { BenchmarkOptions } from './sync.ts';
import { simulatePair } from '../test/simulation/simulate.ts';
import { planOfRun } from '../test/simulation/run-plans.ts';

export const FLEET_PARTS = ['cost', 'simulation'] as const;

/** Edges that answer, and about how many pairs of them; the others are data only. */
const LIVE = 10;
const LIVE_PAIRS = 100;
/** Pairs that are worked on at a time. */
const AT_ONCE = 8;

interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly connections: number;
  readonly messages: number;
  readonly kib: number;
}

interface Row extends FleetSize {
  readonly cycle: Cost;
  readonly rotation: Cost;
  /** KiB a pair, of this process: hubs, edges and directory. */
  readonly memoryKib: number;
}

export async function runFleetBenchmark(report: Report, { quick, only }: BenchmarkOptions): Promise<void> {
  const wanted = (part: (typeof FLEET_PARTS)[number]): boolean => only?.includes(part) ?? true;
  if (wanted('cost')) await benchCost(report, quick);
  if (wanted('simulation')) benchSimulation(report, quick ? 10 : 200);
}

async function benchCost(report: Report, quick: boolean): Promise<void> {
  countTraffic();
  const rows: Row[] = [];
  for (const edges of quick ? [4, 40] : [10, 100, 1000])
    for (const hubs of quick ? [1, 8] : [1, 10, 50])
      rows.push(
        await measure(
          { hubs, edges, live: Math.min(edges, quick ? 4 : LIVE, Math.ceil(LIVE_PAIRS / hubs)) },
          report,
        ),
      );
  const [first] = rows as [Row];
  const last = rows.at(-1) ?? first;
  for (const what of ['cycle', 'rotation'] as const)
    report.add({
      name: `${what}-cost-growth-per-pair`,
      value: last[what].cpuMs / first[what].cpuMs,
      unit: `CPU a pair, ${last.hubs} hubs x ${last.edges} edges / ${first.hubs} x ${first.edges}`,
    });
}

async function measure(size: FleetSize, report: Report): Promise<Row> {
  const before = used();
  const began = performance.now();
  await using fleet = await Fleet.build(size);
  await fleet.start();
  const builtMs = performance.now() - began;
  const memoryKib = (used() - before) / (size.hubs * size.edges) / 1024;
  const pairs = fleet.hubs.flatMap(({ renewals }) => fleet.live.map((name) => ({ renewals, name })));
  const cycle = await costOf(pairs.length, async () => {
    for (const link of fleet.links) link.pokeConfiguration();
    await fleet.settled();
    await eachOf(pairs, ({ renewals, name }) => renewals.of(name).look(renewals.signal));
  });
  const rotation = await costOf(pairs.length, () =>
    eachOf(pairs, async ({ renewals, name }) => {
      const driver = renewals.of(name);
      await driver.command({ type: 'rotate', now: true }, renewals.signal);
      const rotated = await driver.reaches(
        (pair) =>
          pair.using !== undefined &&
          pair.generations.every((one) => one.confirmed && !one.retiring) &&
          pair.generations.length === 1,
        120_000,
      );
      if (!rotated)
        throw new Error(`the credential of ${name} was not rotated: ${JSON.stringify(driver.pair)}`);
    }),
  );
  const tell = (what: string, cost: Cost): string =>
    `${what} ${round(cost.cpuMs)} ms CPU, ${round(cost.wallMs)} ms, ${round(cost.connections)} connections, ${round(cost.messages)} messages, ${round(cost.kib)} KiB`;
  report.note(
    `${size.hubs} hubs x ${size.edges} edges (${pairs.length} pairs live, ready after ${round(builtMs / 1000)} s), a pair: ${tell('cycle', cycle)}; ${tell('rotation', rotation)}; memory ${round(memoryKib)} KiB`,
  );
  return { ...size, cycle, rotation, memoryKib };
}

async function costOf(pairs: number, work: () => Promise<unknown>): Promise<Cost> {
  const before = traffic();
  const cpu = process.cpuUsage();
  const began = performance.now();
  await work();
  const wall = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  const after = traffic();
  return {
    wallMs: wall / pairs,
    cpuMs: (user + system) / 1000 / pairs,
    connections: (after.connections - before.connections) / pairs,
    messages: (after.messages - before.messages) / pairs,
    kib: (after.bytes - before.bytes) / 1024 / pairs,
  };
}

async function eachOf<T>(all: readonly T[], work: (one: T) => Promise<unknown>): Promise<void> {
  const left = [...all];
  const lane = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await work(next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What is in use after a collection of garbage. */
function used(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Pairs of sites of 1 and of 50 hubs through ten years of the simulation that CI draws from, too. */
function benchSimulation(report: Report, pairs: number): void {
  let events = 0;
  let without = 0;
  for (let seed = 1; seed <= pairs; seed++) {
    const outcome = simulatePair(planOfRun(seed, 10));
    events += outcome.steps;
    if (outcome.without > 0) without++;
  }
  report.note(`${pairs} pairs through 10 years, seeds 1 to ${pairs}`);
  report.add({ name: 'simulated-events', value: events, unit: 'events' });
  report.add({ name: 'pairs-without-credential', value: without, unit: 'pairs' });
}
