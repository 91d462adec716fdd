/**
 * An account of the edge directory, and whether a bind with it is good at a moment: pure rules over plain data. Owns no store, no session and no
 * password check (see password.ts); the caller has verified neither pin nor password when it asks here, and must do both before it says yes.
 */
import { formatDuration } from '../base/duration.ts';
import type { Pin } from '../certificate/pin.ts';
import type { PasswordDigest } from './password.ts';
import { CLOCK_TOLERANCE_MS, type Window } from './schedule.ts';

export interface Account extends Window {
  /** `ESRA.<edge>` or `ESRA.<edge>.<hub>.<n>`. */
  readonly name: string;
  readonly kind: 'bootstrap' | 'esra';
  /** The hub that presents it; absent on a bootstrap account. */
  readonly hub?: string | undefined;
  /**
   * The only client key it may be presented with (its pin). Absent only on a bootstrap account that nobody has used yet and whose
   * file was not sealed to a hub: the first bind binds it (`bindBootstrap`).
   */
  readonly pin?: Pin | undefined;
  readonly password: PasswordDigest;
  readonly state: 'active' | 'suspended';
  /** SHA-256 (hex) of the credential record it was made from: the same record installs nothing twice. */
  readonly recordId?: string | undefined;
}

/** How far the window of an ESRA bends, to allow for clocks that differ. A bootstrap's not at all. */
export const ESRA_CLOCK_TOLERANCE_MS = CLOCK_TOLERANCE_MS;

export type BindRefusal =
  | 'no-client-certificate'
  | 'wrong-client-certificate'
  | 'not-yet-effective'
  | 'expired'
  | 'suspended';

export type BindDecision =
  | { readonly outcome: 'ok' }
  /** Before its effective time: the bind is answered with success, but the session may only ask Who am I. */
  | { readonly outcome: 'who-am-i-only'; readonly reason: string }
  | { readonly outcome: 'refused'; readonly code: BindRefusal; readonly reason: string };

/** Where `now` lies in a window that bends by `bendMs`. */
export function windowAt(window: Window, now: number, bendMs: number): 'early' | 'open' | 'expired' {
  if (now >= window.expiresAt + bendMs) return 'expired';
  return now >= window.effectiveAt - bendMs ? 'open' : 'early';
}

/**
 * Whether `account` may bind now, on a session whose client showed the key `peerPin` (`undefined`: none). The reason is for the edge's log and
 * for administrators; what goes out on the wire is one answer for all refusals.
 */
export function mayBind(account: Account, now: number, peerPin: Pin | undefined): BindDecision {
  if (peerPin === undefined) return refuse('no-client-certificate', 'the client showed no certificate');
  if (account.pin === undefined ? account.kind !== 'bootstrap' : account.pin !== peerPin) {
    return refuse(
      'wrong-client-certificate',
      account.kind === 'bootstrap'
        ? 'the bootstrap account belongs to another hub: the file was sealed to it, or it was the first to use the file'
        : `the client's certificate is not the one pinned for hub ${account.hub ?? ''}`,
    );
  }
  if (account.state === 'suspended') return refuse('suspended', 'the account is suspended');
  const bend = account.kind === 'esra' ? ESRA_CLOCK_TOLERANCE_MS : 0;
  const at = windowAt(account, now, bend);
  if (at === 'expired')
    return refuse('expired', `expired ${formatDuration(now - account.expiresAt)} ago by the edge's clock`);
  if (at === 'open') return { outcome: 'ok' };
  const reason = `effective in ${formatDuration(account.effectiveAt - now)} by the edge's clock`;
  return account.kind === 'esra' ? { outcome: 'who-am-i-only', reason } : refuse('not-yet-effective', reason);
}

function refuse(code: BindRefusal, reason: string): BindDecision {
  return { outcome: 'refused', code, reason };
}

/**
 * The bootstrap account after a good bind: from now on it belongs to that client's key, so that whoever stole the file cannot use it after the
 * hub, and a theft before the hub is noticed. Returns `account` itself when nothing changes; a change must be durable before the bind is answered.
 */
export function bindBootstrap(account: Account, peerPin: Pin): Account {
  return account.kind === 'bootstrap' && account.pin === undefined ? { ...account, pin: peerPin } : account;
}

/** When the session of a bound account must end at the latest: the end of its window, bend included. */
export function sessionEndsAt(account: Account): number {
  return account.expiresAt + (account.kind === 'esra' ? ESRA_CLOCK_TOLERANCE_MS : 0);
}

/** A proving bind: an ESRA in its window. After the first one the bootstrap account and the edge's copy of the file are deleted. */
export function provesEsra(account: Account, decision: BindDecision): boolean {
  return account.kind === 'esra' && decision.outcome === 'ok';
}
