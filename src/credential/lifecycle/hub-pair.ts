/**
 * The hub's side of one pair (this hub, one edge): its state, what may happen to it, and what it has done. Plain data; the rules are in
 * hub-event-rules.ts and hub-duties.ts. Owns no password and no record: those are the driver's, found by the generation's number.
 */
import type { ErrorCode } from '../../base/error.ts';
import type { Window } from '../schedule.ts';

/** One ESRA of the pair, `ESRA.<edge>.<hub>.<number>`. */
export interface Generation extends Window {
  readonly number: number;
  /** This hub's own record: not made yet; there; or no more to be found, so that its password is lost. */
  readonly own: 'planned' | 'kept' | 'missing';
  /** Its record stands on the edge's object of the configuration directory. */
  readonly published: boolean;
  /** The edge took it by a signed request. */
  readonly installed: boolean;
  /** A bind at the edge proved it. */
  readonly confirmed: boolean;
  /** To be deleted on the edge as soon as another one is in use. */
  readonly retiring: boolean;
  /** Its account on the edge is deleted, or has expired: its records are to be withdrawn. */
  readonly gone: boolean;
}

export type HubWarning = Extract<
  ErrorCode,
  | 'clock.skew'
  | 'credential.unconfirmed'
  | 'credential.restored'
  | 'credential.recovered'
  | 'credential.recovery-waits'
  | 'credential.recovery-exhausted'
  | 'credential.two-instances'
  | 'credential.not-admitted'
>;

/** What is kept on the disk. */
export interface HubPair {
  readonly phase: 'active' | 'suspended' | 'leaving' | 'ended';
  /** This installation, and how often it has called: a copy of its disk counts the same numbers again. */
  readonly instance: string;
  readonly counter: number;
  /** Numbers are not used again. */
  readonly nextNumber: number;
  /** The generation that sessions are opened with. */
  readonly using: number | undefined;
  /** The generation that is handed to the edge by a signed request: a recovery, or fresh keys after a restored backup. */
  readonly fresh: number | undefined;
  readonly generations: readonly Generation[];
  /** Present warnings, with the reason in words. */
  readonly warnings: Readonly<Partial<Record<HubWarning, string>>>;
}

/** What a restart forgets: how far the present cycle has come. */
export interface HubRun {
  readonly contact: 'unknown' | 'good' | 'skewed' | 'none';
  /** Actions that were started in this cycle: each is tried once a cycle. */
  readonly tried: readonly string[];
  /** Generations that the edge refused in this cycle. */
  readonly refused: readonly number[];
  /** The generation of this cycle's session. */
  readonly bound: number | undefined;
  /** The edge refuses the pair itself, not only a generation. */
  readonly barred: boolean;
  /** Records of the pair that this hub did not make, as far as it remembers. */
  readonly strange: readonly number[];
  /** Highest number that the edge knows, as this cycle's session was told. */
  readonly highest: number;
  /** A random id, in case the pair needs a new one. */
  readonly newInstance: string;
  /** Why the last step towards a confirmation failed. */
  readonly failure: string | undefined;
}

export interface HubState {
  readonly pair: HubPair;
  readonly run: HubRun;
}

export type RecoveryRefusal =
  | 'number-used'
  | 'in-use'
  | 'exhausted'
  | 'two-instances'
  | 'not-admitted'
  | 'clock';

