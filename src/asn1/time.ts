/** UTCTime and GeneralizedTime in the DER profile of X.690 §11.7, §11.8 and RFC 5280 §4.1.2.5. Times are milliseconds since 1970. */

/** YYMMDDHHMMSSZ; years 1950 to 2049. Undefined when malformed. */
export function parseUtcTime(text: string): number | undefined {
  const match = /^(\d\d)(\d{10})Z$/.exec(text);
  if (match === null) return undefined;
  const year = Number(match[1]);
  return fromDigits(year < 50 ? 2000 + year : 1900 + year, match[2] as string, 0);
}

/** YYYYMMDDHHMMSSZ, fractions of a second allowed to be read. Undefined when malformed. */
export function parseGeneralizedTime(text: string): number | undefined {
  const match = /^(\d{4})(\d{10})(?:\.(\d{1,9}))?Z$/.exec(text);
  if (match === null) return undefined;
  return fromDigits(Number(match[1]), match[2] as string, Math.floor(Number(`0.${match[3] ?? '0'}`) * 1000));
}

function fromDigits(year: number, rest: string, ms: number): number | undefined {
  const [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map((at) => Number(rest.slice(at, at + 2))) as [
    number,
    number,
    number,
    number,
    number,
  ];
  if (
    month < 1 ||
    month > 12 ||
    day < 1 ||
    day > daysIn(year, month) ||
    hour > 23 ||
    minute > 59 ||
    second > 59
  )
    return undefined;
  return daysSinceEpoch(year, month, day) * 86_400_000 + ((hour * 60 + minute) * 60 + second) * 1000 + ms;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Proleptic Gregorian calendar: March-based years make February's end the year's end. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const y = month > 2 ? year : year - 1;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  return (
    era * 146_097 +
    yearOfEra * 365 +
    Math.floor(yearOfEra / 4) -
    Math.floor(yearOfEra / 100) +
    dayOfYear -
    719_468
  );
}

/** Year, month, day, hour, minute, second as digits: "20260131235959". */
function digits(ms: number): string {
  let days = Math.floor(ms / 86_400_000);
  const seconds = Math.floor((ms - days * 86_400_000) / 1000);
  days += 719_468;
  const era = Math.floor(days / 146_097);
  const dayOfEra = days - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shifted = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1;
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const two = (n: number): string => String(n).padStart(2, '0');
  return (
    String(year).padStart(4, '0') +
    two(month) +
    two(day) +
    two(Math.floor(seconds / 3600)) +
    two(Math.floor(seconds / 60) % 60) +
    two(seconds % 60)
  );
}

/** YYYYMMDDHHMMSSZ; fractions are cut off. Years 0 to 9999. */
export function formatGeneralizedTime(ms: number): string {
  return `${digits(ms)}Z`;
}

/** YYMMDDHHMMSSZ; only for years 1950 to 2049. */
export function formatUtcTime(ms: number): string {
  return `${digits(ms).slice(2)}Z`;
}

/** RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. */
export function fitsUtcTime(ms: number): boolean {
  return ms >= -631_152_000_000 && ms < 2_524_608_000_000;
}
