/** Drives the lease (see `lease.ts`): the epoch is durable before a grant is answered, and a connection that ends leaves an orphan. */
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { type ExtendedReply, refuse, type Session, SUCCESS } from '../../directory/directory.ts';
import { decodeLeaseRequest, encodeLeaseResponse, type LeaseRequest } from '../../ldap/postern-extended.ts';
import { TokenBucket } from '../../ldap/server-limits.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import {
  acquire,
  connectionLost,
  holdsLease,
  type Lease,
  leaseRemaining,
  leaseState,
  noLease,
  orphanedLease,
  release,
  renew,
} from './lease.ts';

/** Each grant and renewal costs a write to the disk: so many at once of one hub, then so many a second (a holder needs one in minutes). */
export const LEASE_REQUESTS = { atOnce: 60, perSecond: 1 } as const;
/** Hubs whose requests are counted; there are a handful. */
const MOST_HUBS = 1000;

export interface LeaseServiceOptions {
  readonly trust: TrustStore<EdgeTrustState>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class LeaseService {
  readonly #options: LeaseServiceOptions;
  #lease: Lease<Session>;
  #resets = 0;
  /** By hub, since a hub may come on as many connections as it likes. */
  readonly #buckets = new Map<string, TokenBucket>();
  /** Sessions whose end is being listened for. */
  readonly #watched = new WeakSet<Session>();
  /** Grants are made one after the other, since each waits for the disk. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: LeaseServiceOptions) {
    this.#options = options;
    const { lease } = options.trust.value;
    const remaining = lease.expiresAt - options.clock.now();
    this.#lease =
      lease.leaseId === undefined || remaining <= 0
        ? noLease(lease.epoch)
        : orphanedLease(
            lease.epoch,
            lease.holder,
            Buffer.from(lease.leaseId),
            remaining,
            options.clock.monotonic(),
          );
  }

  /** The fence: asked at every commit of data. */
  holds(session: Session): boolean {
    return holdsLease(this.#lease, session, this.#options.clock.monotonic());
  }

  get status() {
    const now = this.#options.clock.monotonic();
    const { epoch, holder } = this.#lease;
    return {
      state: leaseState(this.#lease, now),
      epoch,
      holder,
      remainingMs: Math.round(leaseRemaining(this.#lease, now)),
    };
  }

  /** Forgets the lease (the subscription is gone). The epoch is the trust store's business. */
  reset(epoch: number): void {
    this.#resets++;
    this.#lease = noLease(epoch);
  }

  /** Answers the extended operation; `hub` is the caller's name as its account says, which is what counts as holder. */
  handle(value: Buffer | undefined, session: Session, hub: string): Promise<ExtendedReply> {
    const request = decodeLeaseRequest(value);
    // A release writes only after a grant.
    if (request.action !== 'release' && !this.#mayAsk(hub))
      refuse('busy', 'too many lease requests: at most one a second');
    const answer = this.#turn.then(() => this.#answer(request, session, hub));
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  #mayAsk(hub: string): boolean {
    const now = this.#options.clock.monotonic();
    let bucket = this.#buckets.get(hub);
    if (bucket === undefined) {
      if (this.#buckets.size >= MOST_HUBS) this.#buckets.clear();
      bucket = new TokenBucket(LEASE_REQUESTS.perSecond, now, LEASE_REQUESTS.atOnce);
      this.#buckets.set(hub, bucket);
    }
    return bucket.take(now);
  }

  async #answer(request: LeaseRequest, session: Session, hub: string): Promise<ExtendedReply> {
    const { clock, random, log } = this.#options;
    if (session.ended) refuse('unavailable', 'the connection has ended');
    const now = clock.monotonic();
    const durationMs = request.durationSeconds * 1000;
    if (request.action === 'release') {
      if (holdsLease(this.#lease, session, now)) await this.#store(release(this.#lease, session));
    } else if (request.action === 'renew') {
      const renewed = renew(this.#lease, session, durationMs, now);
      if (renewed !== undefined) await this.#store(renewed);
    } else {
      const held = acquire(
        this.#lease,
        { connection: session, holder: hub, durationMs, shownId: request.leaseId, newId: random.bytes(16) },
        now,
      );
      if (held !== undefined) {
        await this.#store(held);
        if (!this.#watched.has(session)) {
          this.#watched.add(session);
          session.onEnd((ended) => {
            this.#lease = connectionLost(this.#lease, ended);
          });
        }
        log.info('lease granted', { hub, epoch: held.epoch });
      }
    }
    const { leaseId } = this.#lease;
    const own = leaseId !== undefined && this.holds(session);
    return { result: SUCCESS, value: encodeLeaseResponse({ ...this.status, ...(own ? { leaseId } : {}) }) };
  }

  async #store(lease: Lease<Session>): Promise<void> {
    const { trust, clock } = this.#options;
    const resets = this.#resets;
    const expiresAt = Math.round(clock.now() + leaseRemaining(lease, clock.monotonic()));
    await trust.update((draft) => ({
      ...draft,
      lease: {
        epoch: lease.epoch,
        holder: lease.holder,
        expiresAt,
        ...(lease.leaseId === undefined ? {} : { leaseId: lease.leaseId }),
      },
    }));
    if (resets !== this.#resets) refuse('unavailable', 'the subscription has ended');
    // The connection may have ended meanwhile: nobody must hold a lease that nobody can release.
    this.#lease = lease.connection?.ended === true ? connectionLost(lease, lease.connection) : lease;
  }
}
