/**
 * Equality indexes: from an attribute type and the normal form of a value to record numbers. Owns one hash table a type; an answer
 * is "these may have it", since hashes collide: `has` looks at the entry itself.
 */
import { PosternError } from '../../base/error.ts';
import type { Dictionary } from '../entry/dictionary.ts';
import {
  contentLength,
  contentStart,
  type EntryView,
  ROW_LENGTH,
  u16,
  u32,
  valuesStart,
} from '../entry/layout.ts';
import type { AttributeType, RuleContext, Schema } from '../schema/schema.ts';
import { equalBytes, hashBytes } from './hash.ts';
import { HashIndex } from './hash-index.ts';

/** From here on, a result of `first` says "several". */
export const MANY = 0x8000_0000;
/** A value that every normaliser but the identity changes or refuses. */
const PROBE = Buffer.from('  Probe  ');

interface TypeIndex {
  readonly type: AttributeType;
  readonly table: HashIndex;
  readonly seed: number;
  /** Values are compared octet by octet: no normal form has to be made. */
  readonly plain: boolean;
  /** The last value that had to be normalised, and its hash. */
  readonly recent: { value: Buffer | undefined; hash: number };
}

export class ValueIndexes {
  readonly #dictionary: Dictionary;
  readonly #rules: RuleContext;
  readonly #types = new Map<AttributeType, TypeIndex>();
  /** By descriptor number; undefined = not looked at yet, null = not indexed. */
  readonly #byDescriptor: (TypeIndex | null | undefined)[] = [];

