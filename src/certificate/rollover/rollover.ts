/**
 * Rollover of a node's identity, as plain data: where it stands, what happened, what is to be done. The rules are in rules.ts; `peer-pins.ts` is the
 * other side. It decides; keys, statements and connections are the driver's. Every state is durable before its actions are carried out, and each
 * action may be repeated: whoever is killed between two steps begins the next cycle with the same decision.
 */
import { runRules } from '../../base/rule-table.ts';
import { z } from 'zod';
import { type Pin, pinSchema } from '../pin.ts';
import { ROLLOVER_RULES } from './rules.ts';

const time = z.int().min(0);

export const rolloverSchema = z.strictObject({
  /**
   * `steady`: one key. `announced`: the next one is on the disk and stated, the present one is shown. `switched`: the new one is shown, the
   * former is kept in case that a peer has not heard of it.
   */
  phase: z.enum(['steady', 'announced', 'switched']),
  /** When the phase began, by this node's clock; undefined in the first one. */
  since: time.optional(),
  /** The pin that follows: in `announced`. */
  next: pinSchema.optional(),
  /** The pin before: in `switched`. */
  former: pinSchema.optional(),
  /** Peers (by name key) that have shown to hold `next` (announced), or to accept the new key (switched). */
  confirmed: z.array(z.string()),
  /** An administrator asked for a new key; it is not made yet. */
  asked: z.boolean(),
});
export type Rollover = z.infer<typeof rolloverSchema>;

export const STEADY: Rollover = { phase: 'steady', confirmed: [], asked: false };

export interface RolloverTimings {
  /** So long before its end a certificate of our own making is followed by the next. */
  readonly renewBeforeMs: number;
  /** Longest wait for peers before the switch, and after it before the former key goes; and how long peers accept the former key. */
  readonly overlapMs: number;
}

const DAY_MS = 86_400_000;
export const DEFAULT_ROLLOVER_TIMINGS: RolloverTimings = {
  renewBeforeMs: 30 * DAY_MS,
  overlapMs: 14 * DAY_MS,
};

/** How things are at the moment of a cycle. */
export interface RolloverFacts {
  /** End of the present certificate. */
  readonly expiresAt: number;
  /** It is of our own making: a next one needs nobody. */
  readonly renewable: boolean;
  /** Name keys of the peers that matter now. */
  readonly peers: readonly string[];
  /** Until then a subscription file that names the present key can be used; undefined when there is none. */
  readonly fileUntil?: number | undefined;
  /** Nothing is left that only a former key proves or opens. */
  readonly resealed: boolean;
  /** Sealing keys that are older than the present one are kept. */
  readonly oldSealingKeys: boolean;
}

export type RolloverEvent =
  /** At the start, after every other event, and at least once an hour. */
  | { readonly type: 'cycle'; readonly facts: RolloverFacts }
  /** `cert renew`. */
  | { readonly type: 'renew' }
  /** A next identity is on the disk (made, or brought by the administrator), and its statement with it. */
  | { readonly type: 'made'; readonly pin: Pin }
  /** A peer said, in a session that its pinned key proved, by which pins it accepts this node. */
  | { readonly type: 'holds'; readonly peer: string; readonly pins: readonly Pin[] }
  /** A peer has accepted a session in which this node showed `pin`. */
  | { readonly type: 'accepted'; readonly peer: string; readonly pin: Pin }
  /** The new identity is the present one, durably. */
  | { readonly type: 'switched'; readonly former: Pin }
  /** The former key is deleted. */
  | { readonly type: 'dropped' };

export type RolloverAction =
  /** Make the next key and state it, signed by both; `made` follows. */
  | { readonly type: 'make' }
  /** Make the next identity the present one; `switched` follows. `without`: peers that have not shown to hold it. */
  | { readonly type: 'switch'; readonly without: readonly string[] }
  /** Delete the former key; `dropped` follows. */
  | { readonly type: 'drop'; readonly without: readonly string[] }
  /** Delete sealing keys that are older than the present one. */
  | { readonly type: 'forget' };

export function stepRollover(
  state: Rollover,
  event: RolloverEvent,
  now: number,
  timings: RolloverTimings,
): { state: Rollover; actions: RolloverAction[] } {
  return runRules(ROLLOVER_RULES, state, event, now, timings);
}

/** Peers whose word is still missing; none while nothing is under way. */
export function waitingFor(state: Rollover, peers: readonly string[]): string[] {
  return state.phase === 'steady' ? [] : peers.filter((peer) => !state.confirmed.includes(peer));
}
