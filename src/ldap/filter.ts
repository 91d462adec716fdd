/**
 * The string form of filters, RFC 4515, both ways; `(&)` and `(|)` as in RFC 4526. It knows syntax only.
 * Spaces and line breaks between components are passed over, as administrators write long filters that way; inside an
 * item every character counts.
 */
import { isUtf8 } from 'node:buffer';
import { DecodeError } from '../base/decode-error.ts';
import { isAttributeDescription, isOidName } from './attribute-description.ts';
import { escapeOctet, hexPair } from './hex.ts';
import { type DecodeLimits, SERVER_LIMITS } from './limits.ts';
import type { Filter } from './message.ts';

interface Cursor {
  readonly text: string;
  readonly limits: DecodeLimits;
  at: number;
  nodes: number;
}

/** Text to a filter. Throws `DecodeError` (offset in characters). */
export function parseFilter(text: string, limits: DecodeLimits = SERVER_LIMITS): Filter {
  if (!text.isWellFormed()) throw new DecodeError('filter is not well-formed text', 0);
  const cursor: Cursor = { text, limits, at: 0, nodes: 0 };
  skipSpace(cursor);
  const filter = parseComponent(cursor, 1);
  skipSpace(cursor);
  if (cursor.at < text.length) throw new DecodeError('unexpected text after the filter', cursor.at);
  return filter;
}

function parseComponent(cursor: Cursor, depth: number): Filter {
  if (depth > cursor.limits.filterDepth) throw new DecodeError('filter is nested too deeply', cursor.at);
  count(cursor);
  expect(cursor, '(');
  skipSpace(cursor);
  const filter = parseInner(cursor, depth);
  expect(cursor, ')');
  return filter;
}

function parseInner(cursor: Cursor, depth: number): Filter {
  const operator = cursor.text[cursor.at];
  if (operator === '!') {
    cursor.at++;
    skipSpace(cursor);
    const filter = parseComponent(cursor, depth + 1);
    skipSpace(cursor);
    return { kind: 'not', filter };
  }
  if (operator !== '&' && operator !== '|') return parseItem(cursor);
  cursor.at++;
  const filters: Filter[] = [];
  for (skipSpace(cursor); cursor.text[cursor.at] === '('; skipSpace(cursor))
    filters.push(parseComponent(cursor, depth + 1));
  return { kind: operator === '&' ? 'and' : 'or', filters };
}

function parseItem(cursor: Cursor): Filter {
  const { text } = cursor;
  const start = cursor.at;
  while (cursor.at < text.length && !'=<>~:()'.includes(text[cursor.at] as string)) cursor.at++;
  const attribute = text.slice(start, cursor.at);
  const operator = text[cursor.at];
  if (operator === ':') return parseExtensible(cursor, attribute);
  if (!isAttributeDescription(attribute)) throw new DecodeError('malformed attribute description', start);
  if (operator === '=') {
    cursor.at++;
    return parseEqual(cursor, attribute);
  }
  const kind = ({ '>': 'greaterOrEqual', '<': 'lessOrEqual', '~': 'approx' } as const)[operator ?? ''];
  if (kind === undefined) throw new DecodeError('expected =, >=, <=, ~= or :=', cursor.at);
  cursor.at++;
  expect(cursor, '=');
  return { kind, attribute, value: parseValue(cursor) };
}

/** Equality, presence or substrings: which one depends on the asterisks. */
function parseEqual(cursor: Cursor, attribute: string): Filter {
  const { text } = cursor;
  const parts = [parsePart(cursor)];
  while (text[cursor.at] === '*') {
    count(cursor);
    cursor.at++;
    parts.push(parsePart(cursor));
  }
  const [first, ...rest] = parts as [Buffer, ...Buffer[]];
  const last = rest.pop();
  if (last === undefined) return { kind: 'equality', attribute, value: first };
  if (first.length === 0 && last.length === 0 && rest.length === 0) return { kind: 'present', attribute };
  if (rest.some((part) => part.length === 0)) throw new DecodeError('two asterisks in a row', cursor.at);
  return {
    kind: 'substrings',
    attribute,
    any: rest,
    ...(first.length > 0 && { initial: first }),
    ...(last.length > 0 && { final: last }),
  };
}

