/**
 * The lease of an edge: at most one connection may write data. The edge is the arbiter and its clock alone counts; what
 * a holder believes does not matter. Pure: state in, state out; the driver stores the epoch before it answers.
 */

export type LeaseState = 'free' | 'held' | 'orphaned' | 'expired';

/** `connection` is whatever identifies a live connection to the driver; undefined once it is gone. */
export interface Lease<Connection> {
  readonly epoch: number;
  readonly holder: string;
  /** 16 random bytes, known to the holder only. */
  readonly leaseId: Buffer | undefined;
  /** Monotonic milliseconds. */
  readonly expiresAt: number;
  readonly connection: Connection | undefined;
}

/** Longest lease that is granted, whatever is asked (the source system's preferred-holder time). */
export const LONGEST_LEASE_MS = 30 * 60_000;
/** Lock time of the source system. */
export const DEFAULT_LEASE_MS = 6 * 60_000;
/** The holder renews when less than this remains. */
export const RENEW_BELOW_MS = 4 * 60_000;

export function noLease<C>(epoch: number): Lease<C> {
  return { epoch, holder: '', leaseId: undefined, expiresAt: 0, connection: undefined };
}

/** A lease read back after a restart: its connection is gone, so it is orphaned until it would have run out. */
export function orphanedLease<C>(
  epoch: number,
  holder: string,
  leaseId: Buffer | undefined,
  remainingMs: number,
  now: number,
): Lease<C> {
  return { epoch, holder, leaseId, expiresAt: now + remainingMs, connection: undefined };
}

export function leaseState<C>(lease: Lease<C>, now: number): LeaseState {
  if (lease.leaseId === undefined) return 'free';
  if (now >= lease.expiresAt) return 'expired';
  return lease.connection === undefined ? 'orphaned' : 'held';
}

/** Milliseconds left, never negative. */
export function leaseRemaining<C>(lease: Lease<C>, now: number): number {
  return lease.leaseId === undefined ? 0 : Math.max(0, lease.expiresAt - now);
}

export interface AcquireRequest<C> {
  readonly connection: C;
  readonly holder: string;
  readonly durationMs: number;
  /** Shown by a holder that comes back on another connection. */
  readonly shownId: Buffer | undefined;
  /** Fresh random bytes for the new lease. */
  readonly newId: Buffer;
}

/** The new lease, or undefined when somebody else holds it. Every grant raises the epoch. */
export function acquire<C>(lease: Lease<C>, request: AcquireRequest<C>, now: number): Lease<C> | undefined {
  // Shown by its own hub: another one cannot have come by it honestly.
  const shown =
    request.shownId !== undefined &&
    lease.leaseId !== undefined &&
    request.holder === lease.holder &&
    request.shownId.equals(lease.leaseId);
  if (leaseState(lease, now) === 'held' && lease.connection !== request.connection && !shown)
    return undefined;
  return {
    epoch: lease.epoch + 1,
    holder: request.holder,
    leaseId: request.newId,
    expiresAt: now + Math.min(Math.max(0, request.durationMs), LONGEST_LEASE_MS),
    connection: request.connection,
  };
}

/** Extends the lease of the connection that holds it; undefined when it does not (any more). The epoch stays. */
export function renew<C>(
  lease: Lease<C>,
  connection: C,
  durationMs: number,
  now: number,
): Lease<C> | undefined {
  if (!holdsLease(lease, connection, now)) return undefined;
  return { ...lease, expiresAt: now + Math.min(Math.max(0, durationMs), LONGEST_LEASE_MS) };
}

export function release<C>(lease: Lease<C>, connection: C): Lease<C> {
  return lease.connection === connection ? noLease(lease.epoch) : lease;
}

export function connectionLost<C>(lease: Lease<C>, connection: C): Lease<C> {
  return lease.connection === connection ? { ...lease, connection: undefined } : lease;
}

/** The fence: asked at every commit of data. */
export function holdsLease<C>(lease: Lease<C>, connection: C, now: number): boolean {
  return leaseState(lease, now) === 'held' && lease.connection === connection;
}
