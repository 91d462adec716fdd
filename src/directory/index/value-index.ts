/**
 * Equality indexes: from an attribute type and the normal form of a value to record numbers. Owns one hash table a type; an answer
 * is "these may have it", since hashes collide: `has` looks at the entry itself.
 */
import { PosternError } from '../../base/error.ts';
import type { Dictionary } from '../entry/dictionary.ts';
import { contentLength, contentStart, type EntryView, valuesStart } from '../entry/layout.ts';
import type { AttributeType, RuleContext, Schema } from '../schema/schema.ts';
import { hashBytes } from './hash.ts';
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
      });
    }
  }

  get bytes(): number {
    let total = 0;
    for (const { table } of this.#types.values()) total += table.bytes;
    return total;
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
    for (let n = 0, count = view.attributeCount; n < count; n++) {
      const descriptor = view.descriptor(n);
      const stored = this.#dictionary.descriptor(descriptor).type;
      if (stored !== type && !type.family.includes(stored)) continue;
      const end = view.attributeEnd(n);
      const plain = this.#index(descriptor)?.plain === true;
      for (let at = valuesStart(buffer, view.attributeStart(n)); at < end; ) {
        const start = contentStart(buffer, at);
        at = start + contentLength(buffer, at);
        if (plain) {
          if (normal.compare(buffer, start, at) === 0) return true;
        } else if (
          stored.equality?.normalise(buffer.subarray(start, at), this.#rules)?.equals(normal) === true
        ) {
          return true;
        }
      }
    }
    return false;
  }

  /** Brings the values of the entry in the view into the indexes, or takes them out. */
  link(view: EntryView, id: number, add: boolean): void {
    const { buffer } = view;
    for (let n = 0, count = view.attributeCount; n < count; n++) {
      const index = this.#index(view.descriptor(n));
      if (index === null) continue;
      const end = view.attributeEnd(n);
      for (let at = valuesStart(buffer, view.attributeStart(n)); at < end; ) {
        const start = contentStart(buffer, at);
        at = start + contentLength(buffer, at);
        const hash = this.#hash(index, buffer, start, at);
        if (hash === undefined) continue;
        if (add) index.table.add(hash, id);
        else index.table.remove(hash, id);
      }
    }
  }

  #hash(index: TypeIndex, buffer: Buffer, start: number, end: number): number | undefined {
    if (index.plain) return hashBytes(buffer, start, end, index.seed);
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
