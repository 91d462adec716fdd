/** Exponential backoff with jitter; pure but for the randomness handed in. */
import type { Random } from './random.ts';

export interface BackoffOptions {
  /** First delay, milliseconds. */
  firstMs: number;
  /** Longest delay, milliseconds. */
  mostMs: number;
  /** Growth a failure; 2 unless told. */
  factor?: number;
}

/** Delay before attempt number `failures + 1` (failures >= 1): between half and all of the exponential value. */
export function backoffDelay(failures: number, options: BackoffOptions, random: Random): number {
  const full = Math.min(options.mostMs, options.firstMs * (options.factor ?? 2) ** Math.max(0, failures - 1));
  return full / 2 + (full / 2) * random.fraction();
}
