import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  parseFileDate,
  parseFileDuration,
  ticksFromDuration,
  ticksFromUnixMs,
  unixMsFromTicks,
} from './ticks.ts';

describe('ticks', () => {
  it.each([
    [621_355_968_000_000_000n, 0],
    [621_355_968_000_010_000n, 1],
    [0n, Date.parse('0001-01-01T00:00:00Z')],
    [638_396_640_000_000_000n, Date.parse('2024-01-01T00:00:00Z')],
    [3_155_378_975_999_990_000n, Date.parse('9999-12-31T23:59:59.999Z')],
  ])('%s is %s ms', (ticks, ms) => {
    expect(unixMsFromTicks(ticks)).toBe(ms);
    expect(ticksFromUnixMs(ms)).toBe(ticks);
    expect(parseFileDate(String(ticks), 'EffectiveDate')).toBe(ms);
  });

  it('rounds down below a millisecond, also before 1970', () => {
    expect(unixMsFromTicks(621_355_968_000_009_999n)).toBe(0);
    expect(unixMsFromTicks(621_355_967_999_999_999n)).toBe(-1);
    expect(unixMsFromTicks(621_355_967_999_990_000n)).toBe(-1);
  });

  it('a day is 864000000000 ticks', () => {
    expect(ticksFromDuration(86_400_000)).toBe(864_000_000_000n);
    expect(parseFileDuration('864000000000', 'Duration')).toBe(86_400_000);
  });

  it('every millisecond of every date survives', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: Date.parse('0001-01-01T00:00:00Z'), max: Date.parse('9999-12-31T23:59:59.999Z') }),
        (ms) => {
          expect(parseFileDate(String(ticksFromUnixMs(ms)), 'EffectiveDate')).toBe(ms);
        },
      ),
    );
  });

  it('reads the ISO dates that other programs write', () => {
    fc.assert(
      fc.property(
        fc.date({
          min: new Date('0100-01-01T00:00:00Z'),
          max: new Date('9999-12-31T23:59:59.999Z'),
          noInvalidDate: true,
        }),
        (date) => {
          expect(parseFileDate(date.toISOString(), 'EffectiveDate')).toBe(date.getTime());
        },
      ),
    );
  });

  it.each([
    ['2026-11-02T10:00:00Z', '2026-11-02T10:00:00.000Z'],
    ['2026-11-02T10:00:00', '2026-11-02T10:00:00.000Z'],
    ['2026-11-02T10:00:00.1234567Z', '2026-11-02T10:00:00.123Z'],
    ['2026-11-02T10:00:00+02:00', '2026-11-02T08:00:00.000Z'],
    ['2026-11-02T10:00:00-0330', '2026-11-02T13:30:00.000Z'],
    ['2028-02-29T00:00:00Z', '2028-02-29T00:00:00.000Z'],
  ])('%s is %s', (text, iso) => {
    expect(new Date(parseFileDate(text, 'EffectiveDate')).toISOString()).toBe(iso);
  });

  it.each([
    '',
    ' ',
    '-1',
    '1e3',
    '0x10',
    '3155378976000000000',
    '99999999999999999999',
    'yesterday',
    '2026-11-02',
    '2026-13-01T00:00:00Z',
    '2026-02-29T00:00:00Z',
    '2026-11-02T24:00:00Z',
    '2026-11-02T10:60:00Z',
    '2026-11-02T10:00:60Z',
    '2026-11-02T10:00:00+15:00',
    '2026-11-02T10:00:00+02:60',
    '02.11.2026 10:00',
    '0099-01-01T00:00:00Z',
    '２０２６-11-02T10:00:00Z',
  ])('%j is no date', (text) => {
    expect(() => parseFileDate(text, 'EffectiveDate')).toThrow(
      expect.objectContaining({ code: 'subscription.malformed', fields: { element: 'EffectiveDate' } }),
    );
  });

  it.each([
    ['PT24H', 86_400_000],
    ['P1D', 86_400_000],
    ['P1DT12H30M', 131_400_000],
    ['PT0.5S', 500],
    ['PT120S', 120_000],
  ])('%s is %s ms', (text, ms) => {
    expect(parseFileDuration(text, 'Duration')).toBe(ms);
  });

  it.each([
    '',
    '0',
    '9999',
    '-864000000000',
    'P',
    'PT',
    'P1DT',
    'P1Y',
    'P-1D',
    '24h',
    '99999999999999999999',
    'P999999DT99999999H999999999M99999999999S',
  ])('%j is no duration', (text) => {
    expect(() => parseFileDuration(text, 'Duration')).toThrow(
      expect.objectContaining({ code: 'subscription.malformed' }),
    );
  });
});
