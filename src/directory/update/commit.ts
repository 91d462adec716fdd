/**
 * Groups of updates, from the owner's `beforeCommit` to the moment they are on the disk. One group is applied at a time and
 * within one turn of the event loop, so nobody sees half of it; groups keep the order in which they were handed in.
 */
import { isPosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { Control, LdapResult } from '../../ldap/message.ts';
import type { AccessControl } from '../access/access.ts';
import type { ChangeNumber, Database } from '../database.ts';
import type { DatabaseChange } from '../database-change.ts';
import type { ComputedAttribute } from '../entry/computed.ts';
import { Entry } from '../entry/entry.ts';
import { EntryView } from '../entry/layout.ts';
import { Refusal, resultOf } from '../refusal.ts';
import type { AttributeType } from '../schema/schema.ts';
import type { FilterOptions } from '../search/filter.ts';
import type { Session } from '../session.ts';
import { EntryRules } from './entry-rules.ts';
import type { Update, UpdateContext } from './context.ts';
import { applyUpdate } from './update.ts';
import { UuidSource } from './uuid-source.ts';

/** One entry's change in a committed group. */
export interface Change {
  readonly kind: 'add' | 'modify' | 'rename' | 'delete';
  readonly id: number;
  /** 16 octets. */
  readonly uuid: Buffer;
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
  /** The last change number of the group: the same for all its changes. */
  readonly number: ChangeNumber;
}

export type CommitOutcome =
  | {
      readonly ok: true;
      readonly updates: readonly { readonly update: Update; readonly controls: readonly Control[] }[];
    }
  | { readonly ok: false; readonly result: LdapResult; readonly failed: Update | undefined };

export interface CommitHooks {
  /**
   * Asked before a group is applied; may refuse it, or answer with other updates in its place (keep `messageId`s). When it answers
   * with a promise, later groups wait.
   */
  beforeCommit?(
    session: Session,
    updates: readonly Update[],
    inTransaction: boolean,
  ): BeforeCommit | Promise<BeforeCommit>;
  /** Told of every group once it is durable, in order. */
  afterCommit?(changes: readonly Change[], session: Session): void;
  /** Once: the store can make nothing durable any more. What was answered is safe, nothing later is: the daemon should end. */
  storeFailed?(error: Error): void;
}

export type BeforeCommit = readonly Update[] | LdapResult;

export interface CommitterOptions {
  readonly database: Database;
  readonly access: AccessControl;
  readonly computed: ReadonlyMap<AttributeType, ComputedAttribute>;
  readonly filterOptions: FilterOptions;
  readonly random: Random;
  readonly log: Log;
  readonly hooks: CommitHooks;
}

export interface CommitRequest {
  readonly session: Session;
  readonly updates: readonly Update[];
  readonly inTransaction: boolean;
  /** False for the process's own changes, which no hook may judge. */
  readonly ask: boolean;
  readonly done: (outcome: CommitOutcome) => void;
}

export class Committer {
  readonly #options: CommitterOptions;
  readonly #rules: EntryRules;
  readonly #uuids: UuidSource;
  readonly #waiting: CommitRequest[] = [];
  #busy = false;
  #failed = false;
  /** Called with each group as soon as it is applied, before it is durable. Nothing is copied for it: for bookkeeping that must cost little. */
  onApplied: ((change: DatabaseChange) => void) | undefined;
  readonly #listeners = new Set<(changes: readonly Change[], session: Session) => void>();

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#rules = new EntryRules(options.database);
    this.#uuids = new UuidSource(options.random);
    const { hooks } = options;
    if (hooks.afterCommit !== undefined)
      this.#listeners.add((changes, session) => hooks.afterCommit?.(changes, session));
  }

  /** Calls `listener` with every durable group; returns how to stop that. */
  onChange(listener: (changes: readonly Change[], session: Session) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Groups handed in and not yet applied. */
  get waiting(): number {
    return this.#waiting.length;
  }

  submit(request: CommitRequest): void {
    if (this.#busy) this.#waiting.push(request);
    else this.#start(request);
  }

  /** Takes back what was handed in; false when it has been begun. `done` is not called then. */
  withdraw(request: CommitRequest): boolean {
    const at = this.#waiting.indexOf(request);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    return true;
  }

  #start(request: CommitRequest): void {
    const { hooks, log } = this.#options;
    if (!request.ask || hooks.beforeCommit === undefined) return this.#apply(request, request.updates);
    let answer: BeforeCommit | Promise<BeforeCommit>;
    try {
      answer = hooks.beforeCommit(request.session, request.updates, request.inTransaction);
    } catch (error) {
      return this.#hookFailed(request, error);
    }
    if (!(answer instanceof Promise)) return this.#judged(request, answer);
    this.#busy = true;
    answer
      .then(
        (late) => this.#judged(request, late),
        (error: unknown) => this.#hookFailed(request, error),
      )
      .catch((error: unknown) => log.error('answering a change failed', { error }))
      .finally(() => {
        this.#busy = false;
        for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
          this.#start(next);
          if (this.#busy) break;
        }
      });
  }

  #judged(request: CommitRequest, answer: BeforeCommit): void {
    if ('code' in answer) request.done({ ok: false, result: answer, failed: undefined });
    else this.#apply(request, answer);
  }

  #hookFailed(request: CommitRequest, error: unknown): void {
    if (!(error instanceof Refusal)) this.#options.log.error('judging a change failed', { error });
    request.done({
      ok: false,
      result: error instanceof Refusal ? error.result : resultOf('other', 'internal error'),
      failed: undefined,
    });
  }

  #apply(request: CommitRequest, updates: readonly Update[]): void {
    const { database, log } = this.#options;
    const { session, done } = request;
    const change = database.begin();
    const context: UpdateContext = {
      ...this.#options,
      change,
      rules: this.#rules,
      uuids: this.#uuids,
      session,
      nameId: database.dictionary.nameId(session.identity.dn),
      inTransaction: request.inTransaction,
    };
    const results: { update: Update; controls: readonly Control[] }[] = [];
    let current: Update | undefined;
    try {
      for (const update of updates) {
        current = update;
        results.push({ update, controls: applyUpdate(context, update) });
      }
    } catch (error) {
      change.rollback();
      if (!(error instanceof Refusal)) log.error('an update failed', { error });
      done({
        ok: false,
        result: error instanceof Refusal ? error.result : resultOf('other', 'internal error'),
        failed: current,
      });
      return;
    }
    const changes = this.#listeners.size === 0 ? [] : describeChanges(database, change);
    const taken = change.commit((error) => {
      if (isPosternError(error, 'store.full')) {
        // As slapd answers; `busy` and `unavailable` would send clients elsewhere or round in circles.
        done({ ok: false, result: resultOf('other', error.message), failed: undefined });
        return;
      }
      if (error !== undefined) {
        this.#storeFailed(error);
        done({
          ok: false,
          result: resultOf('unavailable', 'the change could not be made durable'),
          failed: undefined,
        });
        return;
      }
      if (changes.length > 0) this.#tell(changes, session);
      done({ ok: true, updates: results });
    });
    if (taken) this.onApplied?.(change);
  }

  #storeFailed(error: Error): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#options.log.error('changes do not become durable any more', { error });
    this.#options.hooks.storeFailed?.(error);
  }

  #tell(changes: readonly Change[], session: Session): void {
    for (const listener of this.#listeners) {
      try {
        listener(changes, session);
      } catch (error) {
        this.#options.log.error('a listener to changes failed', { error });
      }
    }
  }
}

/** What a group did, entry by entry, as copies: later groups may change the entries before this one is durable. */
function describeChanges(database: Database, change: DatabaseChange): Change[] {
  const changes: Change[] = [];
  const number = database.lastChange;
  for (const { id, before: octets, dnBefore } of change.entries.values()) {
    const before =
      octets === undefined
        ? undefined
        : new Entry(database, id, (dnBefore ?? EMPTY).toString('utf8'), octets);
    const view = new EntryView();
    const exists = database.read(id, view);
    const after = exists
      ? new Entry(database, id, database.dnText(id), Buffer.from(view.buffer.subarray(view.start, view.end)))
      : undefined;
    const uuid = (after ?? before)?.uuid;
    if (uuid === undefined) continue;
    const kind =
      before === undefined
        ? 'add'
        : after === undefined
          ? 'delete'
          : before.dn === after.dn
            ? 'modify'
            : 'rename';
    changes.push({ kind, id, uuid, before, after, number });
  }
  return changes;
}

const EMPTY = Buffer.alloc(0);
