import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { handFilter } from '../../test/support/hand-ber.ts';
import { arbitraryFilter } from '../../test/support/message-arbitrary.ts';
import { DecodeError } from '../base/decode-error.ts';
import { BerReader } from '../asn1/reader.ts';
import { decodeFilter } from './decode-filter.ts';
import { escapeFilterValue, formatFilter, parseFilter } from './filter.ts';
import { SERVER_LIMITS } from './limits.ts';
import type { Filter } from './message.ts';

const b = (text: string): Buffer => Buffer.from(text);
const equality = (attribute: string, value: string | Buffer): Filter => ({
  kind: 'equality',
  attribute,
  value: Buffer.from(value as string),
});

describe('RFC 4515 §4', () => {
  const cases: [string, Filter, string?][] = [
    ['(cn=Babs Jensen)', equality('cn', 'Babs Jensen')],
    ['(!(cn=Tim Howes))', { kind: 'not', filter: equality('cn', 'Tim Howes') }],
    [
      '(&(objectClass=Person)(|(sn=Jensen)(cn=Babs J*)))',
      {
        kind: 'and',
        filters: [
          equality('objectClass', 'Person'),
          {
            kind: 'or',
            filters: [
              equality('sn', 'Jensen'),
              { kind: 'substrings', attribute: 'cn', initial: b('Babs J'), any: [] },
            ],
          },
        ],
      },
    ],
    [
      '(o=univ*of*mich*)',
      { kind: 'substrings', attribute: 'o', initial: b('univ'), any: [b('of'), b('mich')] },
    ],
    ['(seeAlso=)', equality('seeAlso', '')],
    [
      '(cn:caseExactMatch:=Fred Flintstone)',
      {
        kind: 'extensible',
        attribute: 'cn',
        matchingRule: 'caseExactMatch',
        value: b('Fred Flintstone'),
        dnAttributes: false,
      },
    ],
    [
      '(cn:=Betty Rubble)',
      { kind: 'extensible', attribute: 'cn', value: b('Betty Rubble'), dnAttributes: false },
    ],
    [
      '(sn:dn:2.4.6.8.10:=Barney Rubble)',
      {
        kind: 'extensible',
        attribute: 'sn',
        matchingRule: '2.4.6.8.10',
        value: b('Barney Rubble'),
        dnAttributes: true,
      },
    ],
    [
      '(o:dn:=Ace Industry)',
      { kind: 'extensible', attribute: 'o', value: b('Ace Industry'), dnAttributes: true },
    ],
    [
      '(:1.2.3:=Wilma Flintstone)',
      { kind: 'extensible', matchingRule: '1.2.3', value: b('Wilma Flintstone'), dnAttributes: false },
    ],
    [
      '(:DN:2.4.6.8.10:=Dino)',
      { kind: 'extensible', matchingRule: '2.4.6.8.10', value: b('Dino'), dnAttributes: true },
      '(:dn:2.4.6.8.10:=Dino)',
    ],
    [
      '(o=Parens R Us \\28for all your parenthetical needs\\29)',
      equality('o', 'Parens R Us (for all your parenthetical needs)'),
    ],
    ['(cn=*\\2A*)', { kind: 'substrings', attribute: 'cn', any: [b('*')] }, '(cn=*\\2a*)'],
    ['(filename=C:\\5cMyFile)', equality('filename', 'C:\\MyFile')],
    ['(bin=\\00\\00\\00\\04)', equality('bin', Buffer.from([0, 0, 0, 4]))],
    ['(sn=Lu\\c4\\8di\\c4\\87)', equality('sn', 'Lučić'), '(sn=Lučić)'],
    [
      '(1.3.6.1.4.1.1466.0=\\04\\02\\48\\69)',
      equality('1.3.6.1.4.1.1466.0', Buffer.from([4, 2, 0x48, 0x69])),
      '(1.3.6.1.4.1.1466.0=\\04\\02Hi)',
    ],
  ];
  test.each(cases)('%s', (text, filter, canonical) => {
    expect(parseFilter(text)).toEqual(filter);
    expect(formatFilter(filter)).toBe(canonical ?? text);
  });
});

describe('others', () => {
  const cases: [string, Filter, string?][] = [
    ['(objectClass=*)', { kind: 'present', attribute: 'objectClass' }],
    ['(&)', { kind: 'and', filters: [] }],
    ['(|)', { kind: 'or', filters: [] }],
    ['(a>=1)', { kind: 'greaterOrEqual', attribute: 'a', value: b('1') }],
    ['(a<=1)', { kind: 'lessOrEqual', attribute: 'a', value: b('1') }],
    ['(a~=1)', { kind: 'approx', attribute: 'a', value: b('1') }],
    ['(cn;lang-en=a)', equality('cn;lang-en', 'a')],
    ['(a=b=c<d>e~f:g&h|i!j)', equality('a', 'b=c<d>e~f:g&h|i!j')],
    ['(cn= a )', equality('cn', ' a ')],
    ['(cn=*a)', { kind: 'substrings', attribute: 'cn', any: [], final: b('a') }],
    ['(cn=a*b)', { kind: 'substrings', attribute: 'cn', initial: b('a'), any: [], final: b('b') }],
    ['(cn=*a*b*)', { kind: 'substrings', attribute: 'cn', any: [b('a'), b('b')] }],
    ['(proxyAddresses=smtp:a@b.example)', equality('proxyAddresses', 'smtp:a@b.example')],
    [
      '(userAccountControl:1.2.840.113556.1.4.803:=2)',
      {
        kind: 'extensible',
        attribute: 'userAccountControl',
        matchingRule: '1.2.840.113556.1.4.803',
        value: b('2'),
        dnAttributes: false,
      },
    ],
    ['(cn=\\ff\\c3)', equality('cn', Buffer.from([0xff, 0xc3]))],
    ['(cn=a\\0db)', equality('cn', 'a\rb')],
    ['(cn=\ufffd)', equality('cn', '\ufffd')],
    [
      ' ( & \n (a=1)\t( ! (b=2) )\r\n ) ',
      { kind: 'and', filters: [equality('a', '1'), { kind: 'not', filter: equality('b', '2') }] },
      '(&(a=1)(!(b=2)))',
    ],
  ];
  test.each(cases)('%j', (text, filter, canonical) => {
    expect(parseFilter(text)).toEqual(filter);
    expect(formatFilter(filter)).toBe(canonical ?? text);
  });
});

