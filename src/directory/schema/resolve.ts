/**
 * Descriptions resolved against each other: names to types, rules and classes, inheritance, and what RFC 4512 demands of them.
 * Every error says where the description stands.
 */
import {
  type AttributeTypeDescription,
  type ContentRuleDescription,
  type MatchingRuleDescription,
  type ObjectClassDescription,
  type SyntaxDescription,
} from './description.ts';
import { ADDRESS_RULE, type MatchingRule, MATCHING_RULES, type RuleKind } from './matching-rule.ts';
import type { Located } from './parse-description.ts';
import type { AttributeType, ContentRule, ObjectClass } from './schema.ts';
import { opaqueSyntax, SYNTAX, type Syntax, SYNTAXES } from './syntax.ts';
import { invalidSchema } from './tokens.ts';

type Attributes = ReadonlyMap<string, AttributeType>;
type Classes = ReadonlyMap<string, ObjectClass>;
interface Resolved<T> {
  readonly list: T[];
  readonly byName: Map<string, T>;
}

const nameOf = (d: { readonly oid: string; readonly names: readonly string[] }): string =>
  d.names[0] ?? d.oid;

function invalid(where: string, name: string, message: string): never {
  return invalidSchema(`${where}: ${name}: ${message}`);
}

/** More definitions than this are no schema. */
const MOST_DEFINITIONS = 20_000;

/** True: the same was defined before, so that there is nothing to do. */
export type Register = <T>(
  table: Map<string, T>,
  item: T,
  substance: readonly unknown[],
  found: Located,
) => boolean;

/** Remembers OIDs over all kinds: one OID is one thing. `substance` is what a second definition has to agree with. */
export function registry(): Register {
  const byOid = new Map<string, { readonly where: string; readonly substance: string }>();
  return (table, item, parts, found) => {
    const { description, where } = found;
    const { oid } = description;
    const names = 'names' in description ? description.names : [];
    const substance = JSON.stringify([description.kind, names.map((n) => n.toLowerCase()).sort(), ...parts]);
    const before = byOid.get(oid);
    if (before !== undefined) {
      if (before.substance === substance) return true;
      invalid(where, names[0] ?? oid, `OID ${oid} is defined twice, first in ${before.where}`);
    }
    if (byOid.size >= MOST_DEFINITIONS) invalid(where, oid, 'the schema has too many definitions');
    for (const key of [oid, ...names.map((name) => name.toLowerCase())]) {
      if (table.has(key)) invalid(where, names[0] ?? oid, `"${key}" is defined twice`);
      table.set(key, item);
    }
    byOid.set(oid, { where, substance });
    return false;
  };
}

const oidsOf = (items: Iterable<{ readonly oid: string }>): string[] =>
  Array.from(items, ({ oid }) => oid).sort();

export function syntaxTable(declared: readonly Located<SyntaxDescription>[]): Map<string, Syntax> {
  const table = new Map(SYNTAXES);
  for (const { description } of declared) {
    const { oid } = description;
    if (!table.has(oid)) table.set(oid, opaqueSyntax(oid, description.description));
  }
  return table;
}

export function ruleTable(
  declared: readonly Located<MatchingRuleDescription>[],
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
  for (const { description, where } of declared) {
    if (!table.has(description.oid))
      invalid(where, nameOf(description), 'this matching rule is not implemented, so it cannot be declared');
  }
  return table;
}

export function resolveAttributeTypes(
  found: readonly Located<AttributeTypeDescription>[],
  known: ReadonlyMap<string, MatchingRule>,
  syntaxes: ReadonlyMap<string, Syntax>,
  register: Register,
): Resolved<AttributeType> {
  const byName = new Map<string, AttributeType>();
  const list: AttributeType[] = [];
  for (const located of found) {
    const { description, where } = located;
    const name = nameOf(description);
    const fail = (message: string): never => invalid(where, name, message);
    const above = description.superior;
    const superior = above === undefined ? undefined : byName.get(above.toLowerCase());
    if (above !== undefined && superior === undefined) fail(`superior type ${above} is unknown`);
    const rule = (kind: RuleKind): MatchingRule | undefined => {
      const wanted = description[kind];
      if (wanted === undefined) return superior?.[kind];
      const named = known.get(wanted.toLowerCase()) ?? fail(`matching rule ${wanted} is unknown`);
      if (named.kind !== kind) fail(`${named.name} is not a rule for ${kind}, but for ${named.kind}`);
      if (named.test !== undefined) fail(`${named.name} is for extensible matches only`);
      return named;
    };
    const { syntax: wanted } = description;
    const syntax = wanted === undefined ? superior?.syntax : syntaxes.get(wanted);
    if (wanted === undefined && superior === undefined) fail('it has neither SUP nor SYNTAX');
    const type: AttributeType = {
      index: list.length,
      oid: description.oid,
      name,
      description,
      superior,
      equality: rule('equality'),
      ordering: rule('ordering'),
      substrings: rule('substrings'),
      syntax: syntax ?? fail(`syntax ${wanted ?? ''} is unknown`),
      singleValue: description.singleValue,
      collective: description.collective,
      obsolete: description.obsolete,
      noUserModification: description.noUserModification,
      operational: description.usage !== 'userApplications',
      family: [],
      known: true,
    };
    checkType(type, fail);
    const { equality, ordering, substrings, singleValue, collective, noUserModification } = type;
    const rules = [equality, ordering, substrings].map((item) => item?.oid);
    const flags = [singleValue, collective, noUserModification, description.usage];
    const substance = [superior?.oid, type.syntax.oid, ...rules, ...flags];
    if (register(byName, type, substance, located)) continue;
    list.push(type);
    for (let at: AttributeType | undefined = type; at !== undefined; at = at.superior)
      (at.family as AttributeType[]).push(type);
  }
  return { list, byName };
}

