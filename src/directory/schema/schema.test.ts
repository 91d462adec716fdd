import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { POSTERN_ATTRIBUTE, POSTERN_OBJECT_CLASS } from '../../ldap/postern-oid.ts';
import { formatDescription } from './description.ts';
import { parseDescription, parseSchema } from './parse-description.ts';
import { canonicalTime } from './generalized-time.ts';
import { buildSchema } from './schema.ts';
import { standardSchema } from './standard.ts';

const schema = standardSchema();
const parseSchemaText = (text: string): unknown[] =>
  parseSchema({ name: 'text', text }).map(({ description }) => description);

describe('the standard schema', () => {
  it('has every name of ours', () => {
    for (const [name, oid] of Object.entries(POSTERN_ATTRIBUTE))
      expect([name, schema.attributeType(name)?.oid]).toEqual([name, oid]);
    for (const [name, oid] of Object.entries(POSTERN_OBJECT_CLASS))
      expect([name, schema.objectClass(name)?.oid]).toEqual([name, oid]);
  });

  it('is published as it was read', () => {
    for (const { description } of schema.attributeTypes) {
      expect(parseDescription('attributeType', formatDescription(description))).toEqual(description);
    }
    for (const { description } of schema.objectClasses) {
      expect(parseDescription('objectClass', formatDescription(description))).toEqual(description);
    }
  });

  it('knows inheritance of types and classes', () => {
    expect(schema.attributeType('name')?.family.map((t) => t.name)).toContain('sn');
    expect(schema.attributeType('COMMONNAME')?.equality?.name).toBe('caseIgnoreMatch');
    expect(schema.attributeType('2.5.4.3')?.name).toBe('cn');
    const person = schema.objectClass('inetOrgPerson');
    expect([...(person?.must ?? [])].map((t) => t.name).sort()).toEqual(['cn', 'objectClass', 'sn']);
    expect([...(person?.lineage ?? [])].map((c) => c.name)).toContain('top');
    expect(schema.objectClass('person')?.family.map((c) => c.name)).toContain('inetOrgPerson');
    // Every rule an attribute type names is one we have.
    for (const type of schema.attributeTypes) {
      const { equality, ordering, substrings } = type.description;
      for (const rule of [equality, ordering, substrings])
        if (rule !== undefined) expect(schema.matchingRule(rule)).toBeDefined();
    }
  });
});

