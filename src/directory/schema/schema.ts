/**
 * A schema: descriptions resolved against each other, ready to ask. Immutable once built. Owns attribute types, object
 * classes, their inheritance and the rules that apply; knows no entries.
 */
import { PosternError } from '../../base/error.ts';
import {
  type AttributeTypeDescription,
  type Description,
  type MatchingRuleDescription,
  type ObjectClassDescription,
  parseSchemaText,
  type SyntaxDescription,
} from './description.ts';
import { ADDRESS_RULE, type MatchingRule, MATCHING_RULES, type RuleContext } from './matching-rule.ts';
import { opaqueSyntax, SYNTAX, type Syntax, SYNTAXES } from './syntax.ts';

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
  /** Itself and every class above it. */
  readonly lineage: ReadonlySet<ObjectClass>;
  /** Itself and every class below it. */
  readonly family: readonly ObjectClass[];
  /** Attribute types demanded and allowed, inherited ones included. */
  readonly must: ReadonlySet<AttributeType>;
  readonly may: ReadonlySet<AttributeType>;
}

export interface Schema {
  readonly attributeTypes: readonly AttributeType[];
  readonly objectClasses: readonly ObjectClass[];
  readonly matchingRules: readonly MatchingRule[];
  readonly syntaxes: readonly Syntax[];
  /** By name or OID, any case. */
  attributeType(name: string): AttributeType | undefined;
  objectClass(name: string): ObjectClass | undefined;
  matchingRule(name: string): MatchingRule | undefined;
  /** Numeric OID of an attribute type, object class or rule. */
  oidOf(name: string): string | undefined;
}

export const EXTENSIBLE_OBJECT = 'extensibleObject';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function invalid(message: string): never {
  throw new PosternError('schema.invalid', message, {
    hint: 'every name in a description must be defined before it is used',
  });
}

/**
 * Builds a schema from texts in the form of OpenLDAP's schema files (see `parseSchemaText`). Throws `schema.invalid` when a
 * name is unknown or defined twice. `addressRuleOid` names `posternAddressMatch`, whose values are compared octet by octet
 * (they are hashes; the asserted address is hashed when a filter is compiled).
 */
export function buildSchema(texts: readonly string[], addressRuleOid: string): Schema {
  const descriptions = texts.flatMap((text) => parseSchemaText(text));
  const of = <K extends Description['kind']>(kind: K): Extract<Description, { kind: K }>[] =>
    descriptions.filter((d): d is Extract<Description, { kind: K }> => d.kind === kind);
  const syntaxes = syntaxTable(of('ldapSyntax'));
  const rules = ruleTable(of('matchingRule'), addressRuleOid);
  const attributes = resolveAttributeTypes(of('attributeType'), rules, syntaxes);
  const classes = resolveObjectClasses(of('objectClass'), attributes.byName);
  const find = <T>(table: ReadonlyMap<string, T>, name: string): T | undefined =>
    table.get(name) ?? table.get(name.toLowerCase());
  return {
    attributeTypes: attributes.list,
    objectClasses: classes.list,
    matchingRules: [...new Set(rules.values())],
    syntaxes: [...syntaxes.values()],
    attributeType: (name) => find(attributes.byName, name),
    objectClass: (name) => find(classes.byName, name),
    matchingRule: (name) => find(rules, name),
    oidOf: (name) =>
      find(attributes.byName, name)?.oid ?? find(classes.byName, name)?.oid ?? find(rules, name)?.oid,
  };
}

function syntaxTable(declared: readonly SyntaxDescription[]): Map<string, Syntax> {
  const table = new Map(SYNTAXES);
  for (const { oid, description } of declared)
    if (!table.has(oid)) table.set(oid, opaqueSyntax(oid, description));
  return table;
}

function ruleTable(
  declared: readonly MatchingRuleDescription[],
  addressRuleOid: string,
): Map<string, MatchingRule> {
  const address: MatchingRule = {
    oid: addressRuleOid,
    name: ADDRESS_RULE,
    kind: 'equality',
    syntax: SYNTAX.directoryString,
    normalise: (value) => value,
  };
  const table = new Map<string, MatchingRule>();
  for (const rule of [...MATCHING_RULES, address])
    table.set(rule.oid, rule).set(rule.name.toLowerCase(), rule);
  for (const { oid, names } of declared)
    if (!table.has(oid)) invalid(`matching rule ${names[0] ?? oid} is not implemented`);
  return table;
}

