/**
 * Times as a subscription file writes them: a 64-bit count of 100 ns ticks since 0001-01-01 UTC, or ISO 8601. Exact: ticks are BigInt, because
 * today's count (6.4e17) is past the exact range of a number. Owns these formats only; knows nothing of the file.
 */
import { PosternError } from '../base/error.ts';

/** 1970-01-01T00:00:00Z in ticks. */
export const TICKS_AT_UNIX_EPOCH = 621_355_968_000_000_000n;
export const TICKS_PER_MS = 10_000n;
/** 9999-12-31T23:59:59.9999999Z: the last tick that a date can have. */
export const MOST_TICKS = 3_155_378_975_999_999_999n;

/** Unix milliseconds (a whole number) to ticks. */
export function ticksFromUnixMs(unixMs: number): bigint {
  return BigInt(unixMs) * TICKS_PER_MS + TICKS_AT_UNIX_EPOCH;
}

/** Ticks to Unix milliseconds, rounded down to a whole millisecond (also before 1970). */
export function unixMsFromTicks(ticks: bigint): number {
  return Number(floorDivide(ticks - TICKS_AT_UNIX_EPOCH, TICKS_PER_MS));
}

export function ticksFromDuration(ms: number): bigint {
  return BigInt(ms) * TICKS_PER_MS;
}

/** A file's date: ticks, or ISO 8601 (`2026-11-02T10:00:00Z`; without a zone it is UTC). Unix milliseconds; throws `subscription.malformed`. */
export function parseFileDate(text: string, element: string): number {
  if (/^\d{1,19}$/.test(text)) {
    const ticks = BigInt(text);
    if (ticks <= MOST_TICKS) return unixMsFromTicks(ticks);
  } else {
    const ms = parseIsoDate(text);
    if (ms !== undefined) return ms;
  }
  throw notA('date', element, text);
}

/** A file's duration: ticks, or ISO 8601 (`PT24H`, `P1DT12H`). Milliseconds, more than 0; throws `subscription.malformed`. */
export function parseFileDuration(text: string, element: string): number {
  let ms: number | undefined;
  if (/^\d{1,19}$/.test(text)) {
    const ticks = BigInt(text);
    if (ticks <= MOST_TICKS) ms = Number(ticks / TICKS_PER_MS);
  } else {
    ms = parseIsoDuration(text);
  }
  if (ms === undefined || ms <= 0 || ms > Number(MOST_TICKS / TICKS_PER_MS))
    throw notA('duration', element, text);
  return ms;
}

const ISO_DATE = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?$/;

function parseIsoDate(text: string): number | undefined {
  const match = ISO_DATE.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  // Date.UTC takes 0..99 for 1900..1999 and carries what is out of range over; both would read another date than was written.
  if (
    year < 100 ||
    month < 1 ||
    month > 12 ||
    day < 1 ||
    day > daysOfMonth(year, month) ||
    hour > 23 ||
    minute > 59 ||
    second > 59
  )
    return undefined;
  const fraction = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3));
  const zone = zoneMinutes(match[8] ?? 'Z');
  return zone === undefined
    ? undefined
    : Date.UTC(year, month - 1, day, hour, minute, second, fraction) - zone * 60_000;
}

function daysOfMonth(year: number, month: number): number {
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  return month === 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31;
}

function zoneMinutes(zone: string): number | undefined {
  if (zone === 'Z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(-2));
  if (hours > 14 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}

const ISO_DURATION = /^P(?:(\d{1,6})D)?(?:T(?:(\d{1,8})H)?(?:(\d{1,9})M)?(?:(\d{1,11})(?:\.(\d{1,7}))?S)?)?$/;

function parseIsoDuration(text: string): number | undefined {
  const match = ISO_DURATION.exec(text);
  if (match === null || text.endsWith('P') || text.endsWith('T')) return undefined;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1, 5).map((part) => Number(part ?? 0));
  const fraction = Number((match[5] ?? '').padEnd(3, '0').slice(0, 3));
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + fraction;
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b < 0n ? quotient - 1n : quotient;
}

function notA(what: string, element: string, text: string): PosternError {
  return new PosternError('subscription.malformed', `${element} is not a ${what}: "${text.slice(0, 40)}"`, {
    hint: `${element} is a count of 100 ns ticks${what === 'date' ? ' since 0001-01-01 UTC' : ''}, or ISO 8601`,
    fields: { element },
  });
}
