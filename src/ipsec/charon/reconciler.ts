/**
 * Keeps charon as it should be, for as long as our daemon lives: a pass when charon comes up, when it tells of a change, when somebody else's
 * `swanctl --load-all` has thrown out what is ours, and now and then. What a pass does is `pass.ts`'s.
 */
import type { Timer } from '../../base/clock.ts';
import { describeError, PosternError } from '../../base/error.ts';
import type { IkeAssociation } from '../../vici/association.ts';
import type { DaemonVersion } from '../../vici/command.ts';
import type { ViciSection } from '../../vici/message.ts';
import { textOf } from '../../vici/section.ts';
import { ViciSession } from '../../vici/session.ts';
import { type DesiredState, OUR_PREFIX } from '../desired.ts';
import type { Step } from './diff.ts';
import { reasonOf } from './ike-log.ts';
import { Passes, type PassOptions } from './pass.ts';
import { describeStep, type Failure } from './perform.ts';
import { givenUpAfterSeconds } from './settings.ts';
import type { Violation } from './violation.ts';

export interface ReconcilerOptions extends PassOptions {
  readonly viciPath: string;
  /** An association has come up or gone, or a pass has been made. */
  readonly onChange?: () => void;
}

export interface ReconcilerStatus {
  readonly charon: DaemonVersion | undefined;
  /** Why charon cannot be used. */
  readonly away: string | undefined;
  /** By the clock's time; undefined before. */
  readonly lastLook: number | undefined;
  /** What a step or a look failed with; empty when all is done. */
  readonly failures: readonly { readonly what: string; readonly error: string; readonly code: string }[];
  /** False while charon is away, and until the first pass after it came back: then nobody knows what it holds. */
  readonly isKnown: boolean;
  readonly associations: readonly IkeAssociation[];
  readonly violations: readonly Violation[];
  /** By connection: why it did not come up last, and how often in a row. */
  readonly troubles: ReadonlyMap<string, { readonly reason: string | undefined; readonly failures: number }>;
}

const EVENTS = ['ike-updown', 'child-updown', 'ike-rekey', 'child-rekey', 'log'] as const;

/** A burst of events is one look. */
const SETTLE_MS = 20;
const LIGHT_LOOK_MS = 10_000;
/** After a pass that changed something, charon's log speaks of our own doing for a while. */
const QUIET_MS = 1000;

interface Waiter {
  readonly resolve: (failures: readonly Failure[]) => void;
  readonly reject: (error: PosternError) => void;
}

