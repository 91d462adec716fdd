/**
 * A filter compiled against the schema: matching rules chosen, assertions normalised once. Evaluates entries to TRUE, FALSE
 * or Undefined (RFC 4511 §4.5.1.7) and names index candidates. A type that the session may not search is Undefined: a
 * filter never tells more than a read would.
 */
import type { Filter } from '../../ldap/message.ts';
import type { AccessView } from '../access/access.ts';
import type { Database } from '../database.ts';
import type { ComputedAttribute } from '../entry/computed.ts';
import { DescriptorSet } from '../entry/entry.ts';
import { contentLength, contentStart, type EntryView, valuesStart } from '../entry/layout.ts';
import { parseDn } from '../../ldap/dn.ts';
import { refuse } from '../refusal.ts';
import type { AttributeType, MatchingRule } from '../schema/schema.ts';
import type { Session } from '../session.ts';

export const FALSE = 0;
export const TRUE = 1;
export const UNDEFINED = 2;
export type Truth = typeof FALSE | typeof TRUE | typeof UNDEFINED;

/** What is being matched. One object is reused for all entries of a search. */
export interface MatchContext {
  readonly database: Database;
  readonly computed: ReadonlyMap<AttributeType, ComputedAttribute>;
  readonly session: Session;
  readonly view: EntryView;
  id: number;
  access: Pick<AccessView, 'maySearch'>;
}

/** Which entries an index offers: at most `count`, listed by `collect` (false when it can't after all). */
export interface Candidates {
  readonly count: number;
  collect(out: number[]): boolean;
}

export interface Matcher {
  match(context: MatchContext): Truth;
  /** Undefined when no index helps. */
  candidates(database: Database): Candidates | undefined;
}

export interface FilterOptions {
  readonly database: Database;
  readonly computed: ReadonlyMap<AttributeType, ComputedAttribute>;
  /** Turns an asserted address into its stored form; undefined for what is no address. Only where addresses are stored hashed. */
  readonly addressHasher?: ((assertion: Buffer) => Buffer | undefined) | undefined;
  /** Types that, with `addressHasher`, ask the address attribute: itself, `mail`, `proxyAddresses`. */
  readonly addressTypes?: ReadonlySet<AttributeType> | undefined;
  readonly addressType?: AttributeType | undefined;
}

const NOTHING: Candidates = { count: 0, collect: () => true };
const constant = (truth: Truth): Matcher => ({
  match: () => truth,
  candidates: () => (truth === TRUE ? undefined : NOTHING),
});
const ALWAYS_UNDEFINED = constant(UNDEFINED);

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

class And implements Matcher {
  readonly #parts: readonly Matcher[];
  constructor(parts: readonly Matcher[]) {
    this.#parts = parts;
  }
  match(context: MatchContext): Truth {
    let result: Truth = TRUE;
    for (const part of this.#parts) {
      const truth = part.match(context);
      if (truth === FALSE) return FALSE;
      if (truth === UNDEFINED) result = UNDEFINED;
    }
    return result;
  }
  candidates(database: Database): Candidates | undefined {
    let best: Candidates | undefined;
    for (const part of this.#parts) {
      const offered = part.candidates(database);
      if (offered !== undefined && (best === undefined || offered.count < best.count)) best = offered;
    }
    return best;
  }
}

class Or implements Matcher {
  readonly #parts: readonly Matcher[];
  constructor(parts: readonly Matcher[]) {
    this.#parts = parts;
  }
  match(context: MatchContext): Truth {
    let result: Truth = FALSE;
    for (const part of this.#parts) {
      const truth = part.match(context);
      if (truth === TRUE) return TRUE;
      if (truth === UNDEFINED) result = UNDEFINED;
    }
    return result;
  }
  candidates(database: Database): Candidates | undefined {
    const offers: Candidates[] = [];
    for (const part of this.#parts) {
      const offered = part.candidates(database);
      if (offered === undefined) return undefined;
      offers.push(offered);
    }
    return {
      count: offers.reduce((sum, o) => sum + o.count, 0),
      collect: (out) => offers.every((o) => o.collect(out)),
    };
  }
}

class Not implements Matcher {
  readonly #inner: Matcher;
  constructor(inner: Matcher) {
    this.#inner = inner;
  }
  match(context: MatchContext): Truth {
    const truth = this.#inner.match(context);
    return truth === UNDEFINED ? UNDEFINED : truth === TRUE ? FALSE : TRUE;
  }
  candidates(): undefined {
    return undefined;
  }
}

