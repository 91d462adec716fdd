/** A simulated installation of a hub: drives `stepHub` as a hub daemon has to, with a disk that survives a kill and backups of it. */
import { stepHub } from '../../src/credential/lifecycle/lifecycle.ts';
import type { HubRule } from '../../src/credential/lifecycle/hub-moves.ts';
import {
  type HubAction,
  type HubEvent,
  type HubPair,
  type HubState,
  resumeHub,
} from '../../src/credential/lifecycle/hub-pair.ts';
import { DEFAULT_TIMINGS } from '../../src/credential/schedule.ts';
import { ConfigurationDirectory, type Contents, withEntry } from './configuration-directory.ts';
import type { EdgeNode } from './edge-node.ts';
import { type Backup, backupAt, type Fuse, Killed, remember } from './node.ts';
import type { Observation } from './observer.ts';

export interface HubHooks {
  readonly now: () => number;
  readonly clock: () => number;
  readonly edgeClock: () => number;
  readonly reaches: (node: HubNode) => boolean;
  readonly readsConfiguration: () => boolean;
  readonly step: () => void;
  readonly observe: (observation: Observation) => void;
  /** A random id. */
  readonly id: () => string;
}

export interface HubDisk {
  readonly pair: HubPair;
  /** Only of a hub that keeps the configuration directory itself. */
  readonly contents: Contents | undefined;
}

export class HubNode {
  readonly name: string;
  disk: HubPair;
  state: HubState;
  configuration: ConfigurationDirectory;
  readonly embedded: boolean;
  backups: Backup<HubDisk>[] = [];
  alive = true;
  wakeAt = 0;
  /** This cycle's session, which ends with the cycle. */
  session: number | undefined;
  /** It may do more than hand over fresh keys. */
  works = false;
  reached = false;
  readonly fuse: Fuse = { left: Number.POSITIVE_INFINITY };
  readonly #hooks: HubHooks;
  readonly #rules: readonly HubRule[];
  readonly #edge: EdgeNode;

  constructor(
    name: string,
    disk: HubPair,
    configuration: ConfigurationDirectory,
    embedded: boolean,
    edge: EdgeNode,
    hooks: HubHooks,
    rules: readonly HubRule[],
  ) {
    this.name = name;
    this.disk = disk;
    this.state = resumeHub(disk);
    this.configuration = configuration;
    this.embedded = embedded;
    this.#edge = edge;
    this.#hooks = hooks;
    this.#rules = rules;
    this.#backUp();
  }

