/**
 * What the schema asks of an entry (RFC 4512 §2.4, §2.5): classes, required and allowed attributes, value syntax, single
 * values, no duplicates. Every refusal names the attribute. Pure: looks at a draft, changes nothing but the spelling of classes.
 */
import type { Database } from '../database.ts';
import type { Draft, DraftAttribute } from '../entry/draft.ts';
import { refuse } from '../refusal.ts';
import {
  type AttributeType,
  type ContentRule,
  EXTENSIBLE_OBJECT,
  type ObjectClass,
} from '../schema/schema.ts';

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

/** RFC 4512 §2.3.1, X.501: what can name an entry. */
export function checkNaming(type: AttributeType): void {
  const why = type.operational
    ? 'is operational'
    : type.obsolete
      ? 'is obsolete'
      : type.collective
        ? 'is collective'
        : type.equality === undefined
          ? 'has no equality rule'
          : undefined;
  if (why !== undefined) refuse('namingViolation', `${type.name}: ${why}, so it cannot stand in a name`);
}

/** What an entry's set of classes comes to. */
interface ClassSet {
  readonly structural: ObjectClass;
  /** With who requires it, for messages. */
  readonly must: readonly { readonly type: AttributeType; readonly by: string }[];
  readonly allowed: ReadonlySet<AttributeType>;
  /** Forbidden by a content rule, whatever the classes say. */
  readonly excluded: ReadonlySet<AttributeType>;
  readonly rule: ContentRule | undefined;
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

  /**
   * Refuses an entry that breaks the rules of its classes. Operational attributes that users may write need no class. `name`: what
   * messages call the entry.
   */
  check(draft: Pick<Draft, 'attributes'>, name: () => string): void {
    const classes = draft.attributes.find(isClasses);
    if (classes === undefined) refuse('objectClassViolation', `objectClass: ${name()} has no object class`);
    const set = this.#classSet(classes.values);
    for (const { type, by } of set.must) {
      if (!draft.attributes.some(({ descriptor: d }) => d.type === type || type.family.includes(d.type)))
        refuse('objectClassViolation', `${type.name}: required by ${by}, but missing in ${name()}`);
    }
    for (const { descriptor } of draft.attributes) {
      const { type } = descriptor;
      if (type.operational) continue;
      if (type.collective)
        refuse(
          'objectClassViolation',
          `${descriptor.text}: collective attributes belong to subentries, not to ${name()}`,
        );
      if (set.excluded.has(type))
        refuse(
          'objectClassViolation',
          `${descriptor.text}: excluded by content rule ${set.rule?.name} for ${name()}`,
        );
      if (!set.extensible && !set.allowed.has(type)) {
        const list = classes.values.map(String).join(', ');
        refuse(
          'objectClassViolation',
          `${descriptor.text}: not allowed by the object classes of ${name()} (${list})`,
        );
      }
    }
  }

  /** The structural class may not change (RFC 4512 §2.4.2). */
  checkStructure(before: readonly Buffer[], after: readonly Buffer[]): void {
    const [was, is] = [this.#classSet(before).structural, this.#classSet(after).structural];
    if (was !== is)
      refuse(
        'objectClassModsProhibited',
        `objectClass: the structural class cannot be changed from ${was.name} to ${is.name}`,
      );
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
    if (values.length === 0) refuse('objectClassViolation', 'objectClass: the entry has no object class');
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
    checkInstances(classes);
    const must = new Map<AttributeType, string>();
    const allowed = new Set<AttributeType>();
    for (const item of classes) {
      for (const type of item.must) {
        if (!must.has(type)) must.set(type, `object class ${item.name}`);
        allowed.add(type);
      }
      for (const type of item.may) allowed.add(type);
    }
    const { schema } = this.#database;
    const rule = schema.contentRules.get(structural);
    if (rule !== undefined) applyContentRule(rule, classes, must, allowed);
    const objectClass = schema.attributeType('objectClass');
    if (objectClass !== undefined) allowed.add(objectClass);
    return {
      structural,
      must: Array.from(must, ([type, by]) => ({ type, by })),
      allowed,
      excluded: rule?.not ?? NOTHING,
      rule,
      extensible: classes.some((item) => item.name === EXTENSIBLE_OBJECT),
    };
  }
}

const NOTHING: ReadonlySet<AttributeType> = new Set();

function isClasses({ descriptor }: DraftAttribute): boolean {
  return descriptor.type.name === 'objectClass' && descriptor.options.length === 0;
}

/** RFC 4512 §2.4.1: an abstract class is there by a class below it only; an obsolete one is out of use. */
function checkInstances(classes: readonly ObjectClass[]): void {
  for (const item of classes) {
    if (item.obsolete) refuse('objectClassViolation', `objectClass: ${item.name} is obsolete`);
    if (item.kind === 'abstract' && !classes.some((c) => c.kind !== 'abstract' && c.lineage.has(item)))
      refuse('objectClassViolation', `objectClass: ${item.name} is abstract, and no other class is below it`);
  }
}

/** RFC 4512 §4.1.6 */
function applyContentRule(
  rule: ContentRule,
  classes: readonly ObjectClass[],
  must: Map<AttributeType, string>,
  allowed: Set<AttributeType>,
): void {
  for (const item of classes) {
    if (item.kind === 'auxiliary' && !rule.auxiliaries.has(item))
      refuse('objectClassViolation', `objectClass: ${item.name} is not allowed by content rule ${rule.name}`);
  }
  for (const type of rule.must) {
    if (!must.has(type)) must.set(type, `content rule ${rule.name}`);
    allowed.add(type);
  }
  for (const type of rule.may) allowed.add(type);
}

function keyOf(value: Buffer): string {
  return value.toString('latin1').toLowerCase();
}

/**
 * Objects that would have to be followed. None exist, so that every way of dereferencing (RFC 4511 §4.5.1.3) finds the same, and every
 * ManageDsaIT is fulfilled (RFC 3296 §3).
 */
const ABSENT: ReadonlyMap<string, string> = new Map([
  ['alias', 'alias entries (RFC 4512 §2.6) are not supported here'],
  ['referral', 'referral objects (RFC 3296) are not supported here'],
]);

export function isKnownClass(database: Database, value: Buffer): boolean {
  return database.schema.objectClass(value.toString('latin1')) !== undefined;
}

/** Class values in the spelling of the schema, so that entries with the same classes look the same. */
export function canonicalClasses(database: Database, values: readonly Buffer[]): Buffer[] {
  return values.map((value) => {
    const name = value.toString('latin1').trim();
    const found = database.schema.objectClass(name);
    const absent = ABSENT.get((found?.name ?? name).toLowerCase());
    if (absent !== undefined) refuse('unwillingToPerform', `objectClass: ${absent}`);
    if (found === undefined) refuse('invalidAttributeSyntax', `objectClass: ${name.slice(0, 80)} is unknown`);
    return found.name === name && name.length === value.length ? value : Buffer.from(found.name);
  });
}
