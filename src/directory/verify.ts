/**
 * Looks whether entries, tree and indexes agree: for `postern directory verify` and for tests. Changes nothing. Each entry must be where its own bytes say, and found by
 * its name and by every indexed value; and nothing else may be in tree and indexes, which is known from their numbers.
 */
import { type Clock, yieldToLoop } from '../base/clock.ts';
import { describeError } from '../base/error.ts';
import type { Database } from './database.ts';
import { readDraft } from './entry/draft.ts';
import { EntryView } from './entry/layout.ts';
import { layoutFault } from './entry/layout-check.ts';
import type { AttributeType } from './schema/schema.ts';

export interface VerifyFindings {
  readonly entries: number;
  /** Values looked up in indexes. */
  readonly values: number;
  /** At most `MOST_PROBLEMS`, one a line, naming the entry. */
  readonly problems: readonly string[];
}

const MOST_PROBLEMS = 100;
const SLICE_MS = 1;
/** Deeper than any name that is accepted. */
const MOST_LEVELS = 10_000;

/**
 * Looks at every entry, in slices; entries changed meanwhile are looked at in one of their states. Numbers are compared only when nothing changed
 * meanwhile.
 */
export async function verifyDatabase(database: Database, clock: Clock): Promise<VerifyFindings> {
  const check = new Check(database);
  const before = position(database);
  let sliceEnd = clock.monotonic() + SLICE_MS;
  const turn = async (): Promise<void> => {
    await yieldToLoop();
    sliceEnd = clock.monotonic() + SLICE_MS;
  };
  for (let id = database.store.nextId(0); id !== 0; id = database.store.nextId(id)) {
    if (clock.monotonic() >= sliceEnd) await turn();
    check.entry(id);
  }
  if (position(database) === before) {
    for (const task of check.numbers()) {
      if (clock.monotonic() >= sliceEnd) await turn();
      if (position(database) !== before) break;
      task();
    }
  }
  const { entries, values, problems } = check;
  return { entries, values, problems };
}

function position({ lastChange, size, structure }: Database): string {
  return `${lastChange.time} ${lastChange.count} ${size} ${structure}`;
}

class Check {
  readonly #database: Database;
  readonly #view = new EntryView();
  readonly #values = new Map<AttributeType, number>();
  /** By record number of the parent. */
  #children = new Uint32Array(64);
  readonly problems: string[] = [];
  entries = 0;
  values = 0;

  constructor(database: Database) {
    this.#database = database;
  }

  entry(id: number): void {
    if (!this.#database.read(id, this.#view)) return;
    this.entries += 1;
    const found: string[] = [];
    let name = '';
    try {
      const { parent } = this.#view;
      this.#countChild(parent);
      name = this.#nameOf(id);
      if (name === '') found.push('its parents form a circle');
      const fault = layoutFault(this.#view);
      if (fault !== undefined) found.push(fault);
      else for (const problem of this.#lookAt(id, parent, name !== '')) found.push(problem);
    } catch (error) {
      found.push(`is unreadable: ${describeError(error)}`);
    }
    for (const problem of found) this.#report(`entry ${id}${name}: ${problem}`);
  }

  /** What remains to be counted when all entries have been looked at, in small pieces. */
  *numbers(): Generator<() => void> {
    const { tree, store, values } = this.#database;
    const names = this.#sum(this.#database.countNames());
    yield* names.tasks;
    yield () => {
      if (this.entries !== store.size)
        this.#report(`${this.entries} entries were found, and ${store.size} are counted`);
      if (names.total !== this.entries)
        this.#report(`${names.total} names are known of ${this.entries} entries`);
    };
    for (const [type, expected] of this.#values) {
      const index = this.#sum(values.countValues(type));
      yield* index.tasks;
      yield () => {
        if (index.total !== expected)
          this.#report(`the index of ${type.name} holds ${index.total} values, the entries have ${expected}`);
      };
    }
    for (let id = 0; id < Math.max(store.idLimit, 1); id += 1) {
      const expected = this.#children[id] ?? 0;
      if (expected === tree.childCount(id) && expected === 0) continue;
      yield () => this.#countTree(id, expected);
    }
  }

  *#lookAt(id: number, parent: number, named: boolean): Generator<string> {
    const { tree, values, store, dictionary, names } = this.#database;
    if (tree.parent(id) !== parent)
      yield `hangs below ${tree.parent(id)} in the tree and below ${parent} in itself`;
    if (parent !== 0 && !store.has(parent)) yield `its parent ${parent} does not exist`;
    const draft = readDraft(this.#view, dictionary);
    if (this.#database.child(parent, draft.normalRdn) !== id) yield 'is not found by its name';
    if (named && this.#database.resolve(names.read(this.#database.dnText(id))) !== id)
      yield 'is not found by its DN';
    for (const { descriptor, values: list } of draft.attributes) {
      const { type, text } = descriptor;
      if (!values.indexes(type)) continue;
      for (const value of list) {
        const normal = type.equality?.normalise(value, names);
        if (normal === undefined) continue;
        this.values += 1;
        this.#values.set(type, (this.#values.get(type) ?? 0) + 1);
        const candidates: number[] = [];
        // What very many entries have is counted only.
        if (values.collect(type, normal, candidates) && !candidates.includes(id))
          yield `is not found by ${text}`;
      }
    }
  }

  /** Its DN in brackets; nothing when that would have no end. */
  #nameOf(id: number): string {
    return this.#hangs(id) ? ` (${this.#database.dnText(id)})` : '';
  }

  #hangs(id: number): boolean {
    const view = new EntryView();
    let at = id;
    for (let level = 0; level < MOST_LEVELS; level += 1) {
      if (at === 0 || !this.#database.read(at, view)) return true;
      at = view.parent;
    }
    return false;
  }

  #countChild(parent: number): void {
    if (parent >= this.#database.store.idLimit) return;
    if (parent >= this.#children.length) {
      const grown = new Uint32Array(Math.max(parent + 1, this.#children.length * 2));
      grown.set(this.#children);
      this.#children = grown;
    }
    this.#children[parent] = (this.#children[parent] as number) + 1;
  }

  #countTree(id: number, expected: number): void {
    const { tree } = this.#database;
    let listed = 0;
    for (let child = tree.firstChild(id); child !== 0 && listed <= expected; child = tree.nextSibling(child))
      listed += 1;
    if (listed !== expected || tree.childCount(id) !== expected) {
      const where = id === 0 ? 'the root' : `entry ${id}${this.#nameOf(id)}`;
      this.#report(
        `${where} has ${expected} children, the tree counts ${tree.childCount(id)} and lists ${listed > expected ? 'more' : listed}`,
      );
    }
  }

  #sum(parts: Generator<number> | undefined): { total: number; tasks: Generator<() => void> } {
    const sum = {
      total: 0,
      *tasks(): Generator<() => void> {
        for (const part of parts ?? []) yield () => (sum.total += part);
      },
    };
    return {
      get total() {
        return sum.total;
      },
      tasks: sum.tasks(),
    };
  }

  #report(problem: string): void {
    if (this.problems.length < MOST_PROBLEMS) this.problems.push(problem);
  }
}
