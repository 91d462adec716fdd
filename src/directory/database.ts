/**
 * Entries, where they hang, and where values are found: the store with its indexes, rebuilt by one scan when it is opened.
 * It owns record numbers, names and indexes; it knows no clients, rights or schema checks. Everything here is synchronous.
 */
import type { Clock } from '../base/clock.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import { type Draft, readDraft } from './entry/draft.ts';
import { Dictionary } from './entry/dictionary.ts';
import { EntryView, LAYOUT_VERSION } from './entry/layout.ts';
import { type Name, NameReader, normalName } from './entry/name.ts';
import { equalBytes, hashBytes, mixHash } from './index/hash.ts';
import { HashIndex } from './index/hash-index.ts';
import { Tree } from './index/tree.ts';
import { MANY, ValueIndexes } from './index/value-index.ts';
import { DatabaseChange } from './database-change.ts';
import type { AttributeType, Schema } from './schema/schema.ts';
import type { Batch, RecordStore, Visitor } from './store/contract.ts';

export interface DatabaseOptions {
  readonly store: RecordStore;
  readonly schema: Schema;
  readonly clock: Clock;
  readonly random: Random;
  /** DNs of the naming contexts. */
  readonly contexts: readonly string[];
  /** Attribute types with an equality index. */
  readonly indexes: readonly string[];
}

export interface Context {
  readonly name: Name;
  readonly normal: Buffer;
  readonly dn: string;
}

/** A moment in the order of changes (entryCSN). */
export interface ChangeNumber {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly count: number;
}

const DICTIONARY = 'dictionary';
const LAST_CHANGE = 'last-change';
const MOST_CACHED_NAMES = 10_000;
const EMPTY = Buffer.alloc(0);

export class Database {
  readonly schema: Schema;
  readonly names: NameReader;
  readonly dictionary: Dictionary;
  readonly store: RecordStore;
  readonly contexts: readonly Context[];
  readonly tree = new Tree();
  readonly values: ValueIndexes;
  /** Hexadecimal digits that stand for this directory in CSNs: see `sync/cookie.ts`. */
  run = '0001';
  /** Raised when a name may have come to mean another entry. */
  structure = 0;

  readonly #clock: Clock;
  readonly #seed: number;
  readonly #children = new HashIndex();
  readonly #dns = new Map<number, Buffer>();
  readonly #view = new EntryView();
  readonly #watchedIds = new Set<number>();
  readonly #watchedNames = new Set<number>();
  readonly #deepestContext: number;
  readonly #contextOf = new WeakMap<Name, Context | undefined>();
  #time = 0;
  #count = 0;

