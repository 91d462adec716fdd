/**
 * Text to RFC 4512 §4.1 descriptions, strictly: a keyword that a kind does not have, a list without `$`, a name that is none are
 * errors that say where. Lenient in what files in the wild have: any order of fields, quoted OIDs, OpenLDAP's `objectidentifier`.
 */
import type {
  AttributeTypeDescription,
  AttributeUsage,
  ContentRuleDescription,
  Description,
  MatchingRuleDescription,
  ObjectClassDescription,
  SyntaxDescription,
} from './description.ts';
import { failAt, type SchemaText, type Token, tokenize, whereIs } from './tokens.ts';

export type { SchemaText };

/** A description and where it stands, for errors found later. */
export interface Located<D extends Description = Description> {
  readonly description: D;
  readonly where: string;
}

/** What follows a keyword: nothing, names in quotes, texts in quotes, one OID or name, several. */
type Form = 'flag' | 'names' | 'texts' | 'text' | 'oid' | 'oids';
type Kind = Description['kind'];

const COMMON = { NAME: 'names', DESC: 'text', OBSOLETE: 'flag' } as const;
const KEYWORDS: Readonly<Record<Kind, Readonly<Record<string, Form>>>> = {
  attributeType: {
    ...COMMON,
    SUP: 'oid',
    EQUALITY: 'oid',
    ORDERING: 'oid',
    SUBSTR: 'oid',
    SYNTAX: 'oid',
    'SINGLE-VALUE': 'flag',
    COLLECTIVE: 'flag',
    'NO-USER-MODIFICATION': 'flag',
    USAGE: 'oid',
  },
  objectClass: {
    ...COMMON,
    SUP: 'oids',
    ABSTRACT: 'flag',
    STRUCTURAL: 'flag',
    AUXILIARY: 'flag',
    MUST: 'oids',
    MAY: 'oids',
  },
  matchingRule: { ...COMMON, SYNTAX: 'oid' },
  ldapSyntax: { DESC: 'text' },
  ditContentRule: { ...COMMON, AUX: 'oids', MUST: 'oids', MAY: 'oids', NOT: 'oids' },
};

/** As files and subschema entries write the kinds, in lower case. */
const KINDS: Readonly<Record<string, Kind>> = {
  attributetype: 'attributeType',
  attributetypes: 'attributeType',
  objectclass: 'objectClass',
  objectclasses: 'objectClass',
  matchingrule: 'matchingRule',
  matchingrules: 'matchingRule',
  ldapsyntax: 'ldapSyntax',
  ldapsyntaxes: 'ldapSyntax',
  ditcontentrule: 'ditContentRule',
  ditcontentrules: 'ditContentRule',
};
const KIND_NAMES = 'attributetype, objectclass, matchingrule, ldapsyntax, ditcontentrule or objectidentifier';

const NUMERIC_OID = /^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+$/;
/** An underscore is not RFC 4512's, but is found in the wild. */
const DESCR = /^[A-Za-z][A-Za-z0-9_-]*$/;
const LONGEST_NAME = 256;
const MOST_ITEMS = 4096;
const USAGES: readonly AttributeUsage[] = [
  'userApplications',
  'directoryOperation',
  'distributedOperation',
  'dSAOperation',
];

class Parser {
  readonly #source: SchemaText;
  readonly #tokens: readonly Token[];
  /** OpenLDAP's `objectidentifier` lines: short names for OIDs. */
  readonly #macros = new Map<string, string>();
  #next = 0;

  constructor(source: SchemaText) {
    this.#source = source;
    this.#tokens = tokenize(source);
  }

  get atEnd(): boolean {
    return this.#next >= this.#tokens.length;
  }

  /** Nothing may follow. */
  end(): void {
    if (!this.atEnd) this.#fail(this.#tokens[this.#next], 'text after the end of a description');
  }

