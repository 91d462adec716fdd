/**
 * The link from this hub to one edge: connect, bootstrap if need be, take the lease, push topology and domains, keep
 * recipients in step; on any failure wait and begin again. Everything about one edge happens here, in order.
 */
import { backoffDelay } from '../../base/backoff.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { describeError, type ErrorCode, isPosternError, PosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { type LinkIdentities, meetEdge } from './edge-identity.ts';
import {
  type BootstrapCredential,
  type EdgeSession,
  type EdgeSessionOptions,
  openBootstrapSession,
} from './edge-session.ts';
import { type ConfigurationTarget, ConfigurationPush, installTopology } from './configuration-push.ts';
import { type LinkStatus, NOT_STARTED, NOTHING_PUSHED, stateAfter } from './link-status.ts';
import { HEARD_EVERY_MS, type HeldLease, takeLease } from './lease-keeper.ts';
import type { MirrorView } from './mirror-view.ts';
import { type PushProgress, RecipientPush } from './recipient-push.ts';
import { TransactionWriter } from './transaction-writer.ts';

/** What the link needs to know of its edge, asked anew at each attempt. */
export interface EdgeTarget extends ConfigurationTarget {
  readonly address: Omit<EdgeSessionOptions, 'identity' | 'clock' | 'signal'> &
    Pick<EdgeSessionOptions, 'identity'>;
  /** This hub's first account is on its way to the edge by the hub that holds the lease. */
  readonly awaited?: boolean;
  /** Until the edge has taken an ESRA. */
  readonly bootstrap: BootstrapCredential | undefined;
  /** Hashes a canonical address with this edge's key. */
  readonly hash: (address: string) => Buffer;
}

export interface EdgeLinkOptions {
  readonly name: string;
  readonly hubName: string;
  readonly target: () => Promise<EdgeTarget>;
  /** A session with the credential that is in use. */
  readonly open: (signal: AbortSignal) => Promise<EdgeSession>;
  /** Undefined: this hub has no source, and leaves the recipients of the edge alone. */
  readonly mirror: MirrorView | undefined;
  /** While true, the lease is left to the other hubs of the site. */
  readonly standsBy: () => boolean;
  readonly lastConfirmed: () => number | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly lockMs: number;
  readonly renewBelowMs: number;
  readonly confirmEveryMs: number;
  /** The edge has accepted an ESRA: the bootstrap credential is of no more use. */
  readonly onEstablished: (userName: string) => Promise<void>;
}

const BACKOFF = { firstMs: 250, mostMs: 60_000 };
/** Another hub has the lease: look again soon, since it may go away at any time. */
const STANDBY_MS = 2000;
/** The configuration directory is away: what stands goes on. */
const CONFIGURATION_RETRY_MS = 10_000;
/** An edge that does not take the lease back holds nobody up. */
const RELEASE_WITHIN_MS = 2000;
/** All there is to push for a hub without a source. */
const NO_RECIPIENTS: PushProgress = {
  pushed: 0,
  total: 0,
  inStep: true,
  settled: true,
  settledSequence: Number.MAX_SAFE_INTEGER,
};

export class EdgeLink {
  readonly #options: EdgeLinkOptions;
  #status: LinkStatus = NOT_STARTED;
  readonly #watchers = new Set<(status: LinkStatus) => void>();
  #stop = new AbortController();
  #attempt = new AbortController();
  #running: Promise<void> | undefined;
  #client: LdapClient | undefined;
  #refresh: (() => void) | undefined;
  #push: RecipientPush | undefined;
  #leaseId: Buffer | undefined;
  #compareAll = false;
  #awaited = false;
  #identities: LinkIdentities | undefined;
  /** Raised with every change of the configuration. */
  #configuration = 0;

