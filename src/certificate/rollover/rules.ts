/** How a rollover goes on: run, and printed in docs/certificates.md. Pure; the first row that fits decides. */
import { on, type Outcome, type Rule } from '../../base/rule-table.ts';
import type { Rollover, RolloverAction, RolloverEvent, RolloverTimings } from './rollover.ts';

type RolloverRule = Rule<Rollover, RolloverEvent, RolloverAction, RolloverTimings>;
type Moved = Outcome<Rollover, RolloverAction>;

const elapsed = (state: Rollover, now: number): number => now - (state.since ?? now);

function confirmed(state: Rollover, peer: string): Moved {
  return {
    state: state.confirmed.includes(peer) ? state : { ...state, confirmed: [...state.confirmed, peer] },
  };
}

const missing = (state: Rollover, peers: readonly string[]): string[] =>
  peers.filter((peer) => !state.confirmed.includes(peer));

export const ROLLOVER_RULES: readonly RolloverRule[] = [
  {
    name: 'ask',
    when: '`cert renew`, and no rollover is under way',
    effect: 'remember that a new key is wanted',
    ...on('renew', (state) => (state.phase === 'steady' ? { state: { ...state, asked: true } } : undefined)),
  },
  {
    name: 'announce',
    when: 'the next key is on the disk with its statement, signed by the present and the next key',
    effect: 'the statement goes to every peer: two pins from now on',
    ...on('made', (state, event, now): Moved | undefined =>
      state.phase === 'steady'
        ? { state: { phase: 'announced', since: now, next: event.pin, confirmed: [], asked: false } }
        : undefined,
    ),
  },
  {
    name: 'holds',
    when: 'announced; a peer says, in a session that its pinned key proves, that it holds the next pin',
    effect: 'it is not waited for any more',
    ...on('holds', (state, event) =>
      state.phase === 'announced' && state.next !== undefined && event.pins.includes(state.next)
        ? confirmed(state, event.peer)
        : undefined,
    ),
  },
  {
    name: 'holds-no-more',
    when: 'announced; a peer that held it says that it does not (a restored backup)',
    effect: 'it is waited for again',
    ...on('holds', (state, event) =>
      state.phase === 'announced' && state.confirmed.includes(event.peer)
        ? { state: { ...state, confirmed: state.confirmed.filter((peer) => peer !== event.peer) } }
        : undefined,
    ),
  },
  {
    name: 'accepted',
    when: 'switched; a peer has accepted a session under the new key',
    effect: 'it is not waited for any more',
    ...on('accepted', (state, event) =>
      state.phase === 'switched' && event.pin !== state.former ? confirmed(state, event.peer) : undefined,
    ),
  },
  {
    name: 'switched',
    when: 'the next identity is the present one',
    effect: 'the former key is kept, and not shown unless a peer refuses the new one',
    ...on('switched', (state, event, now): Moved | undefined =>
      state.phase === 'announced'
        ? { state: { phase: 'switched', since: now, former: event.former, confirmed: [], asked: false } }
        : undefined,
    ),
  },
  {
    name: 'dropped',
    when: 'the former key is deleted',
    effect: 'the rollover is over; its statement stays',
    ...on('dropped', (state, _event, now): Moved | undefined =>
      state.phase === 'switched'
        ? { state: { phase: 'steady', since: now, confirmed: [], asked: false } }
        : undefined,
    ),
  },
  {
    name: 'clock-set-back',
    when: 'the phase began in the future by the present clock',
    effect: 'it begins now',
    ...on('cycle', (state, _event, now) =>
      state.since !== undefined && state.since > now ? { state: { ...state, since: now } } : undefined,
    ),
  },
  {
    name: 'make',
    when: 'a new key is wanted, or the certificate is our own and ends in `renew_before` (30 d) or less',
    effect: 'make the next key; it is on the disk before anybody hears of it',
    ...on('cycle', (state, { facts }, now, timings) =>
      state.phase === 'steady' &&
      (state.asked || (facts.renewable && now >= facts.expiresAt - timings.renewBeforeMs))
        ? { state, actions: [{ type: 'make' }] }
        : undefined,
    ),
  },
  {
    name: 'hold',
    when: 'announced; a subscription file that names the present key can still be used',
    effect: 'wait for its end',
    ...on('cycle', (state, { facts }, now) =>
      state.phase === 'announced' && facts.fileUntil !== undefined && now < facts.fileUntil
        ? { state }
        : undefined,
    ),
  },
  {
    name: 'switch',
    when: 'announced; every peer that matters holds the next pin, or `overlap` (14 d) is over',
    effect:
      'the next identity becomes the present one; a peer that was away follows the statements from the pin it has',
    ...on('cycle', (state, { facts }, now, timings) => {
      const without = missing(state, facts.peers);
      return state.phase === 'announced' && (without.length === 0 || elapsed(state, now) >= timings.overlapMs)
        ? { state, actions: [{ type: 'switch', without }] }
        : undefined;
    }),
  },
  {
    name: 'reseal',
    when: 'switched; something is left that only the former key proves or opens',
    effect: 'the former key stays until it is sealed and signed again',
    ...on('cycle', (state, { facts }) =>
      state.phase === 'switched' && !facts.resealed ? { state } : undefined,
    ),
  },
  {
    name: 'drop',
    when: 'switched; every peer that matters has accepted the new key, or `overlap` (14 d) is over',
    effect: 'delete the former key',
    ...on('cycle', (state, { facts }, now, timings) => {
      const without = missing(state, facts.peers);
      return state.phase === 'switched' && (without.length === 0 || elapsed(state, now) >= timings.overlapMs)
        ? { state, actions: [{ type: 'drop', without }] }
        : undefined;
    }),
  },
  {
    name: 'forget',
    when: 'the rollover has been over for `overlap` (14 d)',
    effect: 'delete the sealing keys before the present one',
    ...on('cycle', (state, { facts }, now, timings) =>
      state.phase === 'steady' && facts.oldSealingKeys && elapsed(state, now) >= timings.overlapMs
        ? { state, actions: [{ type: 'forget' }] }
        : undefined,
    ),
  },
];
