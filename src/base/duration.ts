/** Durations as administrators write them ("24h", "5 min", "1d12h") and read them ("in 3 d 4 h"). Values are milliseconds. */
import { PosternError } from './error.ts';

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  sec: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Parses "90s", "6min", "1d12h", "2 h 30 min". Throws `usage` for anything else, zero length included. */
export function parseDuration(text: string): number {
  const parts = [...text.trim().matchAll(/(\d{1,9})\s*(ms|sec|s|min|m|h|d|w)\s*/gy)];
  const consumed = parts.reduce((sum, part) => sum + part[0].length, 0);
  if (parts.length === 0 || consumed !== text.trim().length) {
    throw new PosternError('usage', `not a duration: "${text.slice(0, 40)}"`, {
      hint: 'write a number and a unit, for example 90s, 6min, 24h, 30d',
    });
  }
  return parts.reduce((sum, part) => sum + Number(part[1]) * (UNIT_MS[part[2] ?? ''] ?? 0), 0);
}

/** The two largest units of a duration: "6 min", "2 d 3 h", "450 ms". */
export function formatDuration(ms: number): string {
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  let rest = Math.round(ms / 1000);
  const parts: string[] = [];
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(' ');
}

/** "3 min ago" or "in 2 h", seen from `now`. */
export function formatAge(at: number, now: number): string {
  return at <= now ? `${formatDuration(now - at)} ago` : `in ${formatDuration(at - now)}`;
}
