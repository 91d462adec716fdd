/** How a pair's accounts come and go on the edge: run, and printed in docs/credentials.md. Pure; the first row that fits decides. */
import { windowAt } from '../account.ts';
import {
  type EdgeRule,
  account,
  heardLately,
  used,
  place,
  timesFit,
  refuseRecord,
  refuseInstall,
  withAccount,
  installed,
  without,
} from './edge-moves.ts';
import { on } from './rule.ts';
import { CLOCK_TOLERANCE_MS, deletableCredentials } from '../schedule.ts';

/** Accounts of a pair: two during a renewal, a few more while old ones wait for their end. */
const MOST_ACCOUNTS = 16;

export const EDGE_ACCOUNT_RULES: readonly EdgeRule[] = [
  {
    name: 'ended-record',
    when: 'the pair has ended',
    effect: 'nothing is installed',
    ...on('record', (state, event) =>
      state.phase === 'ended' ? refuseRecord(state, event.number, 'the pair has ended') : undefined,
    ),
  },
  {
    name: 'known-record',
    when: 'an account of this number is there, or was deleted',
    effect: 'nothing is installed',
    ...on('record', (state, event) => {
      const known = account(state, event.number);
      if (known?.recordId === event.recordId) return { state };
      return known !== undefined || event.number <= state.floor
        ? refuseRecord(state, event.number, 'its number was used before')
        : undefined;
    }),
  },
  {
    name: 'record-times',
    when: 'it has expired, lives longer than 400 days, or begins in more than 90',
    effect: 'nothing is installed',
    ...on('record', (state, event, now) =>
      timesFit(event.window, now) && now < event.window.expiresAt
        ? undefined
        : refuseRecord(state, event.number, 'its times are not acceptable'),
    ),
  },
  {
    name: 'install-record',
    when: 'a record of a new number has arrived',
    effect: 'the account is made; until it is effective it may ask Who am I only',
    ...on('record', (state, event) =>
      state.accounts.length >= MOST_ACCOUNTS
        ? refuseRecord(state, event.number, `the pair has ${MOST_ACCOUNTS} accounts already`)
        : { state: withAccount(state, event, 'record') },
    ),
  },
  {
    name: 'install-not-allowed',
    when: 'the pair has ended, or is suspended',
    effect: 'refuse `not-admitted`, `two-instances`',
    ...on('install', (state) =>
      state.phase === 'active'
        ? undefined
        : refuseInstall(state, state.phase === 'ended' ? 'not-admitted' : 'two-instances'),
    ),
  },
  {
    name: 'installed-before',
    when: 'this very record is installed: its answer was lost, or a push was faster',
    effect: 'answer; nothing is counted; in a session that may hand over fresh keys, these are they',
    ...on('install', (state, event, now) => {
      if (account(state, event.number)?.recordId !== event.recordId) return undefined;
      const other = event.session !== undefined && event.session !== event.number;
      const fresh = state.needsFresh && other && place(state, event.session, now) === 'open';
      return {
        state: fresh ? { ...state, fresh: event.number } : state,
        actions: [{ type: 'installed', number: event.number, counted: false }],
      };
    }),
  },
  {
    name: 'other-install',
    when: 'another instance asks while the present one was heard within `quiet` (5 min)',
    effect: 'remember it; refuse `in-use`: if the present one is heard again, both are alive',
    ...on('install', (state, event, now, timings) => {
      const present = state.instance?.id ?? event.instance;
      return event.session === undefined &&
        present !== event.instance &&
        heardLately(state, now, timings.recoveryQuietMs)
        ? refuseInstall({ ...state, contender: event.instance }, 'in-use')
        : undefined;
    }),
  },
  {
    name: 'install-number',
    when: 'its number is not above all that were used',
    effect: 'refuse `number-used`, with the highest one',
    ...on('install', (state, event) =>
      event.number <= used(state) ? refuseInstall(state, 'number-used') : undefined,
    ),
  },
  {
    name: 'install-times',
    when: 'it is not effective now, has expired, or lives longer than 400 days',
    effect: 'refuse `clock`',
    ...on('install', (state, event, now) =>
      timesFit(event.window, now) && windowAt(event.window, now, CLOCK_TOLERANCE_MS) === 'open'
        ? undefined
        : refuseInstall(state, 'clock'),
    ),
  },
  {
    name: 'install-fresh',
    when: 'the pair needs fresh keys, and the session has bound with an account in its window',
    effect: 'the account is made; nothing is counted',
    ...on('install', (state, event, now) =>
      state.needsFresh && event.session !== undefined && place(state, event.session, now) === 'open'
        ? installed(state, event, false)
        : undefined,
    ),
  },
  {
    name: 'recovery-allowed',
    when: 'the administrator has allowed a recovery',
    effect: 'the account is made; that one is not counted',
    ...on('install', (state, event) =>
      state.allowed ? installed({ ...state, allowed: false }, event, true) : undefined,
    ),
  },
  {
    name: 'recovery-in-use',
    when: 'an account is in its window, and the pair was heard within `quiet` (5 min)',
    effect: 'refuse `in-use`',
    ...on('install', (state, _event, now, timings) =>
      state.accounts.some((one) => windowAt(one, now, 0) === 'open') &&
      heardLately(state, now, timings.recoveryQuietMs)
        ? refuseInstall(state, 'in-use')
        : undefined,
    ),
  },
  {
    name: 'recovery-exhausted',
    when: '`recoveries` (3) were granted since the last normal renewal',
    effect: 'refuse `exhausted`; warn `credential.recovery-exhausted`',
    ...on('install', (state, _event, _now, timings) =>
      state.recoveries >= timings.recoveries
        ? {
            state,
            actions: [
              {
                type: 'warn',
                code: 'credential.recovery-exhausted',
                why: `${state.recoveries} recoveries since the last normal renewal`,
              },
              { type: 'install-refused', code: 'exhausted', highest: used(state) },
            ],
          }
        : undefined,
    ),
  },
  {
    name: 'recover-pair',
    when: 'anything else: both pinned keys prove the request',
    effect: 'count it (on the disk, before the answer); the account is made; warn `credential.recovered`',
    ...on('install', (state, event) =>
      installed({ ...state, recoveries: state.recoveries + 1 }, event, true),
    ),
  },
  {
    name: 'delete-account',
    when: 'a session in its window deletes another account of its pair',
    effect: 'it is deleted, and its record installs nothing any more',
    ...on('delete', (state, event, now) =>
      state.phase === 'active' &&
      event.session !== event.number &&
      place(state, event.session, now) === 'open'
        ? without(
            state,
            state.accounts.filter((one) => one.number === event.number),
            event.number,
          )
        : undefined,
    ),
  },
  {
    name: 'end-pair',
    when: 'the subscription, or the hub, is removed',
    effect: 'all accounts are deleted',
    ...on('end', (state) => without({ ...state, phase: 'ended' }, state.accounts)),
  },
  {
    name: 'revoke-account',
    when: '`credential revoke` on the edge',
    effect: 'the account is deleted, and its record installs nothing any more',
    ...on('revoke', (state, event) =>
      without(
        state,
        state.accounts.filter((one) => one.number === event.number),
        event.number,
      ),
    ),
  },
  {
    name: 'resolve-pair',
    when: '`credential resolve`: one instance was switched off',
    effect: 'whichever calls next is the present one, and needs fresh keys',
    ...on('resolve', (state) => ({
      state:
        state.phase === 'suspended'
          ? {
              ...state,
              phase: 'active',
              instance: undefined,
              former: [],
              contender: undefined,
              needsFresh: true,
              fresh: undefined,
            }
          : state,
    })),
  },
  {
    name: 'allow-recovery',
    when: '`subscription recover --allow`',
    effect: 'the next recovery is granted, whatever was counted',
    ...on('allow-recovery', (state) => ({ state: state.allowed ? state : { ...state, allowed: true } })),
  },
  {
    name: 'delete-expired',
    on: 'always',
    when: 'an account has expired, and a later one is there',
    effect: 'it is deleted; the last one of a pair is disabled by time and never deleted by it',
    run: (state, _event, now) => {
      const over = deletableCredentials(state.accounts, now);
      return over.length === 0 ? undefined : without(state, over);
    },
  },
];
