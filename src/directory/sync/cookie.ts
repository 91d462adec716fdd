/**
 * Cookies of content synchronisation (RFC 4533) in the form of OpenLDAP, whose consumers take them apart:
 * `rid=000,csn=<CSN>,run=<hex>`. `run` tells the directory and its uninterrupted history: after a crash, changes that somebody was
 * told of may not have happened, so old cookies must not fit. Pure.
 */
import { csnText, serverOf } from '../entry/computed.ts';
import type { ChangeNumber } from '../database.ts';

const LONGEST = 4096;

/** `run`: hexadecimal digits. */
export function formatCookie(change: ChangeNumber, run: string): Buffer {
  return Buffer.from(`rid=000,csn=${csnText(change, serverOf(run))},run=${run}`);
}

/** The position that a cookie of this run names; undefined for any other: the consumer then gets everything. */
export function parseCookie(cookie: Buffer, run: string): ChangeNumber | undefined {
  if (cookie.length > LONGEST) return undefined;
  const text = cookie.toString('latin1');
  const named = /(?:^|,)run=([0-9a-f]+)/.exec(text)?.[1];
  if (named !== undefined && named !== run) return undefined;
  const csns = /(?:^|,)csn=([^,]*)/.exec(text)?.[1]?.split(';') ?? [];
  for (const csn of csns) {
    const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\.(\d{3})000Z#([0-9a-f]{6})#([0-9a-f]{3})#/.exec(
      csn,
    );
    if (match === null || match[9] !== serverOf(run)) continue;
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
