/**
 * The results of a search put in order, in slices: gathered with their keys, sorted, and left as record numbers. It owns what that may
 * cost; whoever delivers them looks at each entry again, since it may have changed meanwhile.
 */
import type { Session } from '../session.ts';
import type { MatchContext } from './matcher.ts';
import {
  type EntrySink,
  type SearchEnvironment,
  SearchRun,
  type SearchState,
  type SearchTask,
  SLICE_MS,
} from './search-run.ts';
import { type CompiledKey, sortKeyOf } from './sort-key.ts';

export interface SortLimits {
  /** Most results. */
  readonly entries: number;
  /** Octets shared with others; what is taken is given back by `release`. */
  readonly memory: { take(octets: number): boolean; give(octets: number): void };
}

export type SortState =
  | 'more'
  | 'sorted'
  | 'tooMany'
  | 'busy'
  | Extract<SearchState, 'timeLimit' | 'lookThrough'>;

interface Item {
  readonly key: Buffer;
  readonly id: number;
}

/** What an item costs beside its key's octets, about. */
const ITEM_OVERHEAD = 160;
/** Items sorted, or merged, between two looks at the clock. */
const STRIDE = 256;

export class Sorting {
  readonly #environment: SearchEnvironment;
  readonly #limits: SortLimits;
  readonly #run: SearchRun;
  readonly #deadline: number;
  readonly #items: Item[] = [];
  #taken = 0;
  #fault: 'tooMany' | 'busy' | undefined;
  #merging: Generator<void, readonly Item[]> | undefined;
  /** Record numbers in order, once sorted. */
  order = new Uint32Array(0);

  constructor(
    task: SearchTask,
    keys: readonly CompiledKey[],
    environment: SearchEnvironment,
    session: Session,
    limits: SortLimits,
  ) {
    const { database, computed, clock } = environment;
    this.#environment = environment;
    this.#limits = limits;
    this.#deadline = task.timeLimitMs === 0 ? Number.POSITIVE_INFINITY : clock.monotonic() + task.timeLimitMs;
    const gather: EntrySink = (id, view, access) => {
      const context: MatchContext = { database, computed, session, view, id, access };
      return this.#take(id, sortKeyOf(keys, context));
    };
    this.#run = new SearchRun({ ...task, sizeLimit: 0 }, environment, session, gather);
  }

  /** Milliseconds left of the search's time; 0: no limit. */
  get timeLeft(): number {
    if (this.#deadline === Number.POSITIVE_INFINITY) return 0;
    return Math.max(1, this.#deadline - this.#environment.clock.monotonic());
  }

  #take(id: number, key: Buffer): boolean {
    const octets = key.length + ITEM_OVERHEAD;
    if (this.#items.length >= this.#limits.entries) this.#fault = 'tooMany';
    else if (!this.#limits.memory.take(octets)) this.#fault = 'busy';
    if (this.#fault !== undefined) return false;
    this.#taken += octets;
    this.#items.push({ key, id });
    return true;
  }

  /** Goes on for a slice. After anything but `more` and `sorted` it holds no memory. */
  step(): SortState {
    const state = this.#merging === undefined ? this.#gather() : this.#merge(this.#merging);
    if (state !== 'more' && state !== 'sorted') this.release();
    return state;
  }

  #gather(): SortState {
    const state = this.#run.step();
    if (this.#fault !== undefined) return this.#fault;
    if (state === 'timeLimit' || state === 'lookThrough') return state;
    if (state === 'done') this.#merging = sorted(this.#items);
    // Few are sorted within this slice.
    return this.#merging !== undefined && this.#items.length <= STRIDE ? this.#merge(this.#merging) : 'more';
  }

  #merge(merging: Generator<void, readonly Item[]>): SortState {
    const { clock } = this.#environment;
    const now = clock.monotonic();
    if (now >= this.#deadline) return 'timeLimit';
    do {
      const next = merging.next();
      if (next.done !== true) continue;
      this.order = Uint32Array.from(next.value, ({ id }) => id);
      return 'sorted';
    } while (clock.monotonic() < now + SLICE_MS);
    return 'more';
  }

  /** Gives the keys' memory back. */
  release(): void {
    this.#limits.memory.give(this.#taken);
    this.#taken = 0;
    this.#items.length = 0;
    this.#merging = undefined;
  }
}

/** Sorts by key, equal ones in the order given; yields between portions of work. */
export function* sorted(items: readonly Item[]): Generator<void, readonly Item[]> {
  const order = (a: Item, b: Item): number => a.key.compare(b.key);
  let from: Item[] = [];
  for (let at = 0; at < items.length; at += STRIDE) {
    for (const item of items.slice(at, at + STRIDE).sort(order)) from.push(item);
    yield;
  }
  for (let width = STRIDE; width < from.length; width *= 2) {
    const to: Item[] = [];
    for (let start = 0; start < from.length; start += 2 * width) {
      const middle = Math.min(start + width, from.length);
      const end = Math.min(start + 2 * width, from.length);
      let left = start;
      let right = middle;
      while (left < middle || right < end) {
        const [a, b] = [from[left] as Item, from[right] as Item];
        const first = right >= end || (left < middle && order(a, b) <= 0);
        to.push(first ? a : b);
        if (first) left++;
        else right++;
        if (to.length % STRIDE === 0) yield;
      }
    }
    from = to;
  }
  return from;
}
