/**
 * Keeps the mirror equal to its source: opens the feed where the mirror stands, applies what comes, opens it again when it broke (with
 * backoff) or on schedule when it isn't live. It owns what is known of the source's health; it knows nothing of edges.
 */
import { backoffDelay, type BackoffOptions } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import { describeError, isPosternError, PosternError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { packCookie, unpackCookie } from './cookie.ts';
import type { Mapper } from './mapping/mapping.ts';
import type { Mirror } from './mirror/mirror.ts';
import type { LeftOutReason } from './mirror/record.ts';
import type { Feed } from './source/source.ts';

/** The source as an administrator sees it; times are milliseconds since 1970. */
export interface SourceStatus {
  readonly kind: string;
  readonly instance: string;
  readonly state: 'none' | 'connecting' | 'refreshing' | 'live' | 'idle' | 'failed';
  readonly entries: number;
  readonly recipients: number;
  readonly leftOut: number;
  /** The same by reason. */
  readonly leftOutBy: Readonly<Record<LeftOutReason, number>>;
  readonly droppedAddresses: number;
  readonly lastChange: number | undefined;
  /** When the source was last known to have told everything: the age of what edges answer from. */
  readonly lastConfirmed: number | undefined;
  readonly failure: string | undefined;
}

export interface FollowOptions {
  readonly feed: Feed;
  readonly mirror: Mirror;
  readonly map: Mapper;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** How often a feed that isn't live is read, milliseconds. */
  readonly pollEveryMs: number;
  /** The source has told everything, also when that was nothing new: `lastConfirmed` has moved. Not for every change of a live feed. */
  readonly onConfirmed?: () => void;
  /** How often a live one is opened anew, so that a change it has lost is found; a day unless told, milliseconds. */
  readonly reopenEveryMs?: number;
}

const REOPEN_EVERY_MS = 24 * 3_600_000;

const BACKOFF: BackoffOptions = { firstMs: 1000, mostMs: 60_000 };
const POLL_JITTER = 0.1;
const NO_COOKIE = Buffer.alloc(0);

interface Waiting {
  readonly full: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class SourceFollower implements AsyncDisposable {
  readonly #options: FollowOptions;
  readonly #stopped = new AbortController();
  /** Ends the opening of the feed that is under way, or the pause between two. */
  #interrupt = new AbortController();
  #loop: Promise<void> | undefined;
  #state: SourceStatus['state'] = 'none';
  #failures = 0;
  /** Of the mirror, when the feed was opened. */
  #sequence = 0;
  #failure: string | undefined;
  #lastChange: number | undefined;
  #lastConfirmed: number | undefined;
  /** Asked for, and not yet taken up by an opening of the feed. */
  #asked: Waiting[] = [];
  /** Wait for the opening under way to be complete. */
  #served: Waiting[] = [];
  /** What the opening under way will have told when it is complete; undefined when there is none, or it is complete. */
  #telling: 'changes' | 'everything' | undefined;

  constructor(options: FollowOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  get status(): SourceStatus {
    const { feed, mirror } = this.#options;
    const { entries, recipients, leftOut, droppedAddresses } = mirror.counts;
    return {
      kind: feed.identity.kind,
      instance: feed.identity.instance,
      state: this.#state,
      entries,
      recipients,
      leftOut: entries - recipients,
      leftOutBy: leftOut,
      droppedAddresses,
      lastChange: this.#lastChange,
      lastConfirmed: this.#lastConfirmed,
      failure: this.#failure,
    };
  }

  get lastConfirmed(): number | undefined {
    return this.#lastConfirmed;
  }

  /** Openings of the feed that have failed since the last complete one. */
  get consecutiveFailures(): number {
    return this.#failures;
  }

  /**
   * Reads the source now: what has changed, or with `full` everything. Resolves when that is complete and on disk; rejects with why it
   * failed (it is tried again all the same), or `canceled` when the follower is stopped.
   */
  runNow(options: { full: boolean }): Promise<void> {
    if (this.#stopped.signal.aborted) return Promise.reject(canceled());
    return new Promise((resolve, reject) => {
      const waiting = { full: options.full, resolve, reject };
      if (options.full && this.#telling === 'everything') {
        this.#served.push(waiting);
        return;
      }
      this.#asked.push(waiting);
      // A long first load must not begin again because somebody asks for changes: they come after it.
      if (options.full || this.#telling === undefined) this.#interrupt.abort();
    });
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#interrupt.abort();
    await this.#loop;
    for (const { reject } of [...this.#asked.splice(0), ...this.#served.splice(0)]) reject(canceled());
    this.#state = 'none';
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #run(): Promise<void> {
    const { clock, random, pollEveryMs } = this.#options;
    while (!this.#stopped.signal.aborted) {
      this.#interrupt = new AbortController();
      const outcome = await this.#open(this.#interrupt.signal);
      if (outcome === 'interrupted') continue;
      const delay =
        outcome === 'failed'
          ? backoffDelay(this.#failures, BACKOFF, random)
          : pollEveryMs * (1 + POLL_JITTER * (2 * random.fraction() - 1));
      await clock
        .sleep(outcome === 'failed' ? 'source.retry' : 'source.poll', delay, this.#interrupt.signal)
        .catch(() => undefined);
    }
  }

  /** One opening of the feed, to its end. */
  async #open(signal: AbortSignal): Promise<'ended' | 'failed' | 'interrupted'> {
    const { feed, mirror, map, log } = this.#options;
    this.#served.push(...this.#asked.splice(0));
    const full = this.#served.some((waiting) => waiting.full);
    this.#state = 'connecting';
    const timer = this.#options.clock.after('source.reopen', this.#reopenAfter(), () => this.#reopen(), {
      background: true,
    });
    try {
      const stored = mirror.cookie;
      const usable = unpackCookie(feed.identity, stored);
      const pass = await mirror.begin(
        { map, packCookie: (native) => packCookie(feed.identity, native ?? NO_COOKIE) },
        stored !== undefined && usable === undefined,
      );
      const from = full || usable?.length === 0 ? undefined : usable;
      this.#telling = from === undefined ? 'everything' : 'changes';
      if (from === undefined) log.info('reading the whole source', { instance: feed.identity.instance });
      this.#sequence = mirror.position.sequence;
      for await (const events of feed.follow(from, signal)) {
        signal.throwIfAborted();
        const wasRefreshing = pass.refreshing;
        const { sequence } = mirror.position;
        if (events.length > 0) await pass.apply(events);
        if (mirror.position.sequence !== sequence) this.#lastChange = this.#options.clock.now();
        if (pass.refreshing) this.#state = 'refreshing';
        else await this.#confirmed(wasRefreshing);
      }
      if (pass.refreshing)
        throw new PosternError('source.incomplete', 'the source ended before everything was told');
      this.#state = 'idle';
      return 'ended';
    } catch (error) {
      return this.#failed(error, signal);
    } finally {
      timer.cancel();
      this.#telling = undefined;
    }
  }

  #reopenAfter(): number {
    const { random, reopenEveryMs } = this.#options;
    return (reopenEveryMs ?? REOPEN_EVERY_MS) * (1 + POLL_JITTER * (2 * random.fraction() - 1));
  }

  /** Never in the middle of a refresh: a very long one would never end. */
  #reopen(): void {
    if (this.#telling === undefined) this.#interrupt.abort();
  }

  /** The source has told everything up to now. */
  async #confirmed(first: boolean): Promise<void> {
    const { feed, mirror, clock, log } = this.#options;
    if (first) await mirror.flushed();
    this.#lastConfirmed = clock.now();
    if (first) {
      this.#options.onConfirmed?.();
      if (
        this.#failures > 0 ||
        mirror.position.sequence !== this.#sequence ||
        this.#lastConfirmed === undefined
      )
        log.info('the mirror equals its source', { entries: mirror.counts.entries, recipients: mirror.size });
      this.#failures = 0;
      this.#failure = undefined;
      this.#state = feed.live ? 'live' : 'idle';
      this.#telling = undefined;
      for (const { resolve } of this.#served.splice(0)) resolve();
      if (this.#asked.length > 0) this.#interrupt.abort();
    }
  }

  #failed(error: unknown, signal: AbortSignal): 'failed' | 'interrupted' {
    if (signal.aborted) return 'interrupted';
    this.#failures++;
    const hint = error instanceof PosternError ? error.hint : undefined;
    this.#failure = hint === undefined ? describeError(error) : `${describeError(error)} (${hint})`;
    this.#state = 'failed';
    this.#options.log.warn('the source cannot be read', { error, failures: this.#failures });
    if (isPosternError(error, 'store.write-failed', 'store.closed')) {
      this.#stopped.abort();
      this.#interrupt.abort();
    }
    for (const { reject } of this.#served.splice(0)) reject(error);
    return 'failed';
  }
}

function canceled(): PosternError {
  return new PosternError('canceled', 'the hub stops following its source');
}
