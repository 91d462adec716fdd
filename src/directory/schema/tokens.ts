/**
 * Words of a schema text and where they stand, so that an error says line and column. Knows quotes, parentheses and comments;
 * no keyword.
 */
import { PosternError } from '../../base/error.ts';

/** A text to read schema from; `name` is what errors call it (a file's path, mostly). */
export interface SchemaText {
  readonly name: string;
  readonly text: string;
}

export interface Token {
  readonly kind: 'open' | 'close' | 'dollar' | 'word' | 'quoted';
  readonly text: string;
  /** Offset in characters. */
  readonly at: number;
}

/** Longest text that is read, and most words in it: bounds, since schema files come from administrators. */
const LONGEST_TEXT = 4_000_000;
const MOST_TOKENS = 1_000_000;

const HINT = 'write schema as RFC 4512 §4.1 descriptions, as in OpenLDAP schema files';

export function invalidSchema(message: string): never {
  throw new PosternError('schema.invalid', message, { hint: HINT });
}

/** "name, line 3, column 14" */
export function whereIs({ name, text }: SchemaText, at: number): string {
  const before = text.slice(0, at);
  const line = before.split('\n').length;
  return `${name}, line ${line}, column ${at - before.lastIndexOf('\n')}`;
}

export function failAt(source: SchemaText, at: number, message: string): never {
  return invalidSchema(`${whereIs(source, at)}: ${message}`);
}

/** No alternatives that overlap: an unclosed quote costs one look. */
const TOKEN = /\s+|#[^\n]*|([()$])|'([^']*)'|([^\s()$'#]+)/gy;
const MARKS: Readonly<Record<string, Token['kind']>> = { '(': 'open', ')': 'close', $: 'dollar' };

/** Throws `schema.invalid`. */
export function tokenize(source: SchemaText): Token[] {
  const { text } = source;
  if (text.length > LONGEST_TEXT) failAt(source, LONGEST_TEXT, 'the text is too long');
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) failAt(source, at, 'a quoted text is not closed');
    const [, mark, quoted, word] = match;
    if (mark !== undefined) tokens.push({ kind: MARKS[mark] as Token['kind'], text: mark, at });
    else if (quoted !== undefined) tokens.push({ kind: 'quoted', text: unquote(quoted), at });
    else if (word !== undefined) tokens.push({ kind: 'word', text: word, at });
    if (tokens.length > MOST_TOKENS) failAt(source, at, 'the text has too many words');
  }
  return tokens;
}

/** RFC 4512 §4.1: within quotes, `\27` is a quote and `\5C` a backslash. */
const unquote = (text: string): string =>
  text.replace(/\\(27|5[cC])/g, (_all, code: string) => (code === '27' ? "'" : '\\'));
