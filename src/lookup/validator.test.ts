import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeRecipientIndex } from '../../test/fakes/recipient-index.ts';
import { describeReason, describeVerdict } from './describe.ts';
import {
  CLOCK_TOLERANCE_MS,
  DEFAULT_MAX_AGE_MS,
  type LookupRule,
  lookupAddress,
  lookupDomain,
  type Verdict,
} from './validator.ts';

const NOW = Date.UTC(2026, 5, 1);
const DAY = 86_400_000;

function filled(): FakeRecipientIndex {
  return new FakeRecipientIndex(NOW - 1000)
    .addDomain('example.org', { recipientDelimiter: '+' })
    .addDomain('lists.example.org', { recipientDelimiter: '+-' })
    .addDomain('plain.example')
    .addDomain('all.example', { catchAll: true })
    .addDomain('internal.example', { kind: 'internalRelay' })
    .addDomain('external.example', { kind: 'externalRelay', recipientDelimiter: '+' })
    .addDomain('münchen.example')
    .addDomain('short.example', { maxAgeMs: DAY })
    .add('anna@example.org')
    .add('"anna b"@example.org')
    .add('tag+real@example.org')
    .add('jürgen@example.org')
    .add('going@example.org', { pendingDelete: true })
    .add('postmaster@lists.example.org')
    .add('first-last@lists.example.org')
    .add('first@lists.example.org')
    .add('owner@lists.example.org')
    .add('news@lists.example.org')
    .add('mailer@lists.example.org')
    .add('anna@plain.example')
    .add('anna@all.example')
    .add('anna@internal.example')
    .add('anna@external.example')
    .add('anna@münchen.example')
    .add('anna@short.example');
}

type Row = [address: string, verdict: Verdict, rule: LookupRule, matched?: string];

