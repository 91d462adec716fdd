import { expect, test } from 'vitest';
import { packCookie, unpackCookie } from './cookie.ts';
import type { FeedIdentity } from './source/source.ts';

const identity: FeedIdentity = {
  kind: 'openldap',
  instance: 'ldap://a',
  base: 'dc=a',
  filter: '(a=b)',
  attributes: ['mail', 'cn'],
  bindIdentity: 'cn=hub',
  mapping: 'inetorgperson:1',
};
const native = Buffer.from('rid=000,csn=1');
const stored = packCookie(identity, native);

test('what was packed comes back, whatever the order of attributes', () => {
  expect(unpackCookie(identity, stored)).toEqual(native);
  expect(unpackCookie({ ...identity, attributes: ['cn', 'mail'] }, stored)).toEqual(native);
  expect(unpackCookie(identity, packCookie(identity, Buffer.alloc(0)))).toEqual(Buffer.alloc(0));
});

test.each([
  { kind: 'ldif' },
  { instance: 'ldap://b' },
  { base: 'dc=b' },
  { filter: '(a=c)' },
  { attributes: ['mail'] },
  { attributes: ['mail', 'cn', 'sn'] },
  { attributes: ['mail,cn'] },
  { bindIdentity: '' },
  { mapping: 'inetorgperson:2' },
])('under other circumstances it is worth nothing: %o', (changes) => {
  expect(unpackCookie({ ...identity, ...changes }, stored)).toBe(undefined);
});

test('neither is anything else', () => {
  const otherVersion = Buffer.from(stored);
  otherVersion[0] = 2;
  const altered = Buffer.from(stored);
  altered[5] = (altered[5] as number) ^ 1;
  for (const bytes of [undefined, Buffer.alloc(0), stored.subarray(0, 16), otherVersion, altered])
    expect(unpackCookie(identity, bytes)).toBe(undefined);
});
