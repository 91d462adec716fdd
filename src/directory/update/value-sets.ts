/** Values of attributes while a modify with many changes works on them one by one: found by their normal forms, in their order. */
import type { Database } from '../database.ts';
import type { Descriptor } from '../entry/dictionary.ts';
import type { Draft, DraftAttribute } from '../entry/draft.ts';
import { refuse } from '../refusal.ts';
import { normalOrRaw } from './entry-rules.ts';

export class ValueSets {
  readonly #database: Database;
  readonly #sets = new Map<Descriptor, ValueSet>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** What counts from now on, until `forget` or `finish`, is the set; undefined where stored values are equal to each other. */
  of(attribute: DraftAttribute): ValueSet | undefined {
    const { descriptor, values } = attribute;
    const known = this.#sets.get(descriptor);
    if (known !== undefined) return known;
    const set = new ValueSet(this.#database, attribute);
    if (set.size < values.length) return undefined;
    this.#sets.set(descriptor, set);
    return set;
  }

  /** The attribute has the values of its set, if it has one, and none any more. */
  forget(attribute: DraftAttribute): void {
    const set = this.#sets.get(attribute.descriptor);
    if (set === undefined) return;
    attribute.values = set.values;
    this.#sets.delete(attribute.descriptor);
  }

  finish(draft: Draft): void {
    for (const attribute of draft.attributes) this.forget(attribute);
  }
}

class ValueSet {
  readonly #database: Database;
  readonly #descriptor: Descriptor;
  readonly #byNormal = new Map<string, Buffer>();

  constructor(database: Database, { descriptor, values }: DraftAttribute) {
    this.#database = database;
    this.#descriptor = descriptor;
    for (const value of values) this.#byNormal.set(this.#key(value), value);
  }

  get size(): number {
    return this.#byNormal.size;
  }

  get values(): Buffer[] {
    return [...this.#byNormal.values()];
  }

  add(given: readonly Buffer[]): void {
    for (const value of given) {
      const key = this.#key(value);
      if (this.#byNormal.has(key))
        refuse('attributeOrValueExists', `${this.#descriptor.text}: value occurs twice`);
      this.#byNormal.set(key, value);
    }
  }

  /** Returns how many are left. */
  delete(given: readonly Buffer[]): number {
    for (const key of new Set(given.map((value) => this.#key(value))))
      if (!this.#byNormal.delete(key))
        refuse('noSuchAttribute', `${this.#descriptor.text}: the attribute has no such value`);
    return this.#byNormal.size;
  }

  #key(value: Buffer): string {
    return normalOrRaw(this.#database, this.#descriptor.type, value).toString('latin1');
  }
}