export type HubEvent =
  /** The daemon has started; nothing that was begun before is known to have ended. `newInstance`: 16 random bytes, hex. */
  | { readonly type: 'started'; readonly newInstance: string }
  /** At least once every `cycleMs`, and at `wakeAt`; after the results of all actions of the cycle before. */
  | { readonly type: 'cycle'; readonly newInstance: string }
  /** Before each cycle, where it can be read: what the configuration directory holds of this pair: numbers in the hub's own records, and on the edge's object. */
  | { readonly type: 'observed'; readonly own: readonly number[]; readonly published: readonly number[] }
  /** Results of actions. `edgeNow` is the edge's clock, read in the pinned session. */
  | { readonly type: 'contacted'; readonly edgeNow: number }
  | { readonly type: 'unreachable'; readonly reason: string }
  /** `window`: that of the record, when one of this number was there already. */
  | { readonly type: 'kept'; readonly number: number; readonly window?: Window }
  | {
      readonly type: 'bound';
      readonly number: number;
      /** `reused`: the edge has seen this counter before; the session may only hand over fresh keys. */
      readonly outcome: 'ok' | 'who-am-i-only' | 'reused';
      /** Highest account number of the pair that the edge knows. */
      readonly highest: number;
    }
  | {
      readonly type: 'refused';
      readonly number: number;
      readonly code: 'refused' | 'two-instances' | 'not-admitted';
    }
  | { readonly type: 'installed'; readonly number: number; readonly counted: boolean }
  | {
      readonly type: 'install-refused';
      readonly number: number;
      readonly code: RecoveryRefusal;
      readonly highest: number;
    }
  | { readonly type: 'deleted'; readonly number: number }
  | { readonly type: 'left' }
  /** An action could not be done for a local reason: the configuration directory does not answer, ... */
  | { readonly type: 'failed'; readonly reason: string }
  /** Commands. */
  | { readonly type: 'rotate'; readonly now: boolean }
  | { readonly type: 'revoke'; readonly number: number }
  | { readonly type: 'end' };

export type HubAction =
  /** Open a pinned session (one serves the whole cycle) and read the edge's clock. */
  | { readonly type: 'contact' }
  /** Make a password and write this hub's own record, unless one of this number is there already. */
  | { readonly type: 'keep'; readonly number: number; readonly window: Window }
  /** Seal the same password to the edge and write the record to the edge's object. No result: `observed` tells whether it is there. */
  | { readonly type: 'publish'; readonly number: number }
  /** Bind and stay: the session that the hub works with. */
  | { readonly type: 'bind'; readonly number: number; readonly instance: string; readonly counter: number }
  /** Bind on a session of its own, ask Who am I, and close. */
  | { readonly type: 'prove'; readonly number: number; readonly instance: string; readonly counter: number }
  /** Hand the record to the edge by a request that both pinned keys prove; inside the session of this cycle when `session`. */
  | {
      readonly type: 'install';
      readonly number: number;
      readonly session: number | undefined;
      readonly instance: string;
      readonly counter: number;
    }
  /** Delete the account on the edge, in this cycle's session. */
  | { readonly type: 'delete'; readonly number: number; readonly session: number }
  /** Delete both records from the configuration directory. No result: `observed` tells. */
  | { readonly type: 'withdraw'; readonly number: number }
  /** Tell the edge, in this cycle's session, that the pair ends. */
  | { readonly type: 'leave'; readonly session: number }
  | { readonly type: 'warn'; readonly code: HubWarning; readonly why: string };

export interface HubStep {
  readonly state: HubState;
  /** In this order, one after the other; each result is an event. */
  readonly actions: readonly HubAction[];
  /** `state.pair` must be on the disk before the first action is begun. */
  readonly save: boolean;
  /** The next `cycle` is due at this moment at the latest. */
  readonly wakeAt: number;
}

/** A pair of which an import made the first credential, if any; otherwise the first cycle makes it. */
export function newHubPair(instance: string, first?: { readonly number: number } & Window): HubPair {
  const made: Generation[] =
    first === undefined ? [] : [{ ...plannedGeneration(first.number, first), own: 'kept', published: true }];
  return {
    phase: 'active',
    instance,
    counter: 0,
    nextNumber: first === undefined ? 0 : first.number + 1,
    using: undefined,
    fresh: undefined,
    generations: made,
    warnings: {},
  };
}

export function plannedGeneration(number: number, window: Window): Generation {
  return {
    number,
    effectiveAt: window.effectiveAt,
    expiresAt: window.expiresAt,
    own: 'planned',
    published: false,
    installed: false,
    confirmed: false,
    retiring: false,
    gone: false,
  };
}

/** The state after a start: what the disk holds, and nothing begun. To be followed by `started`. */
export function resumeHub(pair: HubPair): HubState {
  return { pair, run: newRun('') };
}

export function newRun(newInstance: string): HubRun {
  return {
    contact: 'unknown',
    tried: [],
    refused: [],
    bound: undefined,
    barred: false,
    strange: [],
    highest: -1,
    newInstance,
    failure: undefined,
  };
}