/** Tests values; `normalises` tells that `test` wants normal forms. */
interface ValueTest {
  readonly rule: MatchingRule;
  test(normal: Buffer, raw: Buffer): boolean | undefined;
}

/** An assertion on the values of one description. */
class ValueMatcher implements Matcher {
  readonly set: DescriptorSet;
  readonly #test: ValueTest;
  readonly #equal: Buffer | undefined;
  readonly #plain: boolean;

  /** `equal`: the normal form, when the test is equality by the type's own rule, which an index may answer. */
  constructor(set: DescriptorSet, test: ValueTest, equal?: Buffer) {
    this.set = set;
    this.#test = test;
    this.#equal = equal;
    // Rules that hand values through unchanged need no copy of them to compare.
    this.#plain = equal !== undefined && test.rule.normalise.length < 2 && PLAIN_RULES.has(test.rule.name);
  }

  match(context: MatchContext): Truth {
    const { view, access, database } = context;
    const { buffer } = view;
    const computed = context.computed.get(this.set.type);
    if (computed !== undefined) {
      if (!access.maySearch(this.set.type)) return UNDEFINED;
      return this.#any(computed.values(context.id, view, context.session), context);
    }
    let result: Truth = access.maySearch(this.set.type) ? FALSE : UNDEFINED;
    for (let n = 0, count = view.attributeCount; n < count; n++) {
      const descriptor = view.descriptor(n);
      if (!this.set.has(descriptor)) continue;
      if (!access.maySearch(database.dictionary.descriptor(descriptor).type)) continue;
      const end = view.attributeEnd(n);
      for (let at = valuesStart(buffer, view.attributeStart(n)); at < end; ) {
        const start = contentStart(buffer, at);
        at = start + contentLength(buffer, at);
        if (this.#plain) {
          if ((this.#equal as Buffer).compare(buffer, start, at) === 0) return TRUE;
          continue;
        }
        const truth = this.#one(buffer.subarray(start, at), context);
        if (truth === TRUE) return TRUE;
        if (truth === UNDEFINED) result = UNDEFINED;
      }
    }
    return result;
  }

  #any(values: readonly Buffer[], context: MatchContext): Truth {
    let result: Truth = FALSE;
    for (const value of values) {
      const truth = this.#one(value, context);
      if (truth === TRUE) return TRUE;
      if (truth === UNDEFINED) result = UNDEFINED;
    }
    return result;
  }

  #one(value: Buffer, { database }: MatchContext): Truth {
    const normal = this.#test.rule.normalise(value, database.names);
    const truth = normal === undefined ? undefined : this.#test.test(normal, value);
    return truth === undefined ? UNDEFINED : truth ? TRUE : FALSE;
  }

  candidates(database: Database): Candidates | undefined {
    const equal = this.#equal;
    if (equal === undefined || !database.isIndexed(this.set.type)) return undefined;
    return {
      count: database.countEqual(this.set.type, equal),
      collect: (out) => database.collectEqual(this.set.type, equal, out),
    };
  }
}

const PLAIN_RULES = new Set(['octetStringMatch', 'posternAddressMatch', 'CSNMatch', 'bitStringMatch']);

