/**
 * A policy on trial: applied, and taken back by itself unless somebody confirms it in time. Pure; `trial.ts` performs the effects, and may be killed
 * between any two of them: a decision is one file that is made once, and whoever looks next finishes what was decided.
 *
 *   phase        event      when                                     then
 *   idle         apply                                               trying: arm, enforce
 *   trying       apply                                               refused
 *   trying       confirm    by the peer, operator's session touched  refused
 *   trying       confirm    session not newer than apply, touched    refused
 *   trying       confirm    otherwise                                keeping: decide, keep
 *   trying       rollback                                            taking back: decide, take back
 *   trying       any        its time is over                         taking back: decide, take back
 *   keeping      any but rollback                                    keep (goes on)
 *   taking back  any but confirm                                     take back (goes on)
 *   idle         confirm, rollback                                   refused
 *   any          any        the machine was started anew meanwhile   idle: forget (the reboot took it back)
 */

export interface Trial {
  readonly id: string;
  /** Of the policy's state. */
  readonly policy: string;
  /** Kernel's boot id: its clock means nothing after another boot. */
  readonly bootId: string;
  /** Seconds of CLOCK_BOOTTIME, which goes on while the machine sleeps and knows no corrections. */
  readonly appliedAt: number;
  readonly deadline: number;
  /** The session from which it was applied, or a management port, is treated otherwise than before. */
  readonly touchesOperator: boolean;
}

export type TrialState =
  | { readonly phase: 'idle' }
  | { readonly phase: 'trying' | 'keeping' | 'takingBack'; readonly trial: Trial };

export type Confirmation =
  | { readonly by: 'peer' }
  /** `openedAt`: when the confirming session was opened, seconds of CLOCK_BOOTTIME; undefined when nobody can tell. */
  | { readonly by: 'operator'; readonly openedAt: number | undefined };

export type TrialEvent =
  | { readonly kind: 'apply'; readonly trial: Trial }
  | { readonly kind: 'confirm'; readonly confirmation: Confirmation }
  | { readonly kind: 'rollback' }
  | { readonly kind: 'look' };

export type TrialEffect =
  | 'arm'
  | 'enforce'
  | 'decideKeep'
  | 'keep'
  | 'decideTakeBack'
  | 'takeBack'
  | 'forget';

export interface Refusal {
  readonly reason: string;
  readonly hint: string;
}

export interface TrialStep {
  readonly state: TrialState;
  readonly effects: readonly TrialEffect[];
  readonly refusal?: Refusal;
}

export interface Moment {
  readonly bootId: string;
  readonly seconds: number;
}

export function step(state: TrialState, event: TrialEvent, now: Moment): TrialStep {
  if (state.phase === 'idle') return fromIdle(event, now);
  if (state.trial.bootId !== now.bootId) {
    const next = fromIdle(event, now);
    return { ...next, effects: ['forget', ...next.effects] };
  }
  if (state.phase === 'keeping') return fromKeeping(state.trial, event);
  if (state.phase === 'takingBack') return fromTakingBack(state.trial, event);
  if (now.seconds >= state.trial.deadline) {
    const refusal = event.kind === 'confirm' || event.kind === 'apply' ? OVER : undefined;
    return takeBack(state.trial, ['decideTakeBack', 'takeBack'], refusal);
  }
  return fromTrying(state, event);
}

function fromIdle(event: TrialEvent, now: Moment): TrialStep {
  const state: TrialState = { phase: 'idle' };
  switch (event.kind) {
    case 'look':
      return { state, effects: [] };
    case 'apply':
      if (event.trial.bootId !== now.bootId)
        return {
          state,
          effects: [],
          refusal: { reason: 'the plan is of an earlier boot', hint: 'apply it again' },
        };
      return { state: { phase: 'trying', trial: event.trial }, effects: ['arm', 'enforce'] };
    case 'confirm':
    case 'rollback':
      return {
        state,
        effects: [],
        refusal: {
          reason: `no policy is on trial: there is nothing to ${event.kind === 'confirm' ? 'confirm' : 'take back'}`,
          hint: 'postern ipsec status shows what is in force',
        },
      };
  }
}

function fromTrying(state: Extract<TrialState, { trial: Trial }>, event: TrialEvent): TrialStep {
  const { trial } = state;
  switch (event.kind) {
    case 'look':
      return { state, effects: [] };
    case 'rollback':
      return takeBack(trial, ['decideTakeBack', 'takeBack']);
    case 'apply':
      return {
        state,
        effects: [],
        refusal: {
          reason: 'a policy is on trial already',
          hint: 'postern ipsec confirm, or postern ipsec rollback, then apply again',
        },
      };
    case 'confirm': {
      const refusal = trial.touchesOperator ? judgeConfirmation(trial, event.confirmation) : undefined;
      if (refusal !== undefined) return { state, effects: [], refusal };
      return { state: { phase: 'keeping', trial }, effects: ['decideKeep', 'keep'] };
    }
  }
}

/** Whoever still has an old session proves nothing: the next one may be locked out. */
function judgeConfirmation(trial: Trial, confirmation: Confirmation): Refusal | undefined {
  const hint =
    'log in once more, in a new session, and confirm there; if you cannot, do nothing: it will be taken back';
  if (confirmation.by === 'peer')
    return {
      reason: 'the policy touches the session or the ports of management: the peer alone cannot confirm it',
      hint,
    };
  if (confirmation.openedAt === undefined)
    return {
      reason:
        'the policy touches the session or the ports of management, and nothing tells when this session was opened',
      hint,
    };
  if (confirmation.openedAt <= trial.appliedAt)
    return {
      reason:
        'the policy touches the session or the ports of management, and this session was opened before it was applied',
      hint,
    };
  return undefined;
}

function fromKeeping(trial: Trial, event: TrialEvent): TrialStep {
  const refusal: Refusal | undefined =
    event.kind === 'rollback'
      ? { reason: 'the policy is confirmed', hint: 'change the policy and apply it' }
      : undefined;
  return {
    state: { phase: 'keeping', trial },
    effects: ['keep'],
    ...(refusal === undefined ? {} : { refusal }),
  };
}

function fromTakingBack(trial: Trial, event: TrialEvent): TrialStep {
  return takeBack(trial, ['takeBack'], event.kind === 'confirm' || event.kind === 'apply' ? OVER : undefined);
}

const OVER: Refusal = {
  reason: 'the time of the policy on trial is over: it was taken back',
  hint: 'apply it again, and confirm in time',
};

function takeBack(trial: Trial, effects: readonly TrialEffect[], refusal?: Refusal): TrialStep {
  return { state: { phase: 'takingBack', trial }, effects, ...(refusal === undefined ? {} : { refusal }) };
}