/** RFC 4512 §2.5.1 and §4.1.2. */
function checkType(type: AttributeType, fail: (message: string) => never): void {
  const { description, superior } = type;
  if (type.noUserModification && !type.operational)
    fail('NO-USER-MODIFICATION is for operational attributes only');
  if (type.collective && type.operational) fail('COLLECTIVE is for user attributes only');
  if (type.collective && type.singleValue) fail('COLLECTIVE and SINGLE-VALUE exclude each other');
  if (superior !== undefined && superior.description.usage !== description.usage)
    fail(`its usage differs from that of its superior type ${superior.name}`);
  if (superior?.collective === true && !type.collective)
    fail(`its superior type ${superior.name} is collective`);
}

export function resolveObjectClasses(
  found: readonly Located<ObjectClassDescription>[],
  types: Attributes,
  register: Register,
): Resolved<ObjectClass> {
  const byName = new Map<string, ObjectClass>();
  const list: ObjectClass[] = [];
  for (const located of found) {
    const { description, where } = located;
    const name = nameOf(description);
    const lineage = new Set<ObjectClass>();
    const must = new Set<AttributeType>();
    const may = new Set<AttributeType>();
    for (const above of description.superiors) {
      const superior =
        byName.get(above.toLowerCase()) ?? invalid(where, name, `superior class ${above} is unknown`);
      // RFC 4512 §2.4.1 to §2.4.3.
      if (superior.kind !== 'abstract' && superior.kind !== description.classKind)
        invalid(
          where,
          name,
          `${description.classKind} classes cannot be below ${superior.kind} ${superior.name}`,
        );
      for (const item of superior.lineage) lineage.add(item);
      for (const type of superior.must) must.add(type);
      for (const type of superior.may) may.add(type);
    }
    for (const type of typesOf(description.must, types, where, name)) must.add(type);
    for (const type of typesOf(description.may, types, where, name)) may.add(type);
    const item: ObjectClass = {
      oid: description.oid,
      name,
      description,
      kind: description.classKind,
      obsolete: description.obsolete,
      lineage,
      family: [],
      must,
      may,
    };
    const substance = [description.classKind, oidsOf(lineage), oidsOf(must), oidsOf(may)];
    lineage.add(item);
    if (register(byName, item, substance, located)) continue;
    list.push(item);
    for (const above of lineage) (above.family as ObjectClass[]).push(item);
  }
  return { list, byName };
}

function typesOf(names: readonly string[], types: Attributes, where: string, owner: string): AttributeType[] {
  return names.map(
    (name) => types.get(name.toLowerCase()) ?? invalid(where, owner, `attribute type ${name} is unknown`),
  );
}

export function resolveContentRules(
  found: readonly Located<ContentRuleDescription>[],
  classes: Classes,
  types: Attributes,
): Map<ObjectClass, ContentRule> {
  const rules = new Map<ObjectClass, ContentRule>();
  for (const { description, where } of found) {
    const name = nameOf(description);
    const structural = classes.get(description.oid);
    if (structural?.kind !== 'structural')
      return invalid(where, name, `${description.oid} is not a structural class`);
    if (rules.has(structural)) invalid(where, name, `${structural.name} has two content rules`);
    const auxiliaries = new Set<ObjectClass>();
    for (const aux of description.auxiliaries) {
      const item = classes.get(aux.toLowerCase());
      if (item?.kind !== 'auxiliary') return invalid(where, name, `${aux} is not an auxiliary class`);
      for (const above of item.lineage) auxiliaries.add(above);
    }
    const set = (names: readonly string[]): Set<AttributeType> => new Set(typesOf(names, types, where, name));
    const rule: ContentRule = {
      name,
      structural,
      auxiliaries,
      must: set(description.must),
      may: set(description.may),
      not: set(description.not),
      description,
    };
    for (const type of rule.not)
      if (structural.must.has(type)) invalid(where, name, `${structural.name} requires ${type.name}`);
    if (!description.obsolete) rules.set(structural, rule);
  }
  return rules;
}
