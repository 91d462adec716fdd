/**
 * RFC 4512 §4.1 descriptions: text of an attribute type, object class, matching rule or syntax to plain data, and back.
 * Knows the grammar only; whether the names in it exist is `schema.ts`'s matter.
 */
import { PosternError } from '../../base/error.ts';

export type AttributeUsage =
  | 'userApplications'
  | 'directoryOperation'
  | 'distributedOperation'
  | 'dSAOperation';

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
  readonly extensions: Readonly<Record<string, readonly string[]>>;
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
  readonly extensions: Readonly<Record<string, readonly string[]>>;
}

export interface MatchingRuleDescription {
  readonly kind: 'matchingRule';
  readonly oid: string;
  readonly names: readonly string[];
  readonly description?: string;
  readonly obsolete: boolean;
  readonly syntax: string;
}

export interface SyntaxDescription {
  readonly kind: 'ldapSyntax';
  readonly oid: string;
  readonly description?: string;
}

export type Description =
  | AttributeTypeDescription
  | ObjectClassDescription
  | MatchingRuleDescription
  | SyntaxDescription;

/** Longest schema text that is read; a bound, since schema files come from administrators. */
const LONGEST_TEXT = 4_000_000;

interface Token {
  readonly kind: 'open' | 'close' | 'dollar' | 'word' | 'quoted';
  readonly text: string;
}

function fail(message: string): never {
  throw new PosternError('schema.invalid', message, {
    hint: 'write schema as RFC 4512 §4.1 descriptions, as in OpenLDAP schema files',
  });
}

const TOKEN = /\s+|#[^\n]*|([()$])|'((?:\\27|\\5[cC]|[^'])*)'|([^\s()$'#]+)/gy;

function tokenize(text: string): Token[] {
  if (text.length > LONGEST_TEXT) fail('schema text is too long');
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) fail(`unreadable schema text at "${text.slice(at, at + 20)}"`);
    const [, mark, quoted, word] = match;
    if (mark !== undefined)
      tokens.push({ kind: mark === '(' ? 'open' : mark === ')' ? 'close' : 'dollar', text: mark });
    else if (quoted !== undefined)
      tokens.push({ kind: 'quoted', text: quoted.replace(/\\27/g, "'").replace(/\\5[cC]/g, '\\') });
    else if (word !== undefined) tokens.push({ kind: 'word', text: word });
  }
  return tokens;
}

/** Fields of one description: keyword (upper case) to its words; `''` holds the leading OID. */
type Fields = Map<string, string[]>;

/** Keywords that stand alone. */
const FLAGS = new Set([
  'OBSOLETE',
  'SINGLE-VALUE',
  'COLLECTIVE',
  'NO-USER-MODIFICATION',
  'ABSTRACT',
  'STRUCTURAL',
  'AUXILIARY',
]);

/** Reads one parenthesised description from `tokens[at]`; returns the position after it. */
function readFields(tokens: readonly Token[], at: number): { fields: Fields; next: number } {
  let i = at;
  if (tokens[i]?.kind !== 'open') fail(`expected "(" before "${tokens[i]?.text ?? 'the end'}"`);
  i++;
  const fields: Fields = new Map();
  const oid = tokens[i++];
  if (oid === undefined || oid.kind !== 'word') fail('a description starts with an OID');
  fields.set('', [oid.text]);
  for (;;) {
    const token = tokens[i++];
    if (token === undefined) fail(`description ${oid.text} is not closed`);
    if (token.kind === 'close') return { fields, next: i };
    if (token.kind !== 'word') fail(`unexpected "${token.text}" in description ${oid.text}`);
    const keyword = token.text.toUpperCase();
    if (fields.has(keyword)) fail(`${keyword} occurs twice in description ${oid.text}`);
    if (FLAGS.has(keyword)) {
      fields.set(keyword, []);
      continue;
    }
    const words: string[] = [];
    const first = tokens[i++];
    if (first === undefined || first.kind === 'close' || first.kind === 'dollar')
      fail(`${keyword} has no value in description ${oid.text}`);
    if (first.kind === 'open') {
      for (;;) {
        const word = tokens[i++];
        if (word === undefined || word.kind === 'open')
          fail(`the list of ${keyword} in description ${oid.text} is not closed`);
        if (word.kind === 'close') break;
        if (word.kind !== 'dollar') words.push(word.text);
      }
    } else {
      words.push(first.text);
    }
    fields.set(keyword, words);
  }
}

function one(fields: Fields, keyword: string): string | undefined {
  return fields.get(keyword)?.[0];
}

function extensionsOf(fields: Fields): Record<string, readonly string[]> {
  return Object.fromEntries([...fields].filter(([keyword]) => keyword.startsWith('X-')));
}

const USAGES: readonly AttributeUsage[] = [
  'userApplications',
  'directoryOperation',
  'distributedOperation',
  'dSAOperation',
];

/** A `key: value` for object literals under exactOptionalPropertyTypes: absent when undefined. */
function optional<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return (value === undefined ? {} : { [key]: value }) as Partial<Record<K, V>>;
}

