/**
 * `npm run fuzz -- [TARGET...] [--seconds N] [--seed N]`: fuzzes targets (all of them unless told) for N seconds each, adds what reached something new to the
 * corpus, and writes inputs that broke an oracle to `.tmp/fuzz/`. Ends with 1 when there were any.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { hashOf, minimise, readCorpus, writeInput } from './corpus.ts';
import { Coverage } from './coverage.ts';
import { fuzz } from './engine.ts';

const OURS = (url: string): boolean => url.includes('/src/') && !url.includes('/node_modules/');
const FAULTS = join(import.meta.dirname, '../../.tmp/fuzz');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } },
});
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const first = new Coverage(OURS);
const { TARGETS } = await import('./targets.ts');
const unknown = positionals.filter((name) => !TARGETS.some((target) => target.name === name));
if (unknown.length > 0) {
  say(`no target ${unknown.join(', ')}; there are: ${TARGETS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const seed = values.seed === undefined ? systemRandom.bytes(4).readUInt32LE() : Number(values.seed);
first[Symbol.dispose]();
for (const target of TARGETS) {
  if (positionals.length > 0 && !positionals.includes(target.name)) continue;
  const corpus = readCorpus(target.name).map(({ input }) => input);
  const coverage = new Coverage(OURS);
  const begin = systemClock.monotonic();
  const end = begin + Number(values.seconds) * 1000;
  const goOn = (): boolean => systemClock.monotonic() < end;
  const { executions, kept, crashes, mostStepsPerByte } = await fuzz({
    target,
    coverage,
    corpus,
    seed,
    goOn,
  });
  const seconds = (systemClock.monotonic() - begin) / 1000;
  const { ran, known } = coverage.covered;
  coverage[Symbol.dispose]();
  const small = new Coverage(OURS);
  const count = minimise(target, [...corpus, ...kept], small);
  small[Symbol.dispose]();
  say(
    `${target.name}: seed ${seed}, ${executions} executions, ${Math.round(executions / seconds)} a second; ${Math.round((ran / known) * 100)} % of ${known} characters in functions reached; at most ${Math.round(mostStepsPerByte)} steps a byte; corpus ${count}; faults ${crashes.length}`,
  );
  for (const { input, error } of crashes) {
    process.exitCode = 1;
    say(
      `  ${writeInput(join(FAULTS, target.name), hashOf(input), input)}\n  ${error.stack ?? error.message}`,
    );
  }
}
