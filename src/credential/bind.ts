/**
 * Answering a simple bind on the perimeter-facing port: which account, from this client, with this password; and what the edge must have made durable
 * before it answers. Pure over the credential state; knows no session and no wire format. When an ESRA may bind is decided in `lifecycle/`.
 */
import { pinsOf } from '../certificate/peer-pins.ts';
import { type Pin, samePin } from '../certificate/pin.ts';
import { type Account, bindBootstrap, type BootstrapRefusal, mayBindBootstrap } from './account.ts';
import { nameKey, type AccountName } from './account-name.ts';
import {
  type AdmittedHub,
  bootstrapAccount,
  type CredentialState,
  findAccount,
  findHub,
} from './credential-state.ts';
import { NO_ACCOUNT_DIGEST, passwordMatches } from './password.ts';

export type BootstrapAnswer =
  | {
      readonly outcome: 'ok';
      readonly account: Account;
      /** Must be durable before the bind is answered: the bootstrap account now belongs to this client's key. */
      readonly binds: boolean;
    }
  | {
      readonly outcome: 'refused';
      readonly code: BootstrapRefusal | 'no-such-account' | 'wrong-password';
      readonly reason: string;
    };

/**
 * Judges a bind as the bootstrap account `name` with `password` from a client that proved the key `peerPin`. The pin is judged before the password
 * is looked at. All refusals go out as invalidCredentials (49) without a word; code and reason are for the log.
 */
export function judgeBootstrapBind(
  accounts: readonly Account[],
  name: string,
  password: Uint8Array,
  peerPin: Pin | undefined,
  now: number,
): BootstrapAnswer {
  const account = bootstrapAccount(accounts);
  if (account === undefined || nameKey(account.name) !== nameKey(name)) {
    passwordMatches(password, NO_ACCOUNT_DIGEST);
    return { outcome: 'refused', code: 'no-such-account', reason: 'there is no such account' };
  }
  const decision = mayBindBootstrap(account, now, peerPin);
  if (decision.outcome === 'refused') return decision;
  if (!passwordMatches(password, account.password))
    return { outcome: 'refused', code: 'wrong-password', reason: 'the password is not that of the account' };
  return { outcome: 'ok', account, binds: account.pin === undefined };
}

/** Who it is that binds with an ESRA, before anything is said about times. */
export type HubCheck =
  /** It is this hub, and the password is right or there is no such account: what comes of it is the pair's business. */
  | { readonly outcome: 'hub'; readonly hub: AdmittedHub }
  /** Its key was this hub's until the hub was removed. */
  | { readonly outcome: 'removed'; readonly reason: string }
  | { readonly outcome: 'refused'; readonly reason: string };

/** The pin is judged before the password is looked at; a stranger learns nothing of names, and no time tells them apart. */
export function checkHub(
  state: CredentialState,
  edgeName: string,
  name: Extract<AccountName, { kind: 'esra' }>,
  accountName: string,
  password: Uint8Array,
  peerPin: Pin,
): HubCheck {
  const refuse = (reason: string): HubCheck => {
    passwordMatches(password, NO_ACCOUNT_DIGEST);
    return { outcome: 'refused', reason };
  };
  if (nameKey(name.edge) !== nameKey(edgeName)) return refuse('it is an account of another edge');
  const hub = findHub(state.hubs, name.hub);
  if (hub === undefined || !hasPin(hub, peerPin)) {
    if (state.removedHubs !== undefined && Object.hasOwn(state.removedHubs, peerPin))
      return { outcome: 'removed', reason: 'this hub was removed from the site' };
    return refuse(
      hub === undefined
        ? `hub ${name.hub} is not admitted`
        : `the client's certificate is not one that is pinned for hub ${hub.name}`,
    );
  }
  const account = findAccount(state.accounts, accountName);
  const matches = passwordMatches(password, account?.password ?? NO_ACCOUNT_DIGEST);
  return account === undefined || matches
    ? { outcome: 'hub', hub }
    : { outcome: 'refused', reason: 'the password is not that of the account' };
}

/** True for the key of a client that is pinned for this hub: during a rollover it has two. */
export function hasPin(hub: AdmittedHub, pin: Pin): boolean {
  return pinsOf(hub.pins).some((one) => samePin(one, pin));
}

/** The hub whose pinned key this is. */
export function hubByPin(state: Pick<CredentialState, 'hubs'>, pin: Pin): AdmittedHub | undefined {
  return Object.values(state.hubs).find((hub) => hasPin(hub, pin));
}

/** The state in which the bootstrap account belongs to `peerPin`. */
export function withBootstrapBound<T extends CredentialState>(state: T, peerPin: Pin): T {
  return { ...state, accounts: state.accounts.map((account) => bindBootstrap(account, peerPin)) };
}

/**
 * The state after a hub with the key `pin` proved its ESRA: the bootstrap account is gone. Only the hub that used the bootstrap account proves
 * anything about it: another hub's session, during a second subscription, leaves it alone. Returns `state` itself when nothing changes.
 */
export function afterProvingBind<T extends CredentialState>(state: T, pin: Pin): T {
  const accounts = state.accounts.filter((account) => account.kind !== 'bootstrap' || account.pin !== pin);
  return accounts.length === state.accounts.length ? state : { ...state, accounts };
}

/** The state without an expired bootstrap account (its file is worthless). What time does to ESRAs is decided in `lifecycle/`. */
export function withoutExpiredBootstrap<T extends CredentialState>(state: T, now: number): T {
  const accounts = state.accounts.filter(
    (account) => account.kind !== 'bootstrap' || now < account.expiresAt,
  );
  return accounts.length === state.accounts.length ? state : { ...state, accounts };
}