/** RFC 4515 §3: [attr] [":dn"] [":" rule] ":=" value; rule or attribute is there. */
function parseExtensible(cursor: Cursor, attribute: string): Filter {
  const { text } = cursor;
  const start = cursor.at - attribute.length;
  const end = text.indexOf(':=', cursor.at);
  if (end < 0 || end - start > 4096) throw new DecodeError('expected :=', cursor.at);
  const names = text.slice(cursor.at, end).split(':').slice(1);
  const dnAttributes = names[0]?.toLowerCase() === 'dn';
  if (dnAttributes) names.shift();
  const [matchingRule, ...others] = names;
  if (others.length > 0 || (matchingRule !== undefined && !isOidName(matchingRule)))
    throw new DecodeError('malformed matching rule', cursor.at);
  if (attribute === '' ? matchingRule === undefined : !isAttributeDescription(attribute)) {
    throw new DecodeError('malformed attribute description', start);
  }
  cursor.at = end + 2;
  const value = parseValue(cursor);
  return {
    kind: 'extensible',
    value,
    dnAttributes,
    ...(attribute !== '' && { attribute }),
    ...(matchingRule !== undefined && { matchingRule }),
  };
}

function parseValue(cursor: Cursor): Buffer {
  const value = parsePart(cursor);
  if (cursor.text[cursor.at] === '*') throw new DecodeError('an asterisk is written \\2a here', cursor.at);
  return value;
}

/** Octets up to an asterisk or a closing parenthesis. */
function parsePart(cursor: Cursor): Buffer {
  const { text } = cursor;
  const pieces: Buffer[] = [];
  let literal = cursor.at;
  const flush = (): void => {
    if (cursor.at > literal) pieces.push(Buffer.from(text.slice(literal, cursor.at)));
  };
  for (; cursor.at < text.length; ) {
    const character = text[cursor.at];
    if (character === '*' || character === ')') break;
    if (character === '(' || character === '\0')
      throw new DecodeError('character must be escaped', cursor.at);
    if (character !== '\\') {
      cursor.at++;
      continue;
    }
    flush();
    const run: number[] = [];
    for (; text[cursor.at] === '\\'; cursor.at += 3) {
      const octet = hexPair(text, cursor.at + 1);
      if (octet < 0) throw new DecodeError('a backslash needs two hexadecimal digits', cursor.at);
      run.push(octet);
    }
    pieces.push(Buffer.from(run));
    literal = cursor.at;
  }
  flush();
  return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
}

function count(cursor: Cursor): void {
  if (++cursor.nodes > cursor.limits.filterNodes)
    throw new DecodeError('filter has too many components', cursor.at);
}

function expect(cursor: Cursor, character: string): void {
  if (cursor.text[cursor.at] !== character) throw new DecodeError(`expected ${character}`, cursor.at);
  cursor.at++;
}

function skipSpace(cursor: Cursor): void {
  while (' \t\r\n'.includes(cursor.text[cursor.at] ?? 'end')) cursor.at++;
}

/** A filter as text. Names that no filter string can hold (they came over the wire) show a `?` for each odd character. */
export function formatFilter(filter: Filter): string {
  switch (filter.kind) {
    case 'and':
      return `(&${filter.filters.map(formatFilter).join('')})`;
    case 'or':
      return `(|${filter.filters.map(formatFilter).join('')})`;
    case 'not':
      return `(!${formatFilter(filter.filter)})`;
    case 'present':
      return `(${name(filter.attribute)}=*)`;
    case 'equality':
      return `(${name(filter.attribute)}=${escapeFilterValue(filter.value)})`;
    case 'greaterOrEqual':
      return `(${name(filter.attribute)}>=${escapeFilterValue(filter.value)})`;
    case 'lessOrEqual':
      return `(${name(filter.attribute)}<=${escapeFilterValue(filter.value)})`;
    case 'approx':
      return `(${name(filter.attribute)}~=${escapeFilterValue(filter.value)})`;
    case 'substrings': {
      const parts = [filter.initial ?? EMPTY, ...filter.any, filter.final ?? EMPTY];
      return `(${name(filter.attribute)}=${parts.map(escapeFilterValue).join('*')})`;
    }
    case 'extensible': {
      const rule = filter.matchingRule === undefined ? '' : `:${name(filter.matchingRule)}`;
      return `(${name(filter.attribute ?? '')}${filter.dnAttributes ? ':dn' : ''}${rule}:=${escapeFilterValue(filter.value)})`;
    }
  }
}

const EMPTY = Buffer.alloc(0);

/** A value to be put into a filter string, so that it means itself. */
export function escapeFilterValue(value: string | Buffer): string {
  if (typeof value !== 'string' && !isUtf8(value)) {
    return value.reduce(
      (text, octet) =>
        text + (octet >= 0x80 ? escapeOctet(octet) : escapeCharacter(String.fromCharCode(octet))),
      '',
    );
  }
  return value.toString().replace(/[\0-\x1f\x7f()*\\]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return /[\0-\x1f\x7f()*\\]/.test(character) ? escapeOctet(character.charCodeAt(0)) : character;
}

function name(text: string): string {
  return text.replace(/[^A-Za-z0-9._;-]/g, '?');
}
