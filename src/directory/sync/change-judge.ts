/**
 * What a group of changes means for one persistent search (RFC 4533 §3.4): which entries came into its content, changed there, or left it. An entry is in the
 * content as long as it is in scope, matches, and may be known of; so one that becomes hidden is deleted, and a hidden one is never mentioned.
 */
import type { SearchRequest } from '../../ldap/message.ts';
import type { AccessView } from '../access/access.ts';
import type { ChangeNumber, Database } from '../database.ts';
import type { Directory } from '../directory.ts';
import type { Entry } from '../entry/entry.ts';
import { type Name, normalName } from '../entry/name.ts';
import { type Matcher, TRUE } from '../search/matcher.ts';
import type { Session } from '../session.ts';
import type { Change } from '../update/commit.ts';
import { descendants, nameHash } from './provider.ts';

/** A message to the consumer. */
export interface Told {
  readonly state: 'add' | 'modify' | 'delete';
  /** As it is now, or for a deleted one as it was. */
  readonly entry: Entry;
  readonly access: AccessView;
  readonly number: ChangeNumber;
}

/** Entries below one that was renamed that are told of one by one. */
const MOST_BELOW = 10_000;

export class ChangeJudge {
  readonly #directory: Directory;
  readonly #session: Session;
  readonly #request: SearchRequest;
  readonly #filter: Matcher;
  readonly #base: Name | undefined;

  constructor(directory: Directory, session: Session, request: SearchRequest, filter: Matcher) {
    this.#directory = directory;
    this.#session = session;
    this.#request = request;
    this.#filter = filter;
    this.#base = directory.database.names.read(request.base);
  }

  /**
   * Messages in an order in which a consumer can follow: what leaves, children first, then what comes or changes, parents first. Undefined when it is too
   * much to tell one by one.
   */
  judge(changes: readonly Change[]): Told[] | undefined {
    const told: Told[] = [];
    for (const change of changes) {
      const was = change.before !== undefined && this.#rightsIfMatching(change.before);
      const is = change.after !== undefined && this.#rightsIfMatching(change.after);
      const { before, after, number } = change;
      if (after !== undefined && is !== false)
        told.push({ state: was === false ? 'add' : 'modify', entry: after, access: is, number });
      else if (before !== undefined && was !== false)
        told.push({ state: 'delete', entry: before, access: was, number });
      if (change.kind !== 'rename') continue;
      const below = this.#below(change);
      if (below === undefined) return undefined;
      told.push(...below);
    }
    return inOrder(this.#directory.database, told, changes);
  }

  /** True when the entry that has this number now is in scope. */
  holds(id: number): boolean {
    return this.#inScope(this.#directory.database.dnText(id));
  }

  /** A moved subtree moves by its top entry alone, but the names of all below it are others now. */
  #below({ id, before, number }: Change): Told[] | undefined {
    const { database } = this.#directory;
    const ids = descendants(database, id, MOST_BELOW);
    if (ids === undefined) return undefined;
    const told: Told[] = [];
    for (const child of ids) {
      const entry = this.#directory.readEntry(child);
      if (entry === undefined) continue;
      const access = this.#rightsIfMatching(entry);
      // Whether it was in the content before cannot be asked any more: to delete what is not there does no harm, unless it says that something hidden exists.
      if (access !== false) told.push({ state: 'modify', entry, access, number });
      else if (before !== undefined && this.#mayHaveKnown(before, entry))
        told.push({ state: 'delete', entry, access: this.#rights(entry), number });
    }
    return told;
  }

  #mayHaveKnown(topBefore: Entry, entry: Entry): boolean {
    const access = this.#directory.access.viewBelow(this.#session, topBefore.view.parent);
    return access.visible && this.#matches(entry, access) && this.#depthBelowBase(topBefore.dn) !== undefined;
  }

  #rightsIfMatching(entry: Entry): AccessView | false {
    if (!this.#inScope(entry.dn)) return false;
    const access = this.#rights(entry);
    return access.visible && this.#matches(entry, access) ? access : false;
  }

  #matches(entry: Entry, access: AccessView): boolean {
    const { database, computed } = this.#directory;
    const context = { database, computed, session: this.#session, view: entry.view, id: entry.id, access };
    return this.#filter.match(context) === TRUE;
  }

  #rights(entry: Entry): AccessView {
    const { database, access } = this.#directory;
    const { parent } = entry.view;
    const { store, tree, names } = database;
    if (tree.parent(entry.id) === parent && store.has(entry.id)) return access.view(this.#session, entry.id);
    if (store.has(parent)) return access.viewBelow(this.#session, parent);
    // What was above it has gone, too.
    return access.viewBelow(this.#session, database.nearest(names.tryRead(entry.dn)));
  }

  /** By name, since the entry may have moved on in the meantime. */
  #inScope(dn: string): boolean {
    const depth = this.#depthBelowBase(dn);
    const { scope } = this.#request;
    return depth !== undefined && (scope === 'subtree' || depth === (scope === 'base' ? 0 : 1));
  }

  #depthBelowBase(dn: string): number | undefined {
    const base = this.#base;
    let name = this.#directory.database.names.tryRead(dn);
    const above = (name?.depth ?? 0) - (base?.depth ?? 0);
    if (above < 0) return undefined;
    for (let n = 0; n < above; n++) name = name?.parent;
    return base === undefined || normalName(name).equals(normalName(base)) ? above : undefined;
  }
}

/** Within a group names may pass from one entry to another: those that gave theirs are taken away first, and come again. */
function inOrder(database: Database, told: readonly Told[], changes: readonly Change[]): Told[] {
  const gone = told.filter(({ state }) => state === 'delete').reverse();
  const here = told.filter(({ state }) => state !== 'delete');
  const renamed = changes.filter(({ kind }) => kind === 'rename');
  if (changes.length === 1 || renamed.length === 0) return [...gone, ...here];
  const holder = new Map(here.map(({ entry }) => [nameHash(database, entry.dn), entry.id]));
  const gave = new Set(
    renamed
      .filter(({ id, before }) => {
        const now = holder.get(nameHash(database, before?.dn ?? ''));
        return now !== undefined && now !== id && database.tree.childCount(id) === 0;
      })
      .map(({ id }) => id),
  );
  const again = here.filter(({ entry, state }) => state === 'modify' && gave.has(entry.id));
  return [
    ...gone,
    ...again.map((one) => ({ ...one, state: 'delete' as const })),
    ...here.map((one) => (again.includes(one) ? { ...one, state: 'add' as const } : one)),
  ];
}