  constructor(options: EdgeLinkOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get status(): LinkStatus {
    return this.#status;
  }

  /** The connection that holds the lease, for questions beside the push; undefined while there is none. */
  get client(): LdapClient | undefined {
    return this.#client;
  }

  start(): void {
    this.#running ??= this.#loop();
  }

  async stop(): Promise<void> {
    this.#stop.abort(new PosternError('canceled', 'the hub is stopping'));
    this.#attempt.abort(this.#stop.signal.reason);
    await this.#running;
  }

  /** Topology or domains have changed: compare and push them again. */
  pokeConfiguration(): void {
    this.#configuration++;
    this.#update({ configurationDue: true });
    this.#refresh?.();
  }

  /** The source has confirmed the mirror: the edge is told at once. */
  confirm(): void {
    this.#push?.confirm();
  }

  /** Gives the connection up and begins again at once; with `compareAll`, the next session compares every entry. */
  restart(options: { compareAll: boolean } = { compareAll: false }): void {
    this.#compareAll ||= options.compareAll;
    this.#attempt.abort(new PosternError('canceled', 'a new synchronisation was asked for'));
    this.#update({ state: 'InProgress', progress: NOTHING_PUSHED });
  }

  watch(watcher: (status: LinkStatus) => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  async #loop(): Promise<void> {
    const { clock, random, log, name } = this.#options;
    while (!this.#stop.signal.aborted) {
      this.#attempt = new AbortController();
      this.#update({ state: 'InProgress', lastAttempt: clock.now(), progress: NOTHING_PUSHED });
      let delay = 0;
      try {
        await this.#session(this.#attempt.signal);
      } catch (error) {
        this.#client = undefined;
        if (this.#stop.signal.aborted) break;
        if (this.#attempt.signal.aborted) {
          this.#update({ holdsLease: false });
          continue;
        }
        if (isPosternError(error, 'credential.invalid', 'credential.not-admitted'))
          this.#identities?.refused();
        const failures = this.#status.consecutiveFailures + 1;
        const standby = this.#awaited && isPosternError(error, 'credential.invalid');
        delay = standby ? STANDBY_MS : backoffDelay(failures, BACKOFF, random);
        this.#update({
          state: standby ? 'Skipped' : stateAfter(error),
          holdsLease: false,
          consecutiveFailures: standby ? 0 : failures,
          failureDetail: standby
            ? 'the account of this hub is on its way to the edge, by the hub that holds the lease'
            : describeFailure(error),
        });
        if (standby) log.debug('standing by', { edge: name, error });
        else
          log.warn('synchronisation with an edge failed', {
            edge: name,
            failures,
            nextInMs: Math.round(delay),
            error,
          });
      }
      await clock.sleep('link.retry', delay, this.#attempt.signal).catch(() => undefined);
    }
    this.#update({ state: 'NotStarted', holdsLease: false });
  }

  async #session(signal: AbortSignal): Promise<void> {
    const { log, name } = this.#options;
    const target = await this.#options.target();
    this.#awaited = target.awaited === true;
    this.#identities = target.address.identities;
    if (target.bootstrap !== undefined) await this.#bootstrap(target, target.bootstrap, signal);
    const { client, userName } = await this.#options.open(signal);
    const meet = (): Promise<void> => meetEdge(client, target.address);
    let lease: HeldLease | undefined;
    let leaving: Promise<void> | undefined;
    const onAbort = (): void => {
      leaving = this.#leave(client, lease);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      await this.#options.onEstablished(userName);
      await meet();
      lease = await this.#takeLease(client, meet, signal);
      this.#leaseId = lease.leaseId;
      this.#client = client;
      this.#update({ holdsLease: true, credential: userName });
      log.info('holding the lease', { edge: name, epoch: lease.epoch });
      await this.#pushUntilLost(client, lease.epoch, meet, signal);
    } finally {
      this.#client = undefined;
      this.#refresh = undefined;
      this.#push = undefined;
      signal.removeEventListener('abort', onAbort);
      await leaving;
      await lease?.stop(false);
      client.unbind();
    }
  }

  /** Stands by on the same connection while another hub has the lease: it may go away at any time. */
  async #takeLease(client: LdapClient, meet: () => Promise<void>, signal: AbortSignal): Promise<HeldLease> {
    const { clock, hubName, lockMs, renewBelowMs, standsBy, log, name } = this.#options;
    const onLost = (error: unknown): void =>
      client.destroy(orElse(error, 'lease.lost', 'the lease could not be renewed'));
    let heardAt = clock.monotonic();
    for (let told = this.#configuration; ; ) {
      if (told !== this.#configuration) {
        told = this.#configuration;
        await meet();
      }
      let why = 'this hub has no [source]: the other hubs of the site push to this edge';
      if (!standsBy()) {
        try {
          return await takeLease(
            { client, clock, holder: hubName, lockMs, renewBelowMs, onLost },
            this.#leaseId,
          );
        } catch (error) {
          if (!isPosternError(error, 'lease.held')) throw error;
          why = describeFailure(error);
        }
      } else if (clock.monotonic() - heardAt > HEARD_EVERY_MS) {
        await client.whoAmI();
        heardAt = clock.monotonic();
      }
      if (this.#status.state !== 'Skipped') log.info('standing by', { edge: name, why });
      this.#update({ state: 'Skipped', holdsLease: false, consecutiveFailures: 0, failureDetail: why });
      await clock.sleep('link.standby', STANDBY_MS, signal);
    }
  }

