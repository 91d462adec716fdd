/** What time ends: accounts, and sessions that were opened with them. */
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { sessionEndsAt } from '../../credential/account.ts';
import type { Directory, Session } from '../../directory/directory.ts';
import { dropExpired, type EdgeDescription } from '../../subscription/edge-subscription.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { isGood, sessionAccount } from './authenticate.ts';

const EVERY_MS = 30_000;

export interface ExpiryOptions {
  readonly trust: TrustStore<EdgeTrustState>;
  readonly edge: EdgeDescription;
  readonly directory: Directory;
  readonly clock: Clock;
  readonly log: Log;
  readonly onDropped: () => Promise<void>;
}

/** Looks every half minute; returns how to stop that. */
export function watchExpiry(options: ExpiryOptions): () => void {
  const { clock, log, directory } = options;
  const look = (): void => {
    dropExpired({ ...options, store: options.trust })
      .then((dropped) => (dropped ? options.onDropped() : undefined))
      .catch((error: unknown) => log.error('dropping expired accounts failed', { error }));
    directory.terminate((session) => isOver(session, options));
    timer = clock.after('edge.expiry', EVERY_MS, look, { background: true });
  };
  let timer = clock.after('edge.expiry', EVERY_MS, look, { background: true });
  return () => timer.cancel();
}

/** Expiry, suspension, another key, and the end of an account end its sessions, too. */
export function isOver(session: Session, { trust, clock }: Pick<ExpiryOptions, 'trust' | 'clock'>): boolean {
  const opened = sessionAccount(session);
  if (opened === undefined) return false;
  const { accounts } = trust.value;
  const account = accounts.find((one) => one.name === opened.account);
  return account === undefined || !isGood(accounts, opened) || clock.now() >= sessionEndsAt(account);
}
