/** ModifyDN (RFC 4511 §4.9) through the protocol: new names, new places, whole subtrees, and who may. */
import { describe, expect, it } from 'vitest';
import { found, outcome } from '../../../test/support/directory-answers.ts';
import { accept, BASE } from '../../../test/support/directory-requests.ts';
import { addition, serveDirectory } from '../../../test/support/served-directory.ts';
import { parseFilter } from '../../ldap/filter.ts';

const person = (rdn: string, more: Record<string, string[]> = {}) =>
  addition(`${rdn},${BASE}`, { objectClass: ['inetOrgPerson'], sn: ['s'], ...more });
const unit = (rdn: string) => addition(`${rdn},${BASE}`, { objectClass: ['organizationalUnit'] });
const entries = [
  addition(BASE, { objectClass: ['domain'] }),
  unit('ou=u'),
  unit('ou=v'),
  unit('ou=w,ou=u'),
  person('cn=a', { cn: ['a', 'other'] }),
  person('cn=b,ou=w,ou=u'),
  person('cn=m+uid=1'),
  person('preferredLanguage=de', { cn: ['p'] }),
];

describe('a new name', () => {
  it.each([
    ['the old one goes', 'cn=a', 'cn=z', true, { cn: ['other', 'z'] }],
    ['the old one stays', 'cn=a', 'cn=z', false, { cn: ['a', 'other', 'z'] }],
    ['case alone', 'cn=a', 'cn=A', true, { cn: ['other', 'A'] }],
    ['case alone, the old one stays', 'cn=a', 'CN=A', false, { cn: ['a', 'other'] }],
    ['a value that it has already', 'cn=a', 'cn=OTHER', false, { cn: ['a', 'other'] }],
    ['a value that it has already, the old one goes', 'cn=a', 'cn=other', true, { cn: ['other'] }],
    ['of another type', 'cn=a', 'uid=7', false, { cn: ['a', 'other'], uid: ['7'] }],
    ['by the OID of a type', 'cn=a', '2.5.4.3=z', true, { cn: ['other', 'z'] }],
    ['of two values', 'cn=a', 'cn=z+uid=7', true, { cn: ['other', 'z'], uid: ['7'] }],
    ['from two values to one', 'cn=m+uid=1', 'cn=m', true, { cn: ['m'] }],
    ['from two values to one of them, both stay', 'cn=m+uid=1', 'uid=1', false, { cn: ['m'], uid: ['1'] }],
    ['two values the other way round', 'cn=m+uid=1', 'UID=1+CN=M', true, { uid: ['1'], cn: ['M'] }],
    ['with escapes', 'cn=a', 'cn=\\+\\2c \\22x', true, { cn: ['other', '+, "x'] }],
  ])('%s', async (_name, rdn, newRdn, deleteOldRdn, expected) => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    await client.modifyDn(`${rdn},${BASE}`, { newRdn, deleteOldRdn }).result;
    const entry = served.directory.readEntry(`${newRdn},${BASE}`);
    const has = Object.fromEntries(
      ['cn', 'uid'].flatMap((name) => {
        const values = entry?.texts(name) ?? [];
        return values.length === 0 ? [] : [[name, values.sort()]];
      }),
    );
    expect(has).toEqual(
      Object.fromEntries(Object.entries(expected).map(([name, values]) => [name, [...values].sort()])),
    );
    const asked = await found(client, { base: `${newRdn},${BASE}`, scope: 'base', attributes: ['1.1'] });
    expect(asked.names).toEqual([entry?.dn]);
    expect((await served.directory.verify()).problems).toEqual([]);
  });

  it.each([
    [
      'what needs the old value',

      'preferredLanguage=de',
      'preferredLanguage=en',
      false,
      /^constraintVio/,
    ],
    ['one that is taken', 'cn=a', 'cn=M+uid=1', true, /^entryAlreadyExists/],
    ['two names', 'cn=a', 'cn=x,cn=y', true, /^invalidDNSyntax/],
    ['no name', 'cn=a', '', true, /^invalidDNSyntax/],
    ['a value twice', 'cn=a', 'cn=x+cn=X', true, /^invalidDNSyntax/],
    ['an unknown type', 'cn=a', 'foo=x', true, /^invalidDNSyntax/],
    ['a type the classes lack', 'cn=a', 'dc=x', true, /^objectClassViolation.*dc/],
    ['a type required, taken away', 'cn=m+uid=1', 'uid=1', true, /^objectClassViolation.*cn/],
    ['what the server writes', 'cn=a', 'createTimestamp=20260101000000Z', true, /^namingViolation/],
    ['what is not there', 'cn=nobody', 'cn=x', true, /^noSuchObject/],
  ])('refused: %s', async (_name, rdn, newRdn, deleteOldRdn, refusal) => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const before = await found(client, { base: BASE, attributes: ['*', '+'] });
    expect(await outcome(client.modifyDn(`${rdn},${BASE}`, { newRdn, deleteOldRdn }, { accept }))).toMatch(
      refusal,
    );
    expect(await found(client, { base: BASE, attributes: ['*', '+'] })).toEqual(before);
  });

  it('of a naming context is refused', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const tried = client.modifyDn(BASE, { newRdn: 'dc=other', deleteOldRdn: true }, { accept });
    expect(await outcome(tried)).toMatch(/^unwillingToPerform/);
  });
});

