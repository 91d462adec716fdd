import { afterEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { fakeRandom } from '../../test/fakes/random.ts';
import { PosternError } from '../base/error.ts';
import { silentLog } from '../base/log.ts';
import { createMemoryStore, type RecordStore } from '../directory/store/store.ts';
import { packCookie } from './cookie.ts';
import { SourceFollower } from './follow.ts';
import { Mirror } from './mirror/mirror.ts';
import type { Feed, FeedEvent, FeedIdentity } from './source/source.ts';

const IDENTITY: FeedIdentity = {
  kind: 'fake',
  instance: 'fake:1',
  base: '',
  filter: '',
  attributes: [],
  bindIdentity: '',
  mapping: 'm',
};
const POLL_MS = 300_000;

const guid = (n: number): Buffer => Buffer.alloc(16, n);
const upsert = (n: number): FeedEvent => ({
  kind: 'upsert',
  entry: { guid: guid(n), dn: `u${n}@x`, attributes: new Map() },
});
const complete = (sweep: boolean, cookie?: string): FeedEvent => ({
  kind: 'complete',
  sweep,
  cookie: cookie === undefined ? undefined : Buffer.from(cookie),
});

/** One opening of the feed, in the hands of the test. */
interface Opening {
  readonly cookie: string | undefined;
  readonly signal: AbortSignal;
  /** Delivers events; resolves when the follower asks for more. */
  send(...events: FeedEvent[]): Promise<void>;
  end(): void;
  fail(error: Error): void;
}

class FakeFeed implements Feed {
  readonly identity: FeedIdentity;
  readonly live: boolean;
  #openings: Opening[] = [];
  #waiters: ((opening: Opening) => void)[] = [];

  constructor(live: boolean, identity: Partial<FeedIdentity> = {}) {
    this.live = live;
    this.identity = { ...IDENTITY, ...identity };
  }

  /** The next opening. */
  opened(): Promise<Opening> {
    const opening = this.#openings.shift();
    return opening === undefined
      ? new Promise((resolve) => this.#waiters.push(resolve))
      : Promise.resolve(opening);
  }

  async *follow(cookie: Buffer | undefined, signal: AbortSignal): AsyncGenerator<readonly FeedEvent[]> {
    let deliver = Promise.withResolvers<readonly FeedEvent[] | 'end'>();
    let taken = Promise.withResolvers<void>();
    const opening: Opening = {
      cookie: cookie?.toString(),
      signal,
      send: (...events) => {
        deliver.resolve(events);
        return taken.promise;
      },
      end: () => deliver.resolve('end'),
      fail: (error) => deliver.reject(error),
    };
    signal.addEventListener('abort', () => deliver.reject(signal.reason as Error), { once: true });
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#openings.push(opening);
    else waiter(opening);
    for (;;) {
      const events = await deliver.promise;
      if (events === 'end') return;
      deliver = Promise.withResolvers();
      deliver.promise.catch(() => undefined);
      yield events;
      taken.resolve();
      taken = Promise.withResolvers();
    }
  }
}

const started: SourceFollower[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((follower) => follower.stop()));
});

function begin(feed: Feed, store: RecordStore = createMemoryStore()) {
  const clock = new FakeClock();
  const mirror = new Mirror({ store, clock, random: fakeRandom('mirror') });
  const confirmations: (number | undefined)[] = [];
  const follower: SourceFollower = new SourceFollower({
    onConfirmed: () => confirmations.push(follower.lastConfirmed),
    feed,
    mirror,
    map: ({ dn }) => ({ recipient: { kind: 'user', addresses: [dn] }, dropped: 0 }),
    clock,
    random: fakeRandom('follow'),
    log: silentLog,
    pollEveryMs: POLL_MS,
  });
  started.push(follower);
  follower.start();
  return { clock, mirror, follower, store, confirmations };
}

