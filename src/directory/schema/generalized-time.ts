/** GeneralizedTime as LDAP allows it (RFC 4517 §3.3.13): minutes and seconds may be missing, any fraction, any zone. */
import { formatGeneralizedTime, parseGeneralizedTime } from '../../asn1/time.ts';

const FORM = /^(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,](\d{1,18}))?(?:Z|([+-])(\d\d)(\d\d)?)$/;

/**
 * Canonical text in UTC, `YYYYMMDDHHMMSS[.f]Z` with the fraction's trailing zeros removed; the order of such texts without
 * the `Z` is the order in time. Undefined when malformed. A leap second counts as the last second of its minute.
 */
export function canonicalTime(text: string): string | undefined {
  const match = FORM.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction, sign, zoneHour, zoneMinute] = match;
  const leap = second === '60';
  const base = parseGeneralizedTime(
    `${year}${month}${day}${hour}${minute ?? '00'}${leap ? '59' : (second ?? '00')}Z`,
  );
  if (base === undefined || Number(zoneHour ?? 0) > 23 || Number(zoneMinute ?? 0) > 59) return undefined;
  let ms = base;
  let rest = fraction ?? '';
  if (rest !== '' && second === undefined) {
    // A fraction belongs to the last unit given: of a minute or an hour.
    const seconds = Number(`0.${rest}`) * (minute === undefined ? 3600 : 60);
    ms += Math.floor(seconds) * 1000;
    rest = (seconds - Math.floor(seconds)).toFixed(6).slice(2);
  }
  const zone = (Number(zoneHour ?? 0) * 60 + Number(zoneMinute ?? 0)) * 60_000;
  ms -= sign === '-' ? -zone : zone;
  if (ms < EARLIEST || ms > LATEST) return undefined;
  rest = rest.replace(/0+$/, '');
  return `${formatGeneralizedTime(ms).slice(0, 14)}${rest === '' ? '' : `.${rest}`}Z`;
}

/** 0000-01-01 and 9999-12-31 23:59:59 UTC: what four digits can say. */
const EARLIEST = -62_167_219_200_000;
const LATEST = 253_402_300_799_999;
