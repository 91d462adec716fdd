/**
 * RFC 4512 §4.1 descriptions as plain data, and as the text that a subschema entry publishes. `parse-description.ts` is the way
 * back; whether the names in them exist is `schema.ts`'s matter.
 */

export type AttributeUsage =
  | 'userApplications'
  | 'directoryOperation'
  | 'distributedOperation'
  | 'dSAOperation';

type Extensions = Readonly<Record<string, readonly string[]>>;

export interface AttributeTypeDescription {
  readonly kind: 'attributeType';
  readonly oid: string;
  readonly names: readonly string[];
  readonly description?: string;
  readonly obsolete: boolean;
  readonly superior?: string;
  readonly equality?: string;
  readonly ordering?: string;
  readonly substrings?: string;
  /** OID of the syntax, without the length bound. */
  readonly syntax?: string;
  readonly lengthBound?: number;
  readonly singleValue: boolean;
  readonly collective: boolean;
  readonly noUserModification: boolean;
  readonly usage: AttributeUsage;
  readonly extensions: Extensions;
}

export type ObjectClassKind = 'abstract' | 'structural' | 'auxiliary';

export interface ObjectClassDescription {
  readonly kind: 'objectClass';
  readonly oid: string;
  readonly names: readonly string[];
  readonly description?: string;
  readonly obsolete: boolean;
  readonly superiors: readonly string[];
  readonly classKind: ObjectClassKind;
  readonly must: readonly string[];
  readonly may: readonly string[];
  readonly extensions: Extensions;
}

export interface MatchingRuleDescription {
  readonly kind: 'matchingRule';
  readonly oid: string;
  readonly names: readonly string[];
  readonly description?: string;
  readonly obsolete: boolean;
  readonly syntax: string;
  readonly extensions?: Extensions;
}

export interface SyntaxDescription {
  readonly kind: 'ldapSyntax';
  readonly oid: string;
  readonly description?: string;
  readonly extensions?: Extensions;
}

/** §4.1.6: what entries of one structural class may have besides. */
export interface ContentRuleDescription {
  readonly kind: 'ditContentRule';
  /** The structural class it is for. */
  readonly oid: string;
  readonly names: readonly string[];
  readonly description?: string;
  readonly obsolete: boolean;
  readonly auxiliaries: readonly string[];
  readonly must: readonly string[];
  readonly may: readonly string[];
  readonly not: readonly string[];
  readonly extensions: Extensions;
}

export type Description =
  | AttributeTypeDescription
  | ObjectClassDescription
  | MatchingRuleDescription
  | SyntaxDescription
  | ContentRuleDescription;

const quote = (text: string): string => `'${text.replace(/\\/g, '\\5C').replace(/'/g, '\\27')}'`;
const quotedList = (words: readonly string[]): string =>
  words.length === 1 ? quote(words[0] ?? '') : `( ${words.map(quote).join(' ')} )`;
const oidList = (words: readonly string[]): string =>
  words.length === 1 ? (words[0] ?? '') : `( ${words.join(' $ ')} )`;

/** Keywords of a kind in the order of RFC 4512's grammar; an undefined value is left out, `''` is a flag. */
function fieldsOf(description: Description): readonly (readonly [string, string | undefined])[] {
  const flag = (on: boolean): string | undefined => (on ? '' : undefined);
  const oids = (words: readonly string[]): string | undefined =>
    words.length === 0 ? undefined : oidList(words);
  switch (description.kind) {
    case 'attributeType': {
      const { syntax, lengthBound, usage } = description;
      const bound = lengthBound === undefined ? '' : `{${lengthBound}}`;
      return [
        ['OBSOLETE', flag(description.obsolete)],
        ['SUP', description.superior],
        ['EQUALITY', description.equality],
        ['ORDERING', description.ordering],
        ['SUBSTR', description.substrings],
        ['SYNTAX', syntax === undefined ? undefined : syntax + bound],
        ['SINGLE-VALUE', flag(description.singleValue)],
        ['COLLECTIVE', flag(description.collective)],
        ['NO-USER-MODIFICATION', flag(description.noUserModification)],
        ['USAGE', usage === 'userApplications' ? undefined : usage],
      ];
    }
    case 'objectClass':
      return [
        ['OBSOLETE', flag(description.obsolete)],
        ['SUP', oids(description.superiors)],
        [description.classKind.toUpperCase(), ''],
        ['MUST', oids(description.must)],
        ['MAY', oids(description.may)],
      ];
    case 'matchingRule':
      return [
        ['OBSOLETE', flag(description.obsolete)],
        ['SYNTAX', description.syntax],
      ];
    case 'ditContentRule':
      return [
        ['OBSOLETE', flag(description.obsolete)],
        ['AUX', oids(description.auxiliaries)],
        ['MUST', oids(description.must)],
        ['MAY', oids(description.may)],
        ['NOT', oids(description.not)],
      ];
    case 'ldapSyntax':
      return [];
  }
}

/** The description as RFC 4512 text, as a subschema entry publishes it. */
export function formatDescription(description: Description): string {
  const parts: string[] = [description.oid];
  if ('names' in description && description.names.length > 0)
    parts.push(`NAME ${quotedList(description.names)}`);
  if (description.description !== undefined) parts.push(`DESC ${quote(description.description)}`);
  for (const [keyword, value] of fieldsOf(description))
    if (value !== undefined) parts.push(value === '' ? keyword : `${keyword} ${value}`);
  for (const [keyword, values] of Object.entries(description.extensions ?? {}))
    parts.push(`${keyword} ${quotedList(values)}`);
  return `( ${parts.join(' ')} )`;
}
