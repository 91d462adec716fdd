/**
 * One pair through its years: true time, both clocks, the network, backups, kills and an administrator. It makes things happen and tells the observer
 * what can be seen; it judges nothing.
 */
import { EDGE_RULES, HUB_RULES } from '../../src/credential/lifecycle/lifecycle.ts';
import type { EdgeRule } from '../../src/credential/lifecycle/edge-moves.ts';
import type { HubRule } from '../../src/credential/lifecycle/hub-moves.ts';
import { type HubPair, newHubPair } from '../../src/credential/lifecycle/hub-pair.ts';
import {
  CLOCK_TOLERANCE_MS,
  DEFAULT_TIMINGS,
  firstWindow,
  nextEventAt,
} from '../../src/credential/schedule.ts';
import { ConfigurationDirectory } from './configuration-directory.ts';
import { EdgeNode } from './edge-node.ts';
import { type HubHooks, HubNode } from './hub-node.ts';
import type { Observation, Observe } from './observer.ts';
import { type Draw, drawFrom, type Fault, HOUR, type PairPlan } from './plan.ts';

export interface Machines {
  readonly hub: readonly HubRule[];
  readonly edge: readonly EdgeRule[];
}

export const WHOLE: Machines = { hub: HUB_RULES, edge: EDGE_RULES };

const START = Date.UTC(2026, 0, 1);
const CYCLE = DEFAULT_TIMINGS.cycleMs;
const SELDOM = 6 * HOUR;
/** So many cycles that change nothing are gone through before they become seldom. */
const CALM = 10;
const PROBE = 40 * HOUR;
const MOST_AT_ONCE = 5000;

type Task = { readonly at: number; readonly run: () => void };

export class World {
  now = START;
  steps = 0;
  readonly #plan: PairPlan;
  readonly #draw: Draw;
  readonly #observe: Observe;
  readonly #edge: EdgeNode;
  readonly #hub: HubNode;
  #clone: HubNode | undefined;
  #tasks: Task[] = [];
  readonly #down = new Map<string, number>();
  #hubSkew = 0;
  #edgeSkew = 0;
  #ended: 'hub' | 'edge' | undefined;
  #edgeStarts = false;
  #waiting = new Set<string>();
  #disturbed = '';
  /** Cycles since anything happened. */
  #calm = 0;
  readonly #rules: Machines;

