import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPosternError } from '../../base/error.ts';
import {
  ADDRESS_NORMALISER_VERSION,
  type AddressProblem,
  composeAddress,
  LONGEST_LOCAL_PART,
  normaliseAddress,
  parseAddress,
  requireAddress,
} from './address.ts';

describe('one canonical spelling', () => {
  const table: [canonical: string, ...spellings: string[]][] = [
    ['anna@example.org', 'anna@example.org', 'ANNA@example.org', 'Anna@EXAMPLE.Org', '"anna"@example.org'],
    ['anna@example.org', '"An\\na"@example.org', '"\\a\\n\\n\\a"@example.org', 'anna@example.org.'],
    ['a.b@example.org', 'A.B@example.org', '"a.b"@example.org', '"a\\.b"@example.org'],
    ['"a b"@example.org', '"A B"@example.org', '"a\\ b"@example.org'],
    ['"a\\"b"@example.org', '"a\\"b"@example.org', '"\\a\\"\\b"@example.org'],
    ['"a\\\\b"@example.org', '"A\\\\B"@example.org'],
    ['"a@b"@example.org', '"a@b"@example.org', '"a\\@B"@Example.org'],
    ['"a,b"@example.org', '"a,b"@example.org'],
    ['"a..b"@example.org', 'a..b@example.org', '"a..b"@example.org'],
    ['".a"@example.org', '.a@example.org', '".A"@example.org'],
    ['"a."@docomo.ne.jp', 'a.@docomo.ne.jp', '"a."@docomo.ne.jp'],
    ["o'hara!#$%&*+-/=?^_`{|}~@example.org", "O'Hara!#$%&*+-/=?^_`{|}~@example.org"],
    ['anna+news@example.org', 'Anna+News@example.org'],
    ['user%other@example.org', 'user%other@example.org'],
    ['other!user@example.org', 'other!user@example.org'],
    ['anna@localhost', 'anna@LOCALHOST'],
    ['anna@corp_net.example', 'anna@Corp_Net.example'],
    [
      'anna@xn--mnchen-3ya.de',
      'anna@münchen.de',
      'anna@MÜNCHEN.DE',
      'anna@XN--MNCHEN-3YA.de',
      'anna@mu\u0308nchen.de',
    ],
    ['anna@xn--fa-hia.de', 'anna@faß.de', 'anna@XN--FA-HIA.DE'],
    ['anna@xn--rksmrgs-5wao1o.example', 'anna@räksmörgås.example', 'anna@räksmörgås。example'],
    ['anna@example.org', 'anna@ｅｘａｍｐｌｅ.org'],
    [
      'jürgen@example.org',
      'jürgen@example.org',
      'JÜRGEN@example.org',
      'ju\u0308rgen@example.org',
      '"Jürgen"@example.org',
    ],
    ['strasse@example.org', 'straße@example.org', 'STRASSE@example.org', 'STRAẞE@example.org'],
    ['οδοσ@example.org', 'ΟΔΟΣ@example.org', 'οδος@example.org', 'οδοσ@example.org'],
    ['"οδο σ"@example.org', '"ΟΔΟ Σ"@example.org'],
    ['ışık@example.org', 'ışık@example.org', 'ıŞık@example.org'],
    ['k@example.org', '\u212a@example.org'],
    ['用户@xn--fsqu00a.xn--0zwm56d', '用户@例子.测试'],
    ['"a;b"@example.org', 'a\u037eb@example.org'],
    ['anna@[192.0.2.1]', 'anna@[192.0.2.1]', 'ANNA@[192.0.2.1]'],
    ['anna@[ipv6:2001:db8::1]', 'anna@[IPv6:2001:DB8:0:0:0:0:0:1]', 'anna@[ipv6:2001:db8::0001]'],
  ];
  it.each(table)('%s', (canonical, ...spellings) => {
    for (const spelling of [...spellings, canonical]) {
      expect([spelling, normaliseAddress(spelling)]).toEqual([spelling, canonical]);
      expect(normaliseAddress(Buffer.from(spelling))).toBe(canonical);
    }
  });

  it('is version 1: a changed expectation above needs a new version', () => {
    expect(ADDRESS_NORMALISER_VERSION).toBe(1);
  });

  it('keeps what differs apart', () => {
    const different = [
      'ışık@x',
      'isik@x',
      'a.b@x',
      'ab@x',
      '"a b"@x',
      'a+b@x',
      'a@x.y',
      'a@y',
      'a@faß.de',
      'a@fass.de',
      '"a\\\\b"@x',
      'é@x',
      'e@x',
    ];
    expect(new Set(different.map((address) => normaliseAddress(address))).size).toBe(different.length);
  });

  it('has the meaning apart from the spelling', () => {
    expect(parseAddress('"Anna \\"B\\""@MÜNCHEN.de')).toEqual({
      canonical: '"anna \\"b\\""@xn--mnchen-3ya.de',
      local: 'anna "b"',
      domain: 'xn--mnchen-3ya.de',
    });
  });
});