describe('a live source', () => {
  test('is followed from the refresh on, and confirmed by everything it says', async () => {
    const feed = new FakeFeed(true);
    const { clock, mirror, follower } = begin(feed);
    const opening = await feed.opened();
    expect([opening.cookie, follower.status.state]).toEqual([undefined, 'connecting']);
    await opening.send(upsert(1), upsert(2));
    expect(follower.status).toMatchObject({
      state: 'refreshing',
      recipients: 2,
      lastConfirmed: undefined,
      lastChange: clock.now(),
    });
    await opening.send(complete(true, 'c1'));
    const confirmed = clock.now();
    expect(follower.status).toMatchObject({ state: 'live', lastConfirmed: confirmed, failure: undefined });
    expect(mirror.cookie).toEqual(packCookie(feed.identity, Buffer.from('c1')));
    await clock.advance(60_000);
    expect(follower.lastConfirmed).toBe(confirmed);
    await opening.send();
    expect(follower.lastConfirmed).toBe(confirmed + 60_000);
    await clock.advance(60_000);
    await opening.send({ kind: 'delete', guid: guid(2) }, { kind: 'position', cookie: Buffer.from('c2') });
    expect(follower.status).toMatchObject({
      recipients: 1,
      lastChange: clock.now(),
      lastConfirmed: clock.now(),
    });
  });

  test('that has told everything is said to have, also when that was nothing new', async () => {
    const feed = new FakeFeed(true);
    const { clock, mirror, follower, confirmations } = begin(feed);
    const first = await feed.opened();
    await first.send(upsert(1));
    expect(confirmations).toEqual([]);
    await first.send(complete(true, 'c1'));
    // With the time that an edge is to be told.
    expect(confirmations).toEqual([clock.now()]);
    await first.send({ kind: 'position', cookie: Buffer.from('c2') });
    expect(confirmations).toHaveLength(1);
    await clock.advance(60_000);
    const run = follower.runNow({ full: false });
    const second = await feed.opened();
    const { sequence } = mirror.position;
    await second.send(complete(false, 'c2'));
    await run;
    expect(mirror.position.sequence).toBe(sequence);
    expect(confirmations).toHaveLength(2);
    expect(confirmations[1]).toBe(clock.now());
  });

  test('that breaks off is opened again where the mirror stands, later and later', async () => {
    const feed = new FakeFeed(true);
    const { clock, mirror, follower } = begin(feed);
    const first = await feed.opened();
    await first.send(upsert(1), upsert(2), complete(true, 'c1'));
    first.fail(new PosternError('source.unavailable', 'cut', { hint: 'look at the cable' }));
    const delays: number[] = [];
    for (let n = 1; n <= 9; n++) {
      await clock.armed('source.retry');
      expect(follower.status).toMatchObject({ state: 'failed', failure: 'cut (look at the cable)' });
      expect(follower.consecutiveFailures).toBe(n);
      const before = clock.now();
      let next: Opening | undefined;
      void feed.opened().then((opening) => (next = opening));
      while (next === undefined) await clock.advance(100);
      delays.push(clock.now() - before);
      expect(next.cookie).toBe('c1');
      next.fail(new PosternError('source.unavailable', 'cut', { hint: 'look at the cable' }));
    }
    expect(delays[0]).toBeLessThanOrEqual(1000);
    expect(delays[8]).toBeGreaterThan(29_000);
    expect(delays[8]).toBeLessThanOrEqual(60_100);
    expect([mirror.size, follower.lastConfirmed]).toEqual([
      2,
      clock.now() - delays.reduce((a, b) => a + b, 0),
    ]);
    await clock.armed('source.retry');
    const run = follower.runNow({ full: false });
    const last = await feed.opened();
    await last.send({ kind: 'present', guids: [guid(1)] });
    expect(mirror.size).toBe(2);
    await last.send(complete(true, 'c2'));
    await run;
    expect([mirror.size, follower.status.failure, follower.consecutiveFailures]).toEqual([1, undefined, 0]);
  });

  test('is opened anew once a day, but not in the middle of a refresh', async () => {
    const feed = new FakeFeed(true);
    const { clock } = begin(feed);
    const first = await feed.opened();
    await first.send(upsert(1));
    await clock.advance(30 * 3_600_000);
    expect(first.signal.aborted).toBe(false);
    await first.send(complete(true, 'c1'));
    first.fail(new Error('cut'));
    await clock.armed('source.retry');
    await clock.advance(1000);
    const second = await feed.opened();
    await second.send(complete(false, 'c1'));
    await clock.advance(21 * 3_600_000);
    expect(second.signal.aborted).toBe(false);
    await clock.advance(6 * 3_600_000);
    expect(second.signal.aborted).toBe(true);
    expect((await feed.opened()).cookie).toBe('c1');
  });

  test('an opening that ends without being complete proves nothing', async () => {
    const feed = new FakeFeed(true);
    const { clock, follower, mirror } = begin(feed);
    const first = await feed.opened();
    await first.send(upsert(1), upsert(2), complete(true, 'c1'));
    first.end();
    await clock.armed('source.poll');
    expect(follower.status.state).toBe('idle');
    await clock.advance(POLL_MS * 1.2);
    const second = await feed.opened();
    await second.send({ kind: 'delete', guid: guid(1) });
    second.end();
    await clock.armed('source.retry');
    expect([follower.status.state, mirror.size]).toEqual(['failed', 2]);
  });

  test('an unknown entry called unchanged: everything is read again', async () => {
    const feed = new FakeFeed(true);
    const { clock } = begin(feed);
    const first = await feed.opened();
    await first.send(upsert(1), complete(true, 'c1'));
    first.fail(new Error('cut'));
    await clock.armed('source.retry');
    await clock.advance(1000);
    const second = await feed.opened();
    expect(second.cookie).toBe('c1');
    void second.send({ kind: 'present', guids: [guid(1), guid(9)] }, complete(true, 'c2'));
    await clock.armed('source.retry');
    await clock.advance(2000);
    expect((await feed.opened()).cookie).toBe(undefined);
  });
});