describe('refused', () => {
  test.each([
    ['', 'expected (', 0],
    ['cn=a', 'expected (', 0],
    ['(cn=a', 'expected )', 5],
    ['(cn=a))', 'unexpected text after the filter', 6],
    ['()', 'malformed attribute description', 1],
    ['(=a)', 'malformed attribute description', 1],
    ['(cn)', 'expected =, >=, <=, ~= or :=', 3],
    ['(cn>a)', 'expected =', 4],
    ['(cn~a)', 'expected =', 4],
    ['(c n=a)', 'malformed attribute description', 1],
    ['(1.02=a)', 'malformed attribute description', 1],
    ['(cn;=a)', 'malformed attribute description', 1],
    ['(&(a=1)b)', 'expected )', 7],
    ['(!)', 'expected (', 2],
    ['(!(a=1)(b=2))', 'expected )', 7],
    ['(cn=a**b)', 'two asterisks in a row', 8],
    ['(cn=**)', 'two asterisks in a row', 6],
    ['(cn>=a*)', 'an asterisk is written \\2a here', 6],
    ['(cn:=a*)', 'an asterisk is written \\2a here', 6],
    ['(cn=\\2)', 'a backslash needs two hexadecimal digits', 4],
    ['(cn=\\zz)', 'a backslash needs two hexadecimal digits', 4],
    ['(cn=\\', 'a backslash needs two hexadecimal digits', 4],
    ['(cn=a(b)', 'character must be escaped', 5],
    ['(cn=a\0)', 'character must be escaped', 5],
    ['(:=a)', 'malformed attribute description', 1],
    ['(:dn:=a)', 'malformed attribute description', 1],
    ['(cn:dn:a:b:=c)', 'malformed matching rule', 3],
    ['(cn:a b:=c)', 'malformed matching rule', 3],
    ['(cn::=c)', 'malformed matching rule', 3],
    ['(cn:dn', 'expected :=', 3],
    ['(cn=\ud800)', 'filter is not well-formed text', 0],
  ])('%j: %s', (text, message, offset) => {
    const failure = (() => {
      try {
        return parseFilter(text);
      } catch (error) {
        return error;
      }
    })();
    expect(failure).toBeInstanceOf(DecodeError);
    expect(failure).toMatchObject({ message, offset });
  });

  test('what is too deep or too long', () => {
    const nested = (depth: number): string => `${'(!'.repeat(depth)}(a=1)${')'.repeat(depth)}`;
    expect(formatFilter(parseFilter(nested(63)))).toBe(nested(63));
    expect(() => parseFilter(nested(64))).toThrow('filter is nested too deeply');
    expect(() => parseFilter('(!'.repeat(1_000_000))).toThrow('filter is nested too deeply');
    expect(() => parseFilter(`(|${'(a=1)'.repeat(100_000)})`)).toThrow('filter has too many components');
    expect(() => parseFilter(`(a=${'b*'.repeat(100_000)})`)).toThrow('filter has too many components');
  });
});

const name = fc.oneof(
  fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9-]{0,10}$/).filter((text) => text.toLowerCase() !== 'dn'),
  fc.stringMatching(/^[0-2](\.(0|[1-9][0-9]{0,4})){1,5}$/),
);
const value = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }).map((text) => Buffer.from(text)),
  fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  fc.stringMatching(/^[()*\\ ab]{1,6}$/).map((text) => Buffer.from(text)),
);

test('round trip through text, and text and wire agree', () => {
  fc.assert(
    fc.property(arbitraryFilter(name, value), (filter) => {
      expect(parseFilter(formatFilter(filter))).toEqual(filter);
      expect(decodeFilter(new BerReader(handFilter(filter)), SERVER_LIMITS)).toEqual(filter);
    }),
    { numRuns: 1000 },
  );
});

test('any text: a filter or DecodeError', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[()&|!=*<>~:\\ a1dn.]{0,30}$/));
  fc.assert(
    fc.property(text, (input) => {
      try {
        const filter = parseFilter(input);
        expect(parseFilter(formatFilter(filter))).toEqual(filter);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
    { numRuns: 5000 },
  );
});

test('an escaped value means itself, whatever it is', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), value), (input) => {
      expect(parseFilter(`(&(mail=${escapeFilterValue(input)})(a=b))`)).toEqual({
        kind: 'and',
        filters: [
          { kind: 'equality', attribute: 'mail', value: Buffer.from(input as string) },
          equality('a', 'b'),
        ],
      });
    }),
  );
});

test('odd names from the wire cannot forge a filter text', () => {
  expect(formatFilter(equality('a=*)(b', 'c'))).toBe('(a????b=c)');
  expect(formatFilter({ kind: 'present', attribute: 'a\nb' })).toBe('(a?b=*)');
});
