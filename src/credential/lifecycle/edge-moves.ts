/** What the edge's rules are made of: questions to a pair's state, refusals, and changes. Pure. */
import { windowAt, ESRA_CLOCK_TOLERANCE_MS } from '../account.ts';
import {
  type BindRefused,
  type EdgeAccount,
  type EdgeAction,
  type EdgeEvent,
  type EdgePair,
} from './edge-pair.ts';
import { type RecoveryRefusal } from './hub-pair.ts';
import { type Outcome, type Rule } from './rule.ts';
import { CLOCK_TOLERANCE_MS, MOST_AHEAD_MS, MOST_LIFETIME_MS, type Window } from '../schedule.ts';

export type EdgeRule = Rule<EdgePair, EdgeEvent, EdgeAction>;
type Done = Outcome<EdgePair, EdgeAction>;
type Bind = Extract<EdgeEvent, { type: 'bind' }>;
type Install = Extract<EdgeEvent, { type: 'install' }>;

/** Former instances that are remembered. */
const MOST_FORMER = 16;

export function account(state: EdgePair, number: number): EdgeAccount | undefined {
  return state.accounts.find((one) => one.number === number);
}

/** Highest number that was used, or whose record is refused. */
export function used(state: EdgePair): number {
  return Math.max(state.highest, state.floor);
}

export function place(state: EdgePair, number: number, now: number): 'early' | 'open' | 'expired' {
  const known = account(state, number);
  return known === undefined ? 'expired' : windowAt(known, now, ESRA_CLOCK_TOLERANCE_MS);
}

/** Whether the present instance was heard just now. One that was heard in the future, before the clock was set back, was not. */
export function heardLately(state: EdgePair, now: number, quietMs: number): boolean {
  return state.heardAt <= now + CLOCK_TOLERANCE_MS && now < state.heardAt + quietMs;
}

export function timesFit(window: Window, now: number): boolean {
  return (
    window.effectiveAt < window.expiresAt &&
    window.expiresAt - window.effectiveAt <= MOST_LIFETIME_MS &&
    window.effectiveAt <= now + MOST_AHEAD_MS
  );
}

export function refuse(state: EdgePair, code: BindRefused, reason: string): Done {
  return { state, actions: [{ type: 'refused', code, reason }] };
}

export function refuseRecord(state: EdgePair, number: number, reason: string): Done {
  return { state, actions: [{ type: 'record-refused', number, reason }] };
}

export function refuseInstall(state: EdgePair, code: RecoveryRefusal): Done {
  return {
    state,
    actions: [{ type: 'install-refused', code, highest: used(state) }],
  };
}

export function withAccount(
  state: EdgePair,
  event: { readonly number: number; readonly window: Window; readonly recordId: string },
  by: EdgeAccount['by'],
): EdgePair {
  const made: EdgeAccount = {
    number: event.number,
    effectiveAt: event.window.effectiveAt,
    expiresAt: event.window.expiresAt,
    recordId: event.recordId,
    by,
    proved: false,
  };
  return { ...state, accounts: [...state.accounts, made], highest: Math.max(state.highest, event.number) };
}

export function installed(state: EdgePair, event: Install, counted: boolean): Done {
  const next = { ...withAccount(state, event, 'request'), needsFresh: true, fresh: event.number };
  return {
    state: next,
    actions: [
      ...(counted
        ? [
            {
              type: 'warn' as const,
              code: 'credential.recovered' as const,
              why: 'the pair recovered by its pinned keys',
            },
          ]
        : []),
      { type: 'installed', number: event.number, counted },
    ],
  };
}

export function restored(state: EdgePair): Done {
  return {
    state: state.needsFresh ? state : { ...state, needsFresh: true, fresh: undefined },
    actions: [
      { type: 'warn', code: 'credential.restored', why: 'the hub called with a counter that was used' },
      { type: 'bound', outcome: 'reused', highest: used(state) },
    ],
  };
}

/** The state in which the calling instance is the present one. */
export function heard(state: EdgePair, event: Bind, now: number): EdgePair {
  const { instance } = state;
  const former =
    instance === undefined || instance.id === event.instance
      ? state.former
      : [instance.id, ...state.former.filter((id) => id !== instance.id)].slice(0, MOST_FORMER);
  return {
    ...state,
    instance: { id: event.instance, counter: event.counter },
    former,
    contender: undefined,
    heardAt: now,
  };
}

export function proved(state: EdgePair, number: number): EdgePair {
  return {
    ...state,
    accounts: state.accounts.map((one) =>
      one.number === number && !one.proved ? { ...one, proved: true } : one,
    ),
  };
}

export function without(state: EdgePair, gone: readonly EdgeAccount[], ...numbers: readonly number[]): Done {
  return {
    state: {
      ...state,
      accounts: state.accounts.filter((one) => !gone.includes(one)),
      floor: Math.max(state.floor, ...numbers, ...gone.map((one) => one.number)),
    },
    actions: gone.map((one) => ({ type: 'drop-account', number: one.number })),
  };
}
