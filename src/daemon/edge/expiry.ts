/** What time ends: accounts, and sessions that were opened with them. */
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { sessionEndsAt } from '../../credential/account.ts';
import type { Directory, Session } from '../../directory/directory.ts';
import { findAccount } from '../../credential/credential-state.ts';
import type { PairKeeper } from '../../credential/pair-keeper.ts';
import { dropExpiredBootstrap, type EdgeDescription } from '../../subscription/edge-subscription.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { isGood, sessionAccount } from './authenticate.ts';

const EVERY_MS = 30_000;

export interface ExpiryOptions {
  readonly trust: TrustStore<EdgeTrustState>;
  readonly pairs: PairKeeper<EdgeTrustState>;
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
    dropExpiredBootstrap({ ...options, store: options.trust })
      .then((dropped) => (dropped ? options.onDropped() : undefined))
      .then(() => options.pairs.cycle())
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
  const account = findAccount(trust.value.accounts, opened.account);
  return account === undefined || !isGood(trust.value, opened) || clock.now() >= sessionEndsAt(account);
}