  cycle(): void {
    this.session = undefined;
    this.reached = false;
    const { own, published } = this.configuration.seen;
    const events: HubEvent[] = [{ type: 'cycle', newInstance: this.#hooks.id() }];
    if (this.#hooks.readsConfiguration())
      events.push({ type: 'observed', own: [...own.keys()], published: [...published.keys()] });
    this.run(events);
    if (!this.alive) return;
    this.#hooks.observe({
      what: 'cycle',
      node: this.name,
      reached: this.reached,
      hubClock: this.#hooks.clock(),
      edgeClock: this.#hooks.edgeClock(),
      warnings: Object.keys(this.state.pair.warnings),
    });
  }

  start(): void {
    this.alive = true;
    this.state = resumeHub(this.disk);
    this.session = undefined;
    this.run([{ type: 'started', newInstance: this.#hooks.id() }]);
  }

  /** Events, and what follows from them, until nothing is left to do. */
  run(events: readonly HubEvent[]): void {
    const todo: ({ event: HubEvent } | { action: HubAction })[] = events.map((event) => ({ event }));
    try {
      for (let next = todo.shift(); next !== undefined; next = todo.shift()) {
        this.#burn();
        if ('event' in next) todo.push(...this.#take(next.event).map((action) => ({ action })));
        else {
          const result = this.#do(next.action);
          if (result !== undefined) todo.unshift({ event: result });
        }
      }
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      this.alive = false;
      this.session = undefined;
    }
  }

  /** Returns when the backup was made. */
  restore(age: number): number | undefined {
    const backup = backupAt(this.backups, this.#hooks.now() - age);
    if (backup === undefined) return undefined;
    this.disk = backup.value.pair;
    if (backup.value.contents !== undefined) this.configuration.contents = backup.value.contents;
    return backup.at;
  }

  copy(name: string, age: number): HubNode {
    const backup = backupAt(this.backups, this.#hooks.now() - age)?.value;
    const contents = backup?.contents;
    const configuration = contents === undefined ? this.configuration : new ConfigurationDirectory(contents);
    return new HubNode(
      name,
      backup?.pair ?? this.disk,
      configuration,
      this.embedded,
      this.#edge,
      this.#hooks,
      this.#rules,
    );
  }

  #take(event: HubEvent): readonly HubAction[] {
    const step = stepHub(this.state, event, this.#hooks.clock(), DEFAULT_TIMINGS, this.#rules);
    this.#hooks.step();
    this.state = step.state;
    this.wakeAt = step.wakeAt;
    if (step.save) {
      this.disk = step.state.pair;
      this.#backUp();
      this.#burn();
    }
    return step.actions;
  }

  #do(action: HubAction): HubEvent | undefined {
    const hooks = this.#hooks;
    switch (action.type) {
      case 'contact':
        if (!hooks.reaches(this)) return { type: 'unreachable', reason: 'no answer' };
        this.reached = true;
        return { type: 'contacted', edgeNow: hooks.edgeClock() };
      case 'keep':
        return this.#keep(action);
      case 'publish':
        return this.#publish(action.number);
      case 'bind':
      case 'prove':
        return this.#bind(action);
      case 'install':
        return this.#install(action);
      case 'delete':
        if (!this.works) return { type: 'failed', reason: 'refused' };
        if (!hooks.reaches(this) || this.session !== action.session)
          return { type: 'unreachable', reason: 'session lost' };
        if (this.#edge.handle(action) === undefined) return { type: 'unreachable', reason: 'session lost' };
        return this.#edge.passwordOf(action.number) === undefined
          ? { type: 'deleted', number: action.number }
          : { type: 'failed', reason: 'the edge did not delete it' };
      case 'withdraw':
        if (!hooks.readsConfiguration()) return { type: 'failed', reason: 'configuration directory' };
        this.#write((contents) => ({
          own: withEntry(contents.own, action.number, undefined),
          published: withEntry(contents.published, action.number, undefined),
        }));
        return undefined;
      case 'leave':
        if (!this.works || this.session !== action.session) return { type: 'failed', reason: 'refused' };
        if (!hooks.reaches(this) || this.#edge.handle({ type: 'end' }) === undefined)
          return { type: 'unreachable', reason: 'session lost' };
        return { type: 'left' };
      case 'warn':
        hooks.observe({ what: 'warning', side: 'hub', node: this.name, code: action.code });
        return undefined;
    }
  }

  #keep(action: Extract<HubAction, { type: 'keep' }>): HubEvent {
    if (!this.#hooks.readsConfiguration()) return { type: 'failed', reason: 'configuration directory' };
    const there = this.configuration.seen.own.get(action.number);
    if (there === undefined) {
      const record = { secret: this.#hooks.id(), ...action.window };
      this.#hooks.observe({
        what: 'record',
        number: action.number,
        hubClock: this.#hooks.clock(),
        node: this.name,
        ...record,
      });
      this.#write((contents) => ({ ...contents, own: withEntry(contents.own, action.number, record) }));
    }
    return {
      type: 'kept',
      number: action.number,
      ...(there === undefined
        ? {}
        : { window: { effectiveAt: there.effectiveAt, expiresAt: there.expiresAt } }),
    };
  }

  #publish(number: number): HubEvent | undefined {
    const own = this.configuration.seen.own.get(number);
    if (!this.#hooks.readsConfiguration() || own === undefined)
      return { type: 'failed', reason: 'configuration directory' };
    this.#hooks.observe({ what: 'published', number, secret: own.secret });
    const record = { ...own, recordId: `record of ${own.secret}` };
    this.#write((contents) => ({ ...contents, published: withEntry(contents.published, number, record) }));
    return undefined;
  }

  #bind(action: Extract<HubAction, { type: 'bind' | 'prove' }>): HubEvent {
    const hooks = this.#hooks;
    const secret = this.#password(action.number);
    if (secret === undefined) return { type: 'failed', reason: 'own record not found' };
    const observe = (outcome: Extract<Observation, { what: 'bind' }>['outcome']): void =>
      hooks.observe({
        what: 'bind',
        node: this.name,
        number: action.number,
        secret,
        purpose: action.type === 'bind' ? 'session' : 'proof',
        outcome,
        edgeClock: hooks.edgeClock(),
        hubClock: hooks.clock(),
      });
    if (!hooks.reaches(this)) {
      observe('unreachable');
      return { type: 'unreachable', reason: 'no answer' };
    }
    const stored = this.#edge.passwordOf(action.number);
    if (stored !== undefined && stored !== secret) {
      observe('refused');
      return { type: 'refused', number: action.number, code: 'refused' };
    }
    const { number, instance, counter } = action;
    const actions = this.#edge.handle({ type: 'bind', number, instance, counter });
    if (actions === undefined) {
      observe('unreachable');
      return { type: 'unreachable', reason: 'the edge died' };
    }
    const bound = actions.find((one) => one.type === 'bound');
    if (bound === undefined) {
      observe('refused');
      const refused = actions.find((one) => one.type === 'refused');
      return { type: 'refused', number, code: refused?.code ?? 'refused' };
    }
    observe(bound.outcome);
    if (action.type === 'bind') {
      this.session = number;
      this.works = bound.outcome === 'ok';
      // The session is used.
      if (bound.outcome === 'ok') this.#edge.handle({ type: 'alive' });
    }
    return { type: 'bound', number, outcome: bound.outcome, highest: bound.highest };
  }

  #install(action: Extract<HubAction, { type: 'install' }>): HubEvent {
    const { number, session, instance } = action;
    const own = this.configuration.seen.own.get(number);
    if (own === undefined) return { type: 'failed', reason: 'own record not found' };
    if (!this.#hooks.reaches(this)) return { type: 'unreachable', reason: 'no answer' };
    const recordId = `record of ${own.secret}`;
    this.#edge.secrets.set(recordId, own.secret);
    const window = { effectiveAt: own.effectiveAt, expiresAt: own.expiresAt };
    const actions = this.#edge.handle({ type: 'install', number, window, recordId, session, instance });
    if (actions === undefined) return { type: 'unreachable', reason: 'the edge died' };
    const done = actions.find((one) => one.type === 'installed');
    if (done !== undefined) {
      this.#hooks.observe({ what: 'recovery', secret: own.secret, counted: done.counted });
      return { type: 'installed', number, counted: done.counted };
    }
    const refused = actions.find((one) => one.type === 'install-refused');
    return {
      type: 'install-refused',
      number,
      code: refused?.code ?? 'clock',
      highest: refused?.highest ?? -1,
    };
  }

  #password(number: number): string | undefined {
    return this.#hooks.readsConfiguration() ? this.configuration.seen.own.get(number)?.secret : undefined;
  }

  #write(change: (contents: Contents) => Contents): void {
    if (!this.configuration.write(change)) this.#hooks.observe({ what: 'accident', kind: 'lost-write' });
    else if (this.embedded) this.#backUp();
  }

  #backUp(): void {
    const contents = this.embedded ? this.configuration.contents : undefined;
    this.backups = remember(this.backups, this.#hooks.now(), { pair: this.disk, contents });
  }

  #burn(): void {
    this.fuse.left -= 1;
    if (this.fuse.left < 0) {
      this.fuse.left = Number.POSITIVE_INFINITY;
      throw new Killed();
    }
  }
}