export class Reconciler implements AsyncDisposable {
  readonly #options: ReconcilerOptions;
  readonly #session: ViciSession;
  readonly #passes: Passes;
  /** Why a connection did not come up, in words. */
  readonly #reasons = new Map<string, string>();
  #desired: DesiredState | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #thorough = true;
  #quietUntil = 0;
  #timer: Timer | undefined;
  /** When the next pass begins, monotonic: later reasons for one never put it off. */
  #dueAt = Number.POSITIVE_INFINITY;
  #stopped = false;
  #waiters: Waiter[] = [];
  #away: PosternError;
  #lastLook: number | undefined;
  #lookError: PosternError | undefined;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#passes = new Passes(options);
    this.#away = notYet(options.viciPath);
    this.#session = new ViciSession({
      path: options.viciPath,
      clock: options.clock,
      random: options.random,
      log: options.log,
      events: EVENTS,
      onEvent: (name, message) => this.#onEvent(name, message),
      onUp: () => this.#onUp(),
      onDown: (error) => this.#onDown(error),
    });
  }

  /** Begins; nothing is changed before `setDesired`. */
  async start(): Promise<void> {
    await this.#passes.open();
    this.#session.start();
  }

  /** charon keeps what it has: protection does not end with our daemon. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#session.stop();
    this.#settle(new PosternError('canceled', 'the daemon is stopping'));
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** For other commands to the same charon. */
  get session(): ViciSession {
    return this.#session;
  }

  /** Undefined before the first `setDesired`. */
  get desired(): DesiredState | undefined {
    return this.#desired;
  }

  /**
   * From now on charon shall be so. Resolves after the first whole pass to what charon refused; rejects when charon is away or the guard does
   * not stand (it is brought about all the same as soon as they are there).
   */
  setDesired(desired: DesiredState): Promise<readonly Failure[]> {
    this.#desired = desired;
    this.#passes.callOut.attemptMs = givenUpAfterSeconds(desired.settings) * 1000;
    if (!this.#session.up) return Promise.reject(this.#away);
    return this.refresh();
  }

  /** Looks now, thoroughly; settles as `setDesired` does. */
  refresh(): Promise<readonly Failure[]> {
    if (!this.#session.up) return Promise.reject(this.#away);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#wake(true, 0);
    });
  }

  /** What a pass would do for `desired`, without doing it. Rejects when charon is away. */
  plan(desired: DesiredState): Promise<Step[]> {
    return this.#passes.plan(this.#session, desired);
  }

  get status(): ReconcilerStatus {
    const { last, callOut, charon } = this.#passes;
    const up = this.#session.up;
    const failed = (last?.failures ?? []).map(({ step, error }) => ({ what: describeStep(step), error }));
    const looking = this.#lookError === undefined ? [] : [{ what: 'look at charon', error: this.#lookError }];
    return {
      charon: up ? charon : undefined,
      away: up ? undefined : describeError(this.#away),
      lastLook: this.#lastLook,
      failures: [...looking, ...failed].map(({ what, error }) => ({
        what,
        error: describeError(error),
        code: error.code,
      })),
      isKnown: up && last !== undefined,
      associations: up ? (last?.actual.associations ?? []) : [],
      violations: up ? (last?.violations ?? []) : [],
      troubles: new Map(
        (this.#desired?.connections ?? []).flatMap(({ name }) => {
          const [failures, reason] = [callOut.failures(name), this.#reasons.get(name)];
          return failures === 0 && reason === undefined ? [] : [[name, { reason, failures }]];
        }),
      ),
    };
  }

  #onUp(): void {
    this.#passes.anew();
    this.#wake(true);
  }

  #onDown(error: PosternError): void {
    this.#away = error;
    this.#timer?.cancel();
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#settle(error);
    this.#options.onChange?.();
  }

  #onEvent(name: string, message: ViciSection): void {
    if (name !== 'log') return this.#wake(false);
    const text = textOf(message, 'msg') ?? '';
    const connection = textOf(message, 'ikesa-name') ?? '';
    if (connection.startsWith(OUR_PREFIX)) {
      const reason = reasonOf(text);
      if (reason !== undefined) this.#reasons.set(connection, reason);
    } else if (textOf(message, 'group') === 'CFG' && text.includes(OUR_PREFIX)) {
      // Somebody loaded, replaced or removed something of ours. Our own doing is heard of too: what charon refuses must not make us try again at once.
      this.#wake(true, Math.max(SETTLE_MS, this.#quietUntil - this.#options.clock.monotonic()));
    }
  }

  #wake(thorough: boolean, delayMs = SETTLE_MS): void {
    if (this.#stopped || !this.#session.up) return;
    this.#thorough ||= thorough;
    if (this.#running !== undefined) this.#again ||= delayMs <= SETTLE_MS;
    else if (this.#dueAt > this.#options.clock.monotonic() + delayMs) this.#arm(delayMs);
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    this.#dueAt = this.#options.clock.monotonic() + delayMs;
    this.#timer = this.#options.clock.after('ipsec.look', delayMs, () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      this.#running = this.#run().finally(() => {
        this.#running = undefined;
        if (this.#stopped || !this.#session.up) return;
        this.#arm(this.#again || this.#waiters.length > 0 ? SETTLE_MS : this.#nextLook());
      });
    });
  }

  /** A call that is due again is a reason to look earlier. */
  #nextLook(): number {
    const due = this.#passes.callOut.next;
    const wait = due === undefined ? LIGHT_LOOK_MS : due - this.#options.clock.monotonic();
    return Math.max(SETTLE_MS, Math.min(LIGHT_LOOK_MS, wait));
  }

  async #run(): Promise<void> {
    const { clock, log, onChange } = this.#options;
    const desired = this.#desired;
    if (desired === undefined) return;
    const [waiters, thorough] = [this.#waiters.splice(0), this.#thorough];
    this.#again = this.#thorough = false;
    try {
      const { failures, acted, actual } = await this.#passes.pass(this.#session, desired, thorough);
      this.#lookError = undefined;
      this.#lastLook = clock.now();
      if (acted) this.#quietUntil = clock.monotonic() + (failures.length > 0 ? LIGHT_LOOK_MS : QUIET_MS);
      for (const { connection, children } of actual.associations)
        if (children.length > 0) this.#reasons.delete(connection);
      for (const { resolve } of waiters) resolve(failures);
    } catch (cause) {
      const error =
        cause instanceof PosternError
          ? cause
          : new PosternError('internal', 'a look at charon failed', { cause });
      const isAway = error.code === 'vici.closed' || error.code === 'vici.unreachable';
      if (!isAway && error.message !== this.#lookError?.message)
        log.error('charon cannot be brought in line with the policy', { error });
      this.#lookError = error;
      this.#thorough = true;
      for (const { reject } of waiters) reject(error);
    }
    onChange?.();
  }

  #settle(error: PosternError): void {
    for (const { reject } of this.#waiters.splice(0)) reject(error);
  }
}

function notYet(path: string): PosternError {
  return new PosternError('vici.unreachable', `charon was not reached yet on ${path}`, {
    hint: 'systemctl status strongswan',
    fields: { path },
  });
}
