/**
 * `sync run`: makes the source be read and the edges be brought in step now, and tells how far each is until all are settled or have
 * failed for good. Knows nothing of HTTP.
 */
import type { EdgeSyncStatus } from '../../admin/documents.ts';
import type { Clock } from '../../base/clock.ts';
import { describeError } from '../../base/error.ts';
import type { SourceFollower } from '../../sync/follow.ts';
import type { EdgeLink } from '../../sync/push/edge-link.ts';
import type { LinkStatus } from '../../sync/push/link-status.ts';
import type { MirrorView } from '../../sync/push/mirror-view.ts';

export interface SyncRunOptions {
  readonly links: readonly Pick<EdgeLink, 'status' | 'restart' | 'pokeConfiguration'>[];
  readonly follower: Pick<SourceFollower, 'runNow'> | undefined;
  readonly mirror: Pick<MirrorView, 'position'> | undefined;
  /** Reread the source, and compare every entry. */
  readonly full: boolean;
  /** `last`: for the last report, which is worth a question to the edges. */
  readonly statuses: (last: boolean) => Promise<EdgeSyncStatus[]>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const REPORT_EVERY_MS = 200;
/** Attempts in a row that fail before an edge is given up: a single one may be a restart. */
const MOST_FAILURES = 3;

/** Yields the state of the chosen edges, the last time when it is over. Throws the signal's reason when aborted. */
export async function* runSync(options: SyncRunOptions): AsyncGenerator<EdgeSyncStatus[], void, undefined> {
  const { links, clock, signal, statuses } = options;
  const startedAt = clock.now();
  let phase: { done: false } | { done: true; sequence: number } | { done: true; failure: unknown } = {
    done: false,
  };
  void begin(options).then(
    (sequence) => {
      phase = { done: true, sequence };
    },
    (failure: unknown) => {
      phase = { done: true, failure };
    },
  );
  for (;;) {
    const now = phase as { done: boolean; sequence?: number; failure?: unknown };
    if (now.failure !== undefined) {
      const failureDetail = `the source cannot be read: ${describeError(now.failure).replace(/^the source \S+ cannot be read: /, '')}`;
      yield (await statuses(true)).map((status) => ({ ...status, state: 'DirectoryError', failureDetail }));
      return;
    }
    const { sequence } = now;
    const over =
      now.done && sequence !== undefined && links.every((link) => isOver(link.status, sequence, startedAt));
    yield await statuses(over);
    if (over) return;
    await clock.sleep('sync.report', REPORT_EVERY_MS, signal);
  }
}

/** Resolves, when the source has been read, to the sequence of the mirror that edges have to reach. */
async function begin({ links, follower, mirror, full }: SyncRunOptions): Promise<number> {
  for (const link of links) {
    // One that waits between two attempts tries again at once.
    if (link.status.consecutiveFailures > 0) link.restart();
    link.pokeConfiguration();
  }
  await follower?.runNow({ full });
  if (full) for (const link of links) link.restart({ compareAll: true });
  return mirror?.position.sequence ?? 0;
}

/** Settled at `sequence` or beyond, or failed for good. */
function isOver(status: LinkStatus, sequence: number, startedAt: number): boolean {
  const { progress, configurationDue, state, lastAttempt, consecutiveFailures } = status;
  if (
    state === 'Synchronized' &&
    !configurationDue &&
    progress.settledSequence !== undefined &&
    progress.settledSequence >= sequence
  )
    return true;
  if (lastAttempt === undefined || lastAttempt < startedAt) return false;
  if (state === 'Expired' || state === 'Skipped') return true;
  return state !== 'InProgress' && consecutiveFailures >= MOST_FAILURES;
}
