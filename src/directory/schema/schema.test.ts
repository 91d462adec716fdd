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
