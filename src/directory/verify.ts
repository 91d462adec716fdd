/** Looks whether entries, tree and indexes agree: for `postern directory verify` and for tests. Changes nothing. */
import { type Clock, yieldToLoop } from '../base/clock.ts';
import type { Database } from './database.ts';
import { readDraft } from './entry/draft.ts';
import { EntryView } from './entry/layout.ts';
import { isPosternError } from '../base/error.ts';

export interface VerifyFindings {
  readonly entries: number;
  /** At most `MOST_PROBLEMS`, one a line, naming the entry. */
  readonly problems: readonly string[];
}

const MOST_PROBLEMS = 100;
const SLICE_MS = 1;

/** Looks at every entry, in slices; entries changed meanwhile are looked at in one of their states. */
export async function verifyDatabase(database: Database, clock: Clock): Promise<VerifyFindings> {
  const problems: string[] = [];
  let entries = 0;
  const view = new EntryView();
  let sliceEnd = clock.monotonic() + SLICE_MS;
  for (let id = database.store.nextId(0); id !== 0; id = database.store.nextId(id)) {
    if (clock.monotonic() >= sliceEnd) {
      await yieldToLoop();
      sliceEnd = clock.monotonic() + SLICE_MS;
    }
    if (!database.read(id, view)) continue;
    entries++;
    for (const problem of lookAt(database, id, view)) {
      if (problems.length < MOST_PROBLEMS) problems.push(`entry ${id} (${database.dnText(id)}): ${problem}`);
    }
  }
  return { entries, problems };
}

function* lookAt(database: Database, id: number, view: EntryView): Generator<string> {
  const { tree, values } = database;
  const parent = view.parent;
  if (tree.parent(id) !== parent)
    yield `hangs below ${tree.parent(id)} in the tree and below ${parent} in itself`;
  if (parent !== 0 && !database.store.has(parent)) yield `its parent ${parent} does not exist`;
  try {
    const draft = readDraft(view, database.dictionary);
    if (database.child(parent, draft.normalRdn) !== id) yield 'is not found by its name';
    if (database.resolve(database.names.read(database.dnText(id))) !== id) yield 'is not found by its DN';
    for (const { descriptor, values: list } of draft.attributes) {
      const { type, text } = descriptor;
      if (!values.covers(type)) continue;
      for (const value of list) {
        const normal = type.equality?.normalise(value, database.names);
        if (normal !== undefined && !database.findEqual(type, normal).includes(id))
          yield `is not found by ${text}`;
      }
    }
  } catch (error) {
    if (!isPosternError(error)) throw error;
    yield `is unreadable: ${error.message}`;
  }
}
