/** What the hub's rules are made of: questions to a pair's state, and changes of it. Pure; the same object comes back when nothing changes. */
import { windowAt } from '../account.ts';
import {
  type Generation,
  type HubAction,
  type HubEvent,
  type HubPair,
  type HubState,
  type HubWarning,
  plannedGeneration,
} from './hub-pair.ts';
import type { Outcome, Rule } from './rule.ts';
import { CLOCK_TOLERANCE_MS, usableCredentials, type Window } from '../schedule.ts';

export type HubRule = Rule<HubState, HubEvent, HubAction>;
type Done = Outcome<HubState, HubAction> | undefined;

export function find(pair: HubPair, number: number | undefined): Generation | undefined {
  return number === undefined ? undefined : pair.generations.find((one) => one.number === number);
}

export function ran(state: HubState, change: Partial<HubState['run']>): HubState {
  return { ...state, run: { ...state.run, ...change } };
}

/** The same object when nothing changes, here and below: then nothing is written to the disk. */
export function withAll(state: HubState, change: (one: Generation) => Generation): HubState {
  const generations = state.pair.generations.map(change);
  return generations.every((one, index) => one === state.pair.generations[index])
    ? state
    : { ...state, pair: { ...state.pair, generations } };
}

export function changed(state: HubState, number: number, change: Partial<Generation>): HubState {
  return withAll(state, (one) =>
    one.number !== number ||
    Object.entries(change).every(([key, value]) => one[key as keyof Generation] === value)
      ? one
      : { ...one, ...change },
  );
}

export function warned(state: HubState, code: HubWarning, why: string): HubState {
  const { warnings } = state.pair;
  // Clocks go on: the first reading stands until the warning is over.
  return warnings[code] === why || (code === 'clock.skew' && warnings[code] !== undefined)
    ? state
    : { ...state, pair: { ...state.pair, warnings: { ...warnings, [code]: why } } };
}

export function calmed(state: HubState, ...codes: HubWarning[]): HubState {
  if (!codes.some((code) => state.pair.warnings[code] !== undefined)) return state;
  const warnings = Object.fromEntries(
    Object.entries(state.pair.warnings).filter(([code]) => !codes.includes(code as HubWarning)),
  );
  return { ...state, pair: { ...state.pair, warnings } };
}

export function suspended(state: HubState): HubState {
  const next =
    state.pair.phase === 'active'
      ? { ...state, pair: { ...state.pair, phase: 'suspended' as const } }
      : state;
  return warned(next, 'credential.two-instances', 'the edge hears two instances of this hub at once');
}

export function awake(state: HubState): HubState {
  return state.pair.phase === 'suspended'
    ? calmed({ ...state, pair: { ...state.pair, phase: 'active' } }, 'credential.two-instances')
    : state;
}

export function notAdmitted(state: HubState): HubState {
  return warned(state, 'credential.not-admitted', 'this hub, or the subscription, was removed on the edge');
}

export function refusedNow(state: HubState, number: number): HubState {
  return ran(state, {
    refused: [...state.run.refused, number],
    bound: state.run.bound === number ? undefined : state.run.bound,
  });
}

/** What was refused in this cycle may be tried again in it. */
export function triable(state: HubState, number: number): HubState {
  return ran(state, {
    refused: state.run.refused.filter((one) => one !== number),
    tried: state.run.tried.filter((one) => one !== `bind ${number}` && one !== `prove ${number}`),
  });
}

/** Generations that are to be used, now or later. */
export function wanted(pair: HubPair): Generation[] {
  return pair.generations.filter((one) => !one.retiring && !one.gone && one.own !== 'missing');
}

/** The same; in a pair that leaves only what it needs to say so. A suspended pair goes on asking: so it learns that it was resolved. */
export function wantedBySite(pair: HubPair): Generation[] {
  if (pair.phase === 'ended') return [];
  return pair.phase === 'leaving' ? wanted(pair).filter((one) => one.number === pair.fresh) : wanted(pair);
}

/**
 * Those that a session can be opened with, the latest effective first. Only when there is none: those whose window is open for the edge, which bends
 * it, as when a clock was set back.
 */
export function usable(state: HubState, now: number): Generation[] {
  const known = state.pair.generations.filter(
    (one) =>
      one.own === 'kept' &&
      !one.gone &&
      (one.published || one.installed || one.confirmed) &&
      !state.run.refused.includes(one.number),
  );
  const open = usableCredentials(known, now);
  return open.length > 0 ? open : known.filter((one) => windowAt(one, now, CLOCK_TOLERANCE_MS) === 'open');
}