  /** Keyword and description, or an objectidentifier line, which gives nothing. */
  definition(): Located | undefined {
    const keyword = this.#take('word', 'a keyword such as attributetype');
    const name = keyword.text.toLowerCase().replace(/:$/, '');
    if (name === 'objectidentifier') {
      const macro = this.#take('word', 'a name');
      if (!DESCR.test(macro.text)) this.#fail(macro, `"${clip(macro.text)}" is not a name`);
      this.#macros.set(macro.text.toLowerCase(), this.#oid());
      return undefined;
    }
    const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
    if (kind === undefined)
      this.#fail(keyword, `unknown kind of definition "${clip(keyword.text)}": expected ${KIND_NAMES}`);
    return { description: this.description(kind), where: whereIs(this.#source, keyword.at) };
  }

  description(kind: Kind): Description {
    this.#take('open', '"("');
    const oid = this.#oid();
    const fields = this.#fields(kind, `${kind} ${oid}`);
    switch (kind) {
      case 'attributeType':
        return this.#attributeType(oid, fields);
      case 'objectClass':
        return this.#objectClass(oid, fields);
      case 'matchingRule': {
        const syntax = fields.one('SYNTAX') ?? this.#fail(fields.end, `matching rule ${oid} has no SYNTAX`);
        return { kind, oid, ...fields.common(), syntax } satisfies MatchingRuleDescription;
      }
      case 'ldapSyntax':
        return { kind, oid, ...fields.described(), ...fields.extended() } satisfies SyntaxDescription;
      case 'ditContentRule':
        return {
          kind,
          oid,
          ...fields.common(),
          auxiliaries: fields.all('AUX'),
          must: fields.all('MUST'),
          may: fields.all('MAY'),
          not: fields.all('NOT'),
          extensions: fields.extensions,
        } satisfies ContentRuleDescription;
    }
  }

  #attributeType(oid: string, fields: Fields): AttributeTypeDescription {
    const syntaxText = fields.one('SYNTAX');
    const bound = /^([^{}]+)(?:\{(\d{1,9})\})?$/.exec(syntaxText ?? '');
    if (syntaxText !== undefined && bound === null)
      this.#fail(fields.token('SYNTAX'), `"${clip(syntaxText)}" is not a syntax`);
    const usageText = fields.one('USAGE') ?? 'userApplications';
    const usage = USAGES.find((u) => u.toLowerCase() === usageText.toLowerCase());
    if (usage === undefined)
      this.#fail(
        fields.token('USAGE'),
        `unknown usage "${clip(usageText)}": expected one of ${USAGES.join(', ')}`,
      );
    return {
      kind: 'attributeType',
      oid,
      ...fields.common(),
      ...optional('superior', fields.one('SUP')),
      ...optional('equality', fields.one('EQUALITY')),
      ...optional('ordering', fields.one('ORDERING')),
      ...optional('substrings', fields.one('SUBSTR')),
      ...optional('syntax', bound?.[1]),
      ...optional('lengthBound', bound?.[2] === undefined ? undefined : Number(bound[2])),
      singleValue: fields.has('SINGLE-VALUE'),
      collective: fields.has('COLLECTIVE'),
      noUserModification: fields.has('NO-USER-MODIFICATION'),
      usage,
      extensions: fields.extensions,
    };
  }

  #objectClass(oid: string, fields: Fields): ObjectClassDescription {
    const kinds = (['abstract', 'structural', 'auxiliary'] as const).filter((k) =>
      fields.has(k.toUpperCase()),
    );
    if (kinds.length > 1)
      this.#fail(
        fields.token((kinds[1] as string).toUpperCase()),
        `object class ${oid} is of more than one kind`,
      );
    return {
      kind: 'objectClass',
      oid,
      ...fields.common(),
      superiors: fields.all('SUP'),
      classKind: kinds[0] ?? 'structural',
      must: fields.all('MUST'),
      may: fields.all('MAY'),
      extensions: fields.extensions,
    };
  }

  #fields(kind: Kind, title: string): Fields {
    const fields = new Fields();
    for (;;) {
      const token = this.#tokens[this.#next];
      if (token === undefined) return this.#fail(token, `the description of ${title} is not closed`);
      this.#next++;
      if (token.kind === 'close') {
        fields.end = token;
        return fields;
      }
      const keyword = token.kind === 'word' ? token.text.toUpperCase() : '';
      const form = Object.hasOwn(KEYWORDS[kind], keyword)
        ? KEYWORDS[kind][keyword]
        : /^X-[A-Z_-]{1,64}$/.test(keyword)
          ? 'texts'
          : undefined;
      if (form === undefined) this.#fail(token, `unknown keyword "${clip(token.text)}" in ${title}`);
      if (fields.has(keyword)) this.#fail(token, `${keyword} occurs twice in ${title}`);
      fields.set(keyword, token, this.#value(form, keyword, title));
    }
  }

  #value(form: Form, keyword: string, title: string): readonly string[] {
    if (form === 'flag') return [];
    const listed = this.#tokens[this.#next]?.kind === 'open';
    if (!listed) return [this.#item(form, keyword, title)];
    if (form === 'oid' || form === 'text')
      this.#fail(this.#tokens[this.#next], `${keyword} takes no list in ${title}`);
    this.#next++;
    const items: string[] = [];
    while (this.#tokens[this.#next]?.kind !== 'close') {
      if (form === 'oids' && items.length > 0) this.#take('dollar', `"$" or ")" in the list of ${keyword}`);
      if (this.#tokens[this.#next] === undefined)
        this.#fail(undefined, `the list of ${keyword} in ${title} is not closed`);
      if (items.length >= MOST_ITEMS)
        this.#fail(this.#tokens[this.#next], `the list of ${keyword} in ${title} is too long`);
      items.push(this.#item(form, keyword, title));
    }
    if (items.length === 0 && form === 'oids')
      this.#fail(this.#tokens[this.#next], `the list of ${keyword} is empty`);
    this.#next++;
    return items;
  }

  #item(form: Form, keyword: string, title: string): string {
    const token = this.#tokens[this.#next];
    const good = token?.kind === 'quoted' || (token?.kind === 'word' && (form === 'oid' || form === 'oids'));
    if (token === undefined || !good)
      return this.#fail(
        token,
        `expected ${form === 'oid' || form === 'oids' ? 'an OID or a name' : 'a text in quotes'} after ${keyword} in ${title}`,
      );
    this.#next++;
    if (form === 'texts' || form === 'text') return token.text;
    if (form === 'names') {
      if (!DESCR.test(token.text) || token.text.length > LONGEST_NAME)
        this.#fail(token, `"${clip(token.text)}" is not a name`);
      return token.text;
    }
    const text = this.#expand(token.text);
    const bare = keyword === 'SYNTAX' ? text.replace(/\{\d+\}$/, '') : text;
    if (!(DESCR.test(bare) || NUMERIC_OID.test(bare)) || text.length > LONGEST_NAME)
      this.#fail(token, `"${clip(token.text)}" is neither an OID nor a name`);
    return text;
  }

  #oid(): string {
    const token = this.#take('word', 'an OID');
    const text = this.#expand(token.text);
    if (!NUMERIC_OID.test(text) || text.length > LONGEST_NAME)
      this.#fail(token, `"${clip(token.text)}" is not an OID`);
    return text;
  }

  /** `Name:1.2` and `Name`, where an objectidentifier line has said what the name is. */
  #expand(text: string): string {
    const [name = '', rest] = text.split(':', 2);
    const known = this.#macros.get(name.toLowerCase());
    return known === undefined ? text : rest === undefined ? known : `${known}.${rest}`;
  }

  #take(kind: Token['kind'], wanted: string): Token {
    const token = this.#tokens[this.#next];
    if (token?.kind !== kind)
      return this.#fail(
        token,
        `expected ${wanted}${token === undefined ? '' : `, not "${clip(token.text)}"`}`,
      );
    this.#next++;
    return token;
  }

  #fail(token: Token | undefined, message: string): never {
    return failAt(this.#source, token?.at ?? this.#source.text.length, message);
  }
}

