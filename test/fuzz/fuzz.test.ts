/**
 * The corpus again, and some thousand new inputs for each target. A failure names the seed and the input: `POSTERN_FUZZ_SEED=N` repeats the run,
 * and the input belongs into the corpus as `fault-NAME` once it is mended.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemRandom } from '../../src/base/random.ts';
import { CORPUS, readCorpus } from './corpus.ts';
import { Coverage } from './coverage.ts';
import { fuzz } from './engine.ts';
import type { FuzzTarget } from './target.ts';

const NAMES = [
  'ber',
  'frame',
  'message',
  'control',
  'filter',
  'dn',
  'url',
  'ldif',
  'ldif-change',
  'schema',
  'cookie',
  'match',
  'request',
  'subscription',
  'vici',
];
const NEW_INPUTS = 2000;
const MOST_CORPUS_BYTES = 300_000;

const seed = Number(process.env['POSTERN_FUZZ_SEED'] ?? systemRandom.bytes(4).readUInt32LE());
let coverage: Coverage;
let targets: readonly FuzzTarget[];

beforeAll(async () => {
  coverage = new Coverage((url) => url.includes('/src/') && !url.includes('/node_modules/'));
  ({ TARGETS: targets } = await import('./targets.ts'));
});
afterAll(() => coverage[Symbol.dispose]());

describe(`seed ${seed}`, () => {
  it.each(NAMES)('%s', async (name) => {
    const target = targets.find((one) => one.name === name);
    if (target === undefined) return expect.fail(`no target ${name}`);
    const corpus = readCorpus(name).map(({ input }) => input);
    expect(corpus.length).toBeGreaterThan(0);
    let corpusDone = 0;
    const { crashes, executions } = await fuzz({
      target,
      coverage,
      corpus,
      seed,
      guided: false,
      goOn: (done) => done < (corpusDone ||= done) + NEW_INPUTS,
    });
    expect(executions).toBeGreaterThan(NEW_INPUTS);
    expect(
      crashes.map(
        ({ input, error }) => `${error.stack ?? error.message}\ninput: ${input.toString('base64')}`,
      ),
    ).toEqual([]);
  });

  it('every target is there, and the corpus is small', () => {
    expect(targets.map(({ name }) => name)).toEqual(NAMES);
    const bytes = NAMES.flatMap((name) => readCorpus(name)).reduce((sum, { input }) => sum + input.length, 0);
    expect(bytes).toBeLessThan(MOST_CORPUS_BYTES);
    expect(CORPUS).toMatch(/corpus$/);
  });
});