  constructor(plan: PairPlan, observe: Observe, rules: Machines = WHOLE) {
    this.#plan = plan;
    this.#rules = rules;
    this.#draw = drawFrom(plan.seed, 99);
    this.#observe = observe;
    this.#edge = new EdgeNode(
      {
        now: () => this.now,
        clock: () => this.now + this.#edgeSkew,
        step: () => this.steps++,
        warn: (code) => this.#see({ what: 'warning', side: 'edge', node: 'edge', code }),
        note: (text) => this.#see({ what: 'note', text }),
      },
      rules.edge,
    );
    this.#hub = this.#subscribe();
    for (const fault of plan.faults) this.#at(START + fault.at, () => this.#fault(fault));
  }

  run(): void {
    const end = START + this.#plan.length;
    this.#at(START + PROBE, () => this.#probe());
    for (let turns = 0; ; ) {
      const next = Math.min(
        this.#tasks[0]?.at ?? end,
        ...this.#nodes().map((node) => this.#dueOf(node)),
        this.#edgeDue(),
      );
      if (next >= end) return;
      turns = next > this.now ? 0 : turns + 1;
      if (turns > MOST_AT_ONCE) return this.#see({ what: 'wild' });
      this.now = Math.max(this.now, next);
      const task = this.#tasks[0];
      if (task !== undefined && task.at <= this.now) {
        this.#tasks.shift();
        task.run();
        this.#tellDisturbance();
        continue;
      }
      this.#calm += 1;
      for (const node of this.#nodes()) if (node.alive && this.#dueOf(node) <= this.now) this.#cycle(node);
      if (this.#edgeDue() <= this.now) this.#edgeCycle();
    }
  }

  /** What an import leaves: the first record, and its account, which the bootstrap session installed. */
  #subscribe(): HubNode {
    const secret = this.#id();
    const window = firstWindow(START);
    const recordId = `record of ${secret}`;
    const own = { secret, ...window };
    const configuration = new ConfigurationDirectory({
      own: new Map([[0, own]]),
      published: new Map([[0, { ...own, recordId }]]),
    });
    this.#see({ what: 'record', number: 0, hubClock: START, node: 'hub', ...own });
    this.#see({ what: 'published', number: 0, secret });
    this.#edge.secrets.set(recordId, secret);
    this.#edge.handle({ type: 'record', number: 0, window, recordId });
    const pair = newHubPair(this.#id(), { number: 0, ...window });
    const embedded = !this.#plan.others;
    const hooks: HubHooks = {
      now: () => this.now,
      clock: () => this.now + this.#hubSkew,
      edgeClock: () => this.now + this.#edgeSkew,
      reaches: () => this.#edge.alive && !this.#is('link-down') && !this.#is('edge-down'),
      readsConfiguration: () => !this.#is('config-down'),
      step: () => this.steps++,
      observe: (observation) => this.#see(observation),
      id: () => this.#id(),
    };
    return new HubNode('hub', pair, configuration, embedded, this.#edge, hooks, this.#rules.hub);
  }

  #cycle(node: HubNode): void {
    const before = node.disk;
    node.cycle();
    if (!node.alive) return this.#die(node);
    if (!sameButCalls(before, node.disk)) this.#calm = 0;
    const clock = this.now + this.#hubSkew;
    // Cycles that change nothing are not all gone through.
    if (this.#clone !== undefined) node.wakeAt = Math.min(node.wakeAt, clock + CYCLE);
    else if (node.wakeAt > clock + CYCLE) this.#calm = 0;
    else if (this.#calm > CALM) node.wakeAt = this.#seldom(node, clock);
    this.#push(node);
    this.#edgeCycle();
  }

  /** Not beyond a moment of any credential's life. */
  #seldom(node: HubNode, clock: number): number {
    const { own, published } = node.configuration.contents;
    const next = nextEventAt([...own.values(), ...published.values()], clock) ?? Number.POSITIVE_INFINITY;
    return Math.max(clock + CYCLE, Math.min(clock + SELDOM, next));
  }

  /** The holder of the lease brings every record: this hub itself, or another. */
  #push(node: HubNode): void {
    if (this.#is('push-down') || this.#is('edge-down') || !this.#edge.alive) return;
    const byItself = node.session !== undefined && !this.#is('link-down');
    const byOthers = this.#plan.others && !this.#is('others-down');
    if (!byItself && !byOthers) return;
    for (const [number, record] of node.configuration.contents.published) {
      this.#edge.secrets.set(record.recordId, record.secret);
      const window = { effectiveAt: record.effectiveAt, expiresAt: record.expiresAt };
      this.#edge.handle({ type: 'record', number, window, recordId: record.recordId });
    }
  }

  #edgeCycle(): void {
    if (this.#edge.alive && !this.#is('edge-down')) {
      this.#edge.handle({ type: 'cycle' });
      if (this.#edge.alive) {
        const numbers = this.#edge.disk.accounts.map((one) => one.number);
        const records = [...this.#hub.configuration.contents.published.keys()];
        this.#see({ what: 'accounts', numbers, records, edgeClock: this.now + this.#edgeSkew });
      }
    }
    if (!this.#edge.alive) this.#edgeDied();
  }

  #edgeDue(): number {
    return this.#edge.alive && !this.#is('edge-down')
      ? Math.max(this.now, this.#edge.wakeAt - this.#edgeSkew)
      : Number.POSITIVE_INFINITY;
  }

  #dueOf(node: HubNode): number {
    if (!node.alive || this.#is('hub-down')) return Number.POSITIVE_INFINITY;
    return Math.max(this.now, node.wakeAt - this.#hubSkew);
  }

  #nodes(): HubNode[] {
    return this.#clone === undefined ? [this.#hub] : [this.#hub, this.#clone];
  }

  #die(node: HubNode): void {
    this.#see({ what: 'accident', kind: 'kill' });
    this.#tellDisturbance();
    this.#at(this.now + 1 + Math.floor(this.#draw() * CYCLE), () => {
      if (!node.alive && !this.#is('hub-down')) this.#start(node);
    });
  }

  #start(node: HubNode): void {
    node.start();
    // Who restores a backup of a hub that was told to leave tells it again.
    if (this.#ended === 'hub' && node.alive && !['leaving', 'ended'].includes(node.disk.phase))
      node.run([{ type: 'end' }]);
    node.wakeAt = Math.min(node.wakeAt, this.now + this.#hubSkew + CYCLE);
    if (!node.alive) this.#die(node);
  }

  #startEdge(): void {
    this.#edgeStarts = false;
    // Otherwise the end of the outage starts it.
    if (this.#is('edge-down')) return;
    if (!this.#edge.alive) this.#edge.start();
    if (!this.#edge.alive) this.#edgeDied();
  }

  #edgeDied(): void {
    this.#tellDisturbance();
    if (this.#edgeStarts) return;
    this.#edgeStarts = true;
    this.#at(this.now + 1 + Math.floor(this.#draw() * CYCLE), () => this.#startEdge());
  }

  #fault(fault: Fault): void {
    this.#calm = 0;
    switch (fault.kind) {
      case 'hub-skew':
      case 'edge-skew':
        return this.#skew(fault);
      case 'kill-hub':
        this.#hub.fuse.left = fault.after;
        return;
      case 'kill-edge':
        this.#edge.fuse.left = fault.after;
        return;
      case 'lost-write':
        this.#hub.configuration.losesNext = true;
        return;
      case 'restore-hub':
        return this.#restoreHub(fault.age);
      case 'restore-edge':
        this.#see({ what: 'accident', kind: 'restore-edge' });
        this.#edge.restore(fault.age);
        // Its status says so when it starts.
        if (this.#edge.disk.phase === 'suspended')
          this.#see({ what: 'warning', side: 'edge', node: 'edge', code: 'credential.two-instances' });
        if (this.#ended !== undefined) this.#edge.handle({ type: 'end' });
        return this.#soon();
      case 'clone':
        return this.#startClone(fault.age);
      case 'rotate':
      case 'revoke':
        return this.#command(fault);
      case 'end':
        return this.#end(fault.side);
      default:
        return this.#outage(fault);
    }
  }

  #outage(fault: Extract<Fault, { ms: number }>): void {
    const until = this.now + fault.ms;
    this.#down.set(fault.kind, Math.max(this.#down.get(fault.kind) ?? 0, until));
    if (fault.kind === 'config-lag') this.#hub.configuration.stale ??= this.#hub.configuration.before;
    if (fault.kind === 'push-down') this.#see({ what: 'push', works: false });
    this.#at(until, () => {
      if (this.#is(fault.kind)) return;
      if (fault.kind === 'config-lag') this.#hub.configuration.stale = undefined;
      if (fault.kind === 'push-down') this.#see({ what: 'push', works: true });
      if (fault.kind === 'edge-down') this.#startEdge();
      if (fault.kind === 'hub-down') for (const node of this.#nodes()) this.#start(node);
      this.#soon();
    });
  }

  #skew(fault: Extract<Fault, { kind: 'hub-skew' | 'edge-skew' }>): void {
    const set = (by: number): void => {
      if (fault.kind === 'hub-skew') this.#hubSkew = by;
      else this.#edgeSkew = by;
      this.#soon();
    };
    set(fault.by);
    if (Math.abs(fault.by) > CLOCK_TOLERANCE_MS) this.#at(this.now + fault.ms, () => set(0));
  }

  #restoreHub(age: number): void {
    this.#see({ what: 'accident', kind: 'restore-hub', copyOf: this.#hub.restore(age) });
    if (this.#is('hub-down')) return;
    this.#start(this.#hub);
    this.#soon();
  }

  #startClone(age: number): void {
    if (this.#clone !== undefined || this.#ended !== undefined || this.#is('hub-down')) return;
    this.#clone = this.#hub.copy('clone', age);
    this.#see({ what: 'clone', alive: true, node: 'clone' });
    this.#start(this.#clone);
    this.#soon();
    // Whatever is reported: somebody finds it in the end.
    this.#at(this.now + 20 * HOUR, () => this.#stopClone());
  }

  #stopClone(): void {
    if (this.#clone === undefined) return;
    this.#clone = undefined;
    this.#see({ what: 'clone', alive: false, node: 'clone' });
    this.#waiting.add('resolve');
    this.#resolve();
  }

  #command(fault: Extract<Fault, { kind: 'rotate' | 'revoke' }>): void {
    if (this.#ended !== undefined || !this.#hub.alive || this.#is('hub-down') || this.#clone !== undefined)
      return;
    this.#steady();
    if (fault.kind === 'rotate') {
      this.#see({ what: 'command', kind: fault.now ? 'rotate-now' : 'rotate' });
      this.#hub.run([{ type: 'rotate', now: fault.now }]);
    } else {
      const { accounts } = this.#edge.disk;
      const number = fault.side === 'hub' ? this.#hub.disk.using : accounts[accounts.length - 1]?.number;
      if (number === undefined || (fault.side === 'edge' && (this.#is('edge-down') || !this.#edge.alive)))
        return;
      this.#see({ what: 'command', kind: fault.side === 'hub' ? 'revoke-hub' : 'revoke-edge', number });
      if (fault.side === 'hub') this.#hub.run([{ type: 'revoke', number }]);
      else this.#edge.handle({ type: 'revoke', number });
    }
    this.#soon();
  }

  /** A command that was answered was done: nobody is killed within it. */
  #steady(): void {
    this.#hub.fuse.left = Number.POSITIVE_INFINITY;
    this.#edge.fuse.left = Number.POSITIVE_INFINITY;
  }

  #end(side: 'hub' | 'edge'): void {
    const here = side === 'edge' ? this.#edge : this.#hub;
    if (this.#is(`${side}-down`) || !here.alive || this.#clone !== undefined)
      return this.#at(this.now + HOUR, () => this.#end(side));
    if (this.#ended !== undefined) return;
    if (side === 'edge') {
      this.#steady();
      this.#edge.handle({ type: 'end' });
    } else this.#hub.run([{ type: 'end' }]);
    this.#ended = side;
    this.#see({ what: 'end', side });
    // Who is killed within it is told again.
    if (!this.#hub.alive) this.#die(this.#hub);
    else this.#soon();
  }

  /** The administrator reads warnings once in a while. */
  #see(observation: Observation): void {
    // Who died within the cycle is known at its end.
    if (observation.what === 'cycle') this.#tellDisturbance();
    if (observation.what === 'accident') this.#calm = 0;
    this.#observe(this.now, observation);
    if (observation.what !== 'warning') return;
    const { code } = observation;
    const does =
      code === 'credential.two-instances'
        ? () => this.#resolve()
        : code === 'credential.recovery-exhausted'
          ? () => this.#allow()
          : undefined;
    if (does === undefined || this.#waiting.has(code)) return;
    this.#waiting.add(code);
    this.#tellDisturbance();
    this.#at(this.now + Math.floor((1 + this.#draw() * 15) * HOUR), () => {
      this.#waiting.delete(code);
      does();
    });
  }

  #resolve(): void {
    if (this.#is('edge-down') || !this.#edge.alive) return this.#at(this.now + HOUR, () => this.#resolve());
    if (this.#clone !== undefined) return this.#stopClone();
    this.#steady();
    this.#waiting.delete('resolve');
    this.#see({ what: 'command', kind: 'resolve' });
    this.#edge.handle({ type: 'resolve' });
    this.#soon();
  }

  #allow(): void {
    if (this.#is('edge-down') || !this.#edge.alive) return this.#at(this.now + HOUR, () => this.#allow());
    this.#steady();
    this.#see({ what: 'command', kind: 'allow' });
    this.#edge.handle({ type: 'allow-recovery' });
    this.#soon();
  }

  /** At moments that nobody has chosen: what the two sides hold. */
  #probe(): void {
    const edgeClock = this.now + this.#edgeSkew;
    const own = new Map(
      [...this.#hub.configuration.seen.own].map(([number, { secret }]) => [number, secret]),
    );
    const accounts = this.#edge.disk.accounts.map(({ number, effectiveAt, expiresAt }) => ({
      number,
      effectiveAt,
      expiresAt,
      secret: this.#edge.passwordOf(number),
    }));
    this.#see({ what: 'probe', using: this.#hub.disk.using, own, accounts, edgeClock });
    this.#at(this.now + Math.floor((0.5 + this.#draw()) * PROBE), () => this.#probe());
  }

  #is(kind: string): boolean {
    return (this.#down.get(kind) ?? 0) > this.now;
  }

  #tellDisturbance(): void {
    const by = this.#disturbance();
    if (by.join() === this.#disturbed) return;
    this.#disturbed = by.join();
    this.#see({ what: 'disturbed', by });
  }

  #disturbance(): string[] {
    const by: string[] = ['edge-down', 'hub-down', 'link-down', 'config-down', 'config-lag'].filter((kind) =>
      this.#is(kind),
    );
    if (!this.#edge.alive) by.push('edge killed');
    if (!this.#hub.alive) by.push('hub killed');
    if (Math.abs(this.#hubSkew - this.#edgeSkew) > CLOCK_TOLERANCE_MS) by.push('clocks');
    if (this.#clone !== undefined) by.push('clone');
    if (this.#waiting.size > 0) by.push('administrator');
    return by;
  }

  /** The next cycles come at their usual pace. */
  #soon(): void {
    this.#calm = 0;
    for (const node of this.#nodes())
      node.wakeAt = this.now + this.#hubSkew + Math.floor(this.#draw() * CYCLE);
  }

  #at(at: number, run: () => void): void {
    const task = { at: Math.max(at, this.now), run };
    const index = this.#tasks.findIndex((one) => one.at > task.at);
    this.#tasks.splice(index < 0 ? this.#tasks.length : index, 0, task);
  }

  #id(): string {
    return Math.floor(this.#draw() * 2 ** 48).toString(16);
  }
}

function sameButCalls(a: HubPair, b: HubPair): boolean {
  return (
    a.generations === b.generations && a.phase === b.phase && a.using === b.using && a.warnings === b.warnings
  );
}
