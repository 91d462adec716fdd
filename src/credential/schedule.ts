/**
 * The times of a credential's life, and which of a pair's credentials is used at a moment. Pure. The successor is made seven days before
 * expiry and becomes effective three days before it; whatever is shorter lived keeps these proportions.
 */

const DAY_MS = 86_400_000;
export const DEFAULT_LIFETIME_MS = 30 * DAY_MS;
const PREPARE_BEFORE_MS = 7 * DAY_MS;
const EFFECTIVE_BEFORE_MS = 3 * DAY_MS;
/** Below this the three days would not lie inside the second half of a credential's life. */
const SHORTEST_FULL_LIFETIME_MS = 14 * DAY_MS;

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

export function renewalTimes(window: Window): RenewalTimes {
  const lifetime = window.expiresAt - window.effectiveAt;
  const scale = Math.min(1, lifetime / SHORTEST_FULL_LIFETIME_MS);
  return {
    prepareAt: window.expiresAt - Math.floor(PREPARE_BEFORE_MS * scale),
    switchAt: window.expiresAt - Math.floor(EFFECTIVE_BEFORE_MS * scale),
    deleteAt: window.expiresAt,
  };
}

/** The window of the credential that follows `window`, made at `now`: effective when planned, or at once when that is past. */
export function successorWindow(
  window: Window,
  now: number,
  lifetimeMs: number = DEFAULT_LIFETIME_MS,
): Window {
  const effectiveAt = Math.max(now, renewalTimes(window).switchAt);
  return { effectiveAt, expiresAt: effectiveAt + lifetimeMs };
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
export function renewalDue(credentials: readonly Window[], now: number): boolean {
  const latest = latestOf(credentials);
  return latest !== undefined && now >= renewalTimes(latest).prepareAt;
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
export function nextEventAt(credentials: readonly Window[], now: number): number | undefined {
  const moments = credentials.flatMap((credential) => {
    const times = renewalTimes(credential);
    return [credential.effectiveAt, times.prepareAt, times.switchAt, times.deleteAt];
  });
  return moments.filter((moment) => moment > now).sort((a, b) => a - b)[0];
}

function latestOf<T extends Window>(credentials: readonly T[]): T | undefined {
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
