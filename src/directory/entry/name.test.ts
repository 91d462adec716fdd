import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeNameValue } from '../../ldap/dn.ts';
import { standardSchema } from '../schema/standard.ts';
import { type Name, NameReader, normalName, showName } from './name.ts';

const names = new NameReader(standardSchema());
/** The same value, every octet escaped: read by the parser, never by the short way for plain names. */
const escaped = (value: string): string =>
  [...Buffer.from(value)].map((octet) => `\\${octet.toString(16).padStart(2, '0')}`).join('');
const seen = (name: Name | undefined) => ({
  shown: showName(name),
  normal: normalName(name).toString('latin1'),
  depth: name?.depth,
  values: name?.parts.map(({ type, value }) => [type.name, value.toString('hex')]),
});
const outcome = (text: string): unknown => {
  try {
    return seen(names.read(text));
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
};

describe('names', () => {
  it('mean the same however they are spelt', () => {
    const plain = fc.string({
      unit: fc.constantFrom(...Array.from('abzABZ019._@- ')),
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(
        fc.constantFrom('cn', 'CN', 'uid', 'dc', 'ou', '2.5.4.3', 'telephoneNumber', 'nosuchtype'),
        plain,
        fc.constantFrom(
          '',
          ',cn=Recipients',
          ',ou=people,dc=example,dc=org',
          ',ou=People, dc=example,dc=org',
        ),
        (type, value, parent) => {
          // Outer spaces belong to the value only when they are escaped.
          expect(outcome(`${type}=${value}${parent}`)).toEqual(
            outcome(`${type}=${escaped(value.trim())}${parent}`),
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  it.each([
    ['', '', undefined],
    ['cn=A  b', 'cn=a b', 1],
    ['cn=a,cn=B', 'cn=a,cn=b', 2],
    ['cn=a\\,b,cn=c', 'cn=a\\2cb,cn=c', 2],
    ['cn=b+sn=a,cn=c', 'cn=b+sn=a,cn=c', 2],
    ['CN=#0461', 'cn=#0461', undefined],
  ])('%j', (text, normal, depth) => {
    const name = outcome(text);
    if (depth === undefined && text !== '') expect(name).not.toMatchObject({ normal });
    else expect(name).toMatchObject({ normal, depth });
  });

  it('of several values mean the same in any order, case, escape and spelling of types', () => {
    const value = fc.string({
      unit: fc.constantFrom(...Array.from('aZ9 ,+="<>;#\\\0ü')),
      minLength: 1,
      maxLength: 6,
    });
    const TYPES = ['cn', 'sn', 'uid', 'l', 'description'];
    const LONG = ['commonName', '2.5.4.4', 'USERID', 'localityName', 'DESCRIPTION'];
    const part = fc.record({
      value,
      how: fc.constantFrom('plain', 'hex', 'ber'),
      long: fc.boolean(),
      upper: fc.boolean(),
    });
    const rdn = fc.dictionary(fc.constantFrom(...TYPES), part, {
      minKeys: 1,
      maxKeys: 4,
      noNullPrototype: true,
    });
    const spell = (
      type: string,
      { value: text, how, long, upper }: { value: string; how: string; long: boolean; upper: boolean },
    ): string => {
      const cased = upper ? text.toUpperCase() : text;
      const bytes = Buffer.from(cased);
      const name = long ? (LONG[TYPES.indexOf(type)] as string) : type;
      if (how === 'hex') return `${name}=${escaped(cased)}`;
      if (how === 'ber')
        return `${name} = #0c${bytes.length.toString(16).padStart(2, '0')}${bytes.toString('hex')} `;
      return `${name}= ${escapeNameValue(cased)} `;
    };
    fc.assert(
      fc.property(fc.array(rdn, { minLength: 1, maxLength: 3 }), (rdns) => {
        const simple = rdns.map((parts) =>
          Object.entries(parts)
            .map(([type, { value: text }]) => `${type}=${escaped(text)}`)
            .join('+'),
        );
        const odd = rdns.map((parts) =>
          Object.entries(parts)
            .reverse()
            .map(([type, one]) => spell(type, one))
            .join('+'),
        );
        const [a, b] = [names.tryRead(simple.join(',')), names.tryRead(odd.join(' , '))];
        expect(a).toBeDefined();
        expect(normalName(b).toString('latin1')).toBe(normalName(a).toString('latin1'));
        // What is shown is read as the same name again.
        expect(normalName(names.read(showName(b)))).toEqual(normalName(b));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    'cn=a,',
    'cn=a, ',
    ',cn=a',
    'cn=a,,cn=b',
    'cn=a+',
    '+cn=a',
    'cn=a+,cn=b',
    'cn',
    'cn=',
    'cn= ',
    '=a',
    'cn=a+cn=b',
    'cn=a+2.5.4.3=b',
    'cn=a;cn=b',
    'cn="a"',
    'cn=a\\',
    'cn=a\\g0',
    'cn=#',
    'cn=#0',
    'cn=#0c',
    'cn=#0c0161ff',
    'cn=#020101',
    'cn;lang-en=a',
    'nosuch=a',
    '1.2.3.4.5=a',
    'c=Germany',
    'cn=a<b',
    ' ',
    ',',
  ])('%j is none', (text) => {
    expect(outcome(text)).toBe('ldap.result');
    expect(names.isDn(text)).toBe(false);
    expect(names.normalDn(Buffer.from(text))).toBeUndefined();
  });

  it('share their parents', () => {
    const [one, other] = [names.read('cn=1,cn=Recipients'), names.read('cn=2,cn=Recipients')];
    expect(one?.parent).toBe(other?.parent);
    expect(names.read('cn=Recipients')).toBe(one?.parent);
  });
});