describe('a new place', () => {
  const to = (newSuperior: string, newRdn = 'ou=w') => ({ newRdn, deleteOldRdn: true, newSuperior });

  it('takes everything below along, by its new names and no longer by the old', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const uuid = served.directory.readEntry(`cn=b,ou=w,ou=u,${BASE}`)?.uuid;
    await client.modifyDn(`ou=w,ou=u,${BASE}`, to(`OU=V, ${BASE}`, 'ou=X')).result;
    expect(served.directory.readEntry(`cn=b,ou=x,ou=v,${BASE}`)?.uuid).toEqual(uuid);
    expect(served.directory.resolve(`cn=b,ou=w,ou=u,${BASE}`)).toBe(0);
    const names = async (base: string, filter = '(objectClass=*)') =>
      (await found(client, { base, filter: parseFilter(filter), attributes: ['1.1'] })).names;
    expect(await names(`ou=u,${BASE}`)).toEqual([`ou=u,${BASE}`]);
    expect(await names(`ou=v,${BASE}`, '(cn=b)')).toEqual([`cn=b,ou=X,ou=v,${BASE}`]);
    expect(await names(BASE, `(entryDN=cn=b,ou=x,ou=v,${BASE})`)).toEqual([`cn=b,ou=X,ou=v,${BASE}`]);
    expect(await names(BASE, '(ou:dn:=x)')).toEqual([`ou=X,ou=v,${BASE}`, `cn=b,ou=X,ou=v,${BASE}`]);
    expect(await names(BASE, '(hasSubordinates=TRUE)')).toEqual([BASE, `ou=v,${BASE}`, `ou=X,ou=v,${BASE}`]);
    await client.delete(`ou=u,${BASE}`).result;
    expect((await served.directory.verify()).problems).toEqual([]);
  });

  it.each([
    ['below itself', `ou=u,${BASE}`, to(`ou=w,ou=u,${BASE}`, 'ou=u'), /^unwillingToPerform.*below itself/],
    [
      'below itself, directly',
      `ou=u,${BASE}`,
      to(`ou=u,${BASE}`, 'ou=u'),
      /^unwillingToPerform.*below itself/,
    ],
    ['below what is not there', `ou=u,${BASE}`, to(`ou=no,${BASE}`), /^noSuchObject.*new parent/],
    ['above everything', `ou=u,${BASE}`, to(''), /^noSuchObject.*new parent/],
    ['below no name', `ou=u,${BASE}`, to('nonsense'), /^invalidDNSyntax/],
    ['where one of that name is', `ou=w,ou=u,${BASE}`, to(BASE, 'ou=v'), /^entryAlreadyExists/],
    ['to another naming context', `ou=u,${BASE}`, to('dc=other'), /^affectsMultipleDSAs/],
  ])('refused: %s', async (_name, dn, where, refusal) => {
    await using served = await serveDirectory({
      directory: { contexts: [BASE, 'dc=other'] },
      entries: [...entries, addition('dc=other', { objectClass: ['domain'] })],
    });
    const client = await served.client();
    expect(await outcome(client.modifyDn(dn, where, { accept }))).toMatch(refusal);
  });

  it('wants the right at both places, and tells nothing of a place that may not be seen', async () => {
    await using served = await serveDirectory({
      entries,
      accounts: { 'cn=mover': { password: 'x', role: 'mover' } },
      rules: [
        { roles: ['mover'], subtree: `ou=u,${BASE}`, rights: ['search', 'read', 'write', 'rename'] },
        { roles: ['mover'], subtree: BASE, scope: 'base', rights: ['search', 'read'] },
      ],
    });
    const client = await served.client({ name: 'cn=mover', password: 'x' });
    const move = async (newSuperior: string, newRdn: string) => {
      const where = { newRdn, deleteOldRdn: true, newSuperior };
      const { result } = (await client.modifyDn(`ou=w,ou=u,${BASE}`, where, { accept }).result).operation;
      return result;
    };
    // Seen, but without the right.
    expect((await move(BASE, 'ou=w')).code).toBe(50);
    // A hidden place, a missing one: the same answer.
    const hidden = await move(`ou=v,${BASE}`, 'ou=w');
    const missing = await move(`ou=none,${BASE}`, 'ou=w');
    expect(hidden).toEqual(missing);
    expect(hidden).toMatchObject({ code: 32, matchedDn: BASE });
    expect((await move(`ou=u,${BASE}`, 'ou=renamed')).code).toBe(0);
  });
});