/** The fields of one description by keyword, in upper case. */
class Fields {
  readonly #values = new Map<string, { readonly token: Token; readonly words: readonly string[] }>();
  end: Token | undefined;

  has(keyword: string): boolean {
    return this.#values.has(keyword);
  }
  set(keyword: string, token: Token, words: readonly string[]): void {
    this.#values.set(keyword, { token, words });
  }
  token(keyword: string): Token | undefined {
    return this.#values.get(keyword)?.token;
  }
  one(keyword: string): string | undefined {
    return this.#values.get(keyword)?.words[0];
  }
  all(keyword: string): readonly string[] {
    return this.#values.get(keyword)?.words ?? [];
  }
  described(): { description?: string } {
    return optional('description', this.one('DESC'));
  }
  common(): { names: readonly string[]; description?: string; obsolete: boolean } {
    return { names: this.all('NAME'), ...this.described(), obsolete: this.has('OBSOLETE') };
  }
  get extensions(): Record<string, readonly string[]> {
    return Object.fromEntries(
      [...this.#values].filter(([k]) => k.startsWith('X-')).map(([k, { words }]) => [k, words]),
    );
  }
  extended(): { extensions?: Record<string, readonly string[]> } {
    const { extensions } = this;
    return Object.keys(extensions).length === 0 ? {} : { extensions };
  }
}

/** A `key: value` for object literals under exactOptionalPropertyTypes: absent when undefined. */
function optional<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return (value === undefined ? {} : { [key]: value }) as Partial<Record<K, V>>;
}

const clip = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}...` : text);

/**
 * Reads a schema text as OpenLDAP writes it: a keyword (`attributetype`, `objectclass`, `matchingrule`, `ldapsyntax`,
 * `ditcontentrule`; a colon and plural are allowed) followed by one description in parentheses; `#` starts a comment.
 * Throws `schema.invalid` with line and column.
 */
export function parseSchema(source: SchemaText): Located[] {
  const parser = new Parser(source);
  const found: Located[] = [];
  while (!parser.atEnd) {
    const item = parser.definition();
    if (item !== undefined) found.push(item);
  }
  return found;
}

/** Reads one description without keyword, as the values of a subschema entry are. Throws `schema.invalid`. */
export function parseDescription(kind: Kind, text: string): Description {
  const source = { name: kind, text };
  const parser = new Parser(source);
  const description = parser.description(kind);
  parser.end();
  return description;
}
