/**
 * A filter compiled against the schema: matching rules chosen, assertions normalised once, so that the entries of a search cost
 * as little as they can.
 */
import type { Filter } from '../../ldap/message.ts';
import type { Database } from '../database.ts';
import type { ComputedAttribute } from '../entry/computed.ts';
import { DescriptorSet } from '../entry/entry.ts';
import { refuse } from '../refusal.ts';
import { ADDRESS_RULE } from '../schema/matching-rule.ts';
import type { AttributeType, MatchingRule } from '../schema/schema.ts';
import { SYNTAX, SYNTAXES } from '../schema/syntax.ts';
import {
  ALWAYS_UNDEFINED,
  And,
  AnyTypeMatcher,
  constant,
  FALSE,
  type Matcher,
  NameMatcher,
  Not,
  Or,
  TRUE,
  UNDEFINED,
  ValueMatcher,
  type ValueTest,
} from './matcher.ts';

export interface FilterOptions {
  readonly database: Database;
  readonly computed: ReadonlyMap<AttributeType, ComputedAttribute>;
  /** Turns an asserted address into its stored form; undefined for what is no address. Only where addresses are stored hashed. */
  readonly addressHasher?: ((assertion: Buffer) => Buffer | undefined) | undefined;
  /** Types that, with `addressHasher`, ask the address attribute: itself, `mail`, `proxyAddresses`. */
  readonly addressTypes?: ReadonlySet<AttributeType> | undefined;
  readonly addressType?: AttributeType | undefined;
}

/** Compiles a filter. Refuses with inappropriateMatching what hashed addresses can't answer. */
export function compileFilter(filter: Filter, options: FilterOptions): Matcher {
  switch (filter.kind) {
    case 'and':
      return filter.filters.length === 0
        ? constant(TRUE)
        : new And(filter.filters.map((f) => compileFilter(f, options)));
    case 'or':
      return filter.filters.length === 0
        ? constant(FALSE)
        : new Or(filter.filters.map((f) => compileFilter(f, options)));
    case 'not':
      return new Not(compileFilter(filter.filter, options));
    case 'present':
      return compilePresent(filter.attribute, options);
    case 'equality':
    case 'approx':
      return compileEquality(filter.attribute, filter.value, options);
    case 'greaterOrEqual':
    case 'lessOrEqual':
      return compileOrdering(filter.attribute, filter.value, filter.kind === 'greaterOrEqual', options);
    case 'substrings':
      return compileSubstrings(filter, options);
    case 'extensible':
      return compileExtensible(filter, options);
  }
}

function compilePresent(attribute: string, options: FilterOptions): Matcher {
  const asked = DescriptorSet.of(options.database, attribute);
  if (asked === undefined) return ALWAYS_UNDEFINED;
  const set = isAddressType(options, asked.type)
    ? new DescriptorSet(options.database, options.addressType as AttributeType, asked.options)
    : asked;
  const everywhere = set.type.name === 'objectClass';
  return {
    match(context) {
      if (!context.access.maySearch(asked.type)) return UNDEFINED;
      if (everywhere) return TRUE;
      const computed = context.computed.get(set.type);
      if (computed !== undefined)
        return computed.values(context.id, context.view, context.session).length > 0 ? TRUE : FALSE;
      for (let n = 0, count = context.view.attributeCount; n < count; n++) {
        const descriptor = context.view.descriptor(n);
        if (
          set.has(descriptor) &&
          context.access.maySearch(options.database.dictionary.descriptor(descriptor).type)
        )
          return TRUE;
      }
      return FALSE;
    },
    candidates: () => undefined,
  };
}

/** True when a filter on this type asks the hashed addresses. */
export function isAddressType(options: FilterOptions, type: AttributeType): boolean {
  return (
    options.addressHasher !== undefined &&
    options.addressType !== undefined &&
    options.addressTypes?.has(type) === true
  );
}

function compileEquality(attribute: string, value: Buffer, options: FilterOptions): Matcher {
  const { database } = options;
  const set = DescriptorSet.of(database, attribute);
  if (set === undefined) return ALWAYS_UNDEFINED;
  if (isAddressType(options, set.type)) {
    const hash = options.addressHasher?.(value);
    return hash === undefined ? ALWAYS_UNDEFINED : addressMatcher(set, hash, options);
  }
  const rule = set.type.equality;
  if (rule === undefined) return ALWAYS_UNDEFINED;
  if (set.type.name === 'objectClass') return compileClass(set, value, rule, options);
  const normal = assertedForm(rule, value, database);
  if (normal === undefined) return ALWAYS_UNDEFINED;
  return new ValueMatcher(set, { rule, test: (stored) => stored.equals(normal) }, normal);
}

