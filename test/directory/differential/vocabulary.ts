/** What entries are made of: classes, attribute types with values that are apt to go wrong, and other spellings of the same value. */
import { escapeNameValue } from '../../../src/ldap/dn.ts';

export const BASE = 'dc=example,dc=org';
export const HOME = `ou=case,${BASE}`;

/** How values of a type may be spelled differently and stay the same. */
type Kind =
  | 'ignore'
  | 'exact'
  | 'dn'
  | 'integer'
  | 'boolean'
  | 'time'
  | 'phone'
  | 'numeric'
  | 'octets'
  | 'oid'
  | 'list';

export interface TypeInfo {
  readonly name: string;
  /** Other descriptions of the same type. */
  readonly also?: readonly string[];
  readonly kind: Kind;
  readonly values: readonly string[];
  readonly single?: boolean;
  readonly ordering?: boolean;
  readonly substrings?: boolean;
  /** Values that its syntax refuses. */
  readonly wrong?: readonly string[];
}

export const WORDS: readonly string[] = [
  'Anna',
  'bob',
  'Bob Smith',
  'bob  smith  jr',
  ' lead',
  'trail ',
  '  both  ',
  'Müller',
  'E\u0301cole',
  'Ångström',
  '日本語 テキスト',
  'ＦＵＬＬ width',
  'ﬁne ligature',
  'Ωmega ΣΊΓΜΑ',
  '😀 smile',
  'a,b;c',
  'a+b=c',
  '"quoted"',
  'back\\slash',
  '<angle>',
  '#hash',
  'star*red',
  '(paren)',
  'x',
  '0',
  '-',
  'Straße',
];
const LONG = 'a very long value '.repeat(20);
const TEXT = { kind: 'ignore', substrings: true, values: [...WORDS, LONG] } as const;
const NAMES = [
  `cn=Ref,${BASE}`,
  `CN = Ref Two , ou=Other,DC=Example,dc=org`,
  'cn=a\\,b,o=x',
  'ou=one+cn=two,o=x',
  `uid=\\20lead\\20,${BASE}`,
  'cn=M\\C3\\BCller,c=DE',
  'cn=\\#hash\\+plus,o=x',
  'o=x',
];

/** Attributes that a person may have. */
export const TYPES: readonly TypeInfo[] = [
  { ...TEXT, name: 'description' },
  { ...TEXT, name: 'title', also: ['TITLE', '2.5.4.12'] },
  { ...TEXT, name: 'givenName', also: ['gn', 'givenname'] },
  { ...TEXT, name: 'givenName;lang-de', also: ['givenName;LANG-DE'] },
  { ...TEXT, name: 'cn', also: ['commonName', '2.5.4.3'] },
  { ...TEXT, name: 'sn', also: ['surname'] },
  { ...TEXT, name: 'displayName', single: true },
  { ...TEXT, name: 'employeeNumber', single: true },
  { ...TEXT, name: 'testIgnore', ordering: true },
  { ...TEXT, name: 'testChild', also: ['testChildAlias'], ordering: true },
  { ...TEXT, name: 'testExact', kind: 'exact', ordering: true },
  {
    ...TEXT,
    name: 'mail',
    also: ['rfc822Mailbox'],
    values: [
      'Ann@Example.org',
      'bob.smith@example.net',
      'x@y',
      '"odd one"@example.org',
      'ann+tag@example.org',
      'postmaster',
    ],
    wrong: ['ünïcode@example.org'],
  },
  {
    name: 'telephoneNumber',
    kind: 'phone',
    substrings: true,
    values: ['+49 30 1234-56', '+1 800 555 0100', '12345', '(030) 12 34'],
    wrong: ['+49;30', 'Ü'],
  },
  { name: 'seeAlso', kind: 'dn', values: NAMES, wrong: ['not a name', 'cn=x,,o=y', 'foo=bar=,x'] },
  { name: 'manager', kind: 'dn', values: NAMES, wrong: ['nobody'] },
  { name: 'userPassword', kind: 'octets', values: ['secret', 'Secret', '{SSHA}x', 'pä', '\x00\x01'] },
  {
    name: 'labeledURI',
    kind: 'exact',
    values: ['http://example.org/ A page', 'HTTP://example.org/', 'ldap:///'],
  },
  {
    name: 'testInteger',
    kind: 'integer',
    ordering: true,
    values: ['0', '1', '-1', '42', '2147483647', '-9000', '77'],
    wrong: ['1.5', 'x', '', '--1'],
  },
  {
    name: 'testCount',
    kind: 'integer',
    ordering: true,
    single: true,
    values: ['0', '5', '-5', '1000000', '99'],
    wrong: ['five'],
  },
  { name: 'testBoolean', kind: 'boolean', single: true, values: ['TRUE', 'FALSE'], wrong: ['yes', '1'] },
  {
    name: 'testTime',
    kind: 'time',
    ordering: true,
    values: ['20260101000000Z', '19991231235959Z', '20260630120000Z', '20240229101500Z'],
    wrong: ['yesterday', '20261301000000Z', '20230229000000Z'],
  },
  { name: 'testOctets', kind: 'octets', ordering: true, values: ['abc', 'ABC', 'ab', '\x00\xff', 'ü', 'b'] },
  {
    name: 'testNumeric',
    kind: 'numeric',
    ordering: true,
    substrings: true,
    values: ['12 34', '007', '9', '1 2 3 4 5'],
    wrong: ['12a', '-1'],
  },
  { name: 'testBits', kind: 'octets', values: ["'0101'B", "'1'B", "'111000'B"], wrong: ["'012'B", '01'] },
  {
    name: 'testOid',
    kind: 'oid',
    values: ['2.5.6.6', '2.5.6.7', '1.2.3.4.5'],
    wrong: ['1..2', 'a b'],
  },
  {
    name: 'postalAddress',
    kind: 'list',
    values: ['Street 1$Town$Land', '1 Main St.$Anywhere, CA 12345$USA', 'one line'],
  },
  { name: 'jpegPhoto', kind: 'octets', values: ['\xff\xd8\xff\xe0', '\xff\xd8\xff\xe1more'] },
  {
    name: 'preferredLanguage',
    kind: 'ignore',
    single: true,
    substrings: true,
    values: ['de', 'en-GB', 'fr, en;q=0.5'],
  },
];
export const typeInfo = (name: string): TypeInfo | undefined => TYPES.find((type) => type.name === name);

