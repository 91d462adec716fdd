/**
 * The times of a credential's life, and which of a pair's credentials is used at a moment. Pure. The successor is made seven days before
 * expiry and becomes effective three days before it; whatever is shorter lived keeps these proportions.
 */
import { formatDuration } from '../base/duration.ts';
import { PosternError } from '../base/error.ts';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

/** How far the clocks of a hub and an edge may differ: windows bend by it, and more is reported. */
export const CLOCK_TOLERANCE_MS = 10 * MINUTE_MS;
/** Longest life of a credential, and farthest start, that an edge takes on. */
export const MOST_LIFETIME_MS = 400 * DAY_MS;
export const MOST_AHEAD_MS = 90 * DAY_MS;

/** What an administrator may set. All milliseconds but `recoveries`. */
export interface RenewalTimings {
  readonly lifetimeMs: number;
  /** The successor is made so long before expiry. */
  readonly successorBeforeMs: number;
  /** The successor is used from so long before expiry. */
  readonly effectiveBeforeMs: number;
  /** Longest time between two looks of a hub at a pair. */
  readonly cycleMs: number;
  /** Recoveries in a row, until a normal renewal. */
  readonly recoveries: number;
  /** A pair that was not heard for so long may recover before its last credential expires. */
  readonly recoveryQuietMs: number;
}

export const DEFAULT_TIMINGS: RenewalTimings = {
  lifetimeMs: 30 * DAY_MS,
  successorBeforeMs: 7 * DAY_MS,
  effectiveBeforeMs: 3 * DAY_MS,
  cycleMs: 5 * MINUTE_MS,
  recoveries: 3,
  recoveryQuietMs: 5 * MINUTE_MS,
};
export const DEFAULT_LIFETIME_MS = DEFAULT_TIMINGS.lifetimeMs;

/** The timings themselves when they can work. Throws `config.invalid`, naming the two numbers that conflict. */
export function checkTimings(timings: RenewalTimings): RenewalTimings {
  const { lifetimeMs, successorBeforeMs, effectiveBeforeMs, cycleMs, recoveries, recoveryQuietMs } = timings;
  for (const [name, value] of Object.entries(timings) as [string, number][])
    if (!Number.isSafeInteger(value) || value < 0)
      throw invalid(`${name} must be a whole number, 0 or more, and is ${value}`);
  if (recoveries > 1000) throw invalid(`recoveries must be at most 1000, and is ${recoveries}`);
  const margin = cycleMs + CLOCK_TOLERANCE_MS;
  const marginName = 'the cycle interval with the clock tolerance';
  longer('a cycle interval', cycleMs, 'zero', 0);
  longer('effective_before', effectiveBeforeMs, marginName, margin);
  longer(
    'successor_before',
    successorBeforeMs,
    'effective_before and twice that',
    effectiveBeforeMs + 2 * margin,
  );
  // A successor lives from effectiveBefore on: its own renewal must not be due when it becomes effective.
  longer(
    'lifetime',
    lifetimeMs,
    'successor_before and effective_before',
    successorBeforeMs + effectiveBeforeMs,
  );
  notLonger('lifetime', lifetimeMs, 'the longest that an edge takes on', MOST_LIFETIME_MS);
  notLonger('successor_before', successorBeforeMs, 'the farthest start that an edge takes on', MOST_AHEAD_MS);
  // Otherwise a hub that works would not be heard in time, and whoever has its key alone could recover beside it.
  notLonger('the cycle interval', cycleMs, 'recovery_quiet', recoveryQuietMs);
  return timings;
}

function longer(name: string, value: number, thanName: string, than: number): void {
  if (value <= than)
    throw invalid(
      `${name} (${formatDuration(value)}) must be longer than ${thanName} (${formatDuration(than)})`,
    );
}

function notLonger(name: string, value: number, thanName: string, than: number): void {
  if (value > than)
    throw invalid(
      `${name} (${formatDuration(value)}) must not be longer than ${thanName} (${formatDuration(than)})`,
    );
}

function invalid(message: string): PosternError {
  return new PosternError('config.invalid', message, { hint: 'change one of the two' });
}

/** Half-open: [effectiveAt, expiresAt), Unix milliseconds. */
export interface Window {
  readonly effectiveAt: number;
  readonly expiresAt: number;
}