describe('RFC 4512 descriptions', () => {
  it('are read with every field', () => {
    const text = `# a comment
attributetype ( 1.2.3 NAME ( 'a' 'b' ) DESC 'it\\27s \\5c one'
  OBSOLETE SUP name EQUALITY caseExactMatch ORDERING caseExactOrderingMatch SUBSTR caseExactSubstringsMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{64} SINGLE-VALUE COLLECTIVE NO-USER-MODIFICATION USAGE dSAOperation X-ORIGIN 'here' )
objectclasses: ( 1.2.4 NAME 'c' SUP ( top $ person ) AUXILIARY MUST a MAY ( b $ cn ) )`;
    const [type, objectClass] = parseSchemaText(text);
    expect(type).toMatchObject({
      oid: '1.2.3',
      names: ['a', 'b'],
      description: "it's \\ one",
      obsolete: true,
      superior: 'name',
      lengthBound: 64,
      singleValue: true,
      collective: true,
      noUserModification: true,
      usage: 'dSAOperation',
      extensions: { 'X-ORIGIN': ['here'] },
    });
    expect(objectClass).toMatchObject({
      superiors: ['top', 'person'],
      classKind: 'auxiliary',
      must: ['a'],
      may: ['b', 'cn'],
    });
  });

  it.each([
    ['', []],
    ['attributetype', null],
    ['attributetype (', null],
    ["attributetype ( 1.2 NAME 'a'", null],
    ["attributetype ( 1.2 NAME 'a' NAME 'b' )", null],
    ['attributetype ( 1.2 USAGE nonsense )', null],
    ['attributetype ( 1.2 NAME )', null],
    ['attributetype ( 1.2 MUST ( a $ ( b ) ) )', null],
    ['sometype ( 1.2 )', null],
    ["attributetype ( 1.2 DESC 'open )", null],
    ['( 1.2 )', null],
  ])('%j', (text, expected) => {
    if (expected === null)
      expect(() => parseSchemaText(text)).toThrow(expect.objectContaining({ code: 'schema.invalid' }));
    else expect(parseSchemaText(text)).toEqual(expected);
  });

  it.each([
    ["attributetype ( 9.1 NAME 'cn2' SUP nothing )", 'nothing'],
    ["attributetype ( 9.1 NAME 'a' EQUALITY nothing SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )", 'nothing'],
    ["attributetype ( 9.1 NAME 'a' )", 'SYNTAX'],
    [
      "attributetype ( 9.1 NAME 'a' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 ) attributetype ( 9.2 NAME 'A' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )",
      'twice',
    ],
    ["objectclass ( 9.1 NAME 'c' MUST nothing )", 'nothing'],
    ["objectclass ( 9.1 NAME 'c' SUP nothing )", 'nothing'],
  ])('a schema with %s is refused', (text, why) => {
    expect(() => buildSchema([text], '9.9')).toThrow(
      expect.objectContaining({ code: 'schema.invalid', message: expect.stringContaining(why) }),
    );
  });

  it.each([
    [
      'attributetype ( 1.2.3',
      'words, line 1, column 22: the description of attributeType 1.2.3 is not closed',
    ],
    ["\n\n  attributetype ( 1.2.3 FOO 'x' )", 'words, line 3, column 25: unknown keyword "FOO"'],
    ['attributetype ( 1.2.3 MUST cn )', 'line 1, column 23: unknown keyword "MUST" in attributeType 1.2.3'],
    ['objectclass ( 1.2.3 MUST ( cn sn ) )', 'column 31: expected "$" or ")" in the list of MUST, not "sn"'],
    ['objectclass ( 1.2.3 MUST ( ) )', 'column 28: the list of MUST is empty'],
    ['objectclass ( 1.2.3 ABSTRACT AUXILIARY )', 'column 30: object class 1.2.3 is of more than one kind'],
    ['attributetype ( 1.2.3 NAME cn )', 'column 28: expected a text in quotes after NAME'],
    ["attributetype ( 1.2.3 NAME 'c n' )", 'column 28: "c n" is not a name'],
    ['attributetype ( 1..3 )', 'column 17: "1..3" is not an OID'],
    ['attributetype ( cn )', 'column 17: "cn" is not an OID'],
    ["attributetype ( 1.2 DESC ( 'a' ) )", 'column 26: DESC takes no list'],
    ['attributetype ( 1.2 SYNTAX 1.2{x} )', 'column 28: "1.2{x}" is neither an OID nor a name'],
    ['attributetype ( 1.2 USAGE sometimes )', 'column 21: unknown usage "sometimes"'],
    ['matchingrule ( 1.2 )', 'column 20: matching rule 1.2 has no SYNTAX'],
    ["objectclass ( 1.2 DESC 'x\n\\27", 'line 1, column 24: a quoted text is not closed'],
    [`objectclass ( 1.2 DESC '${'\\27'.repeat(50_000)}`, 'a quoted text is not closed'],
    ['x'.repeat(4_000_001), 'the text is too long'],
  ])('%.60s: %s', (text, message) => {
    expect(() => parseSchema({ name: 'words', text })).toThrow(
      expect.objectContaining({ code: 'schema.invalid', message: expect.stringContaining(message) }),
    );
  });

  it.each([
    ["attributetype ( 1.2 NAME 'a' SUP name NO-USER-MODIFICATION )", 'for operational attributes only'],
    ["attributetype ( 1.2 NAME 'a' SUP name USAGE dSAOperation )", 'usage differs'],
    ["attributetype ( 1.2 NAME 'a' SUP name COLLECTIVE SINGLE-VALUE )", 'exclude each other'],
    ["attributetype ( 1.2 NAME 'a' SUP name EQUALITY caseIgnoreSubstringsMatch )", 'not a rule for equality'],
    ["attributetype ( 1.2 NAME 'a' SUP name EQUALITY wordMatch )", 'for extensible matches only'],
    ["attributetype ( 2.5.4.3 NAME 'cn' SUP name SINGLE-VALUE )", 'first in core schema, line 4'],
    ["attributetype ( 1.2 NAME 'CN' SUP name )", '"cn" is defined twice'],
    ["objectclass ( 2.5.4.3 NAME 'a' )", 'OID 2.5.4.3 is defined twice'],
    [
      "objectclass ( 1.2 NAME 'a' SUP person AUXILIARY )",
      'auxiliary classes cannot be below structural person',
    ],
    ["objectclass ( 1.2 NAME 'a' SUP pkiUser )", 'structural classes cannot be below auxiliary pkiUser'],
    ["objectclass ( 1.2 NAME 'a' SUP person ABSTRACT )", 'abstract classes cannot be below structural'],
    ["matchingrule ( 1.2 NAME 'a' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )", 'is not implemented'],
    ["ditcontentrule ( 2.5.6.21 NAME 'a' )", 'not a structural class'],
    ["ditcontentrule ( 2.5.6.6 NAME 'a' AUX person )", 'person is not an auxiliary class'],
    ["ditcontentrule ( 2.5.6.6 NAME 'a' NOT sn )", 'person requires sn'],
    ["ditcontentrule ( 2.5.6.6 NAME 'a' ) ditcontentrule ( 2.5.6.6 NAME 'b' )", 'two content rules'],
  ])('an administrator may not add %s', (text, message) => {
    expect(() => standardSchema([{ name: 'own.schema', text }])).toThrow(
      expect.objectContaining({
        code: 'schema.invalid',
        message: expect.stringMatching(new RegExp(`^own.schema, line 1, column .*${message}`)),
      }),
    );
  });

  it('an administrator may add types, classes and content rules, with short names for OIDs', () => {
    const more = standardSchema([
      {
        name: 'own.schema',
        text: `objectidentifier ours 1.3.6.1.4.1.55555
          objectidentifier oursTypes ours:1
          attributetype ( oursTypes:7 NAME 'badge' SUP name )
          objectclass ( ours:2 NAME 'badged' SUP top AUXILIARY MUST badge )
          attributetype ( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'the same again' SUP name )
          ditcontentrule ( 2.5.6.6 NAME 'people' AUX badged NOT telephoneNumber )`,
      },
    ]);
    expect(more.attributeType('badge')?.oid).toBe('1.3.6.1.4.1.55555.1.7');
    expect(more.attributeType('name')?.family.map((t) => t.name)).toContain('badge');
    const person = more.objectClass('person');
    const rule = person === undefined ? undefined : more.contentRules.get(person);
    expect([...(rule?.auxiliaries ?? [])].map((c) => c.name)).toEqual(['top', 'badged']);
    expect(rule && formatDescription(rule.description)).toBe(
      "( 2.5.6.6 NAME 'people' AUX badged NOT telephoneNumber )",
    );
  });

  it("OpenLDAP's schema files are read, and what they define again is the same", () => {
    for (const name of [
      'cosine',
      'inetorgperson',
      'misc',
      'nis',
      'collective',
      'corba',
      'java',
      'openldap',
    ]) {
      const path = `/etc/ldap/schema/${name}.schema`;
      const before = schema.attributeTypes.length;
      const more = standardSchema([{ name: path, text: readFileSync(path, 'utf8') }]);
      expect(more.attributeTypes.length).toBeGreaterThanOrEqual(before);
    }
  });

  it('any text is read or refused', () => {
    const word = fc.constantFrom(
      'attributetype',
      'objectclass',
      '(',
      ')',
      '$',
      "'",
      'NAME',
      'SUP',
      '1.2.3',
      "'a'",
      'SYNTAX',
      '{',
      '\\',
      '#',
      '\n',
      'MAY',
      ' ',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), (words) => {
        try {
          parseSchemaText(words.join(' '));
        } catch (error) {
          expect(error).toMatchObject({ code: 'schema.invalid' });
        }
      }),
    );
  });
});

it.each([
  ['20260131235959Z', '20260131235959Z'],
  ['202601312359Z', '20260131235900Z'],
  ['2026013123Z', '20260131230000Z'],
  ['20260131235959.500Z', '20260131235959.5Z'],
  ['20260131235959,25Z', '20260131235959.25Z'],
  ['2026013123.5Z', '20260131233000Z'],
  ['202601312330.5Z', '20260131233030Z'],
  ['20260131235959+0100', '20260131225959Z'],
  ['20260131235959-0130', '20260201012959Z'],
  ['20261231235960Z', '20261231235959Z'],
  ['20260131235959', undefined],
  ['20260230000000Z', undefined],
  ['20260131245959Z', undefined],
  ['20260131235959+2400', undefined],
  ['00000101000000+0100', undefined],
  ['x', undefined],
])('time %s is %s', (text, canonical) => {
  expect(canonicalTime(text)).toBe(canonical);
});
