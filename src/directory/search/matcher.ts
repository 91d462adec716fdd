/**
 * What a compiled filter is made of: three-valued logic (RFC 4511 §4.5.1.7), tests of values, and which entries an index offers. A
 * type that the session may not search is Undefined: a filter never tells more than a read would.
 */
import { parseDn } from '../../ldap/dn.ts';
import type { AccessView } from '../access/access.ts';
import type { Database } from '../database.ts';
import type { ComputedAttribute } from '../entry/computed.ts';
import type { DescriptorSet } from '../entry/entry.ts';
import { contentLength, contentStart, type EntryView, valuesBetween, valuesStart } from '../entry/layout.ts';
import { equalBytes } from '../index/hash.ts';
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

const NOTHING: Candidates = { count: 0, collect: () => true };
export const constant = (truth: Truth): Matcher => ({
  match: () => truth,
  candidates: () => (truth === TRUE ? undefined : NOTHING),
});
export const ALWAYS_UNDEFINED = constant(UNDEFINED);

export class And implements Matcher {
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

export class Or implements Matcher {
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

export class Not implements Matcher {
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
export interface ValueTest {
  readonly rule: MatchingRule;
  test(normal: Buffer, raw: Buffer): boolean | undefined;
}

/** An assertion on the values of one description. */
export class ValueMatcher implements Matcher {
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
          if (equalBytes(buffer, start, at, this.#equal as Buffer)) return TRUE;
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
    if (equal === undefined || !database.values.covers(this.set.type)) return undefined;
    return {
      count: database.values.count(this.set.type, equal),
      collect: (out) => database.values.collect(this.set.type, equal, out),
    };
  }
}

/**
 * An assertion that names no type: values of any of these. One pass over the entry, however many types a rule applies to. An attribute that the
 * session may not search is as if it were not there: whether or not one has it, the answer is the same.
 */
export class AnyTypeMatcher implements Matcher {
  readonly #types: ReadonlySet<AttributeType>;
  readonly #test: ValueTest;

  constructor(types: ReadonlySet<AttributeType>, test: ValueTest) {
    this.#types = types;
    this.#test = test;
  }

  match(context: MatchContext): Truth {
    const { view, access, database, computed, id, session } = context;
    let result: Truth = FALSE;
    const look = (values: readonly Buffer[]): boolean => {
      for (const value of values) {
        const normal = this.#test.rule.normalise(value, database.names);
        const truth = normal === undefined ? undefined : this.#test.test(normal, value);
        if (truth === true) return true;
        if (truth === undefined) result = UNDEFINED;
      }
      return false;
    };
    for (let n = 0, count = view.attributeCount; n < count; n++) {
      const { type } = database.dictionary.descriptor(view.descriptor(n));
      if (!this.#types.has(type) || computed.has(type) || !access.maySearch(type)) continue;
      const start = valuesStart(view.buffer, view.attributeStart(n));
      if (look(valuesBetween(view.buffer, start, view.attributeEnd(n)))) return TRUE;
    }
    for (const [type, attribute] of computed) {
      if (!this.#types.has(type) || !access.maySearch(type)) continue;
      if (look(attribute.values(id, view, session))) return TRUE;
    }
    return result;
  }

  candidates(): undefined {
    return undefined;
  }
}

const PLAIN_RULES = new Set(['octetStringMatch', 'posternAddressMatch', 'CSNMatch', 'bitStringMatch']);

/** `:dn:`: values in the entry's DN match too. */
export class NameMatcher implements Matcher {
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
