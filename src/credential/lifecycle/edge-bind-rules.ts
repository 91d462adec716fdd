/** How the edge answers the binds of a pair: run, and printed in docs/credentials.md. Pure; the first row that fits decides. */
import {
  type EdgeRule,
  account,
  heardLately,
  used,
  place,
  refuse,
  restored,
  heard,
  proved,
  without,
} from './edge-moves.ts';
import { on } from './rule.ts';

export const EDGE_BIND_RULES: readonly EdgeRule[] = [
  {
    name: 'ended-bind',
    when: 'the pair has ended',
    effect: 'refuse `not-admitted`',
    ...on('bind', (state) =>
      state.phase === 'ended' ? refuse(state, 'not-admitted', 'the pair has ended') : undefined,
    ),
  },
  {
    name: 'suspended-bind',
    when: 'the pair is suspended',
    effect: 'refuse `two-instances`',
    ...on('bind', (state) =>
      state.phase === 'suspended' ? refuse(state, 'two-instances', 'the pair is suspended') : undefined,
    ),
  },
  {
    name: 'outside-window',
    when: 'there is no such account, or its window, bent by the clock tolerance, is over',
    effect: 'refuse',
    ...on('bind', (state, event, now) =>
      place(state, event.number, now) === 'expired'
        ? refuse(state, 'refused', 'it has expired, or was never there')
        : undefined,
    ),
  },
  {
    name: 'two-instances',
    on: ['bind', 'alive'],
    when: 'the present instance is heard again after a former one called: both are alive',
    effect: 'suspend the pair; warn `credential.two-instances`; end its sessions, refuse',
    run: (state, event) => {
      const again =
        event.type === 'alive' || (event.type === 'bind' && event.instance === state.instance?.id);
      if (!again || state.contender === undefined || state.phase !== 'active') return undefined;
      return {
        state: { ...state, phase: 'suspended' },
        actions: [
          { type: 'warn', code: 'credential.two-instances', why: 'two instances of the hub called in turn' },
          { type: 'refused', code: 'two-instances', reason: 'the pair is suspended' },
        ],
      };
    },
  },
  {
    name: 'alive',
    when: 'the present instance is heard',
    effect: 'remember when',
    ...on('alive', (state, _event, now) => ({ state: { ...state, heardAt: now } })),
  },
  {
    name: 'former-instance',
    when: 'a former instance calls while the present one was heard within `quiet` (5 min)',
    effect: 'remember it; refuse: if the present one calls again, both are alive',
    ...on('bind', (state, event, now, timings) =>
      state.former.includes(event.instance) && heardLately(state, now, timings.recoveryQuietMs)
        ? {
            state: { ...state, contender: event.instance },
            actions: [{ type: 'refused', code: 'refused', reason: 'another instance of the hub is alive' }],
          }
        : undefined,
    ),
  },
  {
    name: 'former-restored',
    when: 'a former instance calls, and the present one is silent',
    effect: 'it is a restored backup: the session may only hand over fresh keys',
    ...on('bind', (state, event) => (state.former.includes(event.instance) ? restored(state) : undefined)),
  },
  {
    name: 'reused-counter',
    when: 'the present instance calls with a counter that was used',
    effect: 'it is a restored backup: warn `credential.restored`; the session may only hand over fresh keys',
    ...on('bind', (state, event) =>
      state.instance?.id === event.instance && event.counter <= state.instance.counter
        ? restored(state)
        : undefined,
    ),
  },
  {
    name: 'fresh-due',
    when: 'the pair needs fresh keys, and this is an old account',
    effect: 'the session may only hand them over',
    ...on('bind', (state, event, now) =>
      state.needsFresh && event.number !== state.fresh
        ? {
            state: heard(state, event, now),
            actions: [{ type: 'bound', outcome: 'reused', highest: used(state) }],
          }
        : undefined,
    ),
  },
  {
    name: 'early-bind',
    when: 'the account is not effective yet',
    effect: 'the session may ask Who am I: so the hub proves that its successor is installed',
    ...on('bind', (state, event, now) =>
      place(state, event.number, now) === 'early'
        ? {
            state: heard(state, event, now),
            actions: [{ type: 'bound', outcome: 'who-am-i-only', highest: used(state) }],
          }
        : undefined,
    ),
  },
  {
    name: 'fresh-bind',
    when: 'the account of a recovery, or of fresh keys, binds',
    effect: 'all other accounts of the pair are deleted; earlier records install nothing any more',
    ...on('bind', (state, event, now) => {
      if (event.number !== state.fresh) return undefined;
      const others = state.accounts.filter((one) => one.number !== event.number);
      const next = without({ ...state, needsFresh: false, fresh: undefined }, others, event.number - 1);
      return {
        state: heard(proved(next.state, event.number), event, now),
        actions: [...(next.actions ?? []), { type: 'bound', outcome: 'ok', highest: used(state) }],
      };
    }),
  },
  {
    name: 'renewed-bind',
    when: 'an account that came in a push binds for the first time',
    effect: 'it is proved; the recoveries are counted anew',
    ...on('bind', (state, event, now) => {
      const known = account(state, event.number);
      if (known === undefined || known.proved || known.by !== 'record') return undefined;
      return {
        state: { ...heard(proved(state, event.number), event, now), recoveries: 0 },
        actions: [{ type: 'bound', outcome: 'ok', highest: used(state) }],
      };
    }),
  },
  {
    name: 'accept-bind',
    when: 'anything else',
    effect: 'remember instance and counter (on the disk, before the answer); accept',
    ...on('bind', (state, event, now) => ({
      state: heard(proved(state, event.number), event, now),
      actions: [{ type: 'bound', outcome: 'ok', highest: used(state) }],
    })),
  },
];
