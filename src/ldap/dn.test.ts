import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DecodeError } from '../base/decode-error.ts';
import { type Dn, escapeNameValue, formatDn, formatRdn, parseDn, parseRdn } from './dn.ts';

/** Parts as [type, value]; an RDN is a list of them. */
const dn = (...rdns: [string, string | Buffer][][]): Dn =>
  rdns.map((rdn) => rdn.map(([type, value]) => ({ type, value: Buffer.from(value as string) })));

describe('RFC 4514 §4', () => {
  const cases: [string, Dn, string?][] = [
    ['UID=jsmith,DC=example,DC=net', dn([['UID', 'jsmith']], [['DC', 'example']], [['DC', 'net']])],
    [
      'OU=Sales+CN=J.  Smith,DC=example,DC=net',
      dn(
        [
          ['OU', 'Sales'],
          ['CN', 'J.  Smith'],
        ],
        [['DC', 'example']],
        [['DC', 'net']],
      ),
    ],
    [
      'CN=James \\"Jim\\" Smith\\, III,DC=example,DC=net',
      dn([['CN', 'James "Jim" Smith, III']], [['DC', 'example']], [['DC', 'net']]),
    ],
    [
      'CN=Before\\0dAfter,DC=example,DC=net',
      dn([['CN', 'Before\rAfter']], [['DC', 'example']], [['DC', 'net']]),
    ],
    ['1.3.6.1.4.1.1466.0=#04024869', dn([['1.3.6.1.4.1.1466.0', 'Hi']])],
    ['CN=Lu\\C4\\8Di\\C4\\87', dn([['CN', 'Lučić']]), 'CN=Lučić'],
  ];
  test.each(cases)('%s', (text, parsed, canonical) => {
    expect(parseDn(text)).toEqual(parsed);
    expect(formatDn(parsed)).toBe(canonical ?? text);
  });
});

describe('others', () => {
  const cases: [string, Dn, string?][] = [
    ['', []],
    ['   ', [], ''],
    ['cn=', dn([['cn', '']])],
    ['cn=,dc=a', dn([['cn', '']], [['dc', 'a']])],
    ['cn=   ,dc=a', dn([['cn', '']], [['dc', 'a']]), 'cn=,dc=a'],
    ['cn=\\ ', dn([['cn', ' ']])],
    ['cn=\\  \\ ', dn([['cn', '   ']])],
    ['cn=\\ a\\ ', dn([['cn', ' a ']])],
    ['cn=a b', dn([['cn', 'a b']])],
    ['cn=\\#a#b', dn([['cn', '#a#b']])],
    ['cn=a=b', dn([['cn', 'a=b']])],
    ['cn=a\\=b', dn([['cn', 'a=b']]), 'cn=a=b'],
    ['cn=\\"\\+\\,\\;\\<\\>\\\\', dn([['cn', '"+,;<>\\']])],
    ['cn=\\22\\2b\\2C\\5c', dn([['cn', '"+,\\']]), 'cn=\\"\\+\\,\\\\'],
    ['cn=a\\00b', dn([['cn', 'a\0b']])],
    ['cn=\\41\\20', dn([['cn', 'A ']]), 'cn=A\\ '],
    ['cn=a\\ ,dc=b', dn([['cn', 'a ']], [['dc', 'b']])],
    [
      ' cn = a , dc= b + x =c ',
      dn(
        [['cn', 'a']],
        [
          ['dc', 'b'],
          ['x', 'c'],
        ],
      ),
      'cn=a,dc=b+x=c',
    ],
    ['cn=#0c02c3a4', dn([['cn', 'ä']]), 'cn=ä'],
    ['cn=#12023132', dn([['cn', '12']]), 'cn=12'],
    ['cn=#1a0141', dn([['cn', 'A']]), 'cn=A'],
    ['cn=#1402e441', dn([['cn', 'äA']]), 'cn=äA'],
    ['cn=#1e06004d00fc6f22', dn([['cn', 'Mü漢']]), 'cn=Mü漢'],
    ['cn=#1e04d83dde00', dn([['cn', '😀']]), 'cn=😀'],
    ['cn=#1c080001f60000000041', dn([['cn', '😀A']]), 'cn=😀A'],
    ['cn=#130141 , dc=a', dn([['cn', 'A']], [['dc', 'a']]), 'cn=A,dc=a'],
    ['cn=#0402C3ff', dn([['cn', Buffer.from([0xc3, 0xff])]]), 'cn=#0402c3ff'],
    ['cn=\\c3\\ff', dn([['cn', Buffer.from([0xc3, 0xff])]]), 'cn=#0402c3ff'],
    ['cn=日本\u{1f600}', dn([['cn', '日本\u{1f600}']])],
    ['2.5.4.3=a', dn([['2.5.4.3', 'a']]), '2.5.4.3=#040161'],
  ];
  test.each(cases)('%j', (text, parsed, canonical) => {
    expect(parseDn(text)).toEqual(parsed);
    expect(formatDn(parsed)).toBe(canonical ?? text);
  });

  test('one relative name', () => {
    expect(parseRdn('cn=a+sn=b')).toEqual(
      dn([
        ['cn', 'a'],
        ['sn', 'b'],
      ])[0],
    );
    expect(formatRdn(parseRdn('cn=a\\+b'))).toBe('cn=a\\+b');
    expect(() => parseRdn('')).toThrow(DecodeError);
    expect(() => parseRdn('cn=a,dc=b')).toThrow(DecodeError);
  });
});

