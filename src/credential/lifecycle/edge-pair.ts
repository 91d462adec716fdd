/**
 * The edge's side of one pair (one hub, this edge): its accounts without their passwords, which instance of the hub is alive, and how many
 * recoveries it has had. Plain data; the rules are in edge-account-rules.ts and edge-bind-rules.ts. Records are verified and opened, pins and passwords compared, before an
 * event is made of them: see credential-service.ts and bind.ts.
 */
import type { ErrorCode } from '../../base/error.ts';
import type { RecoveryRefusal } from './hub-pair.ts';
import type { Window } from '../schedule.ts';

/** `ESRA.<edge>.<hub>.<number>`. */
export interface EdgeAccount extends Window {
  readonly number: number;
  /** SHA-256 (hex) of the record it was made from. */
  readonly recordId: string;
  /** How it came: in a push, or by a request of the hub itself. */
  readonly by: 'record' | 'request';
  /** A bind inside its window has succeeded. */
  readonly proved: boolean;
}

export type EdgeWarning = Extract<
  ErrorCode,
  | 'credential.restored'
  | 'credential.recovered'
  | 'credential.recovery-exhausted'
  | 'credential.two-instances'
>;

/** All of it is kept on the disk. */
export interface EdgePair {
  readonly phase: 'active' | 'suspended' | 'ended';
  readonly accounts: readonly EdgeAccount[];
  /** Highest number that was ever installed. */
  readonly highest: number;
  /** Accounts up to this number that are not there were deleted: their records install nothing any more. */
  readonly floor: number;
  /** Recoveries since the last normal renewal. */
  readonly recoveries: number;
  /** The administrator allows one recovery whatever else holds. */
  readonly allowed: boolean;
  /** The instance of the hub that is alive, and its last call. */
  readonly instance: { readonly id: string; readonly counter: number } | undefined;
  /** Instances that were replaced, the latest first. */
  readonly former: readonly string[];
  /** A former instance that called since the present one was heard. */
  readonly contender: string | undefined;
  /** When the present instance was last heard, by this edge's clock. */
  readonly heardAt: number;
  /** The pair needs fresh keys: sessions may only hand them over. */
  readonly needsFresh: boolean;
  /** The account that came by request and will end all others. */
  readonly fresh: number | undefined;
}

export type EdgeEvent =
  | { readonly type: 'started' }
  /** At least once every `cycleMs`, and at `wakeAt`. */
  | { readonly type: 'cycle' }
  /** A record arrived in a push. */
  | { readonly type: 'record'; readonly number: number; readonly window: Window; readonly recordId: string }
  /** A bind whose pin and password are right, or whose pin is right and whose account is not there. */
  | { readonly type: 'bind'; readonly number: number; readonly instance: string; readonly counter: number }
  /** A session that the present instance has bound asked for something. At least before each `install`, and while there is a `contender`. */
  | { readonly type: 'alive' }
  /** A signed request to install a record; `session`: the account that its session has bound with. */
  | {
      readonly type: 'install';
      readonly number: number;
      readonly window: Window;
      readonly recordId: string;
      readonly session: number | undefined;
      readonly instance: string;
    }
  /** The hub deletes one of its accounts in a session that has bound with another. */
  | { readonly type: 'delete'; readonly number: number; readonly session: number }
  /** The subscription is removed, the hub leaves or is removed. */
  | { readonly type: 'end' }
  /** `credential revoke` on the edge. */
  | { readonly type: 'revoke'; readonly number: number }
  /** `credential resolve`: one instance is left. */
  | { readonly type: 'resolve' }
  /** `subscription recover --allow`. */
  | { readonly type: 'allow-recovery' };

export type BindRefused = 'refused' | 'two-instances' | 'not-admitted';

/** Answers go out when the state is on the disk. */
export type EdgeAction =
  | { readonly type: 'bound'; readonly outcome: 'ok' | 'who-am-i-only' | 'reused'; readonly highest: number }
  | { readonly type: 'refused'; readonly code: BindRefused; readonly reason: string }
  | { readonly type: 'record-refused'; readonly number: number; readonly reason: string }
  | { readonly type: 'installed'; readonly number: number; readonly counted: boolean }
  | { readonly type: 'install-refused'; readonly code: RecoveryRefusal; readonly highest: number }
  /** Take the account from cn=Accounts, with its password digest, and end its sessions. */
  | { readonly type: 'drop-account'; readonly number: number }
  | { readonly type: 'warn'; readonly code: EdgeWarning; readonly why: string };

export function newEdgePair(): EdgePair {
  return {
    phase: 'active',
    accounts: [],
    highest: -1,
    floor: -1,
    recoveries: 0,
    allowed: false,
    instance: undefined,
    former: [],
    contender: undefined,
    heardAt: 0,
    needsFresh: false,
    fresh: undefined,
  };
}
