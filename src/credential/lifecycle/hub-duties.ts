/** What is due on the hub's side of a pair, after any event: run, and printed in docs/credentials.md. Pure; in this order. */
import { windowAt } from '../account.ts';
import {
  find,
  withAll,
  warned,
  calmed,
  wanted,
  wantedBySite,
  usable,
  inContact,
  mayPlan,
  planned,
  freshPending,
  each,
  type HubRule,
} from './hub-moves.ts';
import {
  CLOCK_TOLERANCE_MS,
  firstWindow,
  latestOf,
  renewalDue,
  renewalTimes,
  successorWindow,
} from '../schedule.ts';
import type { Generation } from './hub-pair.ts';

/** What is due, whatever the event was. */
export const HUB_DUTIES: readonly HubRule[] = [
  {
    name: 'distrust',
    on: 'always',
    when: 'a generation begins later than any successor made by the present clock, or than the one before it allows',
    effect: 'it was made under a wrong clock: it retires',
    run: (state, _event, now, timings) => {
      if (state.run.contact !== 'good') return undefined;
      const farthest = now + timings.successorBeforeMs + CLOCK_TOLERANCE_MS;
      const late = (one: Generation): boolean => {
        if (one.retiring || one.effectiveAt <= now + CLOCK_TOLERANCE_MS) return false;
        const before = latestOf(wanted(state.pair).filter(({ number }) => number < one.number));
        const due = before === undefined ? farthest : renewalTimes(before, timings).switchAt;
        return one.effectiveAt > Math.min(farthest, due + CLOCK_TOLERANCE_MS);
      };
      return { state: withAll(state, (one) => (late(one) ? { ...one, retiring: true } : one)) };
    },
  },
  {
    name: 'plan',
    on: 'always',
    when: 'no generation has begun that is not retiring or lost',
    effect: 'the number of a new one is reserved, effective at once; those that begin later retire',
    run: (state, _event, now, timings) =>
      mayPlan(state) && !wanted(state.pair).some((one) => one.effectiveAt <= now + CLOCK_TOLERANCE_MS)
        ? {
            state: planned(
              // One that begins later would end later, too, than its successor.
              withAll(state, (one) => (one.retiring ? one : { ...one, retiring: true })),
              firstWindow(now, timings.lifetimeMs),
            ),
          }
        : undefined,
  },
  {
    name: 'prepare',
    on: 'always',
    when: 'the latest generation expires in `successor_before` (7 d) or less',
    effect: 'the number of its successor is reserved, effective `effective_before` (3 d) before that expiry',
    run: (state, _event, now, timings) => {
      const latest = latestOf(wanted(state.pair));
      return mayPlan(state) && latest !== undefined && renewalDue([latest], now, timings)
        ? { state: planned(state, successorWindow(latest, now, timings)) }
        : undefined;
    },
  },
  {
    name: 'switch',
    on: 'always',
    when: 'a later generation is effective, and confirmed by a bind; or another one is, and the one in use retires',
    effect: 'it is used from now on',
    run: (state, _event, now) => {
      const next = usable(state, now)
        .filter((one) => one.confirmed && !one.retiring)
        .sort((a, b) => b.number - a.number)[0];
      const current = find(state.pair, state.pair.using);
      return next !== undefined && (current === undefined || next.number > current.number || current.retiring)
        ? { state: { ...state, pair: { ...state.pair, using: next.number } } }
        : undefined;
    },
  },
  {
    name: 'choose',
    on: 'always',
    when: 'the generation in use has expired, is lost, or is refused',
    effect: 'the best of the others is used: confirmed ones first, then later ones',
    run: (state, _event, now) => {
      const left = usable(state, now);
      if (left.some((one) => one.number === state.pair.using)) return undefined;
      const best = [...left.filter((one) => one.confirmed), ...left.filter((one) => !one.confirmed)][0];
      return best?.number === state.pair.using
        ? undefined
        : { state: { ...state, pair: { ...state.pair, using: best?.number } } };
    },
  },
  {
    name: 'unconfirmed',
    on: 'always',
    when: 'a successor is effective, and no bind has proved it, or the edge refuses it now',
    effect: 'the old one is used to its end; warn `credential.unconfirmed` with the reason',
    run: (state, _event, now) => {
      const { refused } = state.run;
      const late = wanted(state.pair).some(
        (one) => (!one.confirmed || refused.includes(one.number)) && one.effectiveAt <= now,
      );
      const using = state.pair.using !== undefined && find(state.pair, state.pair.using)?.confirmed === true;
      if (late && using && state.run.failure !== undefined)
        return { state: warned(state, 'credential.unconfirmed', state.run.failure) };
      return late ? undefined : { state: calmed(state, 'credential.unconfirmed') };
    },
  },
  {
    name: 'recover',
    on: 'always',
    when: 'no generation is left that the edge accepts, and it did not refuse the pair itself',
    effect:
      'a generation that the edge has not got yet, or a new one, is handed over by a request that both pinned keys prove',
    run: (state, _event, now, timings) => {
      const { pair, run } = state;
      // A pair that leaves recovers, too: only in a session can it say so.
      if (pair.phase === 'ended' || run.contact !== 'good' || run.barred || pair.using !== undefined)
        return undefined;
      if (freshPending(pair, state, now) !== undefined) return undefined;
      const known = wanted(pair)
        .filter((one) => !one.confirmed && !one.installed && windowAt(one, now, 0) === 'open')
        .sort((a, b) => b.number - a.number)[0];
      if (known === undefined) return { state: planned(state, firstWindow(now, timings.lifetimeMs), true) };
      return { state: { ...state, pair: { ...pair, fresh: known.number } } };
    },
  },
  {
    name: 'refused-number',
    on: 'always',
    when: 'the edge accepts one generation, and refuses another whose number it knows: revoked there, or of another password',
    effect: 'the refused one retires, so that another one is made',
    run: (state) => {
      const { bound, highest, refused } = state.run;
      return bound === undefined
        ? undefined
        : {
            state: withAll(state, (one) =>
              one.number !== bound && one.number <= highest && refused.includes(one.number) && !one.retiring
                ? { ...one, retiring: true }
                : one,
            ),
          };
    },
  },
  {
    name: 'keep',
    on: 'always',
    when: 'a number is reserved, and its time is not over',
    effect: "make the password, seal it to this hub, write this hub's own record",
    run: (state, _event, now) =>
      each(
        state,
        wantedBySite(state.pair).filter((one) => one.own === 'planned' && now < one.expiresAt),
        'keep',
        (one) => ({
          type: 'keep',
          number: one.number,
          window: { effectiveAt: one.effectiveAt, expiresAt: one.expiresAt },
        }),
      ),
  },
  {
    name: 'publish',
    on: 'always',
    when: "the own record is there, the edge's is not, and its time is not over",
    effect: "seal the password to the edge, write the record to the edge's object",
    run: (state, _event, now) =>
      each(
        state,
        wantedBySite(state.pair).filter((one) => one.own === 'kept' && !one.published && now < one.expiresAt),
        'publish',
        (one) => ({ type: 'publish', number: one.number }),
      ),
  },
  {
    name: 'bind',
    on: 'always',
    when: 'the session has not bound with the generation in use',
    effect: 'count the call, then bind',
    run: (state) => {
      const { using, phase } = state.pair;
      if (phase === 'ended' || !inContact(state) || using === undefined || state.run.bound === using)
        return undefined;
      return each(
        state,
        state.pair.generations.filter((one) => one.number === using),
        'bind',
        (one, pair) => ({
          type: 'bind',
          number: one.number,
          instance: pair.instance,
          counter: pair.counter,
        }),
      );
    },
  },
  {
    name: 'install',
    on: 'always',
    when: 'a recovery, or fresh keys, are under way',
    effect: 'count the call, then hand the record over',
    run: (state, _event, now) => {
      const fresh = freshPending(state.pair, state, now);
      const ready = fresh?.own === 'kept' && !fresh.installed && state.run.contact === 'good';
      if (!ready || (state.pair.using !== undefined && state.run.bound === undefined)) return undefined;
      return each(state, [fresh], 'install', (one, pair) => ({
        type: 'install',
        number: one.number,
        session: state.run.bound,
        instance: pair.instance,
        counter: pair.counter,
      }));
    },
  },
  {
    name: 'prove',
    on: 'always',
    when: 'a generation has reached the edge, or may have, and is not confirmed',
    effect: 'count the call, then bind with it and ask Who am I',
    run: (state, _event, now) =>
      state.pair.phase !== 'active' || state.run.contact !== 'good' || state.run.bound === undefined
        ? undefined
        : each(
            state,
            wanted(state.pair).filter(
              (one) =>
                one.own === 'kept' &&
                (one.published || one.installed) &&
                !one.confirmed &&
                one.number !== state.pair.using &&
                windowAt(one, now, 0) !== 'expired',
            ),
            'prove',
            (one, pair) => ({
              type: 'prove',
              number: one.number,
              instance: pair.instance,
              counter: pair.counter,
            }),
          ),
  },
  {
    name: 'retire',
    on: 'always',
    when: 'a session has bound with a confirmed generation, and others are retiring',
    effect: 'delete their accounts on the edge',
    run: (state) => {
      const session = state.run.bound;
      const bound = find(state.pair, session);
      if (
        session === undefined ||
        session !== state.pair.using ||
        bound?.confirmed !== true ||
        bound.retiring
      )
        return undefined;
      return each(
        state,
        state.pair.generations.filter((one) => one.retiring && !one.gone),
        'delete',
        (one) => ({
          type: 'delete',
          number: one.number,
          session,
        }),
      );
    },
  },
  {
    name: 'withdraw',
    on: 'always',
    when: 'an account is deleted, or has expired and a later one is there, or the pair has ended; or this hub does not know it, and has bound with a later one',
    effect: 'delete its records from the configuration directory',
    run: (state, _event, now) => {
      const { pair, run } = state;
      const latest = latestOf(wanted(pair));
      const next = withAll(state, (one) =>
        run.contact === 'good' && !one.gone && now >= one.expiresAt && latest !== undefined && latest !== one
          ? { ...one, gone: true }
          : one,
      );
      const over = next.pair.generations.filter((one) => one.gone || pair.phase === 'ended');
      // Unless the edge has let this hub in, it may be that of another instance, which must be found out and not disturbed.
      const proved =
        run.contact === 'good' &&
        run.bound !== undefined &&
        run.bound === pair.using &&
        pair.fresh === undefined;
      const strange = run.strange.filter((number) => proved && number < (pair.using ?? 0));
      return (
        each(next, [...over, ...strange.map((number) => ({ number }))], 'withdraw', (one) => ({
          type: 'withdraw',
          number: one.number,
        })) ?? { state: next }
      );
    },
  },
  {
    name: 'leave',
    on: 'always',
    when: 'the pair ends, and a session is there',
    effect: 'tell the edge; without a session before everything has expired, the records are withdrawn then',
    run: (state, _event, now) => {
      if (state.pair.phase !== 'leaving') return undefined;
      const over = state.pair.generations.every((one) => now >= one.expiresAt + CLOCK_TOLERANCE_MS);
      if (over && state.run.contact !== 'skewed')
        return { state: { ...state, pair: { ...state.pair, phase: 'ended' } } };
      const session = state.run.bound;
      // A session that may only hand over fresh keys takes nothing else.
      if (session === undefined || state.pair.fresh !== undefined) return undefined;
      return each(
        state,
        state.pair.generations.filter((one) => one.number === session),
        'leave',
        () => ({
          type: 'leave',
          session,
        }),
      );
    },
  },
];
