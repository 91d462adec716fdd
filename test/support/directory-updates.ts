/** Updates for comparing two LDAP servers: names, classes and values of which about half make sense. */
import fc from 'fast-check';
import type { LdapClient } from '../../src/ldap/client.ts';
import type { Attribute, LdapResult, ModifyKind } from '../../src/ldap/message.ts';
import { BASE } from './directory-questions.ts';

interface TextAttribute {
  readonly type: string;
  readonly values: readonly string[];
}

export type Step =
  | { readonly op: 'add'; readonly dn: string; readonly list: readonly TextAttribute[] }
  | {
      readonly op: 'modify';
      readonly dn: string;
      readonly changes: readonly { readonly kind: ModifyKind; readonly attribute: TextAttribute }[];
    }
  | {
      readonly op: 'rename';
      readonly dn: string;
      readonly newRdn: string;
      readonly deleteOldRdn: boolean;
      readonly newSuperior?: string | undefined;
    }
  | { readonly op: 'delete'; readonly dn: string }
  | { readonly op: 'compare'; readonly dn: string; readonly type: string; readonly value: string };

/** Entries that are there to begin with. */
export const SETUP: readonly Step[] = [
  entry(`ou=u,${BASE}`, { objectClass: ['organizationalUnit'], ou: ['u'] }),
  entry(`cn=a,${BASE}`, {
    objectClass: ['inetOrgPerson', 'extensibleObject'],
    sn: ['s'],
    cn: ['a'],
    employeeNumber: ['7'],
  }),
  entry(`cn=b,ou=u,${BASE}`, {
    objectClass: ['inetOrgPerson'],
    sn: ['s'],
    cn: ['b', 'x'],
    description: ['a', 'b', 'c  d'],
  }),
];

function entry(dn: string, attributes: Readonly<Record<string, readonly string[]>>): Step {
  return { op: 'add', dn, list: Object.entries(attributes).map(([type, values]) => ({ type, values })) };
}

const rdn = fc.constantFrom(
  'cn=a',
  'cn=b',
  'CN=B',
  'cn=c d',
  'cn=c  D',
  'uid=x',
  'cn=a+uid=x',
  'cn=A+uid=X',
  'ou=u',
  'cn=Müller',
  'sn=s',
  'mail=q@x',
  'foo=bar',
  'cn=',
);
const place = fc.constantFrom(
  BASE,
  `ou=u,${BASE}`,
  `cn=a,${BASE}`,
  `cn=b,ou=u,${BASE}`,
  'OU=U , dc=EXAMPLE,dc=org',
);
// Half of the names are those of entries that exist.
const dn = fc.oneof(
  fc.tuple(rdn, place).map(([r, p]) => `${r},${p}`),
  fc.constantFrom(`cn=a,${BASE}`, `CN=A, ${BASE}`, `cn=b,ou=U,${BASE}`, `ou=u,${BASE}`),
);
const value = fc.constantFrom(
  'a',
  'A',
  'b',
  'c  d',
  'x',
  '1',
  '7',
  '-3',
  'TRUE',
  'ü',
  '',
  ' ',
  'cn=a,dc=example,dc=org',
  'not dn',
  '+49 1',
  'q@x',
  'Q@X',
  '20260101000000Z',
);
const type = fc.constantFrom(
  'cn',
  'sn',
  'description',
  'uid',
  'mail',
  'telephoneNumber',
  'seeAlso',
  'employeeNumber',
  'displayName',
  'objectClass',
  'member',
  'foo',
  'ou',
  'givenName;lang-en',
  'createTimestamp',
  'CN',
  'commonName',
  'userPassword',
  'c',
  'jpegPhoto',
  'preferredLanguage',
  'entryUUID',
  'o',
);
const className = fc.constantFrom(
  'inetOrgPerson',
  'person',
  'organizationalUnit',
  'groupOfNames',
  'top',
  'device',
  'nonsense',
  'simpleSecurityObject',
  'dcObject',
  'extensibleObject',
  'INETORGPERSON',
  'uidObject',
);
const some = (values: fc.Arbitrary<string>): fc.Arbitrary<string[]> =>
  fc.array(values, { minLength: 1, maxLength: 2 });
/** slapd compares telephone numbers without folding case, against RFC 4517 §4.2.29. */
const isComparable = (a: TextAttribute): boolean => a.type !== 'telephoneNumber' || !a.values.includes('A');
const attribute: fc.Arbitrary<TextAttribute> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type, values: some(value) }).filter(isComparable) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('objectClass'), values: some(className) }) },
);
const content = fc.constantFrom<TextAttribute[]>(
  [
    { type: 'objectClass', values: ['inetOrgPerson'] },
    { type: 'cn', values: ['a'] },
    { type: 'sn', values: ['s'] },
  ],
  [
    { type: 'objectClass', values: ['organizationalUnit'] },
    { type: 'ou', values: ['u'] },
  ],
  [
    { type: 'objectClass', values: ['inetOrgPerson', 'extensibleObject'] },
    { type: 'cn', values: ['b'] },
    { type: 'sn', values: ['s'] },
    { type: 'employeeNumber', values: ['7'] },
  ],
);

/** One change in a modify: of two faults in one request either may be reported. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('add' as const),
      dn,
      list: fc
        .tuple(content, fc.array(attribute, { maxLength: 1 }))
        .map(([must, more]) => [...must, ...more.filter((a) => a.type !== 'objectClass')]),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('modify' as const),
      dn,
      changes: fc
        .record({
          kind: fc.constantFrom<ModifyKind>('add', 'delete', 'replace', 'increment'),
          attribute: fc.oneof(attribute, fc.record({ type, values: fc.constant<string[]>([]) })),
        })
        .map((change) => [change]),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('rename' as const),
      dn,
      newRdn: rdn,
      deleteOldRdn: fc.boolean(),
      newSuperior: fc.option(place, { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('delete' as const), dn }) },
  {
    weight: 2,
    arbitrary: fc
      .record({ op: fc.constant('compare' as const), dn, type, value })
      .filter((c) => isComparable({ type: c.type, values: [c.value] })),
  },
);

const EVERY_CODE = Array.from({ length: 130 }, (_, code) => code);

/** Carries a step out; any result is an answer. */
export async function carryOut(client: LdapClient, step: Step): Promise<LdapResult> {
  const options = { accept: EVERY_CODE };
  const sent = (() => {
    switch (step.op) {
      case 'add':
        return client.add(step.dn, step.list.map(octets), options);
      case 'modify':
        return client.modify(
          step.dn,
          step.changes.map(({ kind, attribute: a }) => ({ kind, attribute: octets(a) })),
          options,
        );
      case 'rename': {
        const { newRdn, deleteOldRdn, newSuperior } = step;
        const to = { newRdn, deleteOldRdn, ...(newSuperior !== undefined && { newSuperior }) };
        return client.modifyDn(step.dn, to, options);
      }
      case 'delete':
        return client.delete(step.dn, options);
      case 'compare':
        return client.compare(step.dn, step.type, Buffer.from(step.value), options);
    }
  })();
  return (await sent.result).operation.result;
}

function octets({ type: name, values }: TextAttribute): Attribute {
  return { type: name, values: values.map((v) => Buffer.from(v)) };
}
