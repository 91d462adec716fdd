import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
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

  it('share their parents', () => {
    const [one, other] = [names.read('cn=1,cn=Recipients'), names.read('cn=2,cn=Recipients')];
    expect(one?.parent).toBe(other?.parent);
    expect(names.read('cn=Recipients')).toBe(one?.parent);
  });
});
