/** A simulated edge: drives `stepEdge` as an edge daemon has to, with a disk that survives a kill and backups of it. */
import { stepEdge } from '../../src/credential/lifecycle/lifecycle.ts';
import {
  type EdgeAction,
  type EdgeEvent,
  type EdgePair,
  newEdgePair,
} from '../../src/credential/lifecycle/edge-pair.ts';
import type { EdgeRule } from '../../src/credential/lifecycle/edge-moves.ts';
import { DEFAULT_TIMINGS } from '../../src/credential/schedule.ts';
import { type Backup, backupAt, type Fuse, Killed, remember } from './node.ts';

export interface EdgeHooks {
  readonly now: () => number;
  readonly clock: () => number;
  readonly step: () => void;
  readonly warn: (code: string) => void;
  readonly note: (text: string) => void;
}

export class EdgeNode {
  disk: EdgePair = newEdgePair();
  backups: Backup<EdgePair>[] = [];
  /** Passwords of the accounts, by record: part of the disk, but nothing is ever lost from it. */
  readonly secrets = new Map<string, string>();
  alive = true;
  wakeAt = 0;
  readonly fuse: Fuse = { left: Number.POSITIVE_INFINITY };
  readonly #hooks: EdgeHooks;
  readonly #rules: readonly EdgeRule[];

  constructor(hooks: EdgeHooks, rules: readonly EdgeRule[]) {
    this.#hooks = hooks;
    this.#rules = rules;
  }

  /** The actions, or `undefined` when the edge died before it answered. */
  handle(event: EdgeEvent): readonly EdgeAction[] | undefined {
    if (!this.alive) return undefined;
    try {
      this.#burn();
      const step = stepEdge(this.disk, event, this.#hooks.clock(), DEFAULT_TIMINGS, this.#rules);
      this.#hooks.step();
      this.wakeAt = step.wakeAt;
      if (step.save) {
        this.disk = step.state;
        this.backups = remember(this.backups, this.#hooks.now(), step.state);
        this.#burn();
      }
      for (const action of step.actions) {
        if (action.type === 'warn') this.#hooks.warn(action.code);
        if ('reason' in action) this.#hooks.note(`${event.type} refused: ${action.reason}`);
        if ('code' in action && action.type === 'install-refused')
          this.#hooks.note(`install refused: ${action.code}`);
      }
      return step.actions;
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      this.alive = false;
      return undefined;
    }
  }

  start(): void {
    this.alive = true;
    this.handle({ type: 'started' });
  }

  restore(age: number): void {
    this.disk = backupAt(this.backups, this.#hooks.now() - age)?.value ?? this.disk;
  }

  passwordOf(number: number): string | undefined {
    const account = this.disk.accounts.find((one) => one.number === number);
    return account === undefined ? undefined : this.secrets.get(account.recordId);
  }

  #burn(): void {
    this.fuse.left -= 1;
    if (this.fuse.left < 0) {
      this.fuse.left = Number.POSITIVE_INFINITY;
      throw new Killed();
    }
  }
}
