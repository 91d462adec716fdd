/**
 * A filter (RFC 4515) decided here, on attributes that were read: for servers that do not say when an entry leaves a filter. Values are compared
 * as directory strings are (RFC 4518: letters without case, spaces squeezed), which is what fits the attributes that people select by.
 */
import { PosternError } from '../../base/error.ts';
import type { Filter } from '../../ldap/message.ts';
import type { SourceEntry } from './source.ts';

export type EntryTest = (attributes: SourceEntry['attributes']) => boolean;

const NONE: readonly Buffer[] = [];

/** Throws `usage` for what only a schema could decide. An attribute that is missing makes its assertion false. */
export function entryTest(filter: Filter): EntryTest {
  switch (filter.kind) {
    case 'and': {
      const tests = filter.filters.map(entryTest);
      return (attributes) => tests.every((test) => test(attributes));
    }
    case 'or': {
      const tests = filter.filters.map(entryTest);
      return (attributes) => tests.some((test) => test(attributes));
    }
    case 'not': {
      const test = entryTest(filter.filter);
      return (attributes) => !test(attributes);
    }
    case 'present': {
      const type = filter.attribute.toLowerCase();
      // Every entry has a class, whether it was asked for or not.
      return type === 'objectclass' ? () => true : (attributes) => attributes.has(type);
    }
    case 'equality': {
      const wanted = comparable(filter.value);
      return anyValue(filter.attribute, (value) => value === wanted);
    }
    case 'substrings': {
      const initial = filter.initial === undefined ? '' : comparableStart(filter.initial);
      const final = filter.final === undefined ? '' : comparableEnd(filter.final);
      const any = filter.any.map((part) => part.toString('utf8').toLowerCase());
      return anyValue(filter.attribute, (value) => hasParts(value, initial, any, final));
    }
    default:
      throw new PosternError('usage', 'this filter cannot be decided outside the directory', {
        hint: 'use equality, presence and substrings, with and, or, not; or the rules of the mapping (source.override)',
      });
  }
}

/** The attributes that the test looks at. */
export function filterAttributes(filter: Filter): string[] {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return filter.filters.flatMap(filterAttributes);
    case 'not':
      return filterAttributes(filter.filter);
    default:
      return filter.attribute === undefined ? [] : [filter.attribute];
  }
}

function anyValue(attribute: string, test: (value: string) => boolean): EntryTest {
  const type = attribute.toLowerCase();
  return (attributes) => (attributes.get(type) ?? NONE).some((value) => test(comparable(value)));
}

function comparable(value: Buffer): string {
  return squeezed(value).trim();
}

function comparableStart(value: Buffer): string {
  return squeezed(value).trimStart();
}

function comparableEnd(value: Buffer): string {
  return squeezed(value).trimEnd();
}

function squeezed(value: Buffer): string {
  return value.toString('utf8').toLowerCase().replaceAll(/ {2,}/g, ' ');
}

function hasParts(value: string, initial: string, any: readonly string[], final: string): boolean {
  if (!value.startsWith(initial)) return false;
  let at = initial.length;
  for (const part of any) {
    const found = value.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return value.length - final.length >= at && value.endsWith(final);
}
