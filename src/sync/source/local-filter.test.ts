import { expect, test } from 'vitest';
import { parseFilter } from '../../ldap/filter.ts';
import { entryTest, filterAttributes } from './local-filter.ts';

const entry = new Map(
  Object.entries({
    objectclass: ['top', 'inetOrgPerson'],
    mail: ['Anna@Example.org'],
    ou: ['  Research  and   Development '],
    cn: ['Änne Müller'],
  }).map(([type, values]) => [type, values.map((value) => Buffer.from(value))]),
);

test.each<[string, boolean]>([
  ['(mail=anna@example.ORG)', true],
  ['(mail=ann@example.org)', false],
  ['(ou=research and development)', true],
  ['(OU=Research  And Development)', true],
  ['(cn=ÄNNE müller)', true],
  ['(objectClass=inetorgperson)', true],
  ['(objectClass=*)', true],
  ['(telephoneNumber=*)', false],
  ['(mail=*)', true],
  ['(!(telephoneNumber=1))', true],
  ['(mail=anna*)', true],
  ['(mail=*@example.org)', true],
  ['(mail=a*n*@*.org)', true],
  ['(mail=*org*org)', false],
  ['(mail=anna@example.org*org)', false],
  ['(&(objectClass=inetOrgPerson)(|(mail=x)(ou=research*)))', true],
  ['(&(objectClass=inetOrgPerson)(!(mail=*)))', false],
  ['(&)', true],
  ['(|)', false],
])('%s', (text, expected) => {
  expect(entryTest(parseFilter(text))(entry)).toBe(expected);
});

test.each(['(uidNumber>=5)', '(cn<=a)', '(cn~=a)', '(cn:dn:=a)', '(!(cn>=a))'])(
  '%s cannot be decided without a schema',
  (text) => {
    expect(() => entryTest(parseFilter(text))).toThrow(expect.objectContaining({ code: 'usage' }));
  },
);

test('the attributes that have to be read', () => {
  expect(filterAttributes(parseFilter('(&(a=1)(|(b=*)(!(c=x*))))'))).toEqual(['a', 'b', 'c']);
});