describe('refused', () => {
  test.each([
    ['cn', 'expected an attribute type and =', 0],
    ['cn,dc=a', 'expected an attribute type and =', 0],
    ['cn=a,', 'expected an attribute type and =', 5],
    [',cn=a', 'expected an attribute type and =', 0],
    ['cn=a,,dc=b', 'expected an attribute type and =', 5],
    ['cn=a+', 'expected an attribute type and =', 5],
    ['=a', 'malformed attribute type', 0],
    ['c n=a', 'malformed attribute type', 0],
    ['1=a', 'malformed attribute type', 0],
    ['1.=a', 'malformed attribute type', 0],
    ['-a=b', 'malformed attribute type', 0],
    ['cn;lang-en=a', 'malformed attribute type', 0],
    ['cn="a"', 'character must be escaped', 3],
    ['cn=a;dc=b', 'character must be escaped', 4],
    ['cn=<a>', 'character must be escaped', 3],
    ['cn=a\0', 'character must be escaped', 4],
    ['cn=\\', 'a backslash needs a special character or two hexadecimal digits', 3],
    ['cn=\\a', 'a backslash needs a special character or two hexadecimal digits', 3],
    ['cn=\\zz', 'a backslash needs a special character or two hexadecimal digits', 3],
    ['cn=#', 'malformed value after #: not a string type', 3],
    ['cn=#0', 'expected hexadecimal digits', 4],
    ['cn=#04024869x', 'expected hexadecimal digits', 12],
    ['cn=#040248', 'malformed value after #: element reaches past the end of what contains it', 3],
    ['cn=#0401410500', 'malformed value after #: unexpected null after the end', 3],
    ['cn=#1e03004d00', 'malformed value after #: no Unicode text', 3],
    ['cn=#1e02d83d', 'malformed value after #: no Unicode text', 3],
    ['cn=#1c0400110000', 'malformed value after #: no Unicode text', 3],
    ['cn=#1c040000d800', 'malformed value after #: no Unicode text', 3],
    ['cn=#020101', 'malformed value after #: not a string type', 3],
    ['cn=\udc00', 'name is not well-formed text', 0],
  ])('%j: %s', (text, message, offset) => {
    const failure = (() => {
      try {
        return parseDn(text);
      } catch (error) {
        return error;
      }
    })();
    expect(failure).toBeInstanceOf(DecodeError);
    expect(failure).toMatchObject({ message, offset });
  });

  test('what is too long', () => {
    expect(() => parseDn(`cn=${'a'.repeat(70_000)}`)).toThrow('name is too long');
    expect(() => parseDn('a=b,'.repeat(2000) + 'a=b')).toThrow('name has too many parts');
    expect(() => parseDn('a=b+'.repeat(2000) + 'a=b')).toThrow('name has too many parts');
  });
});

const type = fc.oneof(
  fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9-]{0,8}$/),
  fc.constantFrom('2.5.4.3', '0.9.2342.19200300.100.1.25'),
);
const value = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  fc.stringMatching(/^[ "#+,;<=>\\a]{0,6}$/).map((text) => Buffer.from(text)),
);
const anyDn = fc.array(
  fc.array(fc.record({ type, value }, { noNullPrototype: true }), { minLength: 1, maxLength: 3 }),
  { maxLength: 5 },
);

test('round trip', () => {
  fc.assert(
    fc.property(anyDn, (name) => {
      expect(parseDn(formatDn(name))).toEqual(name);
    }),
    { numRuns: 2000 },
  );
});

test('an escaped value means itself, and holds no control characters', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[ "#+,;<=>\\\0\na]{0,6}$/)),
      (input) => {
        const escaped = escapeNameValue(input);
        expect(escaped).not.toMatch(/[\0-\x1f\x7f]/);
        expect(parseDn(`cn=${escaped},dc=a`)).toEqual(dn([['cn', input]], [['dc', 'a']]));
      },
    ),
    { numRuns: 2000 },
  );
});

test('any text: a name or DecodeError', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[a-c0-4=,+#\\ "]{0,20}$/));
  fc.assert(
    fc.property(text, (input) => {
      try {
        const name = parseDn(input);
        expect(parseDn(formatDn(name))).toEqual(name);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
    { numRuns: 5000 },
  );
});