  /** `names`: attribute types to index. Throws `usage` for one without an equality rule. */
  constructor(
    schema: Schema,
    dictionary: Dictionary,
    rules: RuleContext,
    names: readonly string[],
    seed: number,
  ) {
    this.#dictionary = dictionary;
    this.#rules = rules;
    for (const name of names) {
      const type = schema.attributeType(name);
      if (type?.equality === undefined)
        throw new PosternError('usage', `attribute ${name} cannot be indexed: it has no equality rule`);
      const plain = type.equality.normalise(PROBE, rules) === PROBE;
      this.#types.set(type, {
        type,
        table: new HashIndex(),
        seed: seed ^ Math.imul(type.index + 1, 0x9e3779b1),
        plain,
        recent: { value: undefined, hash: 0 },
      });
    }
  }

  get bytes(): number {
    let total = 0;
    for (const { table } of this.#types.values()) total += table.bytes;
    return total;
  }

  /** True when the type itself (not only its subtypes) has an index. */
  indexes(type: AttributeType): boolean {
    return this.#types.has(type);
  }

  /** How many values an index holds, a part of it at a time. */
  countValues(type: AttributeType): Generator<number> | undefined {
    return this.#types.get(type)?.table.countPairs();
  }

  /** Bytes of each index. */
  sizes(): { attribute: string; bytes: number }[] {
    return [...this.#types.values()].map(({ type, table }) => ({ attribute: type.name, bytes: table.bytes }));
  }

  /** True when every type of the family has an index, so that what the index does not name does not match. */
  covers(type: AttributeType): boolean {
    return type.family.every((member) => this.#types.has(member));
  }

  /** How many entries may have a value with this normal form (an upper bound; subtypes included). */
  count(type: AttributeType, normal: Buffer): number {
    let count = 0;
    for (const member of type.family) {
      const index = this.#types.get(member);
      if (index !== undefined) count += index.table.count(hashBytes(normal, 0, normal.length, index.seed));
    }
    return count;
  }

  /** Appends entries that may have such a value. False when there are too many to have been listed. */
  collect(type: AttributeType, normal: Buffer, out: number[]): boolean {
    for (const member of type.family) {
      const index = this.#types.get(member);
      if (index === undefined || !index.table.collect(hashBytes(normal, 0, normal.length, index.seed), out))
        return false;
    }
    return true;
  }

  /**
   * As `collect` for a type without subtypes, without an array: 0 for none, a record number for exactly one, `MANY` or more for
   * several.
   */
  first(type: AttributeType, normal: Buffer): number {
    const index = this.#types.get(type);
    return index === undefined ? 0 : index.table.first(hashBytes(normal, 0, normal.length, index.seed));
  }

  /** True when the entry in the view has a value with this normal form, subtypes included. */
  has(view: EntryView, type: AttributeType, normal: Buffer): boolean {
    const { buffer } = view;
    const first = view.attributes;
    for (let row = view.rows, start = first; row < first; row += ROW_LENGTH) {
      const descriptor = u16(buffer, row);
      const end = first + u32(buffer, row + 2);
      const stored = this.#dictionary.descriptor(descriptor).type;
      if (
        (stored === type || type.family.includes(stored)) &&
        this.#hasAmong(buffer, start, end, descriptor, stored, normal)
      )
        return true;
      start = end;
    }
    return false;
  }

  #hasAmong(
    buffer: Buffer,
    start: number,
    end: number,
    descriptor: number,
    type: AttributeType,
    normal: Buffer,
  ): boolean {
    const plain = this.#index(descriptor)?.plain === true;
    for (let at = valuesStart(buffer, start); at < end; ) {
      const content = contentStart(buffer, at);
      at = content + contentLength(buffer, at);
      if (plain) {
        if (equalBytes(buffer, content, at, normal)) return true;
      } else if (type.equality?.normalise(buffer.subarray(content, at), this.#rules)?.equals(normal) === true)
        return true;
    }
    return false;
  }

  /** Brings in what was linked `later`. */
  finish(): void {
    for (const { table } of this.#types.values()) {
      table.finish();
      table.trim();
    }
  }

  /** Brings the values of the entry in the view into the indexes, or takes them out; `later`: found after `finish` only. */
  link(view: EntryView, id: number, how: 'add' | 'remove' | 'later'): void {
    const { buffer } = view;
    const first = view.attributes;
    if (first > view.end) throw misshapen(id);
    for (let row = view.rows, start = first; row < first; row += ROW_LENGTH) {
      const end = first + u32(buffer, row + 2);
      // Wrong lengths must not lead far outside.
      if (end > view.end) throw misshapen(id);
      const index = this.#index(u16(buffer, row));
      if (index !== null) {
        for (let at = valuesStart(buffer, start); at < end; ) {
          const content = contentStart(buffer, at);
          at = content + contentLength(buffer, at);
          const hash = this.#hash(index, buffer, content, at);
          if (hash === undefined) continue;
          if (how === 'later') index.table.addLater(hash, id);
          else if (how === 'add') index.table.add(hash, id);
          else index.table.remove(hash, id);
        }
      }
      start = end;
    }
  }

  #hash(index: TypeIndex, buffer: Buffer, start: number, end: number): number | undefined {
    const isNormal = index.type.equality?.isNormal;
    if (index.plain || isNormal?.(buffer, start, end) === true)
      return hashBytes(buffer, start, end, index.seed);
    // Object classes and the like: few values, many times.
    const { recent } = index;
    if (recent.value !== undefined && equalBytes(buffer, start, end, recent.value)) return recent.hash;
    const hash = this.#normalHash(index, buffer, start, end);
    if (hash !== undefined && end - start <= 64) {
      recent.value = Buffer.from(buffer.subarray(start, end));
      recent.hash = hash;
    }
    return hash;
  }

  #normalHash(index: TypeIndex, buffer: Buffer, start: number, end: number): number | undefined {
    const normal = index.type.equality?.normalise(buffer.subarray(start, end), this.#rules);
    return normal === undefined ? undefined : hashBytes(normal, 0, normal.length, index.seed);
  }

  #index(descriptor: number): TypeIndex | null {
    let index = this.#byDescriptor[descriptor];
    if (index === undefined) {
      index = this.#types.get(this.#dictionary.descriptor(descriptor).type) ?? null;
      this.#byDescriptor[descriptor] = index;
    }
    return index;
  }
}

function misshapen(id: number): PosternError {
  return new PosternError('store.damaged', `entry ${id} has attributes longer than itself`, {
    fields: { id },
  });
}
