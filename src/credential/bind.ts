/**
 * Answering a simple bind on the perimeter-facing port: which account, whether now, from this client, with this password; and what the edge must
 * have made durable before it answers. Pure over the credential state; knows no session and no wire format.
 */
import type { Pin } from '../certificate/pin.ts';
import {
  type Account,
  bindBootstrap,
  type BindDecision,
  type BindRefusal,
  mayBind,
  provesEsra,
} from './account.ts';
import { nameKey } from './account-name.ts';
import { type CredentialState, findAccount } from './credential-state.ts';
import { NO_ACCOUNT_DIGEST, passwordMatches } from './password.ts';
import { deletableCredentials } from './schedule.ts';

export type BindAnswer =
  | {
      readonly outcome: 'ok' | 'who-am-i-only';
      readonly account: Account;
      /** Must be durable before the bind is answered: the bootstrap account now belongs to this client's key. */
      readonly bindsBootstrap: boolean;
      /** A proving bind: to be followed by `afterProvingBind`. */
      readonly proves: boolean;
    }
  | {
      readonly outcome: 'refused';
      readonly code: BindRefusal | 'no-such-account' | 'wrong-password';
      readonly reason: string;
    };

/**
 * Judges a bind as `name` with `password` from a client that proved the key `peerPin`. The pin is judged before the password is looked at.
 * All refusals go out as invalidCredentials (49) without a word; code and reason are for the log.
 */
export function judgeBind(
  accounts: readonly Account[],
  name: string,
  password: Uint8Array,
  peerPin: Pin | undefined,
  now: number,
): BindAnswer {
  const account = findAccount(accounts, name);
  if (account === undefined) {
    passwordMatches(password, NO_ACCOUNT_DIGEST);
    return { outcome: 'refused', code: 'no-such-account', reason: 'there is no such account' };
  }
  const decision: BindDecision = mayBind(account, now, peerPin);
  if (decision.outcome === 'refused') return decision;
  if (!passwordMatches(password, account.password))
    return { outcome: 'refused', code: 'wrong-password', reason: 'the password is not that of the account' };
  return {
    outcome: decision.outcome,
    account,
    bindsBootstrap: account.kind === 'bootstrap' && account.pin === undefined,
    proves: provesEsra(account, decision),
  };
}

/** The state in which the bootstrap account belongs to `peerPin`. */
export function withBootstrapBound<T extends CredentialState>(state: T, peerPin: Pin): T {
  return { ...state, accounts: state.accounts.map((account) => bindBootstrap(account, peerPin)) };
}

/**
 * The state after an ESRA proved itself: the bootstrap account is gone. Only an ESRA of the hub that used the bootstrap account proves
 * anything about it: another hub's session, during a second subscription, leaves it alone. Returns `state` itself when nothing changes.
 */
export function afterProvingBind<T extends CredentialState>(state: T, proved: Account): T {
  const accounts = state.accounts.filter(
    (account) => account.kind !== 'bootstrap' || account.pin === undefined || account.pin !== proved.pin,
  );
  return accounts.length === state.accounts.length ? state : { ...state, accounts };
}

/** The state without what time has ended: an expired bootstrap account (its file is worthless), and expired ESRAs that have a successor. */
export function withoutExpired<T extends CredentialState>(state: T, now: number): T {
  const hubs = Map.groupBy(
    state.accounts.filter((account) => account.kind === 'esra'),
    (account) => nameKey(account.hub ?? ''),
  );
  const gone = new Set([...hubs.values()].flatMap((accounts) => deletableCredentials(accounts, now)));
  const accounts = state.accounts.filter((account) =>
    account.kind === 'bootstrap' ? now < account.expiresAt : !gone.has(account),
  );
  return accounts.length === state.accounts.length ? state : { ...state, accounts };
}
