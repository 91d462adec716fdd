import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  acquire,
  connectionLost,
  holdsLease,
  type Lease,
  LONGEST_LEASE_MS,
  leaseState,
  noLease,
  orphanedLease,
  release,
  renew,
} from './lease.ts';

const id = (n: number): Buffer => Buffer.alloc(16, n);
const take = (
  lease: Lease<string>,
  connection: string,
  now: number,
  n: number,
  shownId?: Buffer,
  holder = connection,
): Lease<string> | undefined =>
  acquire(lease, { connection, holder, durationMs: 1000, shownId, newId: id(n) }, now);

describe('lease', () => {
  it('goes free, held, orphaned, expired', () => {
    const free = noLease<string>(7);
    expect(leaseState(free, 0)).toBe('free');
    const held = take(free, 'a', 0, 1);
    if (held === undefined) throw new Error('not granted');
    expect([held.epoch, leaseState(held, 999), leaseState(held, 1000)]).toEqual([8, 'held', 'expired']);
    const orphan = connectionLost(held, 'a');
    expect(leaseState(orphan, 10)).toBe('orphaned');
    expect(holdsLease(orphan, 'a', 10)).toBe(false);
    expect(connectionLost(held, 'b')).toBe(held);
  });

  it('refuses another connection while held, unless it shows the lease', () => {
    const held = take(noLease<string>(0), 'a', 0, 1);
    if (held === undefined) throw new Error('not granted');
    expect(take(held, 'b', 10, 2)).toBeUndefined();
    expect(take(held, 'b', 10, 2, id(9))).toBeUndefined();
    expect(take(held, 'b', 10, 2, id(1), 'a')?.connection).toBe('b');
    expect(take(held, 'b', 10, 2, id(1), 'another hub')).toBeUndefined();
    expect(take(held, 'b', 1000, 2)?.epoch).toBe(held.epoch + 1);
    expect(release(held, 'b')).toBe(held);
    expect(leaseState(release(held, 'a'), 10)).toBe('free');
  });

  it('is renewed by its connection only, and only in time', () => {
    const held = take(noLease<string>(0), 'a', 0, 1);
    if (held === undefined) throw new Error('not granted');
    expect(renew(held, 'a', 1000, 500)?.expiresAt).toBe(1500);
    expect(renew(held, 'b', 1000, 500)).toBeUndefined();
    expect(renew(held, 'a', 1000, 1000)).toBeUndefined();
    expect(renew(held, 'a', 1e12, 1)?.expiresAt).toBe(1 + LONGEST_LEASE_MS);
  });

  it('survives a restart of the edge as an orphan', () => {
    const back = orphanedLease<string>(3, 'hub1', id(1), 400, 100);
    expect([leaseState(back, 499), leaseState(back, 500)]).toEqual(['orphaned', 'expired']);
    expect(take(back, 'b', 100, 2)?.epoch).toBe(4);
  });

  it('never has two holders, and the epoch only grows', () => {
    const step = fc.record({
      who: fc.constantFrom('a', 'b', 'c'),
      what: fc.constantFrom('take', 'renew', 'lose', 'release'),
      wait: fc.integer({ min: 0, max: 1500 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        let lease: Lease<string> = noLease(0);
        let now = 0;
        let n = 1;
        for (const { who, what, wait } of steps) {
          now += wait;
          const before = lease;
          if (what === 'take') lease = take(lease, who, now, n++ % 250) ?? lease;
          if (what === 'renew') lease = renew(lease, who, 1000, now) ?? lease;
          if (what === 'lose') lease = connectionLost(lease, who);
          if (what === 'release') lease = release(lease, who);
          expect(lease.epoch).toBeGreaterThanOrEqual(before.epoch);
          const holders = ['a', 'b', 'c'].filter((c) => holdsLease(lease, c, now));
          expect(holders.length).toBeLessThanOrEqual(1);
          if (holders[0] !== undefined && !holdsLease(before, holders[0], now))
            expect(lease.epoch).toBe(before.epoch + 1);
        }
      }),
    );
  });
});