describe('what is no address', () => {
  const long = 'a'.repeat(LONGEST_LOCAL_PART);
  const table: [string | Buffer, AddressProblem][] = [
    ['', 'empty'],
    [Buffer.alloc(0), 'empty'],
    ['anna', 'no-domain'],
    ['postmaster', 'no-domain'],
    ['"anna"', 'no-domain'],
    ['@example.org', 'bad-local-part'],
    ['@relay.example,@other.example:anna@example.org', 'source-route'],
    ['""@example.org', 'bad-local-part'],
    ['anna@', 'bad-domain'],
    ['anna@.', 'bad-domain'],
    ['anna@.org', 'bad-domain'],
    ['anna@example..org', 'bad-domain'],
    ['anna@example.org..', 'bad-domain'],
    ['anna@-example.org', 'bad-domain'],
    ['anna@example-.org', 'bad-domain'],
    ['anna@exam ple.org', 'bad-domain'],
    ['anna@example.org/x', 'bad-domain'],
    ['anna@exämple.org/x', 'bad-domain'],
    ['anna@exämple.org:25', 'bad-domain'],
    ['anna@exämple.org?x', 'bad-domain'],
    ['anna@exämple.org#x', 'bad-domain'],
    ['anna@%65xämple.org', 'bad-domain'],
    ['anna@\u2100.example', 'bad-domain'],
    ['anna@\ufffd.example', 'bad-domain'],
    ['anna@192.0.2.1', 'bad-domain'],
    ['anna@１２７.０.０.１', 'bad-domain'],
    ['anna@０x７f.１', 'bad-domain'],
    ['anna@[192.0.2.1', 'bad-domain'],
    ['anna@[192.0.2.256]', 'bad-domain'],
    ['anna@[192.0.2.01]', 'bad-domain'],
    ['anna@[IPv6:fe80::1%eth0]', 'bad-domain'],
    ['anna@[2001:db8::1]', 'bad-domain'],
    ['anna@[tag:content]', 'bad-domain'],
    ['anna@[]', 'bad-domain'],
    ['<anna@example.org>', 'bad-local-part'],
    ['anna b@example.org', 'bad-local-part'],
    [' anna@example.org', 'bad-local-part'],
    ['anna@example.org ', 'bad-domain'],
    ['a@b@example.org', 'bad-local-part'],
    ['(comment)anna@example.org', 'bad-local-part'],
    ['smtp:anna@example.org', 'bad-local-part'],
    ['an"na@example.org', 'bad-local-part'],
    ['"anna@example.org', 'bad-local-part'],
    ['"an"na@example.org', 'bad-local-part'],
    ['"anna\\"@example.org', 'bad-local-part'],
    ['an\\na@example.org', 'bad-local-part'],
    ['anna\0@example.org', 'control-character'],
    ['anna@example.org\n', 'control-character'],
    ['"an\tna"@example.org', 'control-character'],
    ['"an\\\rna"@example.org', 'control-character'],
    ['anna\u0085@example.org', 'control-character'],
    ['anna@exam\u007fple.org', 'control-character'],
    [Buffer.from([0x61, 0xff, 0x40, 0x78]), 'not-utf8'],
    [Buffer.from([0x61, 0xc0, 0x80, 0x40, 0x78]), 'not-utf8'],
    ['\ud800@example.org', 'not-utf8'],
    [`${long}a@example.org`, 'too-long'],
    [`"${long} "@example.org`, 'too-long'],
    [`${'é'.repeat(LONGEST_LOCAL_PART / 2)}a@example.org`, 'too-long'],
    [`a@${'a'.repeat(64)}.org`, 'bad-domain'],
    [`a@${'a.'.repeat(126)}org`, 'bad-domain'],
    [`a@${'ü'.repeat(60)}.org`, 'bad-domain'],
    ['a'.repeat(100_000), 'too-long'],
    [Buffer.alloc(100_000, 0x61), 'too-long'],
  ];
  it.each(table.map(([input, problem]) => [String(input).slice(0, 60), problem, input] as const))(
    '%j: %s',
    (_title, problem, input) => {
      expect(parseAddress(input)).toBe(problem);
    },
  );

  it('is refused with a hint', () => {
    expect(() => requireAddress('anna')).toThrow('the address has no domain');
    try {
      requireAddress('');
    } catch (error) {
      expect(isPosternError(error, 'usage')).toBe(true);
    }
    expect(requireAddress('A@b').canonical).toBe('a@b');
  });
});