  constructor(options: DatabaseOptions) {
    const { store, schema } = options;
    this.store = store;
    this.schema = schema;
    this.#clock = options.clock;
    this.names = new NameReader(schema);
    this.dictionary = new Dictionary(schema, store.getMeta(DICTIONARY));
    this.#seed = options.random.bytes(4).readUInt32LE();
    this.contexts = options.contexts.map((dn): Context => {
      const name = this.names.read(dn);
      if (name === undefined) throw new PosternError('usage', 'the empty name cannot be a naming context');
      return { name, normal: normalName(name), dn };
    });
    this.#deepestContext = Math.max(0, ...this.contexts.map((c) => c.name.depth));
    this.values = new ValueIndexes(schema, this.dictionary, this.names, options.indexes, this.#seed);
    const saved = store.getMeta(LAST_CHANGE);
    if (saved !== undefined) {
      this.#time = saved.readUIntLE(0, 6);
      this.#count = saved.readUInt32LE(6);
    }
    this.#rebuild();
  }

  /** Number of entries. */
  get size(): number {
    return this.store.size;
  }

  get indexBytes(): number {
    return this.tree.bytes + this.#children.bytes + this.values.bytes;
  }

  /** Bytes of the tree, of the table of names, and of each attribute's index. */
  indexSizes(): { tree: number; names: number; attributes: { attribute: string; bytes: number }[] } {
    return { tree: this.tree.bytes, names: this.#children.bytes, attributes: this.values.sizes() };
  }

  /** How many names the table of names holds, a part of it at a time. */
  countNames(): Generator<number> {
    return this.#children.countPairs();
  }

  get lastChange(): ChangeNumber {
    return { time: this.#time, count: this.#count };
  }

  #rebuild(): void {
    const { store } = this;
    this.tree.reserve(store.idLimit);
    this.#children.reserve(store.size);
    const view = this.#view;
    let current = 0;
    const { idLimit } = store;
    const link: Visitor = (id, buffer, start, end) => {
      current = id;
      view.buffer = buffer;
      view.start = start;
      view.end = end;
      if (buffer[start] !== LAYOUT_VERSION)
        throw new PosternError('store.damaged', `entry ${id} is of an unknown version`, {
          fields: { id },
          hint: 'it was written by a newer Postern, or by something else: start the one that wrote it',
        });
      const rdn = view.normalRdnStart;
      const { parent } = view;
      if (parent >= idLimit) throw new PosternError('store.damaged', `entry ${id} hangs below none`);
      this.#children.addLater(this.#childHash(parent, buffer, rdn, rdn + view.normalRdnLength), id);
      this.tree.add(id, parent);
      this.values.link(view, id, 'later');
      const time = view.changed();
      if (time > this.#time || (time === this.#time && view.changeCount() > this.#count)) {
        this.#time = time;
        this.#count = view.changeCount();
      }
    };
    try {
      store.scan(link);
    } catch (error) {
      if (isPosternError(error) && error.hint !== undefined) throw error;
      // Its checksum is right, so it was written like this.
      throw new PosternError('store.damaged', `entry ${current} cannot be understood`, {
        cause: error,
        fields: { id: current },
        hint: 'a replica is loaded again from its source: move the folder away; anything else comes from a backup',
      });
    }
    this.#children.finish();
    this.#children.trim();
    this.values.finish();
  }

  // --- reading ---

  /** Moves `view` to an entry; false when there is none. */
  read(id: number, view: EntryView): boolean {
    return this.store.read(id, view);
  }

  draft(id: number): Draft | undefined {
    return this.read(id, this.#view) ? readDraft(this.#view, this.dictionary) : undefined;
  }

  /** The entry of a name; 0 when there is none (and for the root, which is no entry). */
  resolve(name: Name | undefined): number {
    if (name === undefined) return 0;
    if (name.depth <= this.#deepestContext) {
      const context = this.contextOf(name);
      if (context !== undefined && context.name.depth === name.depth) return this.child(0, context.normal);
    }
    const parent = this.resolve(name.parent);
    return parent === 0 ? 0 : this.child(parent, name.normalRdn);
  }

  /** The nearest existing entry at or above a name. */
  nearest(name: Name | undefined): number {
    for (let at = name; at !== undefined; at = at.parent) {
      const id = this.resolve(at);
      if (id !== 0) return id;
    }
    return 0;
  }

  /** The naming context that a name lies in (or is), if any. */
  contextOf(name: Name): Context | undefined {
    let top = name;
    while (top.depth > this.#deepestContext && top.parent !== undefined) top = top.parent;
    // Names share their parents, so the answer for the upper part of a name is one for many.
    let context = this.#contextOf.get(top);
    if (context === undefined && !this.#contextOf.has(top)) {
      context = this.#findContext(top);
      this.#contextOf.set(top, context);
    }
    return context;
  }

  #findContext(name: Name): Context | undefined {
    for (const context of this.contexts) {
      let at: Name | undefined = name;
      while (at !== undefined && at.depth > context.name.depth) at = at.parent;
      if (
        at !== undefined &&
        at.normalRdn.equals(context.name.normalRdn) &&
        normalName(at).equals(context.normal)
      )
        return context;
    }
    return undefined;
  }

  /** The child with that normalised RDN; 0 when there is none. `parent` 0: a naming context's whole normalised name. */
  child(parent: number, normalRdn: Buffer): number {
    const hash = this.#childHash(parent, normalRdn, 0, normalRdn.length);
    const first = this.#children.first(hash);
    if (first === 0) return 0;
    if (first < MANY) return this.#isChild(first, parent, normalRdn) ? first : 0;
    const candidates: number[] = [];
    this.#children.collect(hash, candidates);
    return candidates.find((id) => this.#isChild(id, parent, normalRdn)) ?? 0;
  }

  #isChild(id: number, parent: number, normalRdn: Buffer): boolean {
    const view = this.#view;
    if (this.tree.parent(id) !== parent || !this.read(id, view)) return false;
    const start = view.normalRdnStart;
    return equalBytes(view.buffer, start, start + view.normalRdnLength, normalRdn);
  }

  /** An entry's DN as sent, UTF-8. Not to be written to. */
  dn(id: number): Buffer {
    const view = this.#view;
    if (!this.read(id, view)) return EMPTY;
    const parent = view.parent;
    if (parent === 0) return view.rdn();
    const length = view.rdnLength;
    let above = this.#dns.get(parent);
    if (above === undefined) {
      const buffer = view.buffer;
      const start = view.rdnStart;
      above = this.dn(parent);
      if (this.#dns.size >= MOST_CACHED_NAMES) this.#dns.clear();
      this.#dns.set(parent, above);
      return Buffer.concat([buffer.subarray(start, start + length), COMMA, above]);
    }
    const out = Buffer.allocUnsafe(length + 1 + above.length);
    view.buffer.copy(out, 0, view.rdnStart, view.rdnStart + length);
    out[length] = 0x2c;
    above.copy(out, length + 1);
    return out;
  }

  /** The DN of a parent's children, without their RDN: cached, for writers of many entries. */
  parentDn(parent: number): Buffer {
    let above = this.#dns.get(parent);
    if (above === undefined) {
      above = this.dn(parent);
      if (this.#dns.size >= MOST_CACHED_NAMES) this.#dns.clear();
      this.#dns.set(parent, above);
    }
    return above;
  }

  dnText(id: number): string {
    return this.dn(id).toString('utf8');
  }

  /** From now on `structure` is raised when this entry is deleted or renamed: for whoever remembers what a name means. */
  watch(id: number): void {
    if (this.#watchedIds.size >= MOST_CACHED_NAMES) {
      this.#watchedIds.clear();
      this.structure++;
    }
    this.#watchedIds.add(id);
  }

  /** From now on `structure` is raised when an entry comes to have this name (or, rarely, one with the same last part). */
  watchName(name: Name): void {
    const { normalRdn } = name;
    this.#watchedNames.add(hashBytes(normalRdn, 0, normalRdn.length, this.#seed));
    for (const { normal } of this.contexts)
      this.#watchedNames.add(hashBytes(normal, 0, normal.length, this.#seed));
  }

  /** Record numbers of the entries that have a value with this normal form, subtypes included. Only for indexed types. */
  findEqual(type: AttributeType, normal: Buffer): number[] {
    const { values } = this;
    if (type.family.length === 1) {
      const first = values.first(type, normal);
      if (first === 0) return [];
      if (first < MANY)
        return this.read(first, this.#view) && values.has(this.#view, type, normal) ? [first] : [];
    }
    const found: number[] = [];
    if (!values.collect(type, normal, found)) {
      found.length = 0;
      for (let id = this.store.nextId(0); id !== 0; id = this.store.nextId(id)) found.push(id);
    }
    return [...new Set(found)].filter(
      (id) => this.read(id, this.#view) && values.has(this.#view, type, normal),
    );
  }

  // --- changing ---

  /** The number of the next change. */
  nextChange(): ChangeNumber {
    const now = Math.floor(this.#clock.now());
    if (now > this.#time) {
      this.#time = now;
      this.#count = 0;
    } else this.#count++;
    return { time: this.#time, count: this.#count };
  }

  /** Opens a group of changes: to be committed or rolled back within this turn of the event loop. */
  begin(): DatabaseChange {
    return new DatabaseChange(this, this.store.begin());
  }

  /** For `DatabaseChange`: what else has to be in a group. `carried`: the last change number stands in an entry that the group stores. */
  saveState(batch: Batch, carried: boolean): void {
    const words = this.dictionary.takeChanges();
    if (words !== undefined) batch.setMeta(DICTIONARY, words);
    if (carried) return;
    const last = Buffer.alloc(10);
    last.writeUIntLE(this.#time, 0, 6);
    last.writeUInt32LE(this.#count, 6);
    batch.setMeta(LAST_CHANGE, last);
  }

  /** For `DatabaseChange`: brings an entry into the indexes, `id` being in the store. */
  link(id: number): void {
    const view = this.#view;
    if (!this.read(id, view)) return;
    this.#link(id, view);
    const start = view.normalRdnStart;
    if (this.#watchedNames.has(hashBytes(view.buffer, start, start + view.normalRdnLength, this.#seed)))
      this.structure++;
  }

  /** For `DatabaseChange`: takes an entry, still in the store, out of the indexes. */
  unlink(id: number): void {
    const view = this.#view;
    if (!this.read(id, view)) return;
    const start = view.normalRdnStart;
    this.#children.remove(this.#childHash(view.parent, view.buffer, start, start + view.normalRdnLength), id);
    this.tree.remove(id);
    this.values.link(view, id, 'remove');
    const watched = this.#watchedIds.delete(id);
    if (this.#dns.delete(id) || watched || this.tree.childCount(id) > 0) {
      this.structure++;
      this.#dns.clear();
    }
  }

  /** For `DatabaseChange`: the values of an entry that keeps its place, into the indexes or out of them. */
  linkValues(id: number, add: boolean): void {
    if (this.read(id, this.#view)) this.values.link(this.#view, id, add ? 'add' : 'remove');
  }

  /** True when the stored entry has this parent and name. */
  standsAt(id: number, draft: Draft): boolean {
    const view = this.#view;
    if (!this.read(id, view) || view.parent !== draft.parent) return false;
    const start = view.normalRdnStart;
    return (
      equalBytes(view.buffer, start, start + view.normalRdnLength, draft.normalRdn) &&
      equalBytes(view.buffer, view.rdnStart, view.rdnStart + view.rdnLength, draft.rdn)
    );
  }

  #link(id: number, view: EntryView): void {
    const start = view.normalRdnStart;
    const parent = view.parent;
    this.#children.add(this.#childHash(parent, view.buffer, start, start + view.normalRdnLength), id);
    this.tree.add(id, parent);
    this.values.link(view, id, 'add');
  }

  #childHash(parent: number, bytes: Uint8Array, start: number, end: number): number {
    return mixHash(hashBytes(bytes, start, end, this.#seed), parent, this.#seed);
  }
}

const COMMA = Buffer.from(',');
