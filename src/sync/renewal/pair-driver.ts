/**
 * Drives the life cycle of one pair: its state to the disk, then the actions, their results as events; one cycle after the other. Killed anywhere,
 * the next cycle begins again. Decides nothing: that is `stepHub`.
 */
import type { Clock } from '../../base/clock.ts';
import { type ErrorCode, PosternError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';
import {
  type HubAction,
  type HubEvent,
  type HubPair,
  type HubState,
  newHubPair,
  resumeHub,
} from '../../credential/lifecycle/hub-pair.ts';
import { stepHub } from '../../credential/lifecycle/lifecycle.ts';
import { latestOf, type RenewalTimings } from '../../credential/schedule.ts';
import type { EdgeSession } from '../push/edge-session.ts';
import { type EdgeAddress, EdgeVisit } from './edge-visit.ts';
import { type Lane, traced } from './lanes.ts';
import { failed, PairActions, type PairActionsOptions } from './pair-actions.ts';
import type { PairStore } from './pair-store.ts';

export interface PairDriverOptions extends PairActionsOptions {
  readonly address: () => Promise<EdgeAddress>;
  readonly store: PairStore;
  readonly timings: RenewalTimings;
  readonly clock: Clock;
  readonly random: Random;
  /** Another credential than that of the session which was handed out is used from now on. */
  readonly onSwitched: () => void;
  /** The state has changed, or when it is looked at next. */
  readonly onChanged: () => void;
}

/** After something was written for the edge it is asked soon whether it has arrived, then less and less often. */
const FIRST_LOOK_MS = 1000;

export class PairDriver {
  readonly name: string;
  readonly #options: PairDriverOptions;
  readonly #actions: PairActions;
  #state: HubState | undefined;
  #lanes: readonly Lane[] = [];
  #started = false;
  #closed = false;
  #wakeAt: number;
  #lookAfterMs: number | undefined;
  /** The credential of the session that was handed out last. */
  #handedOut: number | undefined;
  readonly #watchers = new Set<() => void>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(name: string, options: PairDriverOptions) {
    this.name = name;
    this.#options = options;
    this.#actions = new PairActions(options);
    const stored = options.store.get(name);
    if (stored !== undefined) this.#state = resumeHub(stored.pair);
    this.#lanes = stored?.lanes ?? [];
    // The link of the edge comes before, with a cycle of its own.
    this.#wakeAt = options.clock.now() + options.timings.cycleMs;
  }

  /** Undefined before the first cycle of a pair that this disk knows nothing of. */
  get pair(): HubPair | undefined {
    return this.#state?.pair;
  }

  get lanes(): readonly Lane[] {
    return this.#lanes;
  }

  /** When the next cycle is due, by the wall clock. */
  get wakeAt(): number {
    return this.#wakeAt;
  }

  /** Runs a cycle and hands out its session. Throws why there is none. */
  open(signal: AbortSignal): Promise<EdgeSession> {
    return this.#inTurn(signal, async (visit) => {
      this.#handedOut = undefined;
      await this.#cycle(visit);
      const { session } = visit;
      if (session?.whole !== true || session.number !== this.#state?.pair.using)
        throw visit.failure ?? this.#noSession();
      visit.handOut(session);
      // A push begins with it.
      this.#lookAgain(true);
      this.#handedOut = session.number;
      return session;
    });
  }

  /** Runs a cycle on connections of its own. */
  look(signal: AbortSignal): Promise<void> {
    return this.#inTurn(signal, (visit) => this.#cycle(visit));
  }

  /** A command, and a cycle that begins to carry it out. */
  command(
    event: Extract<HubEvent, { type: 'rotate' | 'revoke' | 'end' }>,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#inTurn(signal, async (visit) => {
      await this.#load();
      await this.#run([event], visit);
      this.#lookAfterMs = undefined;
      await this.#cycle(visit);
    });
  }

  /** True as soon as the pair is as it should be; false when it is not within `withinMs`. Does nothing for it. */
  reaches(fits: (pair: HubPair) => boolean, withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (reached: boolean): void => {
        timer.cancel();
        this.#watchers.delete(look);
        resolve(reached);
      };
      const look = (): void => {
        if (this.pair !== undefined && fits(this.pair)) end(true);
        else if (this.#closed) end(false);
      };
      const timer = this.#options.clock.after('renewal.wait', withinMs, () => end(false), {
        background: true,
      });
      this.#watchers.add(look);
      look();
    });
  }

  /** Resolves when nothing is under way any more. */
  async settled(): Promise<void> {
    await this.#turn;
  }

  /** Nothing is begun any more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const look of this.#watchers) look();
    await this.#turn;
  }

  async #inTurn<T>(signal: AbortSignal, work: (visit: EdgeVisit) => Promise<T>): Promise<T> {
    const { address, clock, timings, onChanged } = this.#options;
    const done = this.#turn.then(async () => {
      signal.throwIfAborted();
      if (this.#closed) throw new PosternError('canceled', 'the subscription has ended');
      const visit = new EdgeVisit(address, clock, signal);
      try {
        return await work(visit);
      } finally {
        visit.end();
        // Even after a failure it is looked at again.
        if (this.#wakeAt <= clock.now()) this.#wakeAt = clock.now() + timings.cycleMs;
        onChanged();
        for (const look of this.#watchers) look();
      }
    });
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #cycle(visit: EdgeVisit): Promise<void> {
    await this.#load();
    const { random, records } = this.#options;
    const newInstance = random.bytes(16).toString('hex');
    const events: HubEvent[] = [{ type: this.#started ? 'cycle' : 'started', newInstance }];
    this.#started = true;
    try {
      events.push({ type: 'observed', ...(await records.observe(this.name)) });
    } catch (error) {
      events.push(failed(error));
    }
    await this.#run(events, visit);
    this.#lookAgain(visit.wrote);
  }

  /** What is on its way to the edge is looked for soon, not only at the next cycle. */
  #lookAgain(begun: boolean): void {
    const { clock, timings } = this.#options;
    const pair = this.#state?.pair;
    const waiting =
      pair?.phase === 'active' && pair.generations.some((one) => !one.confirmed || one.retiring);
    if (begun && waiting) this.#lookAfterMs = FIRST_LOOK_MS;
    else if (!waiting) this.#lookAfterMs = undefined;
    else if (this.#lookAfterMs !== undefined)
      this.#lookAfterMs = Math.min(2 * this.#lookAfterMs, timings.cycleMs);
    if (this.#lookAfterMs !== undefined)
      this.#wakeAt = Math.min(this.#wakeAt, clock.now() + this.#lookAfterMs);
  }

  /** A pair that this disk knows nothing of is what the configuration directory holds of it, called by a new instance. */
  async #load(): Promise<void> {
    if (this.#state !== undefined) return;
    const { random, records, edge } = this.#options;
    const own = await records.all(this.name);
    const pair = newHubPair(random.bytes(16).toString('hex'), latestOf(own));
    // A number that was given once is not given again, whatever became of its record.
    const nextNumber = Math.max(pair.nextNumber, edge().accountNumber + 1);
    this.#state = resumeHub({ ...pair, nextNumber });
  }

  /** Events, and what follows from them, until nothing is left to do. */
  async #run(events: readonly HubEvent[], visit: EdgeVisit): Promise<void> {
    const todo: (HubEvent | HubAction)[] = [...events];
    const actions = new Set<HubEvent | HubAction>();
    for (let next = todo.shift(); next !== undefined; next = todo.shift()) {
      if (actions.delete(next)) {
        const result = await this.#actions.perform(next as HubAction, visit);
        if (result !== undefined) todo.unshift(result);
      } else {
        for (const action of await this.#take(next as HubEvent)) {
          actions.add(action);
          todo.push(action);
        }
      }
    }
  }

  async #take(event: HubEvent): Promise<readonly HubAction[]> {
    const { store, clock, timings, onSwitched } = this.#options;
    const before = this.#state as HubState;
    const step = stepHub(before, event, clock.now(), timings);
    // On the disk before anything is done that follows from it.
    const lanes = traced(this.#lanes, step.state.pair, clock.now());
    if (step.save) await store.put({ edge: this.name, pair: step.state.pair, lanes });
    this.#state = step.state;
    this.#lanes = lanes;
    this.#wakeAt = step.wakeAt;
    const { using } = step.state.pair;
    if (this.#handedOut !== undefined && using !== undefined && using !== this.#handedOut) {
      this.#handedOut = undefined;
      onSwitched();
    }
    return step.actions;
  }

  /** What the pair itself says is wrong. */
  #noSession(): PosternError {
    const warnings = this.#state?.pair.warnings ?? {};
    const code = WORST_FIRST.find((one) => warnings[one] !== undefined);
    const why = code === undefined ? this.#state?.run.failure : warnings[code];
    return new PosternError(
      code ?? 'credential.invalid',
      `edge ${this.name} accepts none of our credentials${why === undefined ? '' : `: ${why}`}`,
      { hint: 'postern status says what can be done', fields: { edge: this.name } },
    );
  }
}

const WORST_FIRST = [
  'credential.two-instances',
  'credential.not-admitted',
  'credential.recovery-exhausted',
  'clock.skew',
  'credential.recovery-waits',
] as const satisfies readonly ErrorCode[];