/** Normal form of an asserted value; undefined when it isn't of the rule's assertion syntax (RFC 4511 §4.5.1.7: Undefined). */
export function assertedForm(rule: MatchingRule, value: Buffer, database: Database): Buffer | undefined {
  if (SYNTAXES.get(rule.syntax)?.accepts(value, database.names) === false) return undefined;
  return rule.normalise(value, database.names);
}

/** Right to search the asked type (`mail`, say) and the stored one are two things: both are wanted. */
function addressMatcher(asked: DescriptorSet, hash: Buffer, options: FilterOptions): Matcher {
  const type = options.addressType as AttributeType;
  const stored = new ValueMatcher(
    new DescriptorSet(options.database, type, asked.options),
    { rule: type.equality as MatchingRule, test: (value) => value.equals(hash) },
    hash,
  );
  if (asked.type === type) return stored;
  return {
    match: (context) => (context.access.maySearch(asked.type) ? stored.match(context) : UNDEFINED),
    candidates: (database) => stored.candidates(database),
  };
}

/** An entry belongs to a class when it names it or a class below it (RFC 4512 §3.3). */
function compileClass(
  set: DescriptorSet,
  value: Buffer,
  rule: MatchingRule,
  options: FilterOptions,
): Matcher {
  const wanted = options.database.schema.objectClass(value.toString('latin1').trim());
  if (wanted === undefined) return ALWAYS_UNDEFINED;
  if (wanted.name === 'top')
    return {
      match: (context) => (context.access.maySearch(set.type) ? TRUE : UNDEFINED),
      candidates: () => undefined,
    };
  const names = new Set(wanted.family.map((member) => member.oid));
  const matcher = new ValueMatcher(set, { rule, test: (stored) => names.has(stored.toString('latin1')) });
  const oids = wanted.family.map((member) => Buffer.from(member.oid));
  return {
    match: (context) => matcher.match(context),
    candidates(database) {
      if (!database.values.covers(set.type)) return undefined;
      return {
        count: oids.reduce((sum, oid) => sum + database.values.count(set.type, oid), 0),
        collect: (out) => oids.every((oid) => database.values.collect(set.type, oid, out)),
      };
    },
  };
}

function compileOrdering(
  attribute: string,
  value: Buffer,
  greater: boolean,
  options: FilterOptions,
): Matcher {
  const set = DescriptorSet.of(options.database, attribute);
  if (set === undefined) return ALWAYS_UNDEFINED;
  if (isAddressType(options, set.type))
    refuse('inappropriateMatching', `${attribute} is stored hashed: it can be asked for equality only`);
  const rule = set.type.ordering;
  const normal = rule === undefined ? undefined : assertedForm(rule, value, options.database);
  if (rule === undefined || normal === undefined) return ALWAYS_UNDEFINED;
  return new ValueMatcher(set, {
    rule,
    test: (stored) => (greater ? stored.compare(normal) >= 0 : stored.compare(normal) <= 0),
  });
}

function compileSubstrings(filter: Extract<Filter, { kind: 'substrings' }>, options: FilterOptions): Matcher {
  const set = DescriptorSet.of(options.database, filter.attribute);
  if (set === undefined) return ALWAYS_UNDEFINED;
  if (isAddressType(options, set.type))
    refuse(
      'inappropriateMatching',
      `${filter.attribute} is stored hashed: it can be asked for equality only`,
    );
  const rule = set.type.substrings;
  const parts = [...filter.any, filter.initial, filter.final].filter((part) => part !== undefined);
  const { syntax } = set.type;
  if (rule?.part === undefined || !parts.every((part) => syntax.accepts(part, options.database.names)))
    return ALWAYS_UNDEFINED;
  const initial = filter.initial === undefined ? EMPTY : rule.part(filter.initial, 'initial');
  const final = filter.final === undefined ? EMPTY : rule.part(filter.final, 'final');
  const middle: Buffer[] = [];
  for (const part of filter.any) {
    const prepared = rule.part(part, 'any');
    if (prepared === undefined) return ALWAYS_UNDEFINED;
    middle.push(prepared);
  }
  if (initial === undefined || final === undefined) return ALWAYS_UNDEFINED;
  const searchable = rule.searchable ?? ((normal: Buffer) => normal);
  return new ValueMatcher(set, {
    rule,
    test: (normal) => hasParts(searchable(normal), initial, middle, final),
  });
}

