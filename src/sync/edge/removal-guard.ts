/**
 * The removal guard: a source that suddenly answers with fewer entries must not turn into "550 user unknown" for everybody.
 * Removals of the last 24 hours are counted; beyond the limit they become marks that go on answering until somebody
 * approves. Pure; the edge applies it when a transaction is committed.
 */

export interface RemovalLimits {
  /** Most removals in 24 h. */
  readonly most: number;
  /** Most removals in 24 h, as a share (0..1) of the entries of that kind. */
  readonly share: number;
}

export const DEFAULT_REMOVAL_LIMITS: RemovalLimits = { most: 500, share: 0.2 };
const WINDOW_MS = 24 * 3_600_000;
/** Removals are counted in slices, so that a window is at most 144 numbers. */
const SLICE_MS = 10 * 60_000;

/** Removals carried out, per slice of ten minutes, oldest first. */
export type RemovalWindow = readonly { readonly at: number; readonly count: number }[];

export function removalsIn(window: RemovalWindow, now: number): number {
  return window.reduce((sum, slice) => (slice.at > now - WINDOW_MS ? sum + slice.count : sum), 0);
}

/** How many removals a directory of `entries` may lose in 24 h: one is always allowed, so that a tiny site can work. */
export function removalBudget(limits: RemovalLimits, entries: number): number {
  return Math.min(limits.most, Math.max(1, Math.floor(entries * limits.share)));
}

/**
 * Whether `removals` may be carried out now. `planned` is what the hub announced for the whole pass (a sweep is split
 * into many transactions; the first ones must not slip through), `entries` the size of the kind before the transaction.
 */
export function mayRemove(
  window: RemovalWindow,
  removals: number,
  planned: number,
  entries: number,
  limits: RemovalLimits,
  now: number,
): boolean {
  const done = removalsIn(window, now);
  // What was removed in the window belonged to the directory: the share is of the size before it shrank.
  return done + Math.max(removals, planned) <= removalBudget(limits, entries + done);
}

export function countRemovals(window: RemovalWindow, removals: number, now: number): RemovalWindow {
  if (removals === 0) return window;
  const at = now - (now % SLICE_MS);
  const recent = window.filter((slice) => slice.at > now - WINDOW_MS && slice.at !== at);
  const same = window.find((slice) => slice.at === at)?.count ?? 0;
  return [...recent, { at, count: same + removals }];
}

/** What the guard looks at in a stored recipient; hashes as latin1 strings, since they are compared as sets. */
export interface GuardedEntry {
  readonly addresses: readonly Buffer[];
  readonly pendingAddresses: readonly Buffer[];
}

export interface GuardedAddresses {
  readonly addresses: readonly Buffer[];
  readonly pending: readonly Buffer[];
}

/** Addresses that a replacement of `old` by `next` would take away (those already pending do not count again). */
export function lostAddresses(old: GuardedEntry, next: readonly Buffer[]): Buffer[] {
  const kept = new Set([...next, ...old.pendingAddresses].map(key));
  return old.addresses.filter((address) => !kept.has(key(address)));
}

/** The addresses to store when `next` replaces `old`: with `allowed`, what is lost goes; otherwise it stays and is marked. */
export function guardedAddresses(
  old: GuardedEntry,
  next: readonly Buffer[],
  allowed: boolean,
): GuardedAddresses {
  const wanted = new Set(next.map(key));
  const stillPending = old.pendingAddresses.filter((address) => !wanted.has(key(address)));
  const pending = allowed ? stillPending : [...stillPending, ...lostAddresses(old, next)];
  return { addresses: [...next, ...pending], pending };
}

function key(address: Buffer): string {
  return address.toString('latin1');
}