function attributeType(fields: Fields): AttributeTypeDescription {
  const oid = one(fields, '') ?? '';
  const bound = /^([^{]+)(?:\{(\d{1,9})\})?$/.exec(one(fields, 'SYNTAX') ?? '');
  const usageText = one(fields, 'USAGE') ?? 'userApplications';
  const usage = USAGES.find((u) => u.toLowerCase() === usageText.toLowerCase());
  if (usage === undefined) fail(`unknown usage "${usageText}" in description ${oid}`);
  return {
    kind: 'attributeType',
    oid,
    names: fields.get('NAME') ?? [],
    ...optional('description', one(fields, 'DESC')),
    obsolete: fields.has('OBSOLETE'),
    ...optional('superior', one(fields, 'SUP')),
    ...optional('equality', one(fields, 'EQUALITY')),
    ...optional('ordering', one(fields, 'ORDERING')),
    ...optional('substrings', one(fields, 'SUBSTR')),
    ...optional('syntax', bound?.[1]),
    ...optional('lengthBound', bound?.[2] === undefined ? undefined : Number(bound[2])),
    singleValue: fields.has('SINGLE-VALUE'),
    collective: fields.has('COLLECTIVE'),
    noUserModification: fields.has('NO-USER-MODIFICATION'),
    usage,
    extensions: extensionsOf(fields),
  };
}

function objectClass(fields: Fields): ObjectClassDescription {
  return {
    kind: 'objectClass',
    oid: one(fields, '') ?? '',
    names: fields.get('NAME') ?? [],
    ...optional('description', one(fields, 'DESC')),
    obsolete: fields.has('OBSOLETE'),
    superiors: fields.get('SUP') ?? [],
    classKind: fields.has('ABSTRACT') ? 'abstract' : fields.has('AUXILIARY') ? 'auxiliary' : 'structural',
    must: fields.get('MUST') ?? [],
    may: fields.get('MAY') ?? [],
    extensions: extensionsOf(fields),
  };
}

function build(keyword: string, fields: Fields): Description {
  switch (keyword.toLowerCase()) {
    case 'attributetype':
    case 'attributetypes':
      return attributeType(fields);
    case 'objectclass':
    case 'objectclasses':
      return objectClass(fields);
    case 'matchingrule':
    case 'matchingrules': {
      const oid = one(fields, '') ?? '';
      return {
        kind: 'matchingRule',
        oid,
        names: fields.get('NAME') ?? [],
        ...optional('description', one(fields, 'DESC')),
        obsolete: fields.has('OBSOLETE'),
        syntax: one(fields, 'SYNTAX') ?? fail(`matching rule ${oid} has no SYNTAX`),
      };
    }
    case 'ldapsyntax':
    case 'ldapsyntaxes':
      return {
        kind: 'ldapSyntax',
        oid: one(fields, '') ?? '',
        ...optional('description', one(fields, 'DESC')),
      };
    default:
      fail(`unknown kind of definition "${keyword}"`);
  }
}

/**
 * Reads a schema text as OpenLDAP writes it: a keyword (`attributetype`, `objectclass`, `matchingrule`, `ldapsyntax`;
 * a colon and plural are allowed) followed by one description in parentheses; `#` starts a comment.
 * Throws `schema.invalid`.
 */
export function parseSchemaText(text: string): Description[] {
  const tokens = tokenize(text);
  const descriptions: Description[] = [];
  for (let i = 0; i < tokens.length; ) {
    const keyword = tokens[i];
    if (keyword === undefined || keyword.kind !== 'word')
      fail(`expected a keyword such as attributetype before "${keyword?.text ?? ''}"`);
    const { fields, next } = readFields(tokens, i + 1);
    descriptions.push(build(keyword.text.replace(/:$/, ''), fields));
    i = next;
  }
  return descriptions;
}

/** Reads one description without keyword, as the values of a subschema entry are. */
export function parseDescription(kind: Description['kind'], text: string): Description {
  const tokens = tokenize(text);
  const { fields, next } = readFields(tokens, 0);
  if (next !== tokens.length) fail('text after the end of a description');
  return build(kind, fields);
}

const quote = (text: string): string => `'${text.replace(/\\/g, '\\5c').replace(/'/g, '\\27')}'`;
const quotedList = (words: readonly string[]): string =>
  words.length === 1 ? quote(words[0] ?? '') : `( ${words.map(quote).join(' ')} )`;
const oidList = (words: readonly string[]): string =>
  words.length === 1 ? (words[0] ?? '') : `( ${words.join(' $ ')} )`;

/** The description as RFC 4512 text, as a subschema entry publishes it. */
export function formatDescription(description: Description): string {
  const parts: string[] = [description.oid];
  const add = (keyword: string, value: string | undefined): void =>
    void (value !== undefined && parts.push(`${keyword} ${value}`));
  const flag = (keyword: string, on: boolean): void => void (on && parts.push(keyword));
  if ('names' in description && description.names.length > 0) add('NAME', quotedList(description.names));
  if (description.description !== undefined) add('DESC', quote(description.description));
  switch (description.kind) {
    case 'attributeType':
      flag('OBSOLETE', description.obsolete);
      add('SUP', description.superior);
      add('EQUALITY', description.equality);
      add('ORDERING', description.ordering);
      add('SUBSTR', description.substrings);
      add(
        'SYNTAX',
        description.syntax === undefined
          ? undefined
          : description.syntax +
              (description.lengthBound === undefined ? '' : `{${description.lengthBound}}`),
      );
      flag('SINGLE-VALUE', description.singleValue);
      flag('COLLECTIVE', description.collective);
      flag('NO-USER-MODIFICATION', description.noUserModification);
      if (description.usage !== 'userApplications') add('USAGE', description.usage);
      break;
    case 'objectClass':
      flag('OBSOLETE', description.obsolete);
      if (description.superiors.length > 0) add('SUP', oidList(description.superiors));
      parts.push(description.classKind.toUpperCase());
      if (description.must.length > 0) add('MUST', oidList(description.must));
      if (description.may.length > 0) add('MAY', oidList(description.may));
      break;
    case 'matchingRule':
      flag('OBSOLETE', description.obsolete);
      add('SYNTAX', description.syntax);
      break;
    case 'ldapSyntax':
      break;
  }
  if ('extensions' in description)
    for (const [keyword, values] of Object.entries(description.extensions)) add(keyword, quotedList(values));
  return `( ${parts.join(' ')} )`;
}
