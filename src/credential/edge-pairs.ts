/**
 * The pairs of an edge as the trust store holds them: what `lifecycle/` decides about, put together from the accounts and what is remembered
 * beside them, and taken apart again. One place for each fact: windows and records stand on the accounts alone. Pure.
 */
import { PosternError } from '../base/error.ts';
import { pinsOf } from '../certificate/peer-pins.ts';
import type { Account } from './account.ts';
import { nameKey, parseAccountName } from './account-name.ts';
import type { AdmittedHub, CredentialState, StoredPair } from './credential-state.ts';
import { type EdgeAccount, type EdgeEvent, type EdgePair, newEdgePair } from './lifecycle/edge-pair.ts';
import { type EdgeStep, stepEdge } from './lifecycle/lifecycle.ts';
import type { PasswordDigest } from './password.ts';
import type { RenewalTimings } from './schedule.ts';

/** What an account has besides what `lifecycle/` knows of it. */
export interface AccountSecret {
  /** `ESRA.<edge>.<hub>.<n>`, as its record spells it. */
  readonly name: string;
  readonly password: PasswordDigest;
}

/** Accounts of a pair, without their passwords. */
export function accountsOf(accounts: readonly Account[], hub: string): Account[] {
  const key = nameKey(hub);
  return accounts.filter((one) => one.kind === 'esra' && nameKey(one.hub ?? '') === key);
}

export function numberOf(account: Pick<Account, 'name'>): number {
  const name = parseAccountName(account.name);
  return name?.kind === 'esra' ? name.number : -1;
}

export function pairOf(state: CredentialState, hub: string): EdgePair {
  const accounts = accountsOf(state.accounts, hub).map(
    (one): EdgeAccount => ({
      number: numberOf(one),
      effectiveAt: one.effectiveAt,
      expiresAt: one.expiresAt,
      recordId: one.recordId ?? '',
      by: one.by ?? 'record',
      proved: one.proved ?? true,
    }),
  );
  const { restoredAt: _restoredAt, ...stored } = storedPair(state, hub) ?? {};
  const pair: EdgePair = { ...newEdgePair(), ...stored, accounts };
  const highest = Math.max(pair.highest, ...accounts.map(({ number }) => number));
  return highest === pair.highest ? pair : { ...pair, highest };
}

export function storedPair(state: CredentialState, hub: string): StoredPair | undefined {
  const key = nameKey(hub);
  return state.pairs !== undefined && Object.hasOwn(state.pairs, key) ? state.pairs[key] : undefined;
}

/** The state with the pair as it is now; `made`: what is to be kept with accounts that are new. */
function withPair<T extends CredentialState>(
  state: T,
  hub: Pick<AdmittedHub, 'name'>,
  pair: EdgePair,
  made: ReadonlyMap<number, AccountSecret>,
  restoredAt: number | undefined,
): T {
  const own = accountsOf(state.accounts, hub.name);
  const { accounts, instance, contender, fresh, ...rest } = pair;
  const next = accounts.map((one): Account => {
    const before = own.find((known) => numberOf(known) === one.number && known.recordId === one.recordId);
    const secret = before ?? made.get(one.number);
    if (secret === undefined) throw new PosternError('internal', 'an account without a password');
    return {
      name: secret.name,
      kind: 'esra',
      hub: hub.name,
      password: secret.password,
      state: pair.phase === 'suspended' ? 'suspended' : 'active',
      recordId: one.recordId,
      effectiveAt: one.effectiveAt,
      expiresAt: one.expiresAt,
      by: one.by,
      proved: one.proved,
    };
  });
  const stored: StoredPair = {
    ...rest,
    former: [...rest.former],
    ...(instance === undefined ? {} : { instance }),
    ...(contender === undefined ? {} : { contender }),
    ...(fresh === undefined ? {} : { fresh }),
    ...(restoredAt === undefined ? {} : { restoredAt }),
  };
  return {
    ...state,
    accounts: [...state.accounts.filter((one) => !own.includes(one)), ...next],
    pairs: { ...state.pairs, [nameKey(hub.name)]: stored },
  };
}

/** Without accounts and memory of a hub: it begins anew. */
export function withoutPair<T extends CredentialState>(state: T, hub: string): T {
  const own = accountsOf(state.accounts, hub);
  const pairs = Object.entries(state.pairs ?? {}).filter(([key]) => key !== nameKey(hub));
  return {
    ...state,
    accounts: state.accounts.filter((one) => !own.includes(one)),
    pairs: Object.fromEntries(pairs),
  };
}

/**
 * The administrator of this edge shuts a hub out: it and its accounts go, and what was said for its keys before does not let it in again. A
 * subscription file does, and a hub of the site that endorses it after this.
 */
export function withoutHub<T extends CredentialState>(state: T, hub: AdmittedHub, now: number): T {
  const hubs = Object.entries(state.hubs).filter(([key]) => key !== nameKey(hub.name));
  const { former } = hub.pins;
  const pins = [...pinsOf(hub.pins), ...(former === undefined ? [] : [former])];
  return {
    ...withoutPair(state, hub.name),
    hubs: Object.fromEntries(hubs),
    removedHubs: { ...state.removedHubs, ...Object.fromEntries(pins.map((pin) => [pin, now])) },
  };
}

export interface PairStep<T> extends Pick<EdgeStep, 'actions' | 'save' | 'wakeAt'> {
  readonly state: T;
}

/** One event of one pair, on the whole state. The same state comes back when nothing is to be written. */
export function stepPair<T extends CredentialState>(
  state: T,
  hub: Pick<AdmittedHub, 'name'>,
  event: EdgeEvent,
  now: number,
  timings: RenewalTimings,
  made: ReadonlyMap<number, AccountSecret> = new Map(),
): PairStep<T> {
  const before = pairOf(state, hub.name);
  const step = stepEdge(before, event, now, timings);
  const { actions, save, wakeAt } = step;
  if (!save) return { state, actions, save, wakeAt };
  const was = storedPair(state, hub.name)?.restoredAt;
  const restored = actions.some((one) => one.type === 'warn' && one.code === 'credential.restored');
  const restoredAt = restored ? now : renewed(before, step.state) ? undefined : was;
  return { state: withPair(state, hub, step.state, made, restoredAt), actions, save, wakeAt };
}

/** An account that came in a push has proved itself: what was said of the one before is over. */
function renewed(before: EdgePair, after: EdgePair): boolean {
  return after.accounts.some(
    (one) =>
      one.by === 'record' &&
      one.proved &&
      before.accounts.some((known) => known.number === one.number && !known.proved),
  );
}