/** Text of the vocabulary as octets: UTF-8, but for pictures. */
export const octets = (type: string, text: string): Buffer =>
  Buffer.from(text, type === 'jpegPhoto' ? 'latin1' : 'utf8');
export const textOf = (type: string, latin: string): string =>
  type === 'jpegPhoto' ? latin : Buffer.from(latin, 'latin1').toString();

export interface Template {
  readonly classes: readonly string[];
  readonly must: Readonly<Record<string, readonly string[]>>;
  /** Types of TYPES it may have besides. */
  readonly may: readonly string[];
  /** What its name may be made of. */
  readonly naming: readonly string[];
}

const PERSON_MAY = TYPES.map(({ name }) => name).filter((name) => !name.startsWith('test'));
const THINGS = TYPES.map(({ name }) => name).filter((name) => name.startsWith('test'));
export const TEMPLATES: readonly Template[] = [
  {
    classes: ['inetOrgPerson', 'testThings'],
    must: { sn: WORDS, cn: WORDS },
    may: [...PERSON_MAY, ...THINGS],
    naming: ['cn', 'uid', 'sn'],
  },
  {
    classes: ['organizationalUnit'],
    must: { ou: WORDS },
    may: ['description', 'telephoneNumber', 'seeAlso', 'postalAddress'],
    naming: ['ou'],
  },
  {
    classes: ['top', 'person', 'organizationalPerson', 'INETORGPERSON'],
    must: { sn: WORDS, cn: WORDS },
    may: PERSON_MAY,
    naming: ['cn', 'uid', 'employeeNumber'],
  },
  {
    classes: ['groupOfNames'],
    must: { cn: WORDS, member: NAMES },
    may: ['description', 'seeAlso'],
    naming: ['cn'],
  },
  {
    classes: ['device', 'testThings'],
    must: { cn: WORDS },
    may: ['description', 'seeAlso', ...THINGS],
    naming: ['cn', 'testNumeric', 'testIgnore'],
  },
  {
    classes: ['person', 'extensibleObject'],
    must: { sn: WORDS, cn: WORDS },
    may: [...PERSON_MAY, ...THINGS],
    naming: ['cn', 'ou', 'l'],
  },
  {
    classes: ['account', 'testThings'],
    must: { uid: WORDS },
    may: ['description', 'seeAlso', ...THINGS],
    naming: ['uid'],
  },
];

/** Latin letters only: how further letters are folded is a matter of tables that differ (declared differences). */
const swapCase = (value: string): string =>
  value.replace(/[a-zA-Z]/g, (c) => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase()));

/** Other spellings that match `value` under the rule of its type; `nth` chooses one. */
export function respell(kind: Kind, value: string, nth: number): string {
  const spaces = (): string => ` ${value.trim().replace(/ +/g, '   ')}  `;
  switch (kind) {
    case 'ignore':
      return [
        value,
        swapCase(value),
        value.includes('ß') ? value : value.toUpperCase(),
        spaces(),
        swapCase(spaces()),
        value.normalize('NFD'),
      ][nth % 6] as string;
    case 'exact':
      return nth % 2 === 0 ? value : spaces();
    case 'dn':
      // Only what stands before the first escape: a swapped letter behind a backslash would be another value.
      return [value, value.replace(/^[^\\]*/, swapCase), value.replaceAll(/(?<!\\),/g, ' , ')][
        nth % 3
      ] as string;
    case 'phone':
      return [value, value.replaceAll(' ', ''), value.replaceAll('-', ' - '), ` ${value} `][
        nth % 4
      ] as string;
    case 'numeric':
      return [value, value.replaceAll(' ', ''), value.split('').join(' ')][nth % 3] as string;
    case 'time':
      return nth % 2 === 0 ? value : value.replace(/00Z$/, 'Z');
    case 'list':
      return nth % 2 === 0 ? value : swapCase(value).replaceAll(' ', '  ');
    default:
      return value;
  }
}

/** A name's value in one of the ways that RFC 4514 allows; `nth` chooses. */
export function nameValue(value: string, nth: number): string {
  const plain = escapeNameValue(value);
  if (nth % 4 === 1)
    return plain.replace(/[^\x20-\x7e]/gu, (c) =>
      [...Buffer.from(c)].map((o) => `\\${o.toString(16)}`).join(''),
    );
  if (nth % 4 === 2)
    return plain.replaceAll(/\\([,+;<>"])/g, (_all, c: string) => `\\${c.charCodeAt(0).toString(16)}`);
  return plain;
}
