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
   * Of a bootstrap account: the only client key it may be presented with (its pin). Absent while nobody has used it and its file was not
   * sealed to a hub: the first bind binds it (`bindBootstrap`). An ESRA may be presented with any key that is pinned for its hub.
   */
  readonly pin?: Pin | undefined;
  readonly password: PasswordDigest;
  /** Suspended: two instances of its hub are alive. */
  readonly state: 'active' | 'suspended';
  /** SHA-256 (hex) of the credential record it was made from: the same record installs nothing twice. */
  readonly recordId?: string | undefined;
  /** Of an ESRA, as `EdgeAccount` has them; `record` and true on accounts of earlier versions. */
  readonly by?: 'record' | 'request' | undefined;
  readonly proved?: boolean | undefined;
}

/** How far the window of an ESRA bends, to allow for clocks that differ. A bootstrap's not at all. */
export const ESRA_CLOCK_TOLERANCE_MS = CLOCK_TOLERANCE_MS;

export type BootstrapRefusal =
  | 'no-client-certificate'
  | 'wrong-client-certificate'
  | 'not-yet-effective'
  | 'expired';

export type BootstrapDecision =
  | { readonly outcome: 'ok' }
  | { readonly outcome: 'refused'; readonly code: BootstrapRefusal; readonly reason: string };

/** Where `now` lies in a window that bends by `bendMs`. */
export function windowAt(window: Window, now: number, bendMs: number): 'early' | 'open' | 'expired' {
  if (now >= window.expiresAt + bendMs) return 'expired';
  return now >= window.effectiveAt - bendMs ? 'open' : 'early';
}

/**
 * Whether the bootstrap account may bind now, on a session whose client showed the key `peerPin` (`undefined`: none). The reason is for the edge's
 * log and for administrators; what goes out on the wire is one answer for all refusals. What ESRAs may is decided in `lifecycle/`.
 */
export function mayBindBootstrap(account: Account, now: number, peerPin: Pin | undefined): BootstrapDecision {
  if (peerPin === undefined) return refuse('no-client-certificate', 'the client showed no certificate');
  if (account.pin !== undefined && account.pin !== peerPin)
    return refuse(
      'wrong-client-certificate',
      'the bootstrap account belongs to another hub: the file was sealed to it, or it was the first to use the file',
    );
  const at = windowAt(account, now, 0);
  if (at === 'expired')
    return refuse('expired', `expired ${formatDuration(now - account.expiresAt)} ago by the edge's clock`);
  if (at === 'early')
    return refuse(
      'not-yet-effective',
      `effective in ${formatDuration(account.effectiveAt - now)} by the edge's clock`,
    );
  return { outcome: 'ok' };
}

function refuse(code: BootstrapRefusal, reason: string): BootstrapDecision {
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
