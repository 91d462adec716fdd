/**
 * Drives the edge's side of every pair: an event comes in, the state is on the disk, then the answer goes out. Killed between any two steps it loses
 * nothing: state and accounts are one document of the trust store, and what follows from them is done again at a start. Knows no session and
 * no wire format; the caller has judged pins, passwords, signatures and seals.
 */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { nameKey } from './account-name.ts';
import { type AdmittedHub, type CredentialState, findHub } from './credential-state.ts';
import { type AccountSecret, pairOf, stepPair } from './edge-pairs.ts';
import type { EdgeAction, EdgeEvent } from './lifecycle/edge-pair.ts';
import type { RenewalTimings } from './schedule.ts';

/** The part of the trust store that is used; `update` resolves when the new state is on the disk. */
export interface AccountStore<T extends CredentialState = CredentialState> {
  readonly value: T;
  update(change: (draft: T) => T): Promise<void>;
}

export interface PairKeeperOptions<T extends CredentialState> {
  readonly store: AccountStore<T>;
  readonly clock: Pick<Clock, 'now'>;
  readonly timings: RenewalTimings;
  readonly log: Log;
  /** Accounts of a pair, or their state, have changed: sessions may have to end. The answer to the event has not gone out yet. */
  readonly onChanged: () => void;
}

/** Nothing is done, and nothing is answered, for a hub that is not admitted (any more). */
const NOBODY: readonly EdgeAction[] = [];

export class PairKeeper<T extends CredentialState = CredentialState> {
  readonly #options: PairKeeperOptions<T>;
  /** When the present instance of a hub last asked for something, where that is later than what is on the disk. */
  readonly #heard = new Map<string, number>();
  /** Hubs of which it is being written down that they are alive. */
  readonly #noting = new Set<string>();

  constructor(options: PairKeeperOptions<T>) {
    this.#options = options;
  }

  get timings(): RenewalTimings {
    return this.#options.timings;
  }

  /** After a start: what had begun before goes on. */
  async start(): Promise<void> {
    await this.#each({ type: 'started' });
  }

  /** At least once a minute. */
  async cycle(): Promise<void> {
    await this.#each({ type: 'cycle' });
  }

  /** What the edge has to answer, when it is on the disk. `made`: name and password of the account that the event would make. */
  async handle(hubName: string, event: EdgeEvent, made?: AccountSecret): Promise<readonly EdgeAction[]> {
    const { store } = this.#options;
    const hub = findHub(store.value.hubs, hubName);
    if (hub === undefined) return NOBODY;
    const now = this.#options.clock.now();
    const events = [...this.#alive(store.value, hub, event), { event, at: now }];
    const dry = this.#run(store.value, hub, events, made);
    if (dry.state === store.value) return this.#done(hub, event, dry.actions, false);
    let result = { actions: NOBODY, changed: false };
    await store.update((draft) => {
      const present = findHub(draft.hubs, hubName);
      if (present === undefined) return draft;
      const run = this.#run(draft, present, events, made);
      result = { actions: run.actions, changed: differs(draft, run.state, present) };
      return run.state;
    });
    return this.#done(hub, event, result.actions, result.changed);
  }

  /**
   * A session that `instance` of the hub has bound asks for something. Cheap: kept in memory, and told to the pair before the next event that
   * depends on it; at once when another instance has called since.
   */
  heard(hubName: string, instance: string): void {
    const { store, clock, log } = this.#options;
    const key = nameKey(hubName);
    const stored = store.value.pairs?.[key];
    if (stored?.instance?.id !== instance) return;
    this.#heard.set(key, clock.now());
    if (stored.contender === undefined || stored.phase !== 'active' || this.#noting.has(key)) return;
    this.#noting.add(key);
    this.handle(hubName, { type: 'alive' })
      .catch((error: unknown) => log.error('a hub that is alive could not be noted', { hub: hubName, error }))
      .finally(() => this.#noting.delete(key));
  }

  /** When the present instance of a hub last asked for something; undefined: never. */
  lastHeard(hubName: string): number | undefined {
    const stored = this.#options.store.value.pairs?.[nameKey(hubName)]?.heardAt ?? 0;
    const at = Math.max(stored, this.#heard.get(nameKey(hubName)) ?? 0);
    return at === 0 ? undefined : at;
  }

  async #each(event: EdgeEvent): Promise<void> {
    for (const { name } of Object.values(this.#options.store.value.hubs)) await this.handle(name, event);
  }

  /** The present instance was heard since the last event: that comes first. */
  #alive(state: T, hub: AdmittedHub, { type }: EdgeEvent): { event: EdgeEvent; at: number }[] {
    const key = nameKey(hub.name);
    const at = this.#heard.get(key);
    if (at === undefined || (type !== 'bind' && type !== 'install')) return [];
    this.#heard.delete(key);
    const { heardAt, phase } = pairOf(state, hub.name);
    return at > heardAt && phase === 'active' ? [{ event: { type: 'alive' }, at }] : [];
  }

  #run(
    state: T,
    hub: AdmittedHub,
    events: readonly { readonly event: EdgeEvent; readonly at: number }[],
    made: AccountSecret | undefined,
  ): { readonly state: T; readonly actions: readonly EdgeAction[] } {
    const { timings } = this.#options;
    let next = state;
    let actions: readonly EdgeAction[] = NOBODY;
    for (const { event, at } of events) {
      const secrets = new Map('number' in event && made !== undefined ? [[event.number, made]] : []);
      const step = stepPair(next, hub, event, at, timings, secrets);
      next = step.state;
      // Only the last one is answered.
      actions = [...actions.filter(({ type }) => type === 'warn'), ...step.actions];
    }
    return { state: next, actions };
  }

  #done(
    { name }: AdmittedHub,
    event: EdgeEvent,
    actions: readonly EdgeAction[],
    changed: boolean,
  ): readonly EdgeAction[] {
    const { log, onChanged } = this.#options;
    for (const action of actions) {
      if (action.type === 'warn') log.warn(action.why, { code: action.code, hub: name });
      if (action.type === 'drop-account')
        log.info('replication account deleted', { hub: name, number: action.number, by: event.type });
    }
    if (changed) onChanged();
    return actions;
  }
}

/** Whether there are other accounts than before, or the pair went to sleep or woke up. */
function differs(before: CredentialState, after: CredentialState, hub: AdmittedHub): boolean {
  const [was, is] = [pairOf(before, hub.name), pairOf(after, hub.name)];
  const numbers = (pair: typeof was): string => pair.accounts.map(({ number }) => number).join();
  return was.phase !== is.phase || numbers(was) !== numbers(is);
}