describe('with everything loaded', () => {
  const index = filled();
  const table: Row[] = [
    ['anna@example.org', 'known', 'exact', 'anna@example.org'],
    ['Anna@Example.ORG', 'known', 'exact', 'anna@example.org'],
    ['"anna"@example.org', 'known', 'exact', 'anna@example.org'],
    ['"ANNA B"@example.org', 'known', 'exact', '"anna b"@example.org'],
    ['"anna\\ b"@example.org', 'known', 'exact', '"anna b"@example.org'],
    ['jürgen@example.org', 'known', 'exact', 'jürgen@example.org'],
    ['JU\u0308RGEN@example.org', 'known', 'exact', 'jürgen@example.org'],
    ['jurgen@example.org', 'unknown', 'noSuchRecipient'],
    ['going@example.org', 'known', 'exact', 'going@example.org'],
    ['nobody@example.org', 'unknown', 'noSuchRecipient'],
    ['anna.@example.org', 'unknown', 'noSuchRecipient'],
    // Extensions: the whole address first, then up to the first delimiter.
    ['anna+news@example.org', 'known', 'withoutExtension', 'anna@example.org'],
    ['anna+a+b@example.org', 'known', 'withoutExtension', 'anna@example.org'],
    ['anna+@example.org', 'known', 'withoutExtension', 'anna@example.org'],
    ['"anna b+x y"@example.org', 'known', 'withoutExtension', '"anna b"@example.org'],
    ['"anna+x y"@example.org', 'known', 'withoutExtension', 'anna@example.org'],
    ['JÜRGEN+ÄÖ@example.org', 'known', 'withoutExtension', 'jürgen@example.org'],
    ['tag+real@example.org', 'known', 'exact', 'tag+real@example.org'],
    ['tag+other@example.org', 'unknown', 'noSuchRecipient'],
    ['tag+real+x@example.org', 'unknown', 'noSuchRecipient'],
    ['+anna@example.org', 'unknown', 'noSuchRecipient'],
    ['anna-x@example.org', 'unknown', 'noSuchRecipient'],
    ['anna+x@plain.example', 'unknown', 'noSuchRecipient'],
    ['first-last@lists.example.org', 'known', 'exact', 'first-last@lists.example.org'],
    ['first-other@lists.example.org', 'known', 'withoutExtension', 'first@lists.example.org'],
    ['first+x-y@lists.example.org', 'known', 'withoutExtension', 'first@lists.example.org'],
    ['news+x@lists.example.org', 'known', 'withoutExtension', 'news@lists.example.org'],
    // What Postfix would not cut.
    ['owner-news@lists.example.org', 'unknown', 'noSuchRecipient'],
    ['news-request@lists.example.org', 'unknown', 'noSuchRecipient'],
    ['mailer-daemon@lists.example.org', 'unknown', 'noSuchRecipient'],
    // Domains.
    ['anna@münchen.example', 'known', 'exact', 'anna@xn--mnchen-3ya.example'],
    ['anna@XN--MNCHEN-3YA.example', 'known', 'exact', 'anna@xn--mnchen-3ya.example'],
    ['anna@sub.example.org', 'notOurs', 'foreignDomain'],
    ['anna@org', 'notOurs', 'foreignDomain'],
    ['anna@other.example', 'notOurs', 'foreignDomain'],
    ['anna@[192.0.2.1]', 'notOurs', 'foreignDomain'],
    ['anna@example.org.', 'known', 'exact', 'anna@example.org'],
    // Postmaster (RFC 5321 §4.5.1), with and without an entry.
    ['postmaster@example.org', 'known', 'postmaster'],
    ['PostMaster@example.org', 'known', 'postmaster'],
    ['"postmaster"@plain.example', 'known', 'postmaster'],
    ['postmaster@lists.example.org', 'known', 'exact', 'postmaster@lists.example.org'],
    ['postmaster+x@example.org', 'unknown', 'noSuchRecipient'],
    ['postmaster@other.example', 'notOurs', 'foreignDomain'],
    ['postmaster', 'unknown', 'malformed'],
    // Domains that take everything.
    ['anna@all.example', 'known', 'exact', 'anna@all.example'],
    ['nobody@all.example', 'known', 'catchAll'],
    ['"any thing"@all.example', 'known', 'catchAll'],
    ['anna@internal.example', 'known', 'exact', 'anna@internal.example'],
    ['nobody@internal.example', 'known', 'relay'],
    ['nobody@external.example', 'known', 'relay'],
    ['anna+x@external.example', 'known', 'withoutExtension', 'anna@external.example'],
    // Partial keys of indexed tables, and no addresses: nothing of this may be accepted, least of all by a catch-all.
    ['', 'unknown', 'malformed'],
    ['<>', 'unknown', 'malformed'],
    ['@all.example', 'unknown', 'malformed'],
    ['""@all.example', 'unknown', 'malformed'],
    ['anna', 'unknown', 'malformed'],
    ['anna@', 'unknown', 'malformed'],
    ['all.example', 'unknown', 'malformed'],
    ['anna b@example.org', 'unknown', 'malformed'],
    ['<anna@example.org>', 'unknown', 'malformed'],
    ['@relay.example:anna@example.org', 'unknown', 'malformed'],
    ['anna@example.org\0', 'unknown', 'malformed'],
    ['anna@x@all.example', 'unknown', 'malformed'],
    ['*@all.example', 'known', 'catchAll'],
  ];
  it.each(table)('%s: %s, %s', (address, verdict, rule, matched) => {
    for (const input of [address, Buffer.from(address)]) {
      const answer = lookupAddress(input, { index, hasher: index.hasher }, NOW);
      expect([answer.verdict, answer.rule, answer.matched]).toEqual([verdict, rule, matched]);
      expect(describeReason(answer)).not.toContain('undefined');
      expect(describeVerdict(answer)).not.toBe('');
    }
  });

  it('says which entry, which load, and how old it is', () => {
    const answer = lookupAddress('going+x@example.org', { index, hasher: index.hasher }, NOW);
    expect(answer).toMatchObject({
      address: 'going+x@example.org',
      matched: 'going@example.org',
      domain: 'example.org',
      domainKind: 'authoritative',
      recipient: { pendingDelete: true },
      generation: 1,
      ageMs: 1000,
      maxAgeMs: DEFAULT_MAX_AGE_MS,
    });
    expect(describeReason(answer)).toMatch(
      /entry 05050505-0505-0505-0505-050505050505, its removal is held back/,
    );
    const unknown = lookupAddress('nobody@example.org', { index, hasher: index.hasher }, NOW);
    expect(describeReason(unknown)).toBe(
      'no recipient has this address; the source confirmed them 1 s ago, the limit is 21 d',
    );
  });
});

