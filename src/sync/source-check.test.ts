import { expect, test } from 'vitest';
import { normaliseAddress } from '../directory/address/address.ts';
import { createMapper } from './mapping/mapping.ts';
import { MAPPING_PRESETS, type MappingRules } from './mapping/preset.ts';
import { checkSource } from './source-check.ts';
import type { Feed, FeedEvent, SourceEntry, SourceRight } from './source/source.ts';

const RULES = MAPPING_PRESETS['active-directory'] as MappingRules;

function entry(n: number, attributes: Record<string, string | readonly string[]>): SourceEntry {
  const values = Object.entries(attributes).map(
    ([type, value]) => [type.toLowerCase(), [value].flat().map((each) => Buffer.from(each))] as const,
  );
  return { guid: Buffer.alloc(16, n), dn: `CN=${n}`, attributes: new Map(values) };
}

/** Goes on after it is complete, as live feeds do. */
function feedOf(entries: readonly SourceEntry[], rights?: readonly SourceRight[]): Feed {
  const identity = {
    kind: 'test',
    instance: 'test://',
    base: 'DC=x',
    filter: '',
    attributes: [],
    bindIdentity: '',
    mapping: '',
  };
  return {
    identity,
    live: true,
    async *follow(): AsyncGenerator<readonly FeedEvent[], void, undefined> {
      yield entries.map((each) => ({ kind: 'upsert', entry: each }));
      yield [{ kind: 'complete', sweep: true, cookie: undefined }];
      throw new Error('read on after it was complete');
    },
    ...(rights === undefined ? {} : { examine: () => Promise.resolve(rights) }),
  };
}

const check = (entries: readonly SourceEntry[], rights?: readonly SourceRight[], samples = 2) =>
  checkSource({
    feed: feedOf(entries, rights),
    map: createMapper(RULES, normaliseAddress),
    samples,
    signal: new AbortController().signal,
  });

const user = { objectClass: ['top', 'person', 'user'] };

test('counts, samples, what is left out, and addresses that two claim', async () => {
  const report = await check([
    entry(1, { ...user, mail: 'a@x.org', proxyAddresses: ['SMTP:a@x.org', 'smtp:b@x.org'] }),
    entry(2, { objectClass: ['group'], mail: 'g@x.org' }),
    entry(3, { ...user, mail: 'A@x.org' }),
    entry(4, { ...user, mail: 'no address' }),
    entry(5, { ...user, mail: 'd@x.org', userAccountControl: '514' }),
    entry(6, { ...user, mail: 'e@x.org', userAccountControl: '514' }),
    entry(7, { ...user, mail: 'f@x.org', userAccountControl: '514' }),
    // Changed while everything was read: it comes again.
    entry(2, { objectClass: ['group'], mail: 'g@x.org' }),
  ]);
  expect(report).toMatchObject({
    entries: 7,
    recipients: 3,
    addresses: 3,
    dropped: 1,
    kinds: { user: 2, group: 1, contact: 0 },
    samples: [
      { dn: 'CN=1', kind: 'user', addresses: ['a@x.org', 'b@x.org'] },
      { dn: 'CN=2', kind: 'group', addresses: ['g@x.org'] },
    ],
    leftOut: [
      { reason: 'no-address', count: 1, samples: ['CN=4'] },
      { reason: 'disabled', count: 3, samples: ['CN=5', 'CN=6'] },
    ],
    claimedTwice: { count: 1, samples: [{ address: 'a@x.org', entries: ['CN=1', 'CN=3'] }] },
  });
});

test('a confidential attribute that was read after all is no missing right', async () => {
  const right = (name: string): SourceRight => ({ name, granted: false, matter: '' });
  const report = await check(
    [entry(1, { ...user, mail: 'a@x.org' })],
    [right('read mail'), right('read other')],
  );
  expect(report.rights.map(({ name }) => name)).toEqual(['read other']);
});
