import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Confirmation,
  type Moment,
  step,
  type Trial,
  type TrialEvent,
  type TrialState,
} from './trial-machine.ts';

const trial: Trial = {
  id: 't',
  policy: 'p',
  bootId: 'boot',
  appliedAt: 100,
  deadline: 160,
  touchesOperator: false,
};
const touching: Trial = { ...trial, touchesOperator: true };
const at = (seconds: number, bootId = 'boot'): Moment => ({ seconds, bootId });
const confirm = (confirmation: Confirmation): TrialEvent => ({ kind: 'confirm', confirmation });
const fresh = confirm({ by: 'operator', openedAt: 101 });
const old = confirm({ by: 'operator', openedAt: 99 });
const unknown = confirm({ by: 'operator', openedAt: undefined });
const peer = confirm({ by: 'peer' });
const apply: TrialEvent = { kind: 'apply', trial };
const rollback: TrialEvent = { kind: 'rollback' };
const look: TrialEvent = { kind: 'look' };
const idle: TrialState = { phase: 'idle' };
const trying: TrialState = { phase: 'trying', trial };
const tryingTouching: TrialState = { phase: 'trying', trial: touching };
const keeping: TrialState = { phase: 'keeping', trial };
const takingBack: TrialState = { phase: 'takingBack', trial };

describe('a policy on trial', () => {
  it.each<[string, TrialState, TrialEvent, Moment, TrialState['phase'], string[], RegExp | undefined]>([
    ['is applied', idle, apply, at(100), 'trying', ['arm', 'enforce'], undefined],
    ['is looked at in time', trying, look, at(159.9), 'trying', [], undefined],
    [
      'is taken back when its time is over',
      trying,
      look,
      at(160),
      'takingBack',
      ['decideTakeBack', 'takeBack'],
      undefined,
    ],
    [
      'cannot be confirmed too late',
      trying,
      fresh,
      at(160),
      'takingBack',
      ['decideTakeBack', 'takeBack'],
      /time .* is over/,
    ],
    ['stands in the way of another', trying, apply, at(120), 'trying', [], /on trial already/],
    [
      'makes room when its time is over',
      trying,
      apply,
      at(170),
      'takingBack',
      ['decideTakeBack', 'takeBack'],
      /is over/,
    ],
    ['is confirmed by anybody', trying, old, at(120), 'keeping', ['decideKeep', 'keep'], undefined],
    ['is confirmed by the peer', trying, peer, at(120), 'keeping', ['decideKeep', 'keep'], undefined],
    [
      'is confirmed from a new session',
      tryingTouching,
      fresh,
      at(120),
      'keeping',
      ['decideKeep', 'keep'],
      undefined,
    ],
    ['is not confirmed from the old session', tryingTouching, old, at(120), 'trying', [], /opened before/],
    [
      'is not confirmed from an unknown session',
      tryingTouching,
      unknown,
      at(120),
      'trying',
      [],
      /nothing tells when/,
    ],
    ['is not confirmed by the peer alone', tryingTouching, peer, at(120), 'trying', [], /peer alone cannot/],
    [
      'is taken back by hand',
      trying,
      rollback,
      at(120),
      'takingBack',
      ['decideTakeBack', 'takeBack'],
      undefined,
    ],
    ['ends with the boot', trying, look, at(5, 'other'), 'idle', ['forget'], undefined],
    [
      'ends with the boot for a confirmation',
      trying,
      fresh,
      at(5, 'other'),
      'idle',
      ['forget'],
      /nothing to confirm/,
    ],
    [
      'makes room for another after a boot',
      trying,
      { ...apply, trial: { ...trial, bootId: 'other' } },
      at(5, 'other'),
      'trying',
      ['forget', 'arm', 'enforce'],
      undefined,
    ],
    ['is kept to the end after a crash', keeping, look, at(500), 'keeping', ['keep'], undefined],
    ['is kept whatever is asked then', keeping, rollback, at(120), 'keeping', ['keep'], /is confirmed/],
    [
      'is taken back to the end after a crash',
      takingBack,
      look,
      at(120),
      'takingBack',
      ['takeBack'],
      undefined,
    ],
    [
      'is taken back whatever is asked then',
      takingBack,
      fresh,
      at(120),
      'takingBack',
      ['takeBack'],
      /is over/,
    ],
    ['is not there', idle, fresh, at(1), 'idle', [], /nothing to confirm/],
    ['is not there', idle, rollback, at(1), 'idle', [], /nothing to take back/],
    ['is not there', idle, look, at(1), 'idle', [], undefined],
  ])('%s: %#', (_name, state, event, now, phase, effects, refusal) => {
    const result = step(state, event, now);
    expect([result.state.phase, result.effects]).toEqual([phase, effects]);
    if (refusal === undefined) expect(result.refusal).toBeUndefined();
    else expect(result.refusal?.reason).toMatch(refusal);
  });

  it('is never kept after its time, and never both kept and taken back', () => {
    const event = fc.oneof(
      fc.constantFrom<TrialEvent>(look, rollback, peer, old, fresh, unknown, apply),
      fc.double({ min: 0, max: 400, noNaN: true }).map((openedAt) => confirm({ by: 'operator', openedAt })),
    );
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.array(fc.tuple(event, fc.nat({ max: 40 })), { maxLength: 12 }),
        (touches, events) => {
          let state: TrialState = { phase: 'trying', trial: { ...trial, touchesOperator: touches } };
          let seconds = 100;
          const decisions = new Set<string>();
          for (const [one, later] of events) {
            seconds += later;
            const result = step(state, one, at(seconds));
            for (const effect of result.effects) if (effect.startsWith('decide')) decisions.add(effect);
            if (result.effects.includes('decideKeep')) {
              expect(seconds).toBeLessThan(160);
              if (touches) expect(one).toMatchObject({ confirmation: { by: 'operator' } });
            }
            state = result.state;
            if (seconds >= 160) expect(state.phase).not.toBe('trying');
          }
          expect(decisions.size).toBeLessThanOrEqual(1);
        },
      ),
    );
  });
});
