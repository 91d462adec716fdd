/** What a controller for tests does not do: values cut into ranges, pages that end in the middle. */
import { expect, test } from 'vitest';
import { pair, type Pair, SUCCESS } from '../../../../test/support/played-server.ts';
import { encodePagedResults } from '../../../ldap/control-values.ts';
import { CONTROL } from '../../../ldap/control.ts';
import type { Operation, SearchRequest } from '../../../ldap/message.ts';
import type { SourceEntry } from '../source.ts';
import { swapGuid } from './object-guid.ts';
import { readAll } from './read-entries.ts';

const GUID = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
const QUERY = {
  base: 'DC=x',
  filter: { kind: 'present', attribute: 'mail' } as const,
  attributes: ['proxyAddresses'],
};
const value = (n: number): Buffer => Buffer.from(`smtp:${n}@x.org`);
const entry = (type: string, first: number, last: number): Operation => ({
  op: 'searchResultEntry',
  dn: 'CN=a,DC=x',
  attributes: [
    { type: 'objectGUID', values: [swapGuid(GUID) as Buffer] },
    { type: 'proxyAddresses', values: [] },
    { type, values: Array.from({ length: last - first + 1 }, (_, n) => value(first + n)) },
  ],
});

/** Answers search after search by what `answer` says to it; pages follow as long as there are `cookies`. */
async function play(
  { peer }: Pair,
  answer: (search: SearchRequest) => Operation[],
  cookies: readonly string[] = [],
): Promise<void> {
  let page = 0;
  for (let at = 0; ; at++) {
    const messages = await peer.until((received) => received.length > at).catch(() => []);
    const message = messages[at];
    if (message === undefined) return;
    const { messageId, operation } = message;
    if (operation.op !== 'searchRequest') continue;
    for (const each of answer(operation)) await peer.send(messageId, each);
    const cookie = Buffer.from(operation.scope === 'base' ? '' : (cookies[page++] ?? ''));
    const value = encodePagedResults({ size: 0, cookie });
    await peer.send(messageId, { op: 'searchResultDone', result: SUCCESS }, [
      { oid: CONTROL.pagedResults, critical: false, value },
    ]);
  }
}

async function readOf(
  answer: (search: SearchRequest) => Operation[],
  cookies?: readonly string[],
): Promise<SourceEntry[]> {
  await using both = await pair();
  void play(both, answer, cookies);
  const entries: SourceEntry[] = [];
  for await (const some of readAll(both.client, QUERY, new AbortController().signal)) entries.push(...some);
  return entries;
}

test('a GUID reads as in the tools of the domain', async () => {
  const [only] = await readOf(() => [entry('mail', 0, 0)]);
  expect(only?.guid).toEqual(GUID);
  expect(swapGuid(Buffer.alloc(15))).toBeUndefined();
});

test('values that were cut into ranges are fetched to the end', async () => {
  const asked: string[] = [];
  const [only] = await readOf((search) => {
    if (search.scope === 'subtree') return [entry('proxyAddresses;range=0-1499', 0, 1499)];
    asked.push(...search.attributes);
    return search.attributes[0] === 'proxyAddresses;range=1500-*'
      ? [entry('proxyAddresses;Range=1500-2999', 1500, 2999)]
      : [entry('proxyAddresses;range=3000-*', 3000, 3009)];
  });
  expect(asked).toEqual(['proxyAddresses;range=1500-*', 'proxyAddresses;range=3000-*']);
  expect(only?.attributes.get('proxyaddresses')).toEqual(Array.from({ length: 3010 }, (_, n) => value(n)));
});

test.each<[string, Operation[]]>([
  ['the entry is gone', []],
  ['another range comes', [entry('proxyAddresses;range=0-1499', 0, 1499)]],
  ['no range comes', [entry('proxyAddresses', 0, 3)]],
])('a range whose continuation is missing is no whole entry: %s', async (_name, answers) => {
  const reading = readOf((search) =>
    search.scope === 'subtree' ? [entry('proxyAddresses;range=0-1499', 0, 1499)] : answers,
  );
  await expect(reading).rejects.toMatchObject({ code: 'source.incomplete' });
});

test('an entry without objectGUID is refused, a reference to another domain passed over', async () => {
  const reference: Operation = { op: 'searchResultReference', urls: ['ldap://sub.x/DC=sub,DC=x'] };
  expect(await readOf(() => [reference])).toEqual([]);
  const bare: Operation = { op: 'searchResultEntry', dn: 'CN=a', attributes: [] };
  await expect(readOf(() => [bare])).rejects.toMatchObject({ code: 'source.invalid' });
});

test('page after page', async () => {
  const entries = await readOf(() => [entry('mail', 0, 0)], ['one', 'two']);
  expect(entries).toHaveLength(3);
});
