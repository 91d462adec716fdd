/**
 * What a consumer with a position has to be sent in a refresh, and in which order it can follow: first what left (and what gave its name to another), then
 * what came or changed, parents before children. Holds record numbers only, so it costs little whatever the entries hold.
 */
import type { Database } from '../database.ts';
import { EntryView } from '../entry/layout.ts';
import type { ChangesSince } from './change-log.ts';
import { nameHash } from './provider.ts';

export class Updates {
  readonly #database: Database;
  readonly #since: ChangesSince | undefined;
  /** Of entries to be sent: record numbers, and UUIDs (latin1) where names have passed on. */
  readonly #ids: number[] = [];
  readonly #view = new EntryView();
  #next = 0;

  /** `since`: what changed; undefined when nobody remembers, and the consumer has to be told what is still there. */
  constructor(database: Database, since: ChangesSince | undefined) {
    this.#database = database;
    this.#since = since;
  }

  /** A delete phase: what is not mentioned stays. */
  get deletes(): boolean {
    return this.#since !== undefined;
  }

  /** For certain: nothing has changed. */
  get isEmpty(): boolean {
    return this.#since?.uuids.size === 0;
  }

  /** An entry of the content; true when it has to be sent. */
  take(id: number, view: EntryView, isNew: boolean): boolean {
    const noted = this.#since?.uuids.delete(view.uuid().toString('latin1')) === true;
    if (!noted && !isNew) return false;
    this.#ids.push(id);
    return true;
  }

  /** When all of the content was taken: UUIDs of what is not there any more, or has to be taken away before it comes again. */
  prepare(): Buffer[] {
    const { tree } = this.#database;
    const depths = new Map(this.#ids.map((id) => [id, depthOf(this.#database, id)]));
    this.#ids.sort((a, b) => (depths.get(a) ?? 0) - (depths.get(b) ?? 0) || a - b);
    const gone = [...(this.#since?.uuids ?? [])].map(bytes);
    const left = this.#since?.left ?? [];
    if (left.length === 0) return gone;
    const nameOf = new Map<number, string>();
    const leaves = new Set<string>();
    for (const id of this.#ids) {
      if (!this.#database.read(id, this.#view)) continue;
      const uuid = this.#view.uuid().toString('latin1');
      if (tree.childCount(id) === 0) leaves.add(uuid);
      nameOf.set(nameHash(this.#database, this.#database.dnText(id)), uuid);
    }
    const again = new Set<string>();
    for (const { uuid, name } of left) {
      const now = nameOf.get(name);
      if (now !== undefined && now !== uuid && leaves.has(uuid)) again.add(uuid);
    }
    return [...gone, ...[...again].map(bytes)];
  }

  /** The next entry to be sent, if it is still there; the view is valid until the next call. Undefined at the end. */
  next(): { readonly id: number; readonly view: EntryView } | undefined {
    while (this.#next < this.#ids.length) {
      const id = this.#ids[this.#next++] as number;
      if (this.#database.read(id, this.#view)) return { id, view: this.#view };
    }
    return undefined;
  }
}

const bytes = (uuid: string): Buffer => Buffer.from(uuid, 'latin1');

function depthOf({ tree }: Database, id: number): number {
  let depth = 0;
  for (let at = tree.parent(id); at !== 0; at = tree.parent(at)) depth++;
  return depth;
}
