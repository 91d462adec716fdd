/**
 * One search, run in slices: candidates from an index, from the tree, or every entry in the order of record numbers. It owns
 * scope, limits and the position (which a paged search takes up again); it knows neither messages nor clients.
 */
import type { Clock } from '../../base/clock.ts';
import type { Scope } from '../../ldap/message.ts';
import type { AccessControl, AccessView } from '../access/access.ts';
import type { Database } from '../database.ts';
import type { ComputedAttribute } from '../entry/computed.ts';
import { EntryView } from '../entry/layout.ts';
import type { AttributeType } from '../schema/schema.ts';
import type { Session } from '../session.ts';
import { type MatchContext, type Matcher, TRUE } from './matcher.ts';

export interface SearchTask {
  /** Record number of the base; 0 is the root, above the naming contexts. */
  readonly base: number;
  readonly scope: Scope;
  readonly filter: Matcher;
  /** Only entries with higher record numbers. */
  readonly after?: number;
  /** Instead of what the filter offers: these record numbers, in this order, from position `from` on. */
  readonly order?: Uint32Array;
  readonly from?: number;
  /** Most entries to deliver; 0 = no limit. */
  readonly sizeLimit: number;
  /** Stop without an error after this many: a page. */
  readonly pageSize?: number;
  /** Milliseconds; 0 = no limit. */
  readonly timeLimitMs: number;
  /** Most entries to look at; 0 = no limit. */
  readonly lookThrough: number;
}

export interface SearchEnvironment {
  readonly database: Database;
  readonly access: AccessControl;
  readonly computed: ReadonlyMap<AttributeType, ComputedAttribute>;
  readonly clock: Clock;
}

/** Takes an entry; the view is valid during the call. Returns false to be left in peace until the run is stepped again. */
export type EntrySink = (id: number, view: EntryView, access: AccessView) => boolean;

export type SearchState =
  | 'more' // the slice is over
  | 'blocked' // the sink wants a pause
  | 'done'
  | 'page' // a full page was delivered and there may be more
  | 'sizeLimit'
  | 'timeLimit'
  | 'lookThrough';

/** Below this many candidates they are listed; above, entries are scanned in order. */
const MOST_LISTED = 1000;
/** Most entries between two looks at the clock; fewer where a filter is so long that an entry takes its time. */
const CLOCK_STRIDE = 64;
/** Candidates that need no clock at all. */
const MOST_UNTIMED = 4;
/** A slice of work between two turns of the event loop. */
export const SLICE_MS = 1;

export class SearchRun {
  readonly #task: SearchTask;
  readonly #environment: SearchEnvironment;
  readonly #context: { -readonly [K in keyof MatchContext]: MatchContext[K] };
  readonly #sink: EntrySink;
  readonly #candidates: readonly number[] | Uint32Array | undefined;
  /** Position in the candidates; without them, the last record number looked at. */
  #next = 0;
  #last: number;
  #deadline = -1;
  #looked = 0;
  #stride = 1;
  delivered = 0;

