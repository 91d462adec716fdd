/** What servers of all kinds say an entry is: its name for ever, and when it was changed. */
import { parseGeneralizedTime } from '../../asn1/time.ts';

const OCTETS = 16;
const LONGEST_TEXT = 40;

/** 16 octets as they are, or 32 hexadecimal digits with hyphens anywhere (entryUUID, nsUniqueId). Undefined for anything else. */
export function uniqueIdOf(value: Buffer | undefined): Buffer | undefined {
  if (value === undefined || value.length > LONGEST_TEXT) return undefined;
  if (value.length === OCTETS) return Buffer.from(value);
  const digits = value.toString('latin1').replaceAll('-', '');
  return /^[0-9a-f]{32}$/i.test(digits) ? Buffer.from(digits, 'hex') : undefined;
}

/** Milliseconds since 1970 of a generalized time in UTC. Undefined for anything else. */
export function timeOf(value: Buffer | undefined): number | undefined {
  return value === undefined || value.length > LONGEST_TEXT
    ? undefined
    : parseGeneralizedTime(value.toString('latin1'));
}
