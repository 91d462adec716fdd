import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DecodeError } from '../base/decode-error.ts';
import type { Filter } from './message.ts';
import { formatLdapUrl, type LdapUrl, parseLdapUrl, urlPort } from './url.ts';

const plain = { scheme: 'ldap', host: '', dn: '', attributes: [], extensions: [] } as const;
const equality = (attribute: string, value: string | Buffer): Filter => ({
  kind: 'equality',
  attribute,
  value: Buffer.from(value as string),
});

describe('RFC 4516 §4', () => {
  const michigan = 'o=University of Michigan,c=US';
  const cases: [string, LdapUrl, string?][] = [
    ['ldap:///o=University%20of%20Michigan,c=US', { ...plain, dn: michigan }],
    [
      'ldap://ldap1.example.net/o=University%20of%20Michigan,c=US',
      { ...plain, host: 'ldap1.example.net', dn: michigan },
    ],
    [
      'ldap://ldap1.example.net/o=University%20of%20Michigan,c=US?postalAddress',
      { ...plain, host: 'ldap1.example.net', dn: michigan, attributes: ['postalAddress'] },
    ],
    [
      'ldap://ldap1.example.net:6666/o=University%20of%20Michigan,c=US??sub?(cn=Babs%20Jensen)',
      {
        ...plain,
        host: 'ldap1.example.net',
        port: 6666,
        dn: michigan,
        scope: 'subtree',
        filter: equality('cn', 'Babs Jensen'),
      },
    ],
    [
      'LDAP://ldap1.example.com/c=GB?objectClass?ONE',
      { ...plain, host: 'ldap1.example.com', dn: 'c=GB', attributes: ['objectClass'], scope: 'one' },
      'ldap://ldap1.example.com/c=GB?objectClass?one',
    ],
    [
      'ldap://ldap2.example.com/o=Question%3f,c=US?mail',
      { ...plain, host: 'ldap2.example.com', dn: 'o=Question?,c=US', attributes: ['mail'] },
      'ldap://ldap2.example.com/o=Question%3F,c=US?mail',
    ],
    [
      'ldap://ldap3.example.com/o=Babsco,c=US???(four-octet=%5c00%5c00%5c00%5c04)',
      {
        ...plain,
        host: 'ldap3.example.com',
        dn: 'o=Babsco,c=US',
        filter: equality('four-octet', Buffer.from([0, 0, 0, 4])),
      },
      'ldap://ldap3.example.com/o=Babsco,c=US???(four-octet=%5C00%5C00%5C00%5C04)',
    ],
    [
      'ldap://ldap.example.com/o=An%20Example%5C2C%20Inc.,c=US',
      { ...plain, host: 'ldap.example.com', dn: 'o=An Example\\2C Inc.,c=US' },
    ],
    ['ldap://ldap.example.net', { ...plain, host: 'ldap.example.net' }],
    ['ldap://ldap.example.net/', { ...plain, host: 'ldap.example.net' }, 'ldap://ldap.example.net'],
    ['ldap://ldap.example.net/?', { ...plain, host: 'ldap.example.net' }, 'ldap://ldap.example.net'],
    [
      'ldap:///??sub??e-bindname=cn=Manager%2cdc=example%2cdc=com',
      {
        ...plain,
        scope: 'subtree',
        extensions: [{ critical: false, type: 'e-bindname', value: 'cn=Manager,dc=example,dc=com' }],
      },
      'ldap:///??sub??e-bindname=cn%3DManager%2Cdc%3Dexample%2Cdc%3Dcom',
    ],
    [
      'ldap:///??sub??!e-bindname=cn=Manager%2cdc=example%2cdc=com',
      {
        ...plain,
        scope: 'subtree',
        extensions: [{ critical: true, type: 'e-bindname', value: 'cn=Manager,dc=example,dc=com' }],
      },
      'ldap:///??sub??!e-bindname=cn%3DManager%2Cdc%3Dexample%2Cdc%3Dcom',
    ],
  ];
  test.each(cases)('%s', (text, url, canonical) => {
    expect(parseLdapUrl(text)).toEqual(url);
    expect(formatLdapUrl(url)).toBe(canonical ?? text);
  });
});