function compilePresent(attribute: string, options: FilterOptions): Matcher {
  const asked = DescriptorSet.of(options.database, attribute);
  if (asked === undefined) return ALWAYS_UNDEFINED;
  const set = isAddress(asked.type, options)
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

function isAddress(type: AttributeType, options: FilterOptions): boolean {
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
  if (isAddress(set.type, options)) {
    const hash = options.addressHasher?.(value);
    return hash === undefined ? ALWAYS_UNDEFINED : addressMatcher(set, hash, options);
  }
  const rule = set.type.equality;
  if (rule === undefined) return ALWAYS_UNDEFINED;
  if (set.type.name === 'objectClass') return compileClass(set, value, rule, options);
  const normal = rule.normalise(value, database.names);
  if (normal === undefined) return ALWAYS_UNDEFINED;
  return new ValueMatcher(set, { rule, test: (stored) => stored.equals(normal) }, normal);
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
      if (!database.isIndexed(set.type)) return undefined;
      return {
        count: oids.reduce((sum, oid) => sum + database.countEqual(set.type, oid), 0),
        collect: (out) => oids.every((oid) => database.collectEqual(set.type, oid, out)),
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
  if (isAddress(set.type, options))
    refuse('inappropriateMatching', `${attribute} is stored hashed: it can be asked for equality only`);
  const rule = set.type.ordering;
  const normal = rule?.normalise(value, options.database.names);
  if (rule === undefined || normal === undefined) return ALWAYS_UNDEFINED;
  return new ValueMatcher(set, {
    rule,
    test: (stored) => (greater ? stored.compare(normal) >= 0 : stored.compare(normal) <= 0),
  });
}

function compileSubstrings(filter: Extract<Filter, { kind: 'substrings' }>, options: FilterOptions): Matcher {
  const set = DescriptorSet.of(options.database, filter.attribute);
  if (set === undefined) return ALWAYS_UNDEFINED;
  if (isAddress(set.type, options))
    refuse(
      'inappropriateMatching',
      `${filter.attribute} is stored hashed: it can be asked for equality only`,
    );
  const rule = set.type.substrings;
  if (rule?.part === undefined) return ALWAYS_UNDEFINED;
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
  if (set !== undefined && isAddress(set.type, options)) {
    if (rule !== options.addressType?.equality && rule !== set.type.equality) return ALWAYS_UNDEFINED;
    return compileEquality(filter.attribute as string, filter.value, options);
  }
  if (set !== undefined && filter.matchingRule === undefined && !filter.dnAttributes)
    return compileEquality(filter.attribute as string, filter.value, options);
  const test = valueTest(rule, filter.value, options);
  if (test === undefined) return ALWAYS_UNDEFINED;
  const sets =
    set !== undefined
      ? [set]
      : typesOfRule(rule, options).map((type) => new DescriptorSet(database, type, []));
  const parts: Matcher[] = sets.map((s) => new ValueMatcher(s, test));
  if (filter.dnAttributes) parts.push(new NameMatcher(set?.type, test, new Set(sets.map((s) => s.type))));
  return parts.length === 1 ? (parts[0] as Matcher) : new Or(parts);
}

/** Without an attribute the rule applies to every type whose values it can compare: those of its own syntax's rules. */
function typesOfRule(rule: MatchingRule, options: FilterOptions): AttributeType[] {
  const { schema } = options.database;
  return schema.attributeTypes.filter(
    (type) =>
      !isAddress(type, options) &&
      !(type.equality?.name === 'posternAddressMatch') &&
      (type.equality === rule || type.ordering === rule || type.substrings === rule),
  );
}

function valueTest(rule: MatchingRule, assertion: Buffer, options: FilterOptions): ValueTest | undefined {
  const { test: special } = rule;
  if (special !== undefined) return { rule, test: (_normal, raw) => special(raw, assertion) };
  if (rule.kind === 'substrings') return undefined;
  const normal = rule.normalise(assertion, options.database.names);
  if (normal === undefined) return undefined;
  // RFC 4517 §4.2: an ordering rule is TRUE when the value comes before the assertion.
  if (rule.kind === 'ordering') return { rule, test: (stored) => stored.compare(normal) < 0 };
  return { rule, test: (stored) => stored.equals(normal) };
}

/** `:dn:`: values in the entry's DN match too. */
class NameMatcher implements Matcher {
  readonly #type: AttributeType | undefined;
  readonly #test: ValueTest;
  readonly #types: ReadonlySet<AttributeType>;
  constructor(type: AttributeType | undefined, test: ValueTest, types: ReadonlySet<AttributeType>) {
    this.#type = type;
    this.#test = test;
    this.#types = types;
  }
  match({ database, id, access }: MatchContext): Truth {
    for (const rdn of parseDn(database.dnText(id))) {
      for (const { type: name, value } of rdn) {
        const type = database.schema.attributeType(name);
        if (type === undefined || !access.maySearch(type)) continue;
        if (this.#type === undefined ? !this.#types.has(type) : !this.#type.family.includes(type)) continue;
        const normal = this.#test.rule.normalise(value, database.names);
        if (normal !== undefined && this.#test.test(normal, value) === true) return TRUE;
      }
    }
    return FALSE;
  }
  candidates(): undefined {
    return undefined;
  }
}
