/** One stored entry to read at leisure: a copy, so it stays what it was whatever happens to the directory. */
import type { Attribute } from '../../ldap/message.ts';
import type { Database } from '../database.ts';
import type { AttributeType } from '../schema/schema.ts';
import { optionCovers, splitDescription } from './dictionary.ts';
import { EntryView, valuesBetween, valuesStart } from './layout.ts';

export class Entry {
  readonly id: number;
  readonly dn: string;
  readonly view = new EntryView();
  readonly #database: Database;

  constructor(database: Database, id: number, dn: string, octets: Buffer) {
    this.#database = database;
    this.id = id;
    this.dn = dn;
    this.view.buffer = octets;
    this.view.end = octets.length;
  }

  /** entryUUID, 16 octets. */
  get uuid(): Buffer {
    return this.view.uuid();
  }

  /** Milliseconds since 1970. */
  get createdAt(): number {
    return this.view.created();
  }

  get modifiedAt(): number {
    return this.view.changed();
  }

  /** DN of whoever changed it last. */
  get modifier(): string {
    return this.#database.dictionary.name(this.view.modifier());
  }

  /** Values of exactly this description (`cn` does not include `cn;lang-en` or subtypes); empty when it has none. */
  values(attribute: string): Buffer[] {
    const descriptor = this.#database.dictionary.find(attribute);
    if (descriptor === undefined) return [];
    for (let n = 0, count = this.view.attributeCount; n < count; n++)
      if (this.view.descriptor(n) === descriptor.id) return this.#valuesAt(n);
    return [];
  }

  /** The first value as text; undefined when there is none. */
  text(attribute: string): string | undefined {
    return this.values(attribute)[0]?.toString('utf8');
  }

  texts(attribute: string): string[] {
    return this.values(attribute).map((value) => value.toString('utf8'));
  }

  /** Stored user attributes, in their order. */
  attributes(): Attribute[] {
    const list: Attribute[] = [];
    for (let n = 0, count = this.view.attributeCount; n < count; n++) {
      list.push({
        type: this.#database.dictionary.descriptor(this.view.descriptor(n)).text,
        values: this.#valuesAt(n),
      });
    }
    return list;
  }

  /** True when objectClass names this class or one below it. */
  isA(objectClass: string): boolean {
    const wanted = this.#database.schema.objectClass(objectClass);
    return (
      wanted !== undefined &&
      this.values('objectClass').some((value) =>
        this.#database.schema.objectClass(value.toString('latin1'))?.lineage.has(wanted),
      )
    );
  }

  #valuesAt(n: number): Buffer[] {
    const start = this.view.attributeStart(n);
    return valuesBetween(this.view.buffer, valuesStart(this.view.buffer, start), this.view.attributeEnd(n));
  }
}

/** A set of attribute descriptions asked for by one description: itself, its subtypes, and more options (RFC 4512 §2.5). */
export class DescriptorSet {
  readonly type: AttributeType;
  readonly options: readonly string[];
  readonly #database: Database;
  /** By descriptor number: 0 not looked at, 1 in, 2 out. */
  #known = new Uint8Array(64);

  constructor(database: Database, type: AttributeType, options: readonly string[]) {
    this.#database = database;
    this.type = type;
    this.options = options;
  }

  /** Undefined when the description is malformed or its type unknown. */
  static of(database: Database, description: string): DescriptorSet | undefined {
    const parts = splitDescription(description, true);
    const type = parts === undefined ? undefined : database.schema.attributeType(parts.name);
    return parts === undefined || type === undefined
      ? undefined
      : new DescriptorSet(database, type, parts.options);
  }

  has(descriptor: number): boolean {
    const known = this.#known[descriptor];
    if (known === 1) return true;
    if (known === 2) return false;
    return this.#look(descriptor);
  }

  #look(descriptor: number): boolean {
    if (descriptor >= this.#known.length) {
      const grown = new Uint8Array(descriptor * 2 + 64);
      grown.set(this.#known);
      this.#known = grown;
    }
    const { type, options } = this.#database.dictionary.descriptor(descriptor);
    const isIn =
      this.type.family.includes(type) && this.options.every((option) => optionCovers(option, options));
    this.#known[descriptor] = isIn ? 1 : 2;
    return isIn;
  }
}