describe('asked for now', () => {
  test('a full pass reads everything and resolves when it is complete', async () => {
    const feed = new FakeFeed(true);
    const { mirror, follower } = begin(feed);
    const first = await feed.opened();
    await first.send(upsert(1), upsert(2), complete(true, 'c1'));
    let done = false;
    const run = follower.runNow({ full: true }).then(() => (done = true));
    const second = await feed.opened();
    expect([second.cookie, first.signal.aborted]).toEqual([undefined, true]);
    expect(mirror.cookie).toEqual(packCookie(feed.identity, Buffer.from('c1')));
    await second.send(upsert(2));
    expect([done, mirror.size]).toEqual([false, 2]);
    await second.send(complete(true, 'c2'));
    await run;
    expect(mirror.size).toBe(1);
  });

  test('a first load is not begun again: who asks for everything joins it, who asks for changes comes after it', async () => {
    const feed = new FakeFeed(true);
    const { follower } = begin(feed);
    const first = await feed.opened();
    await first.send(upsert(1));
    const full = follower.runNow({ full: true });
    const changes = follower.runNow({ full: false });
    void first.send(upsert(2), complete(true, 'c1'));
    await full;
    const second = await feed.opened();
    expect(second.cookie).toBe('c1');
    void second.send(complete(false, 'c1'));
    await changes;
  });

  test('a failure is told, and so is a stop', async () => {
    const feed = new FakeFeed(true);
    const { clock, follower } = begin(feed);
    const first = await feed.opened();
    await first.send(complete(true, 'c1'));
    const run = follower.runNow({ full: true });
    (await feed.opened()).fail(new PosternError('source.behind', 'older'));
    await expect(run).rejects.toMatchObject({ code: 'source.behind' });
    await clock.armed('source.retry');
    const other = follower.runNow({ full: false });
    await feed.opened();
    const stopped = follower.stop();
    await expect(other).rejects.toMatchObject({ code: 'canceled' });
    await stopped;
    await expect(follower.runNow({ full: true })).rejects.toMatchObject({ code: 'canceled' });
    expect(follower.status.state).toBe('none');
  });
});

test('a source that is not live is read on schedule', async () => {
  const feed = new FakeFeed(false);
  const { clock, follower } = begin(feed);
  for (let n = 0; n < 3; n++) {
    const opening = await feed.opened();
    expect(opening.cookie).toBe(n === 0 ? undefined : `c${n - 1}`);
    await opening.send(complete(n === 0, `c${n}`));
    opening.end();
    await clock.armed('source.poll');
    expect(follower.status).toMatchObject({ state: 'idle', lastConfirmed: clock.now() });
    await clock.advance(POLL_MS * 0.89);
    expect(follower.status.state).toBe('idle');
    await clock.advance(POLL_MS * 0.22);
  }
});

test('a source without cookies is always read from the beginning', async () => {
  const feed = new FakeFeed(false);
  const { clock, mirror } = begin(feed);
  for (let n = 0; n < 2; n++) {
    const opening = await feed.opened();
    expect(opening.cookie).toBe(undefined);
    await opening.send(upsert(1), complete(true));
    opening.end();
    await clock.armed('source.poll');
    expect(mirror.cookie).toEqual(packCookie(feed.identity, Buffer.alloc(0)));
    await clock.advance(POLL_MS * 1.2);
  }
});

test('under other circumstances the stored cookie is worth nothing', async () => {
  const store = createMemoryStore();
  const feed = new FakeFeed(true);
  const { follower } = begin(feed, store);
  await (await feed.opened()).send(upsert(1), upsert(2), complete(true, 'c1'));
  await follower.stop();
  const other = new FakeFeed(true, { filter: '(mail=*)' });
  const again = begin(other, store);
  const opening = await other.opened();
  expect([opening.cookie, again.mirror.cookie, again.mirror.size]).toEqual([undefined, undefined, 2]);
  await opening.send(upsert(1), complete(true, 'd1'));
  expect(again.mirror.size).toBe(1);
  await again.follower.stop();
  const same = new FakeFeed(true, { filter: '(mail=*)' });
  begin(same, store);
  expect((await same.opened()).cookie).toBe('d1');
});
