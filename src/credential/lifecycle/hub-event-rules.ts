/** What each event changes on the hub's side of a pair: run, and printed in docs/credentials.md. Pure. */
import { type HubPair, type HubState, newRun } from './hub-pair.ts';
import {
  ran,
  withAll,
  changed,
  warned,
  calmed,
  suspended,
  triable,
  notAdmitted,
  refusedNow,
  wanted,
  planned,
  freshPending,
  accepted,
  awake,
  observe,
  type HubRule,
} from './hub-moves.ts';
import { on } from './rule.ts';
import { CLOCK_TOLERANCE_MS, firstWindow, latestOf } from '../schedule.ts';

/** What an event changes. */
export const HUB_EVENT_RULES: readonly HubRule[] = [
  {
    name: 'begin',
    on: ['started', 'cycle'],
    when: 'a start, or a cycle',
    effect: 'forget what was begun; open a pinned session',
    run: (state, event) =>
      event.type === 'started' || event.type === 'cycle'
        ? state.pair.phase === 'ended'
          ? { state: { ...state, run: newRun(event.newInstance) } }
          : { state: { ...state, run: newRun(event.newInstance) }, actions: [{ type: 'contact' }] }
        : undefined,
  },
  {
    name: 'clock-differs',
    when: 'the clocks differ by more than the tolerance',
    effect: 'warn `clock.skew` with both clocks; nothing that depends on time is done',
    ...on('contacted', (state, event, now) => {
      if (Math.abs(event.edgeNow - now) <= CLOCK_TOLERANCE_MS) return undefined;
      const why = `the clock of this hub says ${new Date(now).toISOString()}, that of the edge ${new Date(event.edgeNow).toISOString()}`;
      return {
        state: warned(ran(state, { contact: 'skewed', failure: 'the clocks differ' }), 'clock.skew', why),
      };
    }),
  },
  {
    name: 'contact',
    when: 'the edge has shown its pinned key and its clock',
    effect: 'go on with this session',
    ...on('contacted', (state) => ({ state: calmed(ran(state, { contact: 'good' }), 'clock.skew') })),
  },
  {
    name: 'no-contact',
    when: 'the edge cannot be reached',
    effect: 'successors are made all the same: another hub may bring them',
    ...on('unreachable', (state, event) => ({
      state: ran(state, { contact: 'none', failure: event.reason }),
    })),
  },
  {
    name: 'local-failure',
    when: 'something here does not work (the configuration directory, ...)',
    effect: 'remember why; the next cycle tries again',
    ...on('failed', (state, event) => ({ state: ran(state, { failure: event.reason }) })),
  },
  {
    name: 'observe',
    when: 'the configuration directory was read',
    effect:
      'a lost own record is made again when nobody else has seen it, else its generation cannot be used until it comes back; a lost record of the edge is written again; a withdrawn generation whose records are gone is forgotten',
    ...on('observed', (state, event) => observe(state, event.own, event.published)),
  },
  {
    name: 'kept',
    when: "this hub's own record is written, or was there already",
    effect: 'its password can be found again; its times are those of the record',
    ...on('kept', (state, event) => ({
      state: changed(state, event.number, { own: 'kept', ...event.window }),
    })),
  },
  {
    name: 'restored',
    when: 'the edge has seen this counter before: this hub runs on a restored backup',
    effect:
      'warn `credential.restored`; new instance id; a fresh generation is handed over in this session; all others retire',
    ...on('bound', (state, event, now, timings) => {
      if (event.outcome !== 'reused') return undefined;
      const here = awake(event.number === state.pair.using ? ran(state, { bound: event.number }) : state);
      const pending = freshPending(here.pair, here, now);
      // When even that one is not fresh to the edge, another is made.
      if (pending !== undefined && pending.number !== event.number) return { state: here };
      const retired = withAll(here, (one) => ({ ...one, retiring: true }));
      const pair: HubPair = {
        ...retired.pair,
        instance: state.run.newInstance,
        counter: 0,
        nextNumber: Math.max(retired.pair.nextNumber, event.highest + 1),
      };
      const next = planned({ ...retired, pair }, firstWindow(now, timings.lifetimeMs), true);
      return {
        state: warned(
          next,
          'credential.restored',
          'the edge has seen a later state of this hub: this is a restored backup',
        ),
      };
    }),
  },
  {
    name: 'fresh-proved',
    when: 'the generation of a recovery, or of fresh keys, has bound',
    effect: 'it is confirmed; all others retire, since the edge has deleted them',
    ...on('bound', (state, event) => {
      if (event.number !== state.pair.fresh || event.outcome !== 'ok') return undefined;
      const retired = withAll(state, (one) =>
        one.number === event.number || one.retiring ? one : { ...one, retiring: true },
      );
      return { state: accepted({ ...retired, pair: { ...retired.pair, fresh: undefined } }, event) };
    }),
  },
  {
    name: 'confirmed',
    when: 'a bind has succeeded (before its time: for Who am I only)',
    effect: 'the generation is confirmed; a suspended pair is active again',
    ...on('bound', (state, event) => ({
      state: accepted(
        event.outcome === 'ok' && state.pair.fresh !== undefined
          ? { ...state, pair: { ...state.pair, fresh: undefined } }
          : state,
        event,
      ),
    })),
  },
  {
    name: 'suspended',
    when: 'the edge has seen two instances of this hub at once',
    effect: 'warn `credential.two-instances`; nothing is renewed until `credential resolve`',
    ...on('refused', (state, event) =>
      event.code === 'two-instances'
        ? { state: suspended(ran(refusedNow(state, event.number), { barred: true })) }
        : undefined,
    ),
  },
  {
    name: 'left-before',
    on: ['refused', 'install-refused'],
    when: 'the edge knows this hub no more, and it is leaving: the answer was lost',
    effect: 'the records can be withdrawn',
    run: (state, event) =>
      'code' in event && event.code === 'not-admitted' && state.pair.phase === 'leaving'
        ? { state: { ...state, pair: { ...state.pair, phase: 'ended' } } }
        : undefined,
  },
  {
    name: 'not-admitted',
    when: 'the edge knows this hub no more',
    effect: 'warn `credential.not-admitted`; nothing is made until it is let in again',
    ...on('refused', (state, event) =>
      event.code === 'not-admitted'
        ? { state: notAdmitted(ran(refusedNow(state, event.number), { barred: true })) }
        : undefined,
    ),
  },
  {
    name: 'refused',
    when: 'the edge refuses a bind',
    effect: 'this generation is not tried again in this cycle',
    ...on('refused', (state, event) => ({
      state: ran(refusedNow(state, event.number), { failure: 'the edge refuses it' }),
    })),
  },
  {
    name: 'installed',
    when: 'the edge has taken a record that was handed over',
    effect: 'it can be used; after a recovery: new instance id, warn `credential.recovered`',
    ...on('installed', (state, event) => {
      const taken = triable(changed(state, event.number, { installed: true }), event.number);
      const next: HubState = event.counted
        ? {
            ...taken,
            pair: {
              ...taken.pair,
              phase: taken.pair.phase === 'suspended' ? 'active' : taken.pair.phase,
              instance: state.run.newInstance,
              counter: 0,
            },
          }
        : taken;
      return {
        state: event.counted
          ? warned(
              next,
              'credential.recovered',
              'all credentials of the pair had ended: it recovered by its pinned keys',
            )
          : next,
      };
    }),
  },
  {
    name: 'number-used',
    when: 'the edge knows a later number of the pair',
    effect: 'the generation is given up; the next number is above it',
    ...on('install-refused', (state, event) =>
      event.code === 'number-used'
        ? {
            state: {
              ...state,
              pair: {
                ...changed(state, event.number, { retiring: true }).pair,
                fresh: undefined,
                nextNumber: Math.max(state.pair.nextNumber, event.highest + 1),
              },
            },
          }
        : undefined,
    ),
  },
  {
    name: 'recovery-refused',
    when: 'the edge refuses a recovery',
    effect: 'warn with its reason; the next cycle asks again',
    ...on('install-refused', (state, event) => {
      if (event.code === 'two-instances') return { state: suspended(state) };
      if (event.code === 'not-admitted') return { state: notAdmitted(state) };
      if (event.code === 'exhausted')
        return {
          state: warned(
            state,
            'credential.recovery-exhausted',
            'the edge allows no more recoveries in a row',
          ),
        };
      const why =
        event.code === 'clock'
          ? 'the edge finds the times of the credential unacceptable'
          : 'the edge has a credential of this hub that has not expired, and heard of it just now';
      return { state: warned(state, 'credential.recovery-waits', why) };
    }),
  },
  {
    name: 'deleted',
    when: 'a retired account is deleted on the edge',
    effect: 'its records can be withdrawn',
    ...on('deleted', (state, event) => ({ state: changed(state, event.number, { gone: true }) })),
  },
  {
    name: 'rotate-now',
    when: '`credential rotate --now`',
    effect: 'all generations retire: a fresh one is made, effective at once',
    ...on('rotate', (state, event) =>
      event.now && state.pair.phase === 'active'
        ? { state: withAll(state, (one) => ({ ...one, retiring: true })) }
        : undefined,
    ),
  },
  {
    name: 'rotate',
    when: '`credential rotate`, and no successor is under way',
    effect: 'the successor is made now, and effective after the usual lead',
    ...on('rotate', (state, _event, now, timings) => {
      const latest = latestOf(wanted(state.pair));
      if (state.pair.phase !== 'active' || latest?.confirmed !== true || latest.effectiveAt > now)
        return undefined;
      const lead = timings.successorBeforeMs - timings.effectiveBeforeMs;
      return { state: planned(state, firstWindow(now + lead, timings.lifetimeMs)) };
    }),
  },
  {
    name: 'revoke',
    when: '`credential revoke`',
    effect: 'that generation retires',
    ...on('revoke', (state, event) => ({ state: changed(state, event.number, { retiring: true }) })),
  },
  {
    name: 'end',
    when: 'the subscription ends, or this hub leaves the site',
    effect: 'nothing is renewed any more',
    ...on('end', (state) => ({
      state: state.pair.phase === 'ended' ? state : { ...state, pair: { ...state.pair, phase: 'leaving' } },
    })),
  },
  {
    name: 'left',
    when: 'the edge has deleted the accounts of the pair',
    effect: 'the records can be withdrawn',
    ...on('left', (state) => ({ state: { ...state, pair: { ...state.pair, phase: 'ended' } } })),
  },
];
