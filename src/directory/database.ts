/**
 * Entries, where they hang, and where values are found: the store with its indexes, rebuilt by one scan when it is opened.
 * It owns record numbers, names and indexes; it knows no clients, rights or schema checks. Everything here is synchronous.
 */
import type { Clock } from '../base/clock.ts';
import { PosternError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import { type Draft, encodeDraft, readDraft } from './entry/draft.ts';
import { Dictionary } from './entry/dictionary.ts';
import { EntryView, LAYOUT_VERSION, contentLength, contentStart, valuesStart } from './entry/layout.ts';
import { type Name, NameReader, normalName } from './entry/name.ts';
import { hashBytes, mixHash } from './index/hash.ts';
import { HashIndex } from './index/hash-index.ts';
import { Tree } from './index/tree.ts';
import type { AttributeType, Schema } from './schema/schema.ts';
import type { Batch, RecordStore } from './store/contract.ts';

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

interface ValueIndex {
  readonly type: AttributeType;
  readonly table: HashIndex;
  readonly seed: number;
  /** Values are compared octet by octet: no normal form has to be made. */
  readonly plain: boolean;
}

export class Database {
  readonly schema: Schema;
  readonly names: NameReader;
  readonly dictionary: Dictionary;
  readonly store: RecordStore;
  readonly contexts: readonly Context[];
  readonly tree = new Tree();
  /** Hexadecimal digits that stand for this directory in CSNs: see `sync/cookie.ts`. */
  run = '0001';
  /** Raised when a name may have come to mean another entry. */
  structure = 0;

  readonly #clock: Clock;
  readonly #seed: number;
  readonly #children = new HashIndex();
  readonly #indexes = new Map<AttributeType, ValueIndex>();
  /** By descriptor number; undefined = not looked at yet, null = not indexed. */
  readonly #indexOf: (ValueIndex | null | undefined)[] = [];
  readonly #dns = new Map<number, Buffer>();
  readonly #view = new EntryView();
  readonly #watchedIds = new Set<number>();
  readonly #watchedNames = new Set<number>();
  readonly #deepestContext: number;
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
    for (const name of options.indexes) {
      const type = schema.attributeType(name);
      if (type?.equality === undefined)
        throw new PosternError('usage', `attribute ${name} cannot be indexed: it has no equality rule`);
      const plain = type.equality.normalise(PROBE, this.names) === PROBE;
      this.#indexes.set(type, {
        type,
        table: new HashIndex(),
        seed: this.#seed ^ Math.imul(type.index + 1, 0x9e3779b1),
        plain,
      });
    }
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
    let total = this.tree.bytes + this.#children.bytes;
    for (const { table } of this.#indexes.values()) total += table.bytes;
    return total;
  }

  get lastChange(): ChangeNumber {
    return { time: this.#time, count: this.#count };
  }

  #rebuild(): void {
    const { store } = this;
    this.tree.reserve(store.idLimit);
    this.#children.reserve(store.size);
    const view = this.#view;
    store.scan((id, buffer, start, end) => {
      view.buffer = buffer;
      view.start = start;
      view.end = end;
      if (buffer[start] !== LAYOUT_VERSION)
        throw new PosternError('store.damaged', 'entry of an unknown version', { fields: { id } });
      this.#link(id, view);
      const time = view.changed();
      if (time > this.#time || (time === this.#time && view.changeCount() > this.#count)) {
        this.#time = time;
        this.#count = view.changeCount();
      }
    });
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
    return normalRdn.compare(view.buffer, start, start + view.normalRdnLength) === 0;
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

  // --- equality indexes ---

  /** True when every type of the family has an index, so that what the index does not name does not match. */
  isIndexed(type: AttributeType): boolean {
    return type.family.every((member) => this.#indexes.has(member));
  }

  /** How many entries may have a value with this normal form (an upper bound; subtypes included). */
  countEqual(type: AttributeType, normal: Buffer): number {
    let count = 0;
    for (const member of type.family) {
      const index = this.#indexes.get(member);
      if (index !== undefined) count += index.table.count(hashBytes(normal, 0, normal.length, index.seed));
    }
    return count;
  }

  /** Appends entries that may have such a value: compare before believing. False when there are too many to have been listed. */
  collectEqual(type: AttributeType, normal: Buffer, out: number[]): boolean {
    for (const member of type.family) {
      const index = this.#indexes.get(member);
      if (index === undefined || !index.table.collect(hashBytes(normal, 0, normal.length, index.seed), out))
        return false;
    }
    return true;
  }

  /** Record numbers of the entries that have a value with this normal form, subtypes included. Only for indexed types. */
  findEqual(type: AttributeType, normal: Buffer): number[] {
    if (type.family.length === 1) {
      const first = this.firstEqual(type, normal);
      if (first === 0) return [];
      if (first < MANY) return this.#hasValue(first, type, normal) ? [first] : [];
    }
    const found: number[] = [];
    if (!this.collectEqual(type, normal, found)) {
      found.length = 0;
      for (let id = this.store.nextId(0); id !== 0; id = this.store.nextId(id)) found.push(id);
    }
    return [...new Set(found)].filter((id) => this.#hasValue(id, type, normal));
  }

  #hasValue(id: number, type: AttributeType, normal: Buffer): boolean {
    return this.read(id, this.#view) && this.viewHasValue(this.#view, type, normal);
  }

  /** True when the entry in the view has a value with this normal form. */
  viewHasValue(view: EntryView, type: AttributeType, normal: Buffer): boolean {
    const { buffer } = view;
    for (let n = 0, count = view.attributeCount; n < count; n++) {
      const stored = this.dictionary.descriptor(view.descriptor(n)).type;
      if (stored !== type && !type.family.includes(stored)) continue;
      const end = view.attributeEnd(n);
      const plain = this.#indexes.get(stored)?.plain === true;
      for (let at = valuesStart(buffer, view.attributeStart(n)); at < end; ) {
        const start = contentStart(buffer, at);
        at = start + contentLength(buffer, at);
        if (plain) {
          if (normal.compare(buffer, start, at) === 0) return true;
        } else if (
          stored.equality?.normalise(buffer.subarray(start, at), this.names)?.equals(normal) === true
        )
          return true;
      }
    }
    return false;
  }

  /**
   * As `collectEqual` for one type without subtypes, without an array: 0 for none, a record number for exactly one, `MANY` or
   * more for several.
   */
  firstEqual(type: AttributeType, normal: Buffer): number {
    const index = this.#indexes.get(type);
    return index === undefined ? 0 : index.table.first(hashBytes(normal, 0, normal.length, index.seed));
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

  /** For `DatabaseChange`: what else has to be in every group. */
  saveState(batch: Batch): void {
    const words = this.dictionary.takeChanges();
    if (words !== undefined) batch.setMeta(DICTIONARY, words);
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
    this.#eachHash(view, id, false);
    const watched = this.#watchedIds.delete(id);
    if (this.#dns.delete(id) || watched || this.tree.childCount(id) > 0) {
      this.structure++;
      this.#dns.clear();
    }
  }

  /** For `DatabaseChange`: the values of an entry that keeps its place, into the indexes or out of them. */
  linkValues(id: number, add: boolean): void {
    if (this.read(id, this.#view)) this.#eachHash(this.#view, id, add);
  }

  /** True when the stored entry has this parent and name. */
  standsAt(id: number, draft: Draft): boolean {
    const view = this.#view;
    if (!this.read(id, view) || view.parent !== draft.parent) return false;
    const start = view.normalRdnStart;
    return (
      draft.normalRdn.compare(view.buffer, start, start + view.normalRdnLength) === 0 &&
      draft.rdn.compare(view.buffer, view.rdnStart, view.rdnStart + view.rdnLength) === 0
    );
  }

  #link(id: number, view: EntryView): void {
    const start = view.normalRdnStart;
    const parent = view.parent;
    this.#children.add(this.#childHash(parent, view.buffer, start, start + view.normalRdnLength), id);
    this.tree.add(id, parent);
    this.#eachHash(view, id, true);
  }

  #eachHash(view: EntryView, id: number, add: boolean): void {
    const { buffer } = view;
    for (let n = 0, count = view.attributeCount; n < count; n++) {
      const index = this.#valueIndex(view.descriptor(n));
      if (index === null) continue;
      const end = view.attributeEnd(n);
      for (let at = valuesStart(buffer, view.attributeStart(n)); at < end; ) {
        const content = contentStart(buffer, at);
        at = content + contentLength(buffer, at);
        const hash = this.#valueHash(index, buffer, content, at);
        if (hash === undefined) continue;
        if (add) index.table.add(hash, id);
        else index.table.remove(hash, id);
      }
    }
  }

  #valueHash(index: ValueIndex, buffer: Buffer, start: number, end: number): number | undefined {
    if (index.plain) return hashBytes(buffer, start, end, index.seed);
    const normal = index.type.equality?.normalise(buffer.subarray(start, end), this.names);
    return normal === undefined ? undefined : hashBytes(normal, 0, normal.length, index.seed);
  }

  #valueIndex(descriptor: number): ValueIndex | null {
    let index = this.#indexOf[descriptor];
    if (index === undefined) {
      index = this.#indexes.get(this.dictionary.descriptor(descriptor).type) ?? null;
      this.#indexOf[descriptor] = index;
    }
    return index;
  }

  #childHash(parent: number, bytes: Uint8Array, start: number, end: number): number {
    return mixHash(hashBytes(bytes, start, end, this.#seed), parent, this.#seed);
  }
}

/** From here on, a result of `firstEqual` says "several". */
export const MANY = 0x8000_0000;
const COMMA = Buffer.from(',');
/** A value that every normaliser but the identity changes or refuses. */
const PROBE = Buffer.from('  Probe  ');

/** One entry's part in a group of changes. */
export interface EntryChange {
  readonly id: number;
  /** The entry before, as stored; undefined when it was added. */
  readonly before: Buffer | undefined;
  /** Its DN before; undefined when it was added. */
  readonly dnBefore: Buffer | undefined;
}

/** A group of changes: visible at once, durable together or undone together. */
export class DatabaseChange {
  readonly #database: Database;
  readonly #batch: Batch;
  /** Entries touched, with their state before the group. */
  readonly entries = new Map<number, EntryChange>();

  constructor(database: Database, batch: Batch) {
    this.#database = database;
    this.#batch = batch;
  }

  add(draft: Draft): number {
    const { buffer, length } = encodeDraft(draft);
    const id = this.#batch.add(buffer, 0, length);
    // Record numbers come back: an entry deleted in this very group may have had this one.
    if (!this.entries.has(id)) this.entries.set(id, { id, before: undefined, dnBefore: undefined });
    this.#database.link(id);
    return id;
  }

  put(id: number, draft: Draft): void {
    this.#remember(id);
    const stays = this.#database.standsAt(id, draft);
    const { buffer, length } = encodeDraft(draft);
    if (stays) this.#database.linkValues(id, false);
    else this.#database.unlink(id);
    this.#batch.put(id, buffer, 0, length);
    if (stays) this.#database.linkValues(id, true);
    else this.#database.link(id);
  }

  delete(id: number): void {
    this.#remember(id);
    this.#database.unlink(id);
    this.#batch.delete(id);
  }

  setMeta(name: string, bytes: Uint8Array | undefined): void {
    this.#batch.setMeta(name, bytes);
  }

  commit(onDurable: (error?: Error) => void): void {
    this.#database.saveState(this.#batch);
    this.#batch.commit(onDurable);
  }

  rollback(): void {
    const database = this.#database;
    for (const id of this.entries.keys()) database.unlink(id);
    this.#batch.rollback();
    for (const id of this.entries.keys()) database.link(id);
    database.structure++;
  }

  #remember(id: number): void {
    if (this.entries.has(id)) return;
    const view = new EntryView();
    if (!this.#database.read(id, view))
      throw new PosternError('internal', 'change of an entry that does not exist', { fields: { id } });
    const before = Buffer.from(view.buffer.subarray(view.start, view.end));
    this.entries.set(id, { id, before, dnBefore: this.#database.dn(id) });
  }
}