describe('others', () => {
  const cases: [string, LdapUrl, string?][] = [
    ['ldaps://[2001:db8::1]:50636', { ...plain, scheme: 'ldaps', host: '2001:db8::1', port: 50_636 }],
    ['ldapi://%2Frun%2Fpostern%2Fldapi', { ...plain, scheme: 'ldapi', host: '/run/postern/ldapi' }],
    ['ldapi:///dc=a', { ...plain, scheme: 'ldapi', dn: 'dc=a' }],
    ['ldap://', plain],
    [
      'ldap:///?*,+,1.1,cn;lang-en,2.5.4.3',
      { ...plain, attributes: ['*', '+', '1.1', 'cn;lang-en', '2.5.4.3'] },
    ],
    [
      'ldap:///????a,!1.2=',
      {
        ...plain,
        extensions: [
          { critical: false, type: 'a' },
          { critical: true, type: '1.2', value: '' },
        ],
      },
    ],
    ['ldap:///cn=a b', { ...plain, dn: 'cn=a b' }, 'ldap:///cn=a%20b'],
    ['ldap:///cn=%C3%A4', { ...plain, dn: 'cn=ä' }],
  ];
  test.each(cases)('%s', (text, url, canonical) => {
    expect(parseLdapUrl(text)).toEqual(url);
    expect(formatLdapUrl(url)).toBe(canonical ?? text);
  });

  test('ports', () => {
    expect(
      ['ldap://a', 'ldaps://a', 'ldapi://a', 'ldap://a:1'].map((text) => urlPort(parseLdapUrl(text))),
    ).toEqual([389, 636, undefined, 1]);
  });
});

test.each([
  '',
  'ldap',
  'ldap:',
  'ldap:/a',
  'http://a',
  'ldapx://a',
  'ldap://a:0',
  'ldap://a:65536',
  'ldap://a:b',
  'ldap://a:',
  'ldap://user@a',
  'ldap://[::1',
  'ldap://[::g]',
  'ldap://[1.2.3.4]',
  'ldap://a b',
  'ldap://a%2Fb',
  'ldap:///cn',
  'ldap:///cn=%',
  'ldap:///cn=%zz',
  'ldap:///cn=%ff',
  'ldap:///??two',
  'ldap:///???cn=a',
  'ldap:///?a b',
  'ldap:///?,',
  'ldap:///????=a',
  'ldap:///????!',
  'ldap:///?????',
  'ldap:///????a?b',
  'ldap:///cn=\ud800',
  `ldap:///cn=${'a'.repeat(70_000)}`,
])('%j is refused', (text) => {
  expect(() => parseLdapUrl(text)).toThrow(DecodeError);
});

test('round trip', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,6}$/);
  const text = fc.string({ unit: 'binary', maxLength: 10 });
  const url = fc.record(
    {
      scheme: fc.constantFrom('ldap' as const, 'ldaps' as const),
      host: fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.constant('')),
      port: fc.integer({ min: 1, max: 65_535 }),
      dn: fc.stringMatching(/^(cn=x[a-z?%/#&=éß]{0,5},dc=x)?$/),
      attributes: fc.array(name, { maxLength: 3 }),
      scope: fc.constantFrom('base' as const, 'one' as const, 'subtree' as const),
      filter: text.map((value): Filter => equality('cn', value)),
      extensions: fc.array(
        fc.record(
          { critical: fc.boolean(), type: name, value: text },
          { requiredKeys: ['critical', 'type'] },
        ),
        { maxLength: 3 },
      ),
    },
    { requiredKeys: ['scheme', 'host', 'dn', 'attributes', 'extensions'] },
  );
  fc.assert(
    fc.property(url, (original) => {
      const formatted = formatLdapUrl(original);
      expect(formatted).toMatch(/^[!-~]*$/);
      expect(parseLdapUrl(formatted)).toEqual(original);
    }),
    { numRuns: 1000 },
  );
});

test('any text: a URL or DecodeError', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^ldaps?:\/\/[a:0[\]%2F?/,=()!]{0,20}$/),
  );
  fc.assert(
    fc.property(text, (input) => {
      try {
        const url = parseLdapUrl(input);
        expect(parseLdapUrl(formatLdapUrl(url))).toEqual(url);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
});
