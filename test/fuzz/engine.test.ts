/** The engine finds faults that chance alone would not. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Coverage } from './coverage.ts';
import { fuzz, type FuzzResult } from './engine.ts';
import type { FuzzTarget } from './target.ts';

let coverage: Coverage;
let planted: typeof import('./planted.ts');

beforeAll(async () => {
  coverage = new Coverage((url) => url.endsWith('/planted.ts'));
  planted = await import('./planted.ts');
});
afterAll(() => coverage[Symbol.dispose]());

const target = (run: (input: Buffer) => void, more: Partial<FuzzTarget> = {}): FuzzTarget => ({
  name: 'planted',
  shape: 'bytes',
  mostBytes: 200,
  examples: () => [Buffer.from('hello, world')],
  words: [],
  steps: { base: 1000, perByte: 20 },
  run,
  ...more,
});

const MOST = 400_000;
const run = (of: FuzzTarget, seed: number): Promise<FuzzResult> =>
  fuzz({
    target: of,
    coverage,
    corpus: [],
    seed,
    goOn: (executions, crashes) => executions < MOST && crashes === 0,
  });

describe('the engine finds', () => {
  it('a fault behind three branches', async () => {
    const { crashes, executions } = await run(
      target((input) => void planted.planted(input)),
      1,
    );
    expect(crashes.map(({ error }) => error.message)).toEqual(['planted: behind three branches']);
    expect(crashes[0]?.input.length).toBe(6);
    expect(executions).toBeLessThan(MOST);
  });

  it('work out of proportion', async () => {
    const { crashes } = await run(
      target((input) => void planted.plantedWork(input)),
      2,
    );
    expect(crashes.map(({ error }) => error.message)).toEqual([
      expect.stringMatching(/^too much work: \d+ steps$/),
    ]);
  });

  it('a fault inside nested lengths', async () => {
    const example = Buffer.from('3003020101', 'hex');
    const { crashes } = await run(
      target(planted.plantedTree, { shape: 'ber', examples: () => [example] }),
      3,
    );
    expect(crashes.map(({ error }) => error.message)).toEqual([
      'planted: an empty string on the third level',
    ]);
  });

  it('nothing where there is nothing', async () => {
    const { crashes, executions } = await fuzz({
      target: target((input) => void input.toString('hex')),
      coverage,
      corpus: [],
      seed: 4,
      goOn: (n) => n < 5000,
    });
    expect([crashes, executions >= 5000]).toEqual([[], true]);
  });
});
