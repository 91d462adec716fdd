/** A small tree whose subtrees move, for consumers of content synchronisation: the changes, and how to draw them. */
import fc from 'fast-check';
import type { Directory, Update } from '../../src/directory/directory.ts';
import { addition, serveDirectory, type ServedDirectory, type ServedOptions } from './served-directory.ts';

export const BASE = 'dc=example,dc=org';
const ALL = {
  roles: ['administrator'],
  subtree: '',
  rights: ['search', 'read', 'compare', 'write', 'add', 'delete', 'rename'],
} as const;

/** Sees `ou=a` and the entry at the top only. */
export const PARTLY = { name: `cn=partly,${BASE}`, password: 'partly' };

const unit = (ou: string, below: string): Update =>
  addition(`ou=${ou},${below}`, { objectClass: ['organizationalUnit'] });
const person = (cn: string, below: string, description: string): Update => ({
  ...addition(`cn=${cn},${below}`, { objectClass: ['person'], sn: ['x'], description: [description] }),
  idempotent: true,
});
const rename = (dn: string, newRdn: string, newSuperior?: string): Update => ({
  request: {
    op: 'modifyDnRequest',
    dn,
    newRdn,
    deleteOldRdn: true,
    ...(newSuperior !== undefined && { newSuperior }),
  },
});

export const TREE: readonly Update[] = [
  addition(BASE, { objectClass: ['domain'] }),
  unit('a', BASE),
  unit('b', BASE),
  unit('sub', `ou=a,${BASE}`),
  unit('deep', `ou=sub,ou=a,${BASE}`),
  ...['1', '2', '3'].map((cn) => person(cn, `ou=a,${BASE}`, 'in')),
  ...['1', '2'].map((cn) => person(cn, `ou=deep,ou=sub,ou=a,${BASE}`, 'in')),
];

export function serveTree(
  options: Partial<ServedOptions['directory']> = {},
  more: Partial<ServedOptions> = {},
): Promise<ServedDirectory> {
  return serveDirectory({
    directory: {
      access: {
        rules: [
          ALL,
          { roles: ['partly'], subtree: BASE, scope: 'base', rights: ['search', 'read'] },
          { roles: ['partly'], subtree: `ou=a,${BASE}`, rights: ['search', 'read'] },
        ],
        secrets: ['userPassword'],
      },
      ...options,
    },
    accounts: { [PARTLY.name]: { password: PARTLY.password, role: 'partly' } },
    entries: TREE,
    ...more,
  });
}

const homes = [
  BASE,
  `ou=a,${BASE}`,
  `ou=b,${BASE}`,
  `ou=sub,ou=a,${BASE}`,
  `ou=sub,ou=b,${BASE}`,
  `ou=deep,ou=sub,ou=a,${BASE}`,
  `ou=deep,ou=sub,ou=b,${BASE}`,
];
const home = fc.constantFrom(...homes);
const cn = fc.constantFrom('1', '2', '3', '4');

/** A group of updates; many of them will be refused, as a whole. */
export const changes: fc.Arbitrary<readonly Update[]> = fc.oneof(
  fc.tuple(cn, home, fc.constantFrom('in', 'out')).map(([name, below, text]) => [person(name, below, text)]),
  fc.tuple(cn, home).map(([name, below]) => [remove(`cn=${name},${below}`)]),
  fc
    .tuple(cn, home, cn, home)
    .map(([name, below, to, there]) => [rename(`cn=${name},${below}`, `cn=${to}`, there)]),
  fc
    .constantFrom('a', 'b')
    .map((from) => [rename(`ou=sub,ou=${from},${BASE}`, 'ou=sub', `ou=${from === 'a' ? 'b' : 'a'},${BASE}`)]),
  fc.constantFrom(...homes.slice(1)).map((dn) => [remove(dn)]),
  fc
    .constantFrom('a', 'b')
    .map((ou) => [unit('sub', `ou=${ou},${BASE}`), unit('deep', `ou=sub,ou=${ou},${BASE}`)]),
  // Two entries change names, in one group or in three.
  fc
    .tuple(cn, cn, home)
    .filter(([x, y]) => x !== y)
    .map(([x, y, below]) => [
      rename(`cn=${x},${below}`, 'cn=between'),
      rename(`cn=${y},${below}`, `cn=${x}`),
      rename(`cn=between,${below}`, `cn=${y}`),
    ]),
);

function remove(dn: string): Update {
  return { request: { op: 'deleteRequest', dn } };
}

/** Carries out what can be carried out. */
export async function carryOut(directory: Directory, updates: readonly Update[]): Promise<void> {
  await directory.apply(updates).catch(() => undefined);
}