describe('staleness', () => {
  const ask = (address: string, index: FakeRecipientIndex, now = NOW, defaultMaxAgeMs?: number): string => {
    const options = {
      index,
      hasher: index.hasher,
      ...(defaultMaxAgeMs === undefined ? {} : { defaultMaxAgeMs }),
    };
    const { verdict, rule } = lookupAddress(address, options, now);
    return `${verdict} ${rule}`;
  };

  it.each(['none', 'loading'] as const)(
    'recipients %s: what is found is known, nothing is unknown',
    (loadState) => {
      const index = filled();
      index.recipientsLoaded = { loadState, generation: 0, lastConfirmedMs: NOW };
      expect(ask('anna@example.org', index)).toBe('known exact');
      expect(ask('anna+x@example.org', index)).toBe('known withoutExtension');
      expect(ask('nobody@example.org', index)).toBe('temporarilyUnable recipientsNotLoaded');
      expect(ask('postmaster@example.org', index)).toBe('known postmaster');
      expect(ask('nobody@all.example', index)).toBe('known catchAll');
      expect(ask('nobody@internal.example', index)).toBe('known relay');
      expect(ask('nobody@other.example', index)).toBe('notOurs foreignDomain');
      expect(ask('nonsense', index)).toBe('unknown malformed');
    },
  );

  it.each(['none', 'loading'] as const)("domains %s: no domain is somebody else's", (loadState) => {
    const index = filled();
    index.domainsLoaded = { loadState, generation: 0, lastConfirmedMs: undefined };
    expect(ask('anna@example.org', index)).toBe('known exact');
    expect(ask('nobody@example.org', index)).toBe('unknown noSuchRecipient');
    expect(ask('anna@other.example', index)).toBe('temporarilyUnable domainsNotLoaded');
    expect(lookupDomain('other.example', index)).toMatchObject({
      verdict: 'temporarilyUnable',
      rule: 'domainsNotLoaded',
    });
    expect(lookupDomain('example.org', index)).toMatchObject({
      verdict: 'known',
      domainKind: 'authoritative',
    });
  });

  it.each([
    ['confirmed now', 'nobody@example.org', 0, 'unknown noSuchRecipient'],
    ['at the limit', 'nobody@example.org', DEFAULT_MAX_AGE_MS, 'unknown noSuchRecipient'],
    ['past the limit', 'nobody@example.org', DEFAULT_MAX_AGE_MS + 1, 'temporarilyUnable recipientsStale'],
    ['past the limit, known', 'anna@example.org', 10 * DEFAULT_MAX_AGE_MS, 'known exact'],
    ["past the domain's own limit", 'nobody@short.example', DAY + 1, 'temporarilyUnable recipientsStale'],
    ["within the domain's own limit", 'nobody@short.example', DAY, 'unknown noSuchRecipient'],
    ['a little ahead of our clock', 'nobody@example.org', -CLOCK_TOLERANCE_MS, 'unknown noSuchRecipient'],
    [
      'far ahead of our clock',
      'nobody@example.org',
      -CLOCK_TOLERANCE_MS - 1,
      'temporarilyUnable recipientsStale',
    ],
    ['catch-all, past the limit', 'nobody@all.example', 10 * DEFAULT_MAX_AGE_MS, 'known catchAll'],
    ['relay, past the limit', 'nobody@external.example', 10 * DEFAULT_MAX_AGE_MS, 'known relay'],
  ])('%s', (_name, address, age, expected) => {
    const index = filled();
    index.recipientsLoaded = { loadState: 'complete', generation: 1, lastConfirmedMs: NOW - age };
    expect(ask(address, index)).toBe(expected);
  });

  it('never confirmed is stale', () => {
    const index = filled();
    index.recipientsLoaded = { loadState: 'complete', generation: 1, lastConfirmedMs: undefined };
    expect(ask('nobody@example.org', index)).toBe('temporarilyUnable recipientsStale');
    index.recipientsLoaded = { loadState: 'complete', generation: 1, lastConfirmedMs: Number.NaN };
    expect(ask('nobody@example.org', index)).toBe('temporarilyUnable recipientsStale');
  });

  it("the default limit can be set, a domain's own one wins", () => {
    const index = filled();
    index.recipientsLoaded = { loadState: 'complete', generation: 1, lastConfirmedMs: NOW - 2 * 3_600_000 };
    expect(ask('nobody@example.org', index, NOW, 3_600_000)).toBe('temporarilyUnable recipientsStale');
    expect(ask('nobody@short.example', index, NOW, 3_600_000)).toBe('unknown noSuchRecipient');
  });

  it('an edge whose clock fell back to 1970 does not bounce mail', () => {
    expect(ask('nobody@example.org', filled(), 0)).toBe('temporarilyUnable recipientsStale');
  });
});

describe('relay_domains', () => {
  const index = filled();
  it.each([
    ['example.org', 'known', 'authoritative'],
    ['EXAMPLE.org', 'known', 'authoritative'],
    ['internal.example', 'known', 'internalRelay'],
    ['external.example', 'known', 'externalRelay'],
    ['münchen.example', 'known', 'authoritative'],
    ['xn--mnchen-3ya.example', 'known', 'authoritative'],
    ['sub.example.org', 'notOurs', undefined],
    ['.example.org', 'notOurs', undefined],
    ['org', 'notOurs', undefined],
    ['', 'notOurs', undefined],
    ['*', 'notOurs', undefined],
    ['@example.org', 'notOurs', undefined],
    ['anna@example.org', 'notOurs', undefined],
  ])('%j: %s', (domain, verdict, kind) => {
    for (const input of [domain, Buffer.from(domain)]) {
      const answer = lookupDomain(input, index);
      expect([answer.verdict, answer.domainKind]).toEqual([verdict, kind]);
      expect(describeReason(answer)).not.toContain('undefined');
    }
  });
  it('an old list is still the list', () => {
    const old = filled();
    old.domainsLoaded = { loadState: 'complete', generation: 1, lastConfirmedMs: 0 };
    expect(lookupDomain('other.example', old).verdict).toBe('notOurs');
  });
});

it('any bytes get an answer', () => {
  const index = filled();
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array());
  fc.assert(
    fc.property(text, fc.double(), (input, now) => {
      expect(['known', 'unknown', 'temporarilyUnable', 'notOurs']).toContain(
        lookupAddress(input, { index, hasher: index.hasher }, now).verdict,
      );
      expect(['known', 'temporarilyUnable', 'notOurs']).toContain(lookupDomain(input, index).verdict);
    }),
    { numRuns: 2000 },
  );
});
