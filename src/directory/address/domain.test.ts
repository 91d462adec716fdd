import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isCanonicalName, normaliseDomain } from './domain.ts';

it.each([
  ['Example.ORG', 'example.org'],
  ['example.org.', 'example.org'],
  ['localhost', 'localhost'],
  ['a-b.c_d.e', 'a-b.c_d.e'],
  ['3com.example', '3com.example'],
  ['1.2.3.com', '1.2.3.com'],
  ['MÜNCHEN.de', 'xn--mnchen-3ya.de'],
  ['münchen。de', 'xn--mnchen-3ya.de'],
  ['XN--MNCHEN-3YA.DE', 'xn--mnchen-3ya.de'],
  ['[192.0.2.1]', '[192.0.2.1]'],
  ['[IPv6:::ffff:192.0.2.1]', '[ipv6:::ffff:c000:201]'],
])('%s is %s', (domain, canonical) => {
  expect(normaliseDomain(domain)).toBe(canonical);
  expect(normaliseDomain(canonical)).toBe(canonical);
});

it.each(
  [
    '',
    '.',
    '..',
    '.a',
    'a..b',
    'a b',
    'a@b',
    'a/b',
    'ü/b',
    'ü@b',
    'ü:1',
    'ü%2e',
    'ü\\b',
    '-a',
    'a-',
    'a.-b',
    '*.a',
    'a,b',
    '10',
    '10.0.0.1',
    '0x7f.1',
    'ü.1',
    '[',
    ']',
    '[]',
    '[a]',
    '[::1]',
    '[IPv6:]',
    '[IPv6:1]',
    '\ud800',
    'a\0',
    'ü\0',
    'ü\n',
    '\u00ad',
    'xn--ü',
    `${'a'.repeat(64)}.b`,
    'ü'.repeat(300),
    'a.'.repeat(5000),
  ].map((domain) => [domain.slice(0, 60), domain] as const),
)('%j is no domain', (_title, domain) => {
  expect(normaliseDomain(domain)).toBeUndefined();
});

it('any text gives a canonical domain or nothing', () => {
  const piece = fc.constantFrom(
    'a',
    'Z',
    '9',
    '.',
    '-',
    '_',
    'ü',
    'ß',
    '。',
    '\u00ad',
    '\u200d',
    '℀',
    '①',
    '１',
    'xn--',
    '/',
    '@',
    '[',
    ']',
    ':',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 12 }).map((list) => list.join('')),
  );
  fc.assert(
    fc.property(text, (domain) => {
      const canonical = normaliseDomain(domain);
      if (canonical === undefined) return;
      expect(normaliseDomain(canonical)).toBe(canonical);
      expect(isCanonicalName(canonical) || canonical.startsWith('[')).toBe(true);
    }),
    { numRuns: 10_000 },
  );
});
