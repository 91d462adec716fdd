/**
 * The life of a pair's credentials, on both sides: the face that drivers use. A driver hands in each event with its own clock's time, writes the state to
 * the disk when `save` says so, then does the actions in order and hands back their results. It may be killed between any two of these: after
 * `resumeHub` and `started` everything unfinished is begun again, and every action may be done twice.
 */
import { EDGE_ACCOUNT_RULES } from './edge-account-rules.ts';
import { EDGE_BIND_RULES } from './edge-bind-rules.ts';
import type { EdgeRule } from './edge-moves.ts';
import type { EdgeAction, EdgeEvent, EdgePair } from './edge-pair.ts';
import { HUB_DUTIES } from './hub-duties.ts';
import { HUB_EVENT_RULES } from './hub-event-rules.ts';
import type { HubRule } from './hub-moves.ts';
import type { HubAction, HubEvent, HubPair, HubState, HubWarning } from './hub-pair.ts';
import { printRules, runRules } from './rule.ts';
import { DEFAULT_TIMINGS, latestOf, nextEventAt, type RenewalTimings } from '../schedule.ts';

export const HUB_RULES: readonly HubRule[] = [...HUB_EVENT_RULES, ...HUB_DUTIES];
export const EDGE_RULES: readonly EdgeRule[] = [...EDGE_BIND_RULES, ...EDGE_ACCOUNT_RULES];

export interface HubStep {
  readonly state: HubState;
  /** In this order, one after the other; each result is an event. */
  readonly actions: readonly HubAction[];
  /** `state.pair` must be on the disk before the first action is begun. */
  readonly save: boolean;
  /** The next `cycle` is due at this moment at the latest. */
  readonly wakeAt: number;
}

/** One step of the hub's side. Pure. `rules` is for tests that leave one out. */
export function stepHub(
  state: HubState,
  event: HubEvent,
  now: number,
  timings: RenewalTimings = DEFAULT_TIMINGS,
  rules: readonly HubRule[] = HUB_RULES,
): HubStep {
  const result = runRules(rules, state, event, now, timings);
  return {
    state: result.state,
    actions: [...newWarnings(state.pair, result.state.pair), ...result.actions],
    save: result.state.pair !== state.pair,
    wakeAt: hubWakeAt(result.state, now, timings),
  };
}

export interface EdgeStep {
  readonly state: EdgePair;
  /** Answers and deletions, to be done when the state is on the disk. */
  readonly actions: readonly EdgeAction[];
  readonly save: boolean;
  readonly wakeAt: number;
}

/** One step of the edge's side. Pure. A bind or request without an answer among the actions is refused. */
export function stepEdge(
  state: EdgePair,
  event: EdgeEvent,
  now: number,
  timings: RenewalTimings = DEFAULT_TIMINGS,
  rules: readonly EdgeRule[] = EDGE_RULES,
): EdgeStep {
  const result = runRules(rules, state, event, now, timings);
  const last = latestOf(result.state.accounts);
  const ends = result.state.accounts.filter((one) => one !== last).map((one) => one.expiresAt);
  return {
    state: result.state,
    actions: result.actions,
    save: result.state !== state,
    wakeAt: Math.min(...ends),
  };
}

/** Both tables, as they stand in docs/credentials.md. */
export function transitionTables(): { readonly hub: string; readonly edge: string } {
  return { hub: printRules(HUB_RULES), edge: printRules(EDGE_RULES) };
}

function newWarnings(before: HubPair, after: HubPair): HubAction[] {
  if (before.warnings === after.warnings) return [];
  return (Object.entries(after.warnings) as [HubWarning, string][])
    .filter(([code]) => before.warnings[code] === undefined)
    .map(([code, why]) => ({ type: 'warn', code, why }));
}

/** Soon while something is open, else when time changes something. */
function hubWakeAt(state: HubState, now: number, timings: RenewalTimings): number {
  const { pair, run } = state;
  if (pair.phase === 'ended' && pair.generations.length === 0) return Number.POSITIVE_INFINITY;
  const open =
    pair.phase !== 'active' ||
    pair.fresh !== undefined ||
    run.contact !== 'good' ||
    run.bound === undefined ||
    run.bound !== pair.using ||
    run.refused.length > 0 ||
    pair.generations.some((one) => !one.confirmed || !one.published || one.retiring || one.own !== 'kept');
  const next = open ? undefined : nextEventAt(pair.generations, now, timings);
  return next ?? now + timings.cycleMs;
}
