/**
 * A schema: descriptions resolved against each other, ready to ask. Immutable once built. Owns attribute types, object
 * classes, their inheritance and the rules that apply; knows no entries.
 */
import type { AttributeTypeDescription, Description, ObjectClassDescription } from './description.ts';
import type { MatchingRule, RuleContext } from './matching-rule.ts';
import { type Located, parseSchema, type SchemaText } from './parse-description.ts';
import {
  registry,
  resolveAttributeTypes,
  resolveContentRules,
  resolveObjectClasses,
  ruleTable,
  syntaxTable,
} from './resolve.ts';
import { opaqueSyntax, type Syntax } from './syntax.ts';

export interface AttributeType {
  /** Position in `Schema.attributeTypes`: a small number for tables. */
  readonly index: number;
  readonly oid: string;
  /** The name that results show. */
  readonly name: string;
  readonly description: AttributeTypeDescription;
  readonly superior: AttributeType | undefined;
  readonly equality: MatchingRule | undefined;
  readonly ordering: MatchingRule | undefined;
  readonly substrings: MatchingRule | undefined;
  readonly syntax: Syntax;
  readonly singleValue: boolean;
  /** RFC 3671: values belong to a subentry, which we have none of. */
  readonly collective: boolean;
  readonly obsolete: boolean;
  readonly noUserModification: boolean;
  readonly operational: boolean;
  /** Itself and every type below it. */
  readonly family: readonly AttributeType[];
  /** False for a type that entries have but the schema has lost. */
  readonly known: boolean;
}

export interface ObjectClass {
  readonly oid: string;
  readonly name: string;
  readonly description: ObjectClassDescription;
  readonly kind: ObjectClassDescription['classKind'];
  readonly obsolete: boolean;
  /** Itself and every class above it. */
  readonly lineage: ReadonlySet<ObjectClass>;
  /** Itself and every class below it. */
  readonly family: readonly ObjectClass[];
  /** Attribute types demanded and allowed, inherited ones included. */
  readonly must: ReadonlySet<AttributeType>;
  readonly may: ReadonlySet<AttributeType>;
}

/** RFC 4512 §4.1.6: what entries of a structural class may have besides what their classes say. */
export interface ContentRule {
  readonly name: string;
  readonly structural: ObjectClass;
  /** The auxiliary classes that may be there, and those above them. */
  readonly auxiliaries: ReadonlySet<ObjectClass>;
  readonly must: ReadonlySet<AttributeType>;
  readonly may: ReadonlySet<AttributeType>;
  readonly not: ReadonlySet<AttributeType>;
  readonly description: Description;
}

export interface Schema {
  readonly attributeTypes: readonly AttributeType[];
  readonly objectClasses: readonly ObjectClass[];
  readonly matchingRules: readonly MatchingRule[];
  readonly syntaxes: readonly Syntax[];
  readonly contentRules: ReadonlyMap<ObjectClass, ContentRule>;
  /** By name or OID, any case. */
  attributeType(name: string): AttributeType | undefined;
  objectClass(name: string): ObjectClass | undefined;
  matchingRule(name: string): MatchingRule | undefined;
  /** Numeric OID of an attribute type, object class or rule. */
  oidOf(name: string): string | undefined;
}

export const EXTENSIBLE_OBJECT = 'extensibleObject';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Builds a schema from texts in the form of OpenLDAP's schema files (see `parseSchema`). Throws `schema.invalid`, with file, line
 * and column, for what is malformed, unknown, contradicts RFC 4512 or is defined twice in different ways; a definition that is
 * there already, word for word, is passed over. `addressRuleOid` names `posternAddressMatch`, whose values are compared octet by
 * octet (they are hashes; the asserted address is hashed when a filter is compiled).
 */
export function buildSchema(texts: readonly (string | SchemaText)[], addressRuleOid: string): Schema {
  const found = texts.flatMap((text, n) =>
    parseSchema(typeof text === 'string' ? { name: `schema ${n + 1}`, text } : text),
  );
  const of = <K extends Description['kind']>(kind: K): Located<Extract<Description, { kind: K }>>[] =>
    found.filter((d): d is Located<Extract<Description, { kind: K }>> => d.description.kind === kind);
  const register = registry();
  const syntaxes = syntaxTable(of('ldapSyntax'));
  const rules = ruleTable(of('matchingRule'), addressRuleOid);
  const attributes = resolveAttributeTypes(of('attributeType'), rules, syntaxes, register);
  const classes = resolveObjectClasses(of('objectClass'), attributes.byName, register);
  const find = <T>(table: ReadonlyMap<string, T>, name: string): T | undefined =>
    table.get(name) ?? table.get(name.toLowerCase());
  return {
    attributeTypes: attributes.list,
    objectClasses: classes.list,
    matchingRules: [...new Set(rules.values())],
    syntaxes: [...syntaxes.values()],
    contentRules: resolveContentRules(of('ditContentRule'), classes.byName, attributes.byName),
    attributeType: (name) => find(attributes.byName, name),
    objectClass: (name) => find(classes.byName, name),
    matchingRule: (name) => find(rules, name),
    oidOf: (name) =>
      find(attributes.byName, name)?.oid ?? find(classes.byName, name)?.oid ?? find(rules, name)?.oid,
  };
}

/** Stands in for a type that stored entries have but the schema doesn't: its values are octets, and nobody may add more. */
export function unknownAttributeType(name: string, index: number): AttributeType {
  const description: AttributeTypeDescription = {
    kind: 'attributeType',
    oid: name,
    names: [name],
    obsolete: false,
    singleValue: false,
    collective: false,
    noUserModification: false,
    usage: 'userApplications',
    extensions: {},
  };
  const type: Mutable<AttributeType> = {
    index,
    oid: name,
    name,
    description,
    superior: undefined,
    equality: undefined,
    ordering: undefined,
    substrings: undefined,
    syntax: opaqueSyntax(''),
    singleValue: false,
    collective: false,
    obsolete: false,
    noUserModification: false,
    operational: false,
    family: [],
    known: false,
  };
  type.family = [type];
  return type;
}

export type { MatchingRule, RuleContext, SchemaText };
