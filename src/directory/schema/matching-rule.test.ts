import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NameReader } from '../entry/name.ts';
import { isPrepared, prepare, prepareSubstring, spaced } from './string-preparation.ts';
import { standardSchema } from './standard.ts';

const schema = standardSchema();
const names = new NameReader(schema);
const normal = (rule: string, text: string): string | undefined =>
  schema.matchingRule(rule)?.normalise(Buffer.from(text), names)?.toString('latin1');

describe('equality', () => {
  it.each([
    ['caseIgnoreMatch', 'Bob  Smith', ' bob smith ', true],
    ['caseIgnoreMatch', 'Bob Smith', 'bobsmith', false],
    ['caseIgnoreMatch', 'Straße', 'STRASSE', true],
    ['caseIgnoreMatch', 'ΟΔΟΣ', 'οδος', true],
    ['caseIgnoreMatch', 'ﬁn', 'FIN', true],
    ['caseIgnoreMatch', 'e\u0301', '\u00c9', true],
    ['caseIgnoreMatch', 'a\u00adb', 'ab', true],
    ['caseIgnoreMatch', 'a\u00a0b', 'a b', true],
    ['caseIgnoreMatch', 'a\u200bb', 'ab', true],
    ['caseIgnoreMatch', 'ı', 'i', false],
    ['caseExactMatch', 'Bob', 'bob', false],
    ['caseExactMatch', ' Bob ', 'Bob', true],
    ['numericStringMatch', '12 34', '1234', true],
    ['telephoneNumberMatch', '+49 30-12', '+493012', true],
    ['telephoneNumberMatch', '+49 30 EXT', '+4930ext', true],
    ['integerMatch', '7', '7', true],
    ['integerMatch', '007', '7', true],
    ['integerMatch', '-0', '0', true],
    ['integerMatch', '7', '70', false],
    ['booleanMatch', 'TRUE', 'true', true],
    ['generalizedTimeMatch', '2026010100Z', '20260101000000.0Z', true],
    ['generalizedTimeMatch', '20260101010000+0100', '20260101000000Z', true],
    ['distinguishedNameMatch', 'CN=Bob, DC=Example', 'cn=bob,dc=example', true],
    ['distinguishedNameMatch', 'cn=a+sn=b', 'SN=B+CN=A', true],
    ['distinguishedNameMatch', 'cn=a\\2Cb', 'cn=a\\,b', true],
    ['distinguishedNameMatch', 'cn=a,cn=b', 'cn=a\\,cn=b', false],
    ['distinguishedNameMatch', '2.5.4.3=#040161', 'cn=a', true],
    ['objectIdentifierMatch', 'CommonName', '2.5.4.3', true],
    ['UUIDMatch', '6BA7B810-9DAD-11D1-80B4-00C04FD430C8', '6ba7b810-9dad-11d1-80b4-00c04fd430c8', true],
    ['caseIgnoreListMatch', 'A Street$Town', 'a  street$TOWN', true],
    ['caseIgnoreListMatch', 'A$B', 'A B', false],
    ['octetStringMatch', 'a', 'A', false],
    ['uniqueMemberMatch', "cn=A#'01'B", "CN=a#'01'B", true],
    ['uniqueMemberMatch', "cn=a#'01'B", "cn=a#'10'B", false],
    ['objectIdentifierFirstComponentMatch', "( 2.5.4.3 NAME 'cn' )", 'cn', true],
    ['integerFirstComponentMatch', '( 15 x )', '15', true],
  ])('%s: %j and %j: %s', (rule, a, b, equal) => {
    expect(normal(rule, a) === normal(rule, b)).toBe(equal);
  });

  it.each([
    ['integerMatch', 'x'],
    ['booleanMatch', 'yes'],
    ['generalizedTimeMatch', 'now'],
    ['distinguishedNameMatch', 'nothing'],
    ['UUIDMatch', 'x'],
    ['objectIdentifierMatch', 'noSuchName'],
    ['caseIgnoreMatch', '\ue000'],
  ])('%s has no form for %j', (rule, text) => {
    expect(normal(rule, text)).toBeUndefined();
  });

  it('what is no UTF-8 is Undefined, never a crash', () => {
    for (const rule of schema.matchingRules) {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
          rule.normalise(Buffer.from(bytes), names);
          rule.part?.(Buffer.from(bytes), 'any');
        }),
        { numRuns: 50 },
      );
    }
    expect(
      schema.matchingRule('caseIgnoreMatch')?.normalise(Buffer.from([0x41, 0xff]), names),
    ).toBeUndefined();
  });
});

describe('ordering', () => {
  it.each([
    ['integerOrderingMatch', ['-100', '-20', '-3', '0', '5', '10', '99', '100', '12345678901234567890']],
    [
      'generalizedTimeOrderingMatch',
      ['20251231235959Z', '20260101000000Z', '20260101000000.5Z', '20260101000001Z'],
    ],
    ['caseIgnoreOrderingMatch', ['a', 'B', 'b c', 'bb', 'C']],
    ['octetStringOrderingMatch', ['', 'A', 'AA', 'B', 'a']],
    ['numericStringOrderingMatch', ['1 1', '12', '2']],
  ])('%s', (rule, sorted) => {
    const forms = sorted.map(
      (text) => schema.matchingRule(rule)?.normalise(Buffer.from(text), names) as Buffer,
    );
    for (let i = 1; i < forms.length; i++)
      expect([sorted[i], (forms[i - 1] as Buffer).compare(forms[i] as Buffer)]).toEqual([sorted[i], -1]);
  });
});

describe('preparation', () => {
  it('of ASCII by octets is that of Unicode by text', () => {
    const text = fc.string({ unit: fc.constantFrom(...Array.from('aAbZ09 .\t\n\0\x7f')), maxLength: 12 });
    fc.assert(
      fc.property(text, fc.boolean(), (value, fold) => {
        // A joiner is mapped to nothing, and makes it go the long way.
        const short = prepare(Buffer.from(value), fold);
        const long = prepare(Buffer.from(`${value}\u200d`), fold);
        expect(short?.toString()).toBe(long?.toString());
        expect(prepare(short as Buffer, fold)?.toString()).toBe(short?.toString());
        const bytes = Buffer.from(value);
        if (isPrepared(bytes, 0, bytes.length, fold)) expect(short?.equals(bytes)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['initial', 'ab', ' ab'],
    ['initial', ' a  b ', ' a  b '],
    ['any', ' ab', ' ab'],
    ['any', 'ab ', 'ab '],
    ['any', '   ', ' '],
    ['final', 'ab', 'ab '],
    ['final', ' ab', ' ab '],
  ] as const)('%s part %j is %j (RFC 4518 §2.6.1)', (place, text, form) => {
    expect(prepareSubstring(Buffer.from(text), true, place)?.toString()).toBe(form);
  });

  it('a prepared value spaced holds each of its words', () => {
    expect(spaced(Buffer.from('a b c')).toString()).toBe(' a  b  c ');
    expect(spaced(Buffer.from('')).toString()).toBe('  ');
  });
});