  /** Ends the connection; when the hub stops, the lease is given back before, so that another hub need not wait. */
  async #leave(client: LdapClient, lease: HeldLease | undefined): Promise<void> {
    if (this.#stop.signal.aborted && lease !== undefined) {
      const late = this.#options.clock.after('link.release', RELEASE_WITHIN_MS, () => client.destroy());
      await lease.stop(true);
      late.cancel();
    }
    client.destroy();
  }

  /** The bootstrap account brings the first ESRA. An edge that refuses it may have that already. */
  async #bootstrap(target: EdgeTarget, credential: BootstrapCredential, signal: AbortSignal): Promise<void> {
    const { clock, log, name } = this.#options;
    const client = await openBootstrapSession({ ...target.address, clock, signal }, credential);
    if (client === undefined) return;
    log.info('first session: installing topology and credentials', { edge: name });
    try {
      await installTopology(client, target);
    } finally {
      client.unbind();
    }
  }

  async #pushUntilLost(
    client: LdapClient,
    epoch: number,
    meet: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { mirror, clock, lastConfirmed, confirmEveryMs } = this.#options;
    const writer = new TransactionWriter(client);
    const configuration = new ConfigurationPush({ client, writer, epoch, clock });
    this.#update({ configurationDue: true });
    const pushed = this.#configuration;
    const target = await this.#options.target();
    await configuration.push(target);
    this.#update({ configurationDue: pushed !== this.#configuration });
    this.#refreshWith(async (changed) => {
      await configuration.push(changed);
      await meet();
    }, client);
    if (mirror === undefined) {
      this.#progressed(NO_RECIPIENTS);
      throw await client.closed;
    }
    const push = new RecipientPush({
      client,
      writer,
      mirror,
      hash: target.hash,
      digestKey: target.digestKey,
      epoch,
      clock,
      lastConfirmed,
      confirmEveryMs,
      compareAll: this.#compareAll,
      onProgress: (progress) => {
        if (!signal.aborted) this.#progressed(progress);
      },
    });
    this.#compareAll = false;
    this.#push = push;
    await push.run(signal);
  }

  /** From here on a change of the configuration is pushed at once, one push after the other. */
  #refreshWith(push: (target: EdgeTarget) => Promise<unknown>, client: LdapClient): void {
    const { clock, log, name } = this.#options;
    let queue: Promise<unknown> = Promise.resolve();
    let retry: Timer | undefined;
    const refresh = async (): Promise<void> => {
      if (!this.#status.configurationDue) return;
      // Noted before the target is read: what changes while it is being pushed is due again.
      const pushed = this.#configuration;
      let target: EdgeTarget;
      try {
        target = await this.#options.target();
      } catch (error) {
        if (!isPosternError(error)) throw error;
        log.warn('the configuration cannot be read; recipients go on', { edge: name, error });
        retry?.cancel();
        const again = (): void => this.#refresh?.();
        retry = clock.after('link.configuration', CONFIGURATION_RETRY_MS, again, { background: true });
        return;
      }
      await push(target);
      this.#update({ configurationDue: pushed !== this.#configuration });
    };
    this.#refresh = () => {
      queue = queue.then(refresh).catch((error: unknown) => {
        client.destroy(orElse(error, 'internal', 'pushing the configuration failed'));
      });
    };
    if (this.#status.configurationDue) this.#refresh();
  }

  #progressed(progress: PushProgress): void {
    // In step and settled once: later changes are on their way all the time, and are told within a moment.
    if (progress.settledSequence === undefined) {
      this.#update({ progress, state: 'InProgress' });
      return;
    }
    if (this.#status.state !== 'Synchronized') {
      const { log, name } = this.#options;
      log.info('the edge holds what the mirror holds', { edge: name, recipients: progress.total });
    }
    const news = progress.settled || progress.settledSequence !== this.#status.progress.settledSequence;
    this.#update({
      progress,
      state: 'Synchronized',
      lastSuccess: news ? this.#options.clock.now() : this.#status.lastSuccess,
      consecutiveFailures: 0,
      failureDetail: undefined,
    });
  }

  #update(change: Partial<LinkStatus>): void {
    this.#status = { ...this.#status, ...change };
    for (const watcher of this.#watchers) watcher(this.#status);
  }
}

function orElse(error: unknown, code: ErrorCode, message: string): PosternError {
  return isPosternError(error) ? error : new PosternError(code, message, { cause: error });
}

function describeFailure(error: unknown): string {
  const code = isPosternError(error) ? ` [${error.code}]` : '';
  return `${describeError(error)}${code}`;
}