/** The first credential of a pair is effective at once. */
export function firstWindow(now: number, lifetimeMs: number = DEFAULT_LIFETIME_MS): Window {
  return { effectiveAt: now, expiresAt: now + lifetimeMs };
}

export interface RenewalTimes {
  /** From when the successor is made and handed to the edge. */
  readonly prepareAt: number;
  /** From when the successor is used and this credential no more. */
  readonly switchAt: number;
  /** When this credential is deleted, if it has a successor. */
  readonly deleteAt: number;
}

export function renewalTimes(window: Window, timings: RenewalTimings = DEFAULT_TIMINGS): RenewalTimes {
  // Below twice the lead the successor would be made in the first half of a credential's life: shorter ones keep the proportions.
  const scale = Math.min(1, (window.expiresAt - window.effectiveAt) / (2 * timings.successorBeforeMs));
  return {
    prepareAt: window.expiresAt - Math.floor(timings.successorBeforeMs * scale),
    switchAt: window.expiresAt - Math.floor(timings.effectiveBeforeMs * scale),
    deleteAt: window.expiresAt,
  };
}

/** The window of the credential that follows `window`, made at `now`: effective when planned, or at once when that is past. */
export function successorWindow(
  window: Window,
  now: number,
  timings: RenewalTimings = DEFAULT_TIMINGS,
): Window {
  const effectiveAt = Math.max(now, renewalTimes(window, timings).switchAt);
  return { effectiveAt, expiresAt: effectiveAt + timings.lifetimeMs };
}

export type Phase = 'not-yet-effective' | 'in-use' | 'renewal-due' | 'superseded-soon' | 'expired';

/** Where in its life a credential is: `renewal-due` from prepareAt, `superseded-soon` from switchAt. */
export function phaseOf(window: Window, now: number): Phase {
  const times = renewalTimes(window);
  if (now >= window.expiresAt) return 'expired';
  if (now < window.effectiveAt) return 'not-yet-effective';
  return now >= times.switchAt ? 'superseded-soon' : now >= times.prepareAt ? 'renewal-due' : 'in-use';
}

/**
 * The credentials that a hub tries, best first: those in their window, the latest effective one first (a successor is used as soon as it is
 * effective). Empty when all have expired or none is effective yet.
 */
export function usableCredentials<T extends Window>(credentials: readonly T[], now: number): T[] {
  return credentials
    .filter((credential) => credential.effectiveAt <= now && now < credential.expiresAt)
    .sort((a, b) => b.effectiveAt - a.effectiveAt || b.expiresAt - a.expiresAt);
}

/** True when a successor should be made now: no credential of the pair reaches beyond this one's renewal. */
export function renewalDue(
  credentials: readonly Window[],
  now: number,
  timings: RenewalTimings = DEFAULT_TIMINGS,
): boolean {
  const latest = latestOf(credentials);
  return latest !== undefined && now >= renewalTimes(latest, timings).prepareAt;
}

/**
 * Those to be deleted: expired, and a later one exists. The last credential of a pair is never deleted: time disables it, so that a pair can
 * always be told apart from a stranger.
 */
export function deletableCredentials<T extends Window>(credentials: readonly T[], now: number): T[] {
  const latest = latestOf(credentials);
  return credentials.filter((credential) => credential !== latest && now >= credential.expiresAt);
}

/** The next moment at which something above changes, or `undefined` when nothing will. */
export function nextEventAt(
  credentials: readonly Window[],
  now: number,
  timings: RenewalTimings = DEFAULT_TIMINGS,
): number | undefined {
  const moments = credentials.flatMap((credential) => {
    const times = renewalTimes(credential, timings);
    return [credential.effectiveAt, times.prepareAt, times.switchAt, times.deleteAt];
  });
  return moments.filter((moment) => moment > now).sort((a, b) => a - b)[0];
}

export function latestOf<T extends Window>(credentials: readonly T[]): T | undefined {
  return credentials.reduce<T | undefined>(
    (best, next) =>
      best === undefined ||
      next.expiresAt > best.expiresAt ||
      (next.expiresAt === best.expiresAt && next.effectiveAt > best.effectiveAt)
        ? next
        : best,
    undefined,
  );
}
