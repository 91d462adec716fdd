import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { printRules } from '../../base/rule-table.ts';
import type { Pin } from '../pin.ts';
import {
  type Rollover,
  type RolloverEvent,
  type RolloverFacts,
  rolloverSchema,
  STEADY,
  stepRollover,
  waitingFor,
} from './rollover.ts';
import { ROLLOVER_RULES } from './rules.ts';

const pin = (letter: string): Pin => `${letter.repeat(42)}A=` as Pin;
const [OLD, NEW] = [pin('a'), pin('b')];
const TIMINGS = { renewBeforeMs: 100, overlapMs: 50 };
const announced: Rollover = { phase: 'announced', since: 1000, next: NEW, confirmed: [], asked: false };
const switched: Rollover = { phase: 'switched', since: 1000, former: OLD, confirmed: [], asked: false };
const cycle = (facts: Partial<RolloverFacts> = {}): RolloverEvent => ({
  type: 'cycle',
  facts: {
    expiresAt: 1e9,
    renewable: true,
    peers: ['hub1', 'hub2'],
    resealed: true,
    oldSealingKeys: false,
    ...facts,
  },
});

const CASES: readonly [string, Rollover, RolloverEvent, number, Partial<Rollover>, readonly unknown[]][] = [
  ['nothing is due', STEADY, cycle(), 0, {}, []],
  ['renew_before reached', STEADY, cycle({ expiresAt: 1100 }), 1000, {}, [{ type: 'make' }]],
  ['a moment before', STEADY, cycle({ expiresAt: 1101 }), 1000, {}, []],
  ["somebody else's certificate", STEADY, cycle({ expiresAt: 0, renewable: false }), 1000, {}, []],
  ['asked for', STEADY, { type: 'renew' }, 0, { asked: true }, []],
  [
    'what was asked for is made',
    { ...STEADY, asked: true },
    cycle({ renewable: false }),
    0,
    {},
    [{ type: 'make' }],
  ],
  ['asked for while one is under way', announced, { type: 'renew' }, 0, {}, []],
  ['made', { ...STEADY, asked: true }, { type: 'made', pin: NEW }, 1000, announced, []],
  ['made while one is under way', announced, { type: 'made', pin: OLD }, 1000, {}, []],
  [
    'a peer holds it',
    announced,
    { type: 'holds', peer: 'hub1', pins: [OLD, NEW] },
    0,
    { confirmed: ['hub1'] },
    [],
  ],
  ['a peer does not', announced, { type: 'holds', peer: 'hub1', pins: [OLD] }, 0, {}, []],
  [
    'a peer does no more',
    { ...announced, confirmed: ['hub1'] },
    { type: 'holds', peer: 'hub1', pins: [OLD] },
    0,
    { confirmed: [] },
    [],
  ],
  ['one is missing', { ...announced, confirmed: ['hub1'] }, cycle(), 1049, {}, []],
  [
    'all hold it',
    { ...announced, confirmed: ['hub2', 'hub1'] },
    cycle(),
    1000,
    {},
    [{ type: 'switch', without: [] }],
  ],
  ['nobody matters', announced, cycle({ peers: [] }), 1000, {}, [{ type: 'switch', without: [] }]],
  [
    'the overlap is over',
    { ...announced, confirmed: ['hub1'] },
    cycle(),
    1050,
    {},
    [{ type: 'switch', without: ['hub2'] }],
  ],
  ['a file names the present key', announced, cycle({ peers: [], fileUntil: 2000 }), 1999, {}, []],
  [
    'a file that is over',
    announced,
    cycle({ peers: [], fileUntil: 2000 }),
    2000,
    {},
    [{ type: 'switch', without: [] }],
  ],
  ['switched', announced, { type: 'switched', former: OLD }, 1000, { ...switched, next: undefined }, []],
  ['switched without being announced', STEADY, { type: 'switched', former: OLD }, 1000, {}, []],
  [
    'accepted under the new key',
    switched,
    { type: 'accepted', peer: 'hub1', pin: NEW },
    0,
    { confirmed: ['hub1'] },
    [],
  ],
  ['accepted under the former key', switched, { type: 'accepted', peer: 'hub1', pin: OLD }, 0, {}, []],
  ['accepted before the switch', announced, { type: 'accepted', peer: 'hub1', pin: OLD }, 0, {}, []],
  ['one has not accepted', { ...switched, confirmed: ['hub1'] }, cycle(), 1049, {}, []],
  [
    'all have accepted',
    { ...switched, confirmed: ['hub1', 'hub2'] },
    cycle(),
    1001,
    {},
    [{ type: 'drop', without: [] }],
  ],
  [
    'something is sealed to the former',
    { ...switched, confirmed: ['hub1', 'hub2'] },
    cycle({ resealed: false }),
    9999,
    {},
    [],
  ],
  ['the overlap is over again', switched, cycle(), 1050, {}, [{ type: 'drop', without: ['hub1', 'hub2'] }]],
  ['dropped', switched, { type: 'dropped' }, 1000, { ...STEADY, since: 1000, former: undefined }, []],
  ['old sealing keys', { ...STEADY, since: 1000 }, cycle({ oldSealingKeys: true }), 1049, {}, []],
  [
    'old sealing keys after the overlap',
    { ...STEADY, since: 1000 },
    cycle({ oldSealingKeys: true }),
    1050,
    {},
    [{ type: 'forget' }],
  ],
  ['a clock that was ahead', { ...switched, since: 5000 }, cycle(), 1000, { since: 1000 }, []],
];

describe('the rollover of an identity', () => {
  it.each(CASES)('%s', (_what, state, event, now, change, actions) => {
    const result = stepRollover(state, event, now, TIMINGS);
    expect(result.state).toEqual({ ...state, ...change });
    expect(result.actions).toEqual(actions);
    expect(rolloverSchema.parse(result.state)).toEqual(result.state);
  });

  it('every rule is in the cases above', () => {
    const taken = CASES.map(([, state, event, now]) =>
      ROLLOVER_RULES.find(
        (rule) => rule.on.includes(event.type as never) && rule.run(state, event, now, TIMINGS) !== undefined,
      ),
    );
    expect(ROLLOVER_RULES.filter((rule) => !taken.includes(rule)).map(({ name }) => name)).toEqual([]);
  });

  it('names those who are waited for', () => {
    expect(waitingFor({ ...announced, confirmed: ['hub1'] }, ['hub1', 'hub2'])).toEqual(['hub2']);
    expect(waitingFor(STEADY, ['hub1'])).toEqual([]);
  });

  it('docs/certificates.md has the table that is run', () => {
    const path = new URL('../../../docs/certificates.md', import.meta.url);
    expect(existsSync(path)).toBe(true);
    expect(readFileSync(path, 'utf8')).toContain(printRules(ROLLOVER_RULES));
  });
});