const EMPTY = Buffer.alloc(0);

function hasParts(value: Buffer, initial: Buffer, middle: readonly Buffer[], final: Buffer): boolean {
  if (value.length < initial.length || !value.subarray(0, initial.length).equals(initial)) return false;
  let at = initial.length;
  for (const part of middle) {
    const found = value.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return value.length - final.length >= at && value.subarray(value.length - final.length).equals(final);
}

/** RFC 4511 §4.5.1.7.7 */
function compileExtensible(filter: Extract<Filter, { kind: 'extensible' }>, options: FilterOptions): Matcher {
  const { database } = options;
  const set = filter.attribute === undefined ? undefined : DescriptorSet.of(database, filter.attribute);
  if (filter.attribute !== undefined && set === undefined) return ALWAYS_UNDEFINED;
  const rule =
    filter.matchingRule === undefined
      ? set?.type.equality
      : database.schema.matchingRule(filter.matchingRule);
  if (rule === undefined) return ALWAYS_UNDEFINED;
  if (set !== undefined && isAddressType(options, set.type)) {
    if (rule !== options.addressType?.equality && rule !== set.type.equality) return ALWAYS_UNDEFINED;
    return compileEquality(filter.attribute as string, filter.value, options);
  }
  if (set !== undefined && filter.matchingRule === undefined && !filter.dnAttributes)
    return compileEquality(filter.attribute as string, filter.value, options);
  const test = valueTest(rule, filter.value, options);
  if (set !== undefined && !isUsable(rule, set.type)) return ALWAYS_UNDEFINED;
  if (test === undefined) return ALWAYS_UNDEFINED;
  const types = set === undefined ? typesOfRule(rule, options) : new Set([set.type]);
  const parts: Matcher[] = [
    set === undefined ? new AnyTypeMatcher(types, test) : new ValueMatcher(set, test),
  ];
  if (filter.dnAttributes) parts.push(new NameMatcher(set?.type, test, types));
  return parts.length === 1 ? (parts[0] as Matcher) : new Or(parts);
}

/** By directory and rule: filters have thousands of assertions, and rules hundreds of types. */
const typesOfRules = new WeakMap<Database, Map<MatchingRule, ReadonlySet<AttributeType>>>();

/** Without an attribute the rule applies to every type that it is usable with. */
function typesOfRule(rule: MatchingRule, options: FilterOptions): ReadonlySet<AttributeType> {
  const { database } = options;
  const known = typesOfRules.get(database) ?? new Map<MatchingRule, ReadonlySet<AttributeType>>();
  typesOfRules.set(database, known);
  let types = known.get(rule);
  if (types === undefined) {
    types = new Set(
      database.schema.attributeTypes.filter(
        (type) =>
          !isAddressType(options, type) && type.equality?.name !== ADDRESS_RULE && isUsable(rule, type),
      ),
    );
    known.set(rule, types);
  }
  return types;
}

/** RFC 4517 §4.1 (matchingRuleUse): a rule can compare values of its own syntax, and of those that are special cases of it. */
export function isUsable(rule: MatchingRule, type: AttributeType): boolean {
  if (type.equality === rule || type.ordering === rule || type.substrings === rule) return true;
  if (type.equality?.name === ADDRESS_RULE) return false;
  return (
    type.syntax.oid === rule.syntax ||
    (rule.syntax === SYNTAX.directoryString && STRINGS.has(type.syntax.oid))
  );
}

const STRINGS: ReadonlySet<string> = new Set([
  SYNTAX.countryString,
  SYNTAX.printableString,
  SYNTAX.telephoneNumber,
]);

function valueTest(rule: MatchingRule, assertion: Buffer, options: FilterOptions): ValueTest | undefined {
  const { test: special } = rule;
  if (special !== undefined) return { rule, test: (_normal, raw) => special(raw, assertion) };
  if (rule.kind === 'substrings') return undefined;
  const normal = assertedForm(rule, assertion, options.database);
  if (normal === undefined) return undefined;
  // RFC 4517 §4.2: an ordering rule is TRUE when the value comes before the assertion.
  if (rule.kind === 'ordering') return { rule, test: (stored) => stored.compare(normal) < 0 };
  return { rule, test: (stored) => stored.equals(normal) };
}