  constructor(task: SearchTask, environment: SearchEnvironment, session: Session, sink: EntrySink) {
    const { database, computed, access } = environment;
    this.#task = task;
    this.#environment = environment;
    this.#sink = sink;
    this.#last = task.after ?? 0;
    this.#candidates = task.order ?? listCandidates(task, database);
    if (task.order !== undefined) this.#next = task.from ?? 0;
    else if (this.#candidates === undefined) this.#next = this.#last;
    const view = new EntryView();
    this.#context = { database, computed, session, view, id: 0, access: access.view(session, task.base) };
  }

  /** Where a next page goes on: behind the record number of the last entry delivered, or at a position of the order. */
  get last(): number {
    return this.#task.order === undefined ? this.#last : this.#next;
  }

  /** True when there is next to nothing to do. */
  get short(): boolean {
    return this.#candidates !== undefined && this.#candidates.length <= MOST_UNTIMED;
  }

  /** Goes on until done, blocked, or for one slice. */
  step(): SearchState {
    const { clock } = this.#environment;
    const task = this.#task;
    const candidates = this.#candidates;
    if (this.short) return this.#run(candidates, Number.POSITIVE_INFINITY, 0);
    const now = clock.monotonic();
    if (this.#deadline < 0)
      this.#deadline = task.timeLimitMs === 0 ? Number.POSITIVE_INFINITY : now + task.timeLimitMs;
    if (now >= this.#deadline) return 'timeLimit';
    return this.#run(candidates, now + SLICE_MS, now);
  }

  #run(
    candidates: readonly number[] | Uint32Array | undefined,
    sliceEnd: number,
    sliceStart: number,
  ): SearchState {
    const task = this.#task;
    const { database, access, clock } = this.#environment;
    const context = this.#context;
    const { view, session } = context;
    let stride = this.#stride;
    let looked = sliceStart;
    for (;;) {
      const id = candidates === undefined ? database.store.nextId(this.#next) : (candidates[this.#next] ?? 0);
      if (id === 0) return 'done';
      if (stride-- <= 0) {
        const now = clock.monotonic();
        const took = now - looked;
        looked = now;
        if (took < SLICE_MS / 8) this.#stride = Math.min(CLOCK_STRIDE, this.#stride * 2);
        else if (took > SLICE_MS / 2) this.#stride = Math.max(1, this.#stride >> 1);
        stride = this.#stride;
        if (now >= sliceEnd) return 'more';
      }
      this.#next = candidates === undefined ? id : this.#next + 1;
      if (!inScope(database, id, task) || !database.read(id, view)) continue;
      if (task.lookThrough !== 0 && ++this.#looked > task.lookThrough) return 'lookThrough';
      context.id = id;
      const rights = access.view(session, id);
      context.access = rights;
      if (!rights.visible || task.filter.match(context) !== TRUE) continue;
      if (task.sizeLimit !== 0 && this.delivered >= task.sizeLimit) return 'sizeLimit';
      this.delivered++;
      this.#last = id;
      const goOn = this.#sink(id, view, rights);
      if (task.pageSize !== undefined && this.delivered >= task.pageSize)
        return this.#atEnd(candidates) ? 'done' : 'page';
      if (!goOn) return 'blocked';
    }
  }

  #atEnd(candidates: readonly number[] | Uint32Array | undefined): boolean {
    return candidates === undefined
      ? this.#environment.database.store.nextId(this.#next) === 0
      : this.#next >= candidates.length;
  }
}

function inScope(database: Database, id: number, { base, scope }: SearchTask): boolean {
  if (scope === 'base') return id === base;
  if (scope === 'one') return database.tree.parent(id) === base;
  return base === 0 || database.tree.isWithin(id, base);
}

/** Record numbers in rising order; undefined when every entry has to be looked at. */
function listCandidates(task: SearchTask, database: Database): number[] | undefined {
  const { base, scope, filter } = task;
  if (scope === 'base') return base > (task.after ?? 0) ? [base] : [];
  const offered = filter.candidates(database);
  const children = scope === 'one' ? database.tree.childCount(base) : Number.POSITIVE_INFINITY;
  let list: number[] = [];
  if (offered !== undefined && offered.count <= Math.min(MOST_LISTED, children) && offered.collect(list))
    return ordered(list, task.after);
  list = [];
  if (scope === 'one' && children <= MOST_LISTED) {
    for (let child = database.tree.firstChild(base); child !== 0; child = database.tree.nextSibling(child))
      list.push(child);
    return ordered(list, task.after);
  }
  if (scope === 'subtree' && database.tree.collect(base, MOST_LISTED, list)) return ordered(list, task.after);
  return undefined;
}

function ordered(list: number[], after = 0): number[] {
  if (list.length > 1) list.sort((a, b) => a - b);
  return list.filter((id, i) => id > after && id !== list[i - 1]);
}
