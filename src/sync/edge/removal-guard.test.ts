import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  countRemovals,
  DEFAULT_REMOVAL_LIMITS,
  guardedAddresses,
  lostAddresses,
  mayRemove,
  type RemovalWindow,
  removalBudget,
  removalsIn,
} from './removal-guard.ts';

const HOUR = 3_600_000;
const T0 = Date.UTC(2026, 0, 1);
const b = (text: string): Buffer => Buffer.from(text.padEnd(16, '.'));

describe('removal budget', () => {
  it.each([
    [0, 1],
    [1, 1],
    [4, 1],
    [5, 1],
    [10, 2],
    [2000, 400],
    [2500, 500],
    [1_000_000, 500],
  ])('%i entries may lose %i a day', (entries, budget) => {
    expect(removalBudget(DEFAULT_REMOVAL_LIMITS, entries)).toBe(budget);
  });

  it('counts over a rolling day', () => {
    let window: RemovalWindow = [];
    for (let i = 0; i < 5; i++) window = countRemovals(window, 100, T0 + i * HOUR);
    expect(removalsIn(window, T0 + 5 * HOUR)).toBe(500);
    expect(mayRemove(window, 1, 0, 100_000, DEFAULT_REMOVAL_LIMITS, T0 + 5 * HOUR)).toBe(false);
    expect(removalsIn(window, T0 + 24 * HOUR + 1)).toBe(400);
    expect(mayRemove(window, 100, 0, 100_000, DEFAULT_REMOVAL_LIMITS, T0 + 24 * HOUR + 1)).toBe(true);
  });

  it('judges a pass by what was announced, so that its first transactions do not slip through', () => {
    expect(mayRemove([], 100, 100_000, 100_000, DEFAULT_REMOVAL_LIMITS, T0)).toBe(false);
    expect(mayRemove([], 100, 100, 100_000, DEFAULT_REMOVAL_LIMITS, T0)).toBe(true);
  });

  it('never lets more than the budget go in a day, in whatever portions', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ count: fc.integer({ min: 1, max: 300 }), gap: fc.integer({ min: 0, max: 6 * HOUR }) }),
          { maxLength: 60 },
        ),
        (steps) => {
          let window: RemovalWindow = [];
          let now = T0;
          const done: { at: number; count: number }[] = [];
          for (const { count, gap } of steps) {
            now += gap;
            if (!mayRemove(window, count, 0, 10_000, DEFAULT_REMOVAL_LIMITS, now)) continue;
            window = countRemovals(window, count, now);
            done.push({ at: now, count });
            // An independent count, exact to the slice: anything in the last 24 h less one slice.
            const sum = done
              .filter((d) => d.at > now - 24 * HOUR + 10 * 60_000)
              .reduce((total, d) => total + d.count, 0);
            expect(sum).toBeLessThanOrEqual(500);
            expect(window.length).toBeLessThanOrEqual(146);
          }
        },
      ),
    );
  });
});

describe('addresses under guard', () => {
  const old = { addresses: [b('a'), b('b'), b('p')], pendingAddresses: [b('p')] };

  it('counts only what is lost anew', () => {
    expect(lostAddresses(old, [b('a')])).toEqual([b('b')]);
    expect(lostAddresses(old, [b('a'), b('b'), b('c')])).toEqual([]);
  });

  it.each([
    ['allowed: what is lost goes, what was pending stays', [b('a')], true, [b('a'), b('p')], [b('p')]],
    ['not allowed: both go on answering', [b('a')], false, [b('a'), b('p'), b('b')], [b('p'), b('b')]],
    ['confirmed again: no longer pending', [b('a'), b('p')], true, [b('a'), b('p')], []],
  ] as const)('%s', (_name, next, allowed, addresses, pending) => {
    expect(guardedAddresses(old, [...next], allowed)).toEqual({ addresses, pending });
  });
});
