import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import type { EdgeSyncStatus } from '../../admin/documents.ts';
import { PosternError } from '../../base/error.ts';
import type { LinkStatus } from '../../sync/push/link-status.ts';
import { runSync } from './sync-run.ts';
import { edgeSyncStatus } from './status.ts';

const SETTLED: LinkStatus = {
  state: 'Synchronized',
  holdsLease: true,
  lastAttempt: 0,
  lastSuccess: 0,
  consecutiveFailures: 0,
  failureDetail: undefined,
  progress: { pushed: 1, total: 1, inStep: true, settled: true, settledSequence: 5 },
  configurationDue: false,
  credential: '',
};

class FakeLink {
  status: LinkStatus;
  readonly calls: string[] = [];

  constructor(status: Partial<LinkStatus> = {}) {
    this.status = { ...SETTLED, ...status };
  }

  restart({ compareAll }: { compareAll: boolean } = { compareAll: false }): void {
    this.calls.push(compareAll ? 'compare' : 'restart');
    this.set({ state: 'InProgress', progress: { ...SETTLED.progress, settledSequence: undefined } });
  }

  pokeConfiguration(): void {
    this.calls.push('poke');
  }

  set(change: Partial<LinkStatus>): void {
    this.status = { ...this.status, ...change };
  }
}

interface Run {
  readonly reports: EdgeSyncStatus[][];
  readonly ended: Promise<void>;
}

function start(
  links: readonly FakeLink[],
  clock: FakeClock,
  more: { full?: boolean; runNow?: () => Promise<void>; sequence?: number; signal?: AbortSignal } = {},
): Run {
  const reports: EdgeSyncStatus[][] = [];
  const { sequence = 5, runNow = () => Promise.resolve(), full = false } = more;
  const run = runSync({
    links,
    follower: { runNow },
    mirror: { position: { mirrorId: Buffer.alloc(16), sequence, cookie: Buffer.alloc(0) } },
    full,
    statuses: () =>
      Promise.resolve(
        links.map(({ status }, at) =>
          edgeSyncStatus({
            edge: { name: `edge${at}`, fqdn: 'e.example.org', port: 1 },
            link: status,
            credential: undefined,
            credentialWarnings: {},
            pendingRemovals: 0,
          }),
        ),
      ),
    clock,
    signal: more.signal ?? new AbortController().signal,
  });
  const ended = (async () => {
    for await (const report of run) reports.push(report);
  })();
  return { reports, ended };
}

async function tick(clock: FakeClock): Promise<void> {
  await clock.armed('sync.report');
  await clock.advance(200);
}

describe('sync run', () => {
  it('an edge that is in step is reported and done', async () => {
    const link = new FakeLink();
    const clock = new FakeClock();
    const { reports, ended } = start([link], clock);
    await tick(clock);
    await ended;
    expect(reports.at(-1)?.map(({ state }) => state)).toEqual(['Synchronized']);
    expect(link.calls).toEqual(['poke']);
  });

  it('waits for what the source told meanwhile, and for the configuration', async () => {
    const link = new FakeLink({ configurationDue: true });
    const clock = new FakeClock();
    let over = false;
    const { ended } = start([link], clock, { sequence: 6 });
    void ended.then(() => {
      over = true;
    });
    await tick(clock);
    link.set({ progress: { ...SETTLED.progress, settledSequence: 6 } });
    await tick(clock);
    expect(over).toBe(false);
    link.set({ configurationDue: false });
    await tick(clock);
    await ended;
  });

  it('full: compares every entry, after the source has been reread', async () => {
    const link = new FakeLink();
    const clock = new FakeClock();
    let reread: () => void = () => undefined;
    const { ended } = start([link], clock, {
      full: true,
      runNow: () => new Promise((resolve) => (reread = resolve)),
    });
    await tick(clock);
    expect(link.calls).toEqual(['poke']);
    reread();
    await tick(clock);
    expect(link.calls).toEqual(['poke', 'compare']);
    link.set(SETTLED);
    await tick(clock);
    await ended;
  });

  it('an edge that waits after failures tries at once, and is given up when that fails too', async () => {
    const clock = new FakeClock();
    const link = new FakeLink({ state: 'NotSynchronized', consecutiveFailures: 8 });
    const { reports, ended } = start([link], clock);
    await tick(clock);
    expect(link.calls).toEqual(['restart', 'poke']);
    link.set({ state: 'NotSynchronized', consecutiveFailures: 9, lastAttempt: clock.now() });
    await tick(clock);
    await ended;
    expect(reports.at(-1)?.map(({ state }) => state)).toEqual(['NotSynchronized']);
  });

  it.each<Partial<LinkStatus>>([
    { state: 'Expired', consecutiveFailures: 1 },
    { state: 'Skipped', consecutiveFailures: 0 },
    { state: 'NotSynchronized', consecutiveFailures: 3 },
  ])('ends with %j of an attempt after the start', async (status) => {
    const clock = new FakeClock();
    const link = new FakeLink({ ...status, consecutiveFailures: 0, lastAttempt: clock.now() - 1 });
    const { ended } = start([link], clock);
    await tick(clock);
    link.set({ ...status, lastAttempt: clock.now() });
    await tick(clock);
    await ended;
  });

  it('one failure is not the end', async () => {
    const clock = new FakeClock();
    const link = new FakeLink({ state: 'InProgress' });
    let over = false;
    const { ended } = start([link], clock);
    void ended.then(() => {
      over = true;
    });
    link.set({ state: 'NotSynchronized', consecutiveFailures: 1, lastAttempt: clock.now() });
    await tick(clock);
    await tick(clock);
    expect(over).toBe(false);
    link.set(SETTLED);
    await tick(clock);
    await ended;
  });

  it('a source that cannot be read is the failure of every edge', async () => {
    const clock = new FakeClock();
    const { reports, ended } = start([new FakeLink(), new FakeLink()], clock, {
      runNow: () => Promise.reject(new PosternError('source.unavailable', 'no such file')),
    });
    await tick(clock);
    await ended;
    expect(reports.at(-1)).toMatchObject([
      { state: 'DirectoryError', failureDetail: 'the source cannot be read: no such file' },
      { state: 'DirectoryError' },
    ]);
  });

  it('no edge: nothing to wait for', async () => {
    const clock = new FakeClock();
    const { reports, ended } = start([], clock);
    await tick(clock);
    await ended;
    expect(reports.at(-1)).toEqual([]);
  });

  it('ends when the asker has gone', async () => {
    const clock = new FakeClock();
    const gone = new AbortController();
    const { ended } = start([new FakeLink({ state: 'InProgress' })], clock, {
      sequence: 9,
      signal: gone.signal,
    });
    await clock.armed('sync.report');
    gone.abort(new Error('gone'));
    await expect(ended).rejects.toThrow('gone');
  });
});