export function inContact(state: HubState): boolean {
  return state.run.contact === 'good' || state.run.contact === 'skewed';
}

export function mayPlan(state: HubState): boolean {
  const { phase, warnings } = state.pair;
  if (phase !== 'active' || warnings['credential.not-admitted'] !== undefined) return false;
  return state.run.contact === 'good' || state.run.contact === 'none';
}

export function planned(state: HubState, window: Window, fresh = false): HubState {
  const { pair } = state;
  const generation = plannedGeneration(pair.nextNumber, window);
  return {
    ...state,
    pair: {
      ...pair,
      nextNumber: pair.nextNumber + 1,
      fresh: fresh ? generation.number : pair.fresh,
      generations: [...pair.generations, generation],
    },
  };
}

/** The generation under way to the edge by request, if it still can get there. */
export function freshPending(pair: HubPair, state: HubState, now: number): Generation | undefined {
  const fresh = find(pair, pair.fresh);
  const lost =
    fresh === undefined ||
    fresh.own === 'missing' ||
    fresh.retiring ||
    windowAt(fresh, now, 0) === 'expired' ||
    (fresh.installed && state.run.refused.includes(fresh.number));
  return lost ? undefined : fresh;
}

export function accepted(state: HubState, event: Extract<HubEvent, { type: 'bound' }>): HubState {
  const next = changed(awake(state), event.number, { confirmed: true });
  const pair: HubPair =
    event.highest >= next.pair.nextNumber ? { ...next.pair, nextNumber: event.highest + 1 } : next.pair;
  const known = find(state.pair, event.number);
  // Said until the next ordinary renewal.
  const renewed = known?.confirmed === false && known.number !== state.pair.fresh && !known.installed;
  return calmed(
    ran(
      { ...next, pair },
      event.number === pair.using ? { bound: event.number, highest: event.highest } : {},
    ),
    'credential.two-instances',
    'credential.not-admitted',
    'credential.recovery-waits',
    'credential.recovery-exhausted',
    ...(renewed ? (['credential.restored', 'credential.recovered'] as const) : []),
  );
}

export function observe(state: HubState, own: readonly number[], published: readonly number[]): Done {
  const seen = withAll(state, (one) => {
    const there = own.includes(one.number);
    // One that nobody else can have seen yet may be made again under its number.
    const unseen = !one.published && !published.includes(one.number) && !one.installed && !one.confirmed;
    const kept = there ? 'kept' : unseen ? 'planned' : 'missing';
    return kept === one.own && published.includes(one.number) === one.published
      ? one
      : { ...one, own: kept, published: published.includes(one.number) };
  });
  const left = seen.pair.generations.filter(
    (one) => !(one.gone || seen.pair.phase === 'ended') || one.own === 'kept' || one.published,
  );
  const next =
    left.length === seen.pair.generations.length
      ? seen
      : { ...seen, pair: { ...seen.pair, generations: left } };
  const strange = [...new Set([...own, ...published])].filter(
    (number) => find(state.pair, number) === undefined,
  );
  const most = Math.max(-1, ...strange);
  const pair = most >= next.pair.nextNumber ? { ...next.pair, nextNumber: most + 1 } : next.pair;
  return { state: { pair, run: { ...next.run, strange } } };
}

/** One action for each of `generations`, each once a cycle; calls to the edge are counted before they are made. */
export function each<T extends { readonly number: number }>(
  state: HubState,
  generations: readonly T[],
  kind: 'keep' | 'publish' | 'bind' | 'install' | 'prove' | 'delete' | 'withdraw' | 'leave',
  make: (one: T, pair: HubPair) => HubAction,
): Done {
  const due = generations.filter((one) => !state.run.tried.includes(`${kind} ${one.number}`));
  if (due.length === 0) return undefined;
  const actions: HubAction[] = [];
  let { pair } = state;
  for (const one of due) {
    if (kind === 'bind' || kind === 'install' || kind === 'prove')
      pair = { ...pair, counter: pair.counter + 1 };
    actions.push(make(one, pair));
  }
  return {
    state: {
      pair,
      run: { ...state.run, tried: [...state.run.tried, ...due.map((one) => `${kind} ${one.number}`)] },
    },
    actions,
  };
}
