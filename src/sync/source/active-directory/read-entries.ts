/**
 * Whole entries of a domain controller: all of them by pages, or some by their GUID. A value that was cut into ranges ([MS-ADTS]
 * 3.1.1.3.1.3.3) is fetched to its end, so what is handed on is whole or nothing is.
 */
import { PosternError } from '../../../base/error.ts';
import type { LdapClient, SearchItem } from '../../../ldap/client.ts';
import type { Attribute, Filter, SearchResultEntry } from '../../../ldap/message.ts';
import { entryAttributes } from '../entry-attributes.ts';
import { pages } from '../pages.ts';
import type { SourceEntry } from '../source.ts';
import { swapGuid } from './object-guid.ts';

export interface EntryQuery {
  readonly base: string;
  readonly filter: Filter;
  readonly attributes: readonly string[];
}

/** GUIDs asked for in one filter. */
const GUIDS_A_SEARCH = 100;
/** Ranges of one attribute; at 1,500 values each this is more than anybody's list of members. */
const MOST_RANGES = 10_000;
const RANGE = /^([^;]+);range=(\d{1,9})-(\d{1,9}|\*)$/i;

/** Every entry of `query`. */
export async function* readAll(
  client: LdapClient,
  query: EntryQuery,
  signal: AbortSignal,
): AsyncGenerator<readonly SourceEntry[], void, undefined> {
  for await (const items of pages(client, { ...query, attributes: asked(query) }, signal))
    yield await wholeEntries(client, items);
}

/** Those of `guids` that `query` finds now. */
export async function* readSome(
  client: LdapClient,
  query: EntryQuery,
  guids: readonly Buffer[],
  signal: AbortSignal,
): AsyncGenerator<readonly SourceEntry[], void, undefined> {
  for (let at = 0; at < guids.length; at += GUIDS_A_SEARCH) {
    const some = guids.slice(at, at + GUIDS_A_SEARCH);
    const filter: Filter = { kind: 'and', filters: [query.filter, guidFilter(some)] };
    yield* readAll(client, { ...query, filter }, signal);
  }
}

export function guidFilter(guids: readonly Buffer[]): Filter {
  const filters = guids.map(
    (guid): Filter => ({
      kind: 'equality',
      attribute: 'objectGUID',
      value: swapGuid(guid) ?? guid,
    }),
  );
  return { kind: 'or', filters };
}

function asked(query: EntryQuery): string[] {
  return ['objectGUID', ...query.attributes];
}

async function wholeEntries(client: LdapClient, items: readonly SearchItem[]): Promise<SourceEntry[]> {
  const entries: SourceEntry[] = [];
  for (const { operation } of items) {
    // References lead to other domains, which are other sources.
    if (operation.op !== 'searchResultEntry') continue;
    const ranged = operation.attributes.some(({ type }) => RANGE.test(type));
    const attributes = ranged ? await withAllRanges(client, operation) : operation.attributes;
    const byName = entryAttributes(attributes);
    const guid = swapGuid(byName.get('objectguid')?.[0]);
    if (guid === undefined) throw noGuid(operation.dn);
    entries.push({ guid, dn: operation.dn, attributes: byName });
  }
  return entries;
}

async function withAllRanges(client: LdapClient, entry: SearchResultEntry): Promise<Attribute[]> {
  const whole: Attribute[] = [];
  for (const attribute of entry.attributes) {
    const cut = RANGE.exec(attribute.type);
    if (cut === null) {
      // Beside a range the attribute itself is there as well, empty.
      if (attribute.values.length > 0) whole.push(attribute);
      continue;
    }
    const [, type = ''] = cut;
    const values = [...attribute.values];
    for (let last = cut[3], ranges = 1; last !== '*'; ranges++) {
      const next = await readRange(client, entry.dn, type, Number(last) + 1);
      if (next === undefined || ranges > MOST_RANGES) throw cutShort(entry.dn, type);
      values.push(...next.values);
      last = next.last;
    }
    whole.push({ type, values });
  }
  return whole;
}

async function readRange(
  client: LdapClient,
  dn: string,
  type: string,
  from: number,
): Promise<{ readonly last: string; readonly values: readonly Buffer[] } | undefined> {
  const search = client.search({ base: dn, scope: 'base', attributes: [`${type};range=${from}-*`] });
  for await (const { operation } of search) {
    if (operation.op !== 'searchResultEntry') continue;
    for (const { type: description, values } of operation.attributes) {
      const range = RANGE.exec(description);
      if (range?.[1]?.toLowerCase() === type.toLowerCase() && Number(range[2]) === from)
        return { last: range[3] ?? '', values: values.map((value) => Buffer.from(value)) };
    }
  }
  return undefined;
}

function noGuid(dn: string): PosternError {
  return new PosternError('source.invalid', `the entry "${dn}" has no objectGUID`, {
    hint: 'may the account read objectGUID? Is the server Active Directory or Samba?',
  });
}

function cutShort(dn: string, type: string): PosternError {
  return new PosternError('source.incomplete', `the values of ${type} of "${dn}" end in the middle`, {
    hint: 'the entry may have changed while it was read; it is read again',
  });
}
