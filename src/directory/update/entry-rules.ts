/**
 * What the schema asks of an entry (RFC 4512 §2.4, §2.5): classes, required and allowed attributes, value syntax, single
 * values, no duplicates. Every refusal names the attribute. Pure: looks at a draft, changes nothing but the spelling of classes.
 */
import type { Database } from '../database.ts';
import type { Draft, DraftAttribute } from '../entry/draft.ts';
import { refuse } from '../refusal.ts';
import { type AttributeType, EXTENSIBLE_OBJECT, type ObjectClass } from '../schema/schema.ts';

/** Above this many values of one attribute, duplicates are found by a set of normal forms instead of pairwise. */
const FEW = 6;

/** The values of one attribute are distinct, and one at most where the type says so. */
export function checkDistinct(database: Database, attribute: DraftAttribute): void {
  checkSingle(attribute);
  checkDuplicates(database, attribute);
}

export function checkSingle({ descriptor, values }: DraftAttribute): void {
  if (descriptor.type.singleValue && values.length > 1)
    refuse('constraintViolation', `${descriptor.text}: has more than one value`);
}

/** RFC 4511 §4.1.7: no two values of an attribute are equivalent. */
export function checkDuplicates(database: Database, { descriptor, values }: DraftAttribute): void {
  if (values.length < 2) return;
  const { type, text } = descriptor;
  const normal = values.map((value) => normalOrRaw(database, type, value));
  if (values.length <= FEW) {
    for (let i = 1; i < normal.length; i++) {
      for (let j = 0; j < i; j++)
        if ((normal[i] as Buffer).equals(normal[j] as Buffer))
          refuse('attributeOrValueExists', `${text}: value occurs twice`);
    }
  } else if (new Set(normal.map((value) => value.toString('latin1'))).size < normal.length) {
    refuse('attributeOrValueExists', `${text}: value occurs twice`);
  }
}

/** The form in which values of a type are compared; the value itself where no rule applies. */
export function normalOrRaw(database: Database, type: AttributeType, value: Buffer): Buffer {
  return type.equality?.normalise(value, database.names) ?? value;
}

/** What an entry's set of classes comes to. */
interface ClassSet {
  readonly structural: ObjectClass;
  readonly must: readonly AttributeType[];
  readonly allowed: ReadonlySet<AttributeType>;
  readonly extensible: boolean;
}

const MOST_CACHED = 1000;

/** Remembers the outcome by the class values: entries come with few different sets. */
export class EntryRules {
  readonly #database: Database;
  readonly #cache = new Map<string, ClassSet>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** Refuses an entry that breaks the rules of its classes. Operational attributes that users may write need no class. */
  check(draft: Pick<Draft, 'attributes'>): void {
    const classes = draft.attributes.find(
      (a) => a.descriptor.type.name === 'objectClass' && a.descriptor.options.length === 0,
    );
    if (classes === undefined) refuse('objectClassViolation', 'objectClass: the entry has no object class');
    const set = this.#classSet(classes.values);
    for (const type of set.must) {
      if (
        !draft.attributes.some((a) => a.descriptor.type === type || type.family.includes(a.descriptor.type))
      ) {
        refuse('objectClassViolation', `${type.name}: required by object class, but missing`);
      }
    }
    if (set.extensible) return;
    for (const { descriptor } of draft.attributes) {
      const { type } = descriptor;
      if (!type.operational && !set.allowed.has(type)) {
        refuse(
          'objectClassViolation',
          `${descriptor.text}: not allowed by the entry's object classes (${classes.values.map(String).join(', ')})`,
        );
      }
    }
  }

  /** The structural class may not change (RFC 4512 §2.4.2). */
  structural(values: readonly Buffer[]): ObjectClass {
    return this.#classSet(values).structural;
  }

  #classSet(values: readonly Buffer[]): ClassSet {
    const key = values.length === 1 ? keyOf(values[0] as Buffer) : values.map(keyOf).join('\n');
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    const set = this.#combine(values);
    if (this.#cache.size >= MOST_CACHED) this.#cache.clear();
    this.#cache.set(key, set);
    return set;
  }

  #combine(values: readonly Buffer[]): ClassSet {
    const classes = values.map((value) => {
      const name = value.toString('latin1');
      return (
        this.#database.schema.objectClass(name) ??
        refuse('invalidAttributeSyntax', `objectClass: ${name.slice(0, 80)} is unknown`)
      );
    });
    let structural: ObjectClass | undefined;
    for (const item of classes) {
      if (item.kind !== 'structural') continue;
      if (structural === undefined || item.lineage.has(structural)) structural = item;
      else if (!structural.lineage.has(item)) {
        refuse(
          'objectClassViolation',
          `objectClass: ${structural.name} and ${item.name} are structural classes of different kinds`,
        );
      }
    }
    if (structural === undefined)
      refuse('objectClassViolation', 'objectClass: the entry has no structural class');
    const must = new Set<AttributeType>();
    const allowed = new Set<AttributeType>();
    for (const item of classes) {
      for (const type of item.must) {
        must.add(type);
        allowed.add(type);
      }
      for (const type of item.may) allowed.add(type);
    }
    const objectClass = this.#database.schema.attributeType('objectClass');
    if (objectClass !== undefined) allowed.add(objectClass);
    return {
      structural,
      must: [...must],
      allowed,
      extensible: classes.some((item) => item.name === EXTENSIBLE_OBJECT),
    };
  }
}

function keyOf(value: Buffer): string {
  return value.toString('latin1').toLowerCase();
}

export function isKnownClass(database: Database, value: Buffer): boolean {
  return database.schema.objectClass(value.toString('latin1')) !== undefined;
}

/** Class values in the spelling of the schema, so that entries with the same classes look the same. */
export function canonicalClasses(database: Database, values: readonly Buffer[]): Buffer[] {
  return values.map((value) => {
    const name = value.toString('latin1').trim();
    const found = database.schema.objectClass(name);
    if (found === undefined) refuse('invalidAttributeSyntax', `objectClass: ${name.slice(0, 80)} is unknown`);
    return found.name === name && name.length === value.length ? value : Buffer.from(found.name);
  });
}
