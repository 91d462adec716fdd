/** Numbers as the demo says them. Pure. */
import { formatDuration } from '../../base/duration.ts';

/** "12,345" whatever the locale. */
export function count(number: number): string {
  return String(number).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

export function perSecond(number: number, ms: number): string {
  return `${count(Math.round((number / Math.max(ms, 0.001)) * 1000))}/s`;
}

/** "450 ms", "3.8 s", "2 min 5 s". */
export function duration(ms: number): string {
  return ms < 1000
    ? `${Math.round(ms)} ms`
    : ms < 60_000
      ? `${(ms / 1000).toFixed(1)} s`
      : formatDuration(ms);
}
