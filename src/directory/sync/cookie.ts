/**
 * Cookies of content synchronisation (RFC 4533) in the form of OpenLDAP, whose consumers take them apart and keep the change sequence numbers (CSN) alone:
 * `rid=000,csn=<time>#<count>#<server>#<run>`. `server` is the directory's for ever: consumers compare numbers of one server only. `run` stands where slapd
 * has six zeros. It tells the uninterrupted history: after a crash, changes that somebody was told of may not have happened, so old cookies must not fit. Pure.
 */
import { csnText } from '../entry/computed.ts';
import type { ChangeNumber } from '../database.ts';

const LONGEST = 4096;

/** Whose cookies: three and six hexadecimal digits. */
export interface CookieIssuer {
  readonly server: string;
  readonly run: string;
}

export function formatCookie(change: ChangeNumber, { server, run }: CookieIssuer): Buffer {
  return Buffer.from(`rid=000,csn=${csnText(change, server).slice(0, -6)}${run}`);
}

/** The position that a cookie of this issuer names; undefined for any other: the consumer then gets everything. */
export function parseCookie(cookie: Buffer, { server, run }: CookieIssuer): ChangeNumber | undefined {
  if (cookie.length > LONGEST) return undefined;
  const csns = /(?:^|,)csn=([^,]*)/.exec(cookie.toString('latin1'))?.[1]?.split(';') ?? [];
  for (const csn of csns) {
    const match =
      /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\.(\d{3})000Z#([0-9a-f]{6})#([0-9a-f]{3})#([0-9a-f]{6})$/.exec(
        csn,
      );
    if (match === null || match[9] !== server || match[10] !== run) continue;
    const [year, month, day, hour, minute, second, ms] = match.slice(1, 8).map(Number) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    return {
      time: Date.UTC(year, month - 1, day, hour, minute, second, ms),
      count: Number.parseInt(match[8] as string, 16),
    };
  }
  return undefined;
}

/** True when `a` comes after `b`. */
export function isAfter(a: ChangeNumber, b: ChangeNumber): boolean {
  return a.time > b.time || (a.time === b.time && a.count > b.count);
}
