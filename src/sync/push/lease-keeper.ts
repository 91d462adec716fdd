/** Takes the lease of an edge and keeps it while the connection lives; the edge is the arbiter (see `edge/lease.ts`). */
import type { Clock, Timer } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import { formatDuration } from '../../base/duration.ts';
import type { LdapClient } from '../../ldap/client.ts';
import {
  decodeLeaseResponse,
  encodeLeaseRequest,
  type LeaseAction,
  type LeaseResponse,
} from '../../ldap/postern-extended.ts';
import { POSTERN_EXTENDED } from '../../ldap/postern-oid.ts';

export interface LeaseKeeperOptions {
  readonly client: LdapClient;
  readonly clock: Clock;
  /** Name of this hub. */
  readonly holder: string;
  readonly lockMs: number;
  /** Renewed when less than this remains. */
  readonly renewBelowMs: number;
  /** The lease could not be renewed: the connection must not be used for data any more. */
  readonly onLost: (error: unknown) => void;
}

export interface HeldLease {
  readonly epoch: number;
  /** Shown on a later connection to take the same lease over. */
  readonly leaseId: Buffer | undefined;
  /** Stops renewing; with `release`, gives the lease back. */
  stop(release: boolean): Promise<void>;
}

/** An edge that does not hear of a hub for five minutes may take it for gone (`[recovery] quiet`). */
export const HEARD_EVERY_MS = 4 * 60_000;

/** Throws `lease.held` while another hub has it. */
export async function takeLease(
  options: LeaseKeeperOptions,
  shownId: Buffer | undefined,
): Promise<HeldLease> {
  const { client, clock, lockMs, renewBelowMs } = options;
  const first = await ask(options, 'acquire', shownId);
  if (first.leaseId === undefined) {
    throw new PosternError(
      'lease.held',
      `${first.holder} holds the lease of the edge for ${formatDuration(first.remainingMs)} more`,
      {
        hint: 'another hub is synchronising this edge; this one stands by',
        fields: { holder: first.holder, remainingMs: first.remainingMs },
      },
    );
  }
  let timer: Timer | undefined;
  let stopped = false;
  const arm = (remainingMs: number): void => {
    if (stopped) return;
    timer = clock.after(
      'lease.renew',
      Math.max(1000, Math.min(remainingMs - renewBelowMs, lockMs / 2, HEARD_EVERY_MS)),
      () => {
        ask(options, 'renew', first.leaseId).then((answer) => arm(answer.remainingMs), options.onLost);
      },
    );
  };
  arm(first.remainingMs);
  return {
    epoch: first.epoch,
    leaseId: first.leaseId,
    async stop(release) {
      stopped = true;
      timer?.cancel();
      if (release && !client.isClosed) await ask(options, 'release', first.leaseId).catch(() => undefined);
    },
  };
}

async function ask(
  options: LeaseKeeperOptions,
  action: LeaseAction,
  leaseId: Buffer | undefined,
): Promise<LeaseResponse> {
  const request = encodeLeaseRequest({
    action,
    holder: options.holder,
    durationSeconds: Math.ceil(options.lockMs / 1000),
    ...(leaseId === undefined ? {} : { leaseId }),
  });
  const { operation } = await options.client.extended(POSTERN_EXTENDED.lease, request, { timeoutMs: 30_000 })
    .result;
  const answer = decodeLeaseResponse(operation.value);
  if (action === 'renew' && answer.leaseId === undefined) {
    throw new PosternError('lease.lost', 'the lease of the edge went to somebody else', {
      fields: { holder: answer.holder },
    });
  }
  return answer;
}