function register<T>(table: Map<string, T>, item: T, oid: string, names: readonly string[]): void {
  for (const key of [oid, ...names.map((name) => name.toLowerCase())]) {
    if (table.has(key)) invalid(`"${key}" is defined twice`);
    table.set(key, item);
  }
}

function resolveAttributeTypes(
  descriptions: readonly AttributeTypeDescription[],
  rules: ReadonlyMap<string, MatchingRule>,
  syntaxes: ReadonlyMap<string, Syntax>,
): { list: AttributeType[]; byName: Map<string, AttributeType> } {
  const byName = new Map<string, AttributeType>();
  const list: AttributeType[] = [];
  for (const description of descriptions) {
    const name = description.names[0] ?? description.oid;
    const superior =
      description.superior === undefined ? undefined : byName.get(description.superior.toLowerCase());
    if (description.superior !== undefined && superior === undefined)
      invalid(`${name}: superior type ${description.superior} is unknown`);
    const rule = (
      wanted: string | undefined,
      inherited: MatchingRule | undefined,
    ): MatchingRule | undefined => {
      if (wanted === undefined) return inherited;
      return rules.get(wanted.toLowerCase()) ?? invalid(`${name}: matching rule ${wanted} is unknown`);
    };
    const syntax = description.syntax === undefined ? superior?.syntax : syntaxes.get(description.syntax);
    const type: AttributeType = {
      index: list.length,
      oid: description.oid,
      name,
      description,
      superior,
      equality: rule(description.equality, superior?.equality),
      ordering: rule(description.ordering, superior?.ordering),
      substrings: rule(description.substrings, superior?.substrings),
      syntax: syntax ?? invalid(`${name}: syntax ${description.syntax ?? '(none)'} is unknown`),
      singleValue: description.singleValue,
      noUserModification: description.noUserModification,
      operational: description.usage !== 'userApplications',
      family: [],
      known: true,
    };
    register(byName, type, description.oid, description.names);
    list.push(type);
    for (let above: AttributeType | undefined = type; above !== undefined; above = above.superior)
      (above.family as AttributeType[]).push(type);
  }
  return { list, byName };
}

function resolveObjectClasses(
  descriptions: readonly ObjectClassDescription[],
  types: ReadonlyMap<string, AttributeType>,
): { list: ObjectClass[]; byName: Map<string, ObjectClass> } {
  const byName = new Map<string, ObjectClass>();
  const list: ObjectClass[] = [];
  for (const description of descriptions) {
    const name = description.names[0] ?? description.oid;
    const lineage = new Set<ObjectClass>();
    const must = new Set<AttributeType>();
    const may = new Set<AttributeType>();
    for (const superiorName of description.superiors) {
      const superior =
        byName.get(superiorName.toLowerCase()) ??
        invalid(`${name}: superior class ${superiorName} is unknown`);
      for (const above of superior.lineage) lineage.add(above);
      for (const type of superior.must) must.add(type);
      for (const type of superior.may) may.add(type);
    }
    const typesOf = (names: readonly string[]): AttributeType[] =>
      names.map((n) => types.get(n.toLowerCase()) ?? invalid(`${name}: attribute type ${n} is unknown`));
    for (const type of typesOf(description.must)) must.add(type);
    for (const type of typesOf(description.may)) may.add(type);
    const item: ObjectClass = {
      oid: description.oid,
      name,
      description,
      kind: description.classKind,
      lineage,
      family: [],
      must,
      may,
    };
    lineage.add(item);
    register(byName, item, description.oid, description.names);
    list.push(item);
    for (const above of lineage) (above.family as ObjectClass[]).push(item);
  }
  return { list, byName };
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
    noUserModification: false,
    operational: false,
    family: [],
    known: false,
  };
  type.family = [type];
  return type;
}

export type { MatchingRule, RuleContext };