describe('lengths', () => {
  it('the longest parts are accepted', () => {
    const local = 'a'.repeat(LONGEST_LOCAL_PART);
    expect(normaliseAddress(`${local}@example.org`)).toBe(`${local}@example.org`);
    const quoted = `"${'\\"'.repeat(LONGEST_LOCAL_PART)}"@example.org`;
    expect(normaliseAddress(quoted)).toBe(quoted);
    const domain = `${`${'b'.repeat(63)}.`.repeat(3)}${'c'.repeat(61)}`;
    expect(domain).toHaveLength(253);
    expect(normaliseAddress(`a@${domain}`)).toBe(`a@${domain}`);
    expect(normaliseAddress(`a@${domain}c`)).toBeUndefined();
  });
});

const localCharacter = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...Array.from('abcXYZ019.+-_\'"\\@ ,;<>()[]:%!')) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(...Array.from('äÄßẞıİſΣςσéÉ한글ŉǰ\u0345\u0301\u0308\u037e\u1fef\u212bﬁ')),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }) },
);
const localText = fc.array(localCharacter, { minLength: 1, maxLength: 12 }).map((list) => list.join(''));
const domainText = fc.constantFrom(
  'example.org',
  'EXAMPLE.org',
  'münchen.de',
  'xn--mnchen-3ya.DE',
  'a.b.c',
  '[192.0.2.1]',
  '例子.测试',
);
const quote = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

describe('properties', () => {
  it('normalising twice is normalising once', () => {
    fc.assert(
      fc.property(localText, domainText, (local, domain) => {
        const once = normaliseAddress(`${quote(local)}@${domain}`);
        if (once !== undefined) expect(normaliseAddress(once)).toBe(once);
      }),
      { numRuns: 5000 },
    );
  });

  it('spellings of one local part have one canonical form', () => {
    const spelling = fc.record({
      local: localText,
      escapes: fc.array(fc.boolean(), { maxLength: 30 }),
      domain: domainText,
    });
    fc.assert(
      fc.property(spelling, ({ local, escapes, domain }) => {
        const plain = normaliseAddress(`${quote(local)}@${domain}`);
        const escaped = Array.from(local)
          .map((c, i) => (escapes[i] === true || c === '"' || c === '\\' ? `\\${c}` : c))
          .join('');
        expect(normaliseAddress(`"${escaped}"@${domain}`)).toBe(plain);
        expect(normaliseAddress(`${quote(local.normalize('NFD'))}@${domain.toUpperCase()}`)).toBe(plain);
        if (plain === undefined) return;
        const parsed = parseAddress(plain);
        if (typeof parsed === 'string') expect.fail(parsed);
        expect(composeAddress(parsed.local, parsed.domain)).toEqual(parsed);
      }),
      { numRuns: 5000 },
    );
  });

  it('any text and any bytes give an address or the name of a problem', () => {
    const piece = fc.oneof(
      localText,
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom('@', '"', '\\', '.', '[', ']', 'IPv6:', '\0'),
    );
    const text = fc.array(piece, { maxLength: 8 }).map((list) => list.join(''));
    const check = (input: string | Uint8Array): void => {
      const parsed = parseAddress(input);
      if (typeof parsed === 'string') return;
      expect(parseAddress(parsed.canonical)).toEqual(parsed);
      expect(parsed.canonical.endsWith(`@${parsed.domain}`)).toBe(true);
      expect(parsed.domain).toMatch(/^([a-z0-9_.-]+|\[[a-f0-9:.ipv]+\])$/);
      expect(parsed.canonical).not.toMatch(/\p{Cc}/u);
    };
    fc.assert(fc.property(text, check), { numRuns: 5000 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), check), { numRuns: 5000 });
    fc.assert(
      fc.property(text, (t) => check(Buffer.from(t))),
      { numRuns: 2000 },
    );
  });

  it('the short way through the parser and the long one agree', () => {
    const atom = fc.string({
      unit: fc.constantFrom(...Array.from('abzABZ059.-+_!')),
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(atom, atom, (local, domain) => {
        // Quoted, the same local part never goes the short way.
        expect(normaliseAddress(`${local}@${domain}`)).toBe(normaliseAddress(`"${local}"@${domain}`));
      }),
      { numRuns: 5000 },
    );
  });
});
