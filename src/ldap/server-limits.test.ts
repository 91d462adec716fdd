import { describe, expect, test } from 'vitest';
import { crowdedOut, LISTENER_LIMITS, SourceCounter, sourceOf, TokenBucket } from './server-limits.ts';
import { ConnectionWatch, type Observation } from './server-watch.ts';

test('TokenBucket: so many at once, so many a second, no more saved up', () => {
  const bucket = new TokenBucket(2, 0);
  const take = (now: number): boolean[] => [bucket.take(now), bucket.take(now), bucket.take(now)];
  expect(take(0)).toEqual([true, true, false]);
  expect(bucket.wait(0)).toBe(500);
  expect(take(499)).toEqual([false, false, false]);
  expect(take(500)).toEqual([true, false, false]);
  expect(take(60_000)).toEqual([true, true, false]);
});

describe('sourceOf', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::5:6', '2001:db8:0:0::/64'],
    ['2001:DB8:01:2::', '2001:db8:1:2::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['', ''],
  ])('%s is %s', (address, source) => expect(sourceOf(address)).toBe(source));
});

test('SourceCounter forgets who has no connection', () => {
  const counter = new SourceCounter();
  counter.add('a');
  counter.add('a');
  counter.remove('a');
  expect(counter.count('a')).toBe(1);
  counter.remove('a');
  expect(counter.count('a')).toBe(0);
});

describe('crowdedOut', () => {
  const strangers = (...sources: string[]): { source: string; n: number }[] =>
    sources.map((source, n) => ({ source, n }));
  test.each([
    ['the eldest of the largest crowd', ['a', 'b', 'b', 'a', 'b'], 'c', 1],
    ['one of two, for somebody new', ['a', 'b', 'b'], 'c', 1],
    ['nobody, when all have one', ['a', 'b', 'c'], 'd', undefined],
    ['nobody, for one of the crowd', ['a', 'b', 'b', 'b'], 'b', undefined],
    ['nobody, when the newcomer would have as many', ['a', 'a', 'b', 'b'], 'a', undefined],
    ['nobody, when all are known', [], 'a', undefined],
  ])('%s', (_what, present, newcomer, n) => {
    expect(crowdedOut(strangers(...present), newcomer)?.n).toBe(n);
  });
});

describe('ConnectionWatch', () => {
  const limits = {
    ...LISTENER_LIMITS,
    outputTimeoutMs: 3000,
    outputCapMs: 1000,
    partialMessageTimeoutMs: 2000,
    strangerTimeoutMs: 3000,
  };
  const quiet: Observation = {
    active: false,
    unsent: 0,
    frames: 0,
    partial: false,
    idleTimeoutMs: 5000,
    known: true,
  };
  const run = (looks: Partial<Observation>[]): (string | undefined)[] => {
    const watch = new ConnectionWatch(limits, 0);
    return looks.map((seen, second) => watch.look({ ...quiet, ...seen }, second * 1000));
  };
  const much = { unsent: limits.outputHighBytes + 1, active: true };

  const table: [what: string, looks: Partial<Observation>[], verdicts: (string | undefined)[]][] = [
    ['idle', [{}, {}, { active: true }, {}, {}, {}, {}, {}], [...Array(7).fill(undefined), 'idle']],
    ['idle allowed', Array(8).fill({ idleTimeoutMs: undefined }), Array(8).fill(undefined)],
    ['unsent for too long', Array(4).fill(much), [undefined, undefined, undefined, 'stalled']],
    [
      'unsent, sent, unsent',
      [much, much, much, { active: true }, much, much, much],
      Array(7).fill(undefined),
    ],
    [
      'far too much unsent',
      Array(2).fill({ ...much, unsent: limits.outputCapBytes + 1 }),
      [undefined, 'stalled'],
    ],
    [
      'busy, but nobody known',
      Array(4).fill({ known: false, active: true }),
      [undefined, undefined, undefined, 'stranger'],
    ],
    ['a partial message', Array(3).fill({ partial: true }), [undefined, undefined, 'partial']],
    [
      'partial ones, each completed',
      [0, 1, 2, 3].map((frames) => ({ partial: true, frames })),
      Array(4).fill(undefined),
    ],
  ];
  test.each(table)('%s', (_what, looks, verdicts) => expect(run(looks)).toEqual(verdicts));
});
