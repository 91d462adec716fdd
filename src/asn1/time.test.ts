import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  fitsUtcTime,
  formatGeneralizedTime,
  formatUtcTime,
  parseGeneralizedTime,
  parseUtcTime,
} from './time.ts';

describe('times', () => {
  test.each([
    ['500101000000Z', Date.UTC(1950, 0, 1)],
    ['491231235959Z', Date.UTC(2049, 11, 31, 23, 59, 59)],
    ['000229120000Z', Date.UTC(2000, 1, 29, 12)],
  ])('UTCTime %s', (text, ms) => {
    expect(parseUtcTime(text)).toBe(ms);
    expect(formatUtcTime(ms)).toBe(text);
    expect(fitsUtcTime(ms)).toBe(true);
  });

  test.each([
    '',
    '260230000000Z',
    '250229000000Z',
    '261301000000Z',
    '260001000000Z',
    '260100000000Z',
    '260101240000Z',
    '260101006000Z',
    '260101000060Z',
    '260101000000',
    '260101000000+0000',
    '2601010000Z',
    '٢60101000000Z',
  ])('"%s" is no UTCTime', (text) => {
    expect(parseUtcTime(text)).toBeUndefined();
  });

  test.each([
    '19000229000000Z',
    '20260101000000.Z',
    '20260101000000',
    '202601010000Z',
    '20260101000000.1234567890Z',
  ])('"%s" is no GeneralizedTime', (text) => {
    expect(parseGeneralizedTime(text)).toBeUndefined();
  });

  test('fractions are read', () => {
    expect(parseGeneralizedTime('20260101000000.25Z')).toBe(Date.UTC(2026, 0, 1) + 250);
    expect(parseGeneralizedTime('99991231235959Z')).toBe(Date.UTC(9999, 11, 31, 23, 59, 59));
  });

  test('the change from one to the other type (RFC 5280 §4.1.2.5)', () => {
    expect(fitsUtcTime(Date.UTC(2050, 0, 1) - 1)).toBe(true);
    expect(fitsUtcTime(Date.UTC(2050, 0, 1))).toBe(false);
    expect(fitsUtcTime(Date.UTC(1950, 0, 1))).toBe(true);
    expect(fitsUtcTime(Date.UTC(1950, 0, 1) - 1)).toBe(false);
  });

  test('agrees with Date for every year up to 9999', () => {
    const least = new Date('0001-01-01T00:00:00Z').getTime();
    fc.assert(
      fc.property(
        fc.integer({ min: least / 1000, max: Date.UTC(9999, 11, 31, 23, 59, 59) / 1000 }),
        (seconds) => {
          const ms = seconds * 1000;
          const text = formatGeneralizedTime(ms);
          expect(text).toBe(`${new Date(ms).toISOString().slice(0, 19).replace(/[-T:]/g, '')}Z`);
          expect(parseGeneralizedTime(text)).toBe(ms);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
