/** What is said of a link to an edge. Plain data. */
import { isPosternError } from '../../base/error.ts';
import type { PushProgress } from './recipient-push.ts';

/** Exchange's SyncStatus values, where they fit. */
export type LinkState =
  | 'NotStarted'
  | 'InProgress'
  | 'Synchronized'
  | 'NotSynchronized'
  | 'DirectoryError'
  | 'Expired'
  | 'Skipped';

export interface LinkStatus {
  readonly state: LinkState;
  readonly holdsLease: boolean;
  readonly lastAttempt: number | undefined;
  readonly lastSuccess: number | undefined;
  readonly consecutiveFailures: number;
  readonly failureDetail: string | undefined;
  readonly progress: PushProgress;
  /** Topology or domains have changed, and the edge hasn't all of it on its disk yet. */
  readonly configurationDue: boolean;
  readonly credential: string;
}

export const NOTHING_PUSHED: PushProgress = {
  pushed: 0,
  total: undefined,
  inStep: false,
  settled: false,
  settledSequence: undefined,
};

export const NOT_STARTED: LinkStatus = {
  state: 'NotStarted',
  holdsLease: false,
  lastAttempt: undefined,
  lastSuccess: undefined,
  consecutiveFailures: 0,
  failureDetail: undefined,
  progress: NOTHING_PUSHED,
  configurationDue: true,
  credential: '',
};

export function stateAfter(error: unknown): LinkState {
  if (isPosternError(error) && error.code.startsWith('credential.')) return 'Expired';
  if (isPosternError(error, 'source.unavailable', 'source.behind', 'source.incomplete'))
    return 'DirectoryError';
  return 'NotSynchronized';
}
