import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkTimings,
  DEFAULT_TIMINGS,
  deletableCredentials,
  firstWindow,
  nextEventAt,
  phaseOf,
  renewalDue,
  renewalTimes,
  successorWindow,
  usableCredentials,
  type Window,
} from './schedule.ts';

const DAY = 86_400_000;
const START = Date.UTC(2026, 10, 1);
const first = firstWindow(START);

describe('a credential of 30 days', () => {
  it('is renewed seven days and superseded three days before its end', () => {
    expect(first).toEqual({ effectiveAt: START, expiresAt: START + 30 * DAY });
    expect(renewalTimes(first)).toEqual({
      prepareAt: START + 23 * DAY,
      switchAt: START + 27 * DAY,
      deleteAt: START + 30 * DAY,
    });
    expect(successorWindow(first, START + 23 * DAY)).toEqual({
      effectiveAt: START + 27 * DAY,
      expiresAt: START + 57 * DAY,
    });
  });

  it('whose successor comes late has one that is effective at once', () => {
    expect(successorWindow(first, START + 40 * DAY)).toEqual({
      effectiveAt: START + 40 * DAY,
      expiresAt: START + 70 * DAY,
    });
  });

  it.each([
    [-1, 'not-yet-effective'],
    [0, 'in-use'],
    [23 * DAY - 1, 'in-use'],
    [23 * DAY, 'renewal-due'],
    [27 * DAY - 1, 'renewal-due'],
    [27 * DAY, 'superseded-soon'],
    [30 * DAY - 1, 'superseded-soon'],
    [30 * DAY, 'expired'],
  ])('at %d ms is %s', (offset, phase) => {
    expect(phaseOf(first, START + offset)).toBe(phase);
  });
});

describe('a pair', () => {
  const second = successorWindow(first, START + 23 * DAY);
  const pair = [first, second];

  it.each([
    ['before the successor is effective', 27 * DAY - 1, [first]],
    ['as soon as it is effective', 27 * DAY, [second, first]],
    ['after the first expired', 30 * DAY, [second]],
    ['after both expired', 57 * DAY, []],
  ])('%s', (_name, offset, usable) => {
    expect(usableCredentials(pair, START + offset)).toEqual(usable);
  });

  it.each([
    [30 * DAY - 1, []],
    [30 * DAY, [first]],
    // The last one of a pair is disabled by time and never deleted.
    [600 * DAY, [first]],
  ])('at %d ms deletes', (offset, deleted) => {
    expect(deletableCredentials(pair, START + offset)).toEqual(deleted);
  });

  it('needs a new one when none reaches further', () => {
    expect(renewalDue([first], START + 23 * DAY - 1)).toBe(false);
    expect(renewalDue([first], START + 23 * DAY)).toBe(true);
    expect(renewalDue(pair, START + 23 * DAY)).toBe(false);
    expect(renewalDue([], START)).toBe(false);
  });

  it('names its next event', () => {
    expect(nextEventAt([first], START)).toBe(START + 23 * DAY);
    expect(nextEventAt(pair, START + 27 * DAY)).toBe(START + 30 * DAY);
    expect(nextEventAt([], START)).toBeUndefined();
    expect(nextEventAt([first], START + 30 * DAY)).toBeUndefined();
  });
});

describe('timings', () => {
  const MIN = 60_000;
  it('of the defaults fit each other', () => {
    expect(checkTimings(DEFAULT_TIMINGS)).toBe(DEFAULT_TIMINGS);
  });

  it.each([
    [
      { effectiveBeforeMs: 15 * MIN },
      'effective_before (15 min) must be longer than the cycle interval with the clock tolerance (15 min)',
    ],
    [
      { successorBeforeMs: 3 * DAY },
      'successor_before (3 d) must be longer than effective_before and twice that (3 d 30 min)',
    ],
    [
      { lifetimeMs: 10 * DAY },
      'lifetime (10 d) must be longer than successor_before and effective_before (10 d)',
    ],
    [
      { lifetimeMs: 401 * DAY },
      'lifetime (401 d) must not be longer than the longest that an edge takes on (400 d)',
    ],
    [
      { lifetimeMs: 200 * DAY, successorBeforeMs: 91 * DAY },
      'successor_before (91 d) must not be longer than the farthest start that an edge takes on (90 d)',
    ],
    [{ cycleMs: 6 * MIN }, 'the cycle interval (6 min) must not be longer than recovery_quiet (5 min)'],
    [{ cycleMs: 0 }, 'a cycle interval (0 ms) must be longer than zero (0 ms)'],
    [{ recoveries: -1 }, 'recoveries must be a whole number, 0 or more, and is -1'],
    [{ recoveries: 1001 }, 'recoveries must be at most 1000, and is 1001'],
  ])('%j are refused', (change, message) => {
    expect(() => checkTimings({ ...DEFAULT_TIMINGS, ...change })).toThrow(message);
  });

  it('of an administrator move the times', () => {
    const timings = { ...DEFAULT_TIMINGS, successorBeforeMs: 10 * DAY, effectiveBeforeMs: DAY };
    expect(renewalTimes(first, timings)).toMatchObject({
      prepareAt: START + 20 * DAY,
      switchAt: START + 29 * DAY,
    });
  });
});

describe('any lifetime', () => {
  const lifetime = fc.integer({ min: 2, max: 400 * DAY });

  it('keeps the order: effective, prepare, switch, expire', () => {
    fc.assert(
      fc.property(lifetime, (ms) => {
        const window = firstWindow(START, ms);
        const times = renewalTimes(window);
        const order = [window.effectiveAt, times.prepareAt, times.switchAt, window.expiresAt];
        expect(order).toEqual([...order].sort((a, b) => a - b));
      }),
    );
  });

  it('leaves no moment without a usable credential while renewal is on time, and ends with one or two', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 60_000, max: 400 * DAY }),
        fc.integer({ min: 1, max: 40 }),
        (ms, steps) => {
          let credentials: Window[] = [firstWindow(START, ms)];
          for (let step = 0; step < steps; step++) {
            const now =
              nextEventAt(
                credentials,
                (step === 0 ? START : (credentials.at(-1)?.effectiveAt ?? 0)) - (step === 0 ? 0 : 1),
              ) ?? 0;
            if (renewalDue(credentials, now))
              credentials = [
                ...credentials,
                successorWindow(credentials.at(-1) as Window, now, { ...DEFAULT_TIMINGS, lifetimeMs: ms }),
              ];
            const gone = new Set(deletableCredentials(credentials, now));
            credentials = credentials.filter((credential) => !gone.has(credential));
            expect(usableCredentials(credentials, now).length).toBeGreaterThan(0);
            expect(credentials.length).toBeLessThanOrEqual(3);
          }
        },
      ),
    );
  });
});
