/**
 * An organisation directory as LDIF for slapd, as real ones are: names in several scripts, DNs that need every kind of escape,
 * people with many aliases, quoted local parts, groups, people who are no recipients. The same for the same numbers.
 *
 * `known` is what must be answered 250 and nothing else; it is written here by hand rules, apart from the product's mapping.
 */

export interface Organisation {
  readonly suffix: string;
  readonly base: string;
  /** Definitions that slapd needs for it. */
  readonly schemas: readonly string[];
  readonly schemaText: string;
  readonly ldif: string;
  /** Addresses of recipients, as they stand in the directory. */
  readonly known: readonly string[];
  /** Addresses of entries that are no recipients. */
  readonly hidden: readonly string[];
  /** Entries that are recipients. */
  readonly recipients: number;
  /** DN of person `n` as it was loaded. */
  readonly dn: (n: number) => string;
}

/** What the source is asked for: those who have left are in the directory, and no recipients. */
export const SOURCE_FILTER = '(&(objectClass=*)(!(employeeType=left)))';

const SUFFIX = 'dc=example,dc=org';
const BASE = `ou=people,${SUFFIX}`;
const SOUTH = `ou=Vertrieb\\, Süd,${BASE}`;

const SURNAMES = [
  'Åström',
  'Müller',
  'Γεωργίου',
  'Иванова',
  '山田',
  'O’Neill',
  'Núñez',
  'العلي',
  'Weiß',
  'Đorđević',
];

/** Values of cn that need escapes in a DN (RFC 4514 §2.4), with their DN form. */
const ODD_NAMES: readonly (readonly [value: string, escaped: string])[] = [
  ['Smith, John', 'Smith\\, John'],
  ['"Bob" Quoted', '\\22Bob\\22 Quoted'],
  ['#leading hash', '\\#leading hash'],
  [' leading and trailing ', '\\ leading and trailing\\ '],
  ['plus+equals=semi;less<greater>', 'plus\\+equals=semi\\;less\\<greater\\>'],
  ['back\\slash', 'back\\\\slash'],
];

export function organisation(people = 2000, groups = 20): Organisation {
  const lines: string[] = [];
  const known: string[] = [];
  const hidden: string[] = [];
  let recipients = 0;
  const entry = (dn: string, attributes: readonly (readonly [string, string])[]): void => {
    lines.push(line('dn', dn), ...attributes.map(([type, value]) => line(type, value)), '');
  };
  entry(SUFFIX, [
    ['objectClass', 'dcObject'],
    ['objectClass', 'organization'],
    ['o', 'Example'],
    ['dc', 'example'],
  ]);
  entry(BASE, [
    ['objectClass', 'organizationalUnit'],
    ['ou', 'people'],
  ]);
  entry(SOUTH, [
    ['objectClass', 'organizationalUnit'],
    ['ou', 'Vertrieb, Süd'],
  ]);
  for (let n = 0; n < people; n++) {
    const { name, addresses, aliases, left } = person(n);
    entry(personDn(n), [
      ['objectClass', 'inetOrgPerson'],
      ['objectClass', 'exampleRecipient'],
      ['objectClass', 'inetLocalMailRecipient'],
      ['cn', name],
      ['sn', SURNAMES[n % SURNAMES.length] ?? ''],
      ['uid', `u${n}`],
      ...(left ? [['employeeType', 'left'] as const] : []),
      ...addresses.map((address) => ['mail', address] as const),
      ...aliases.map((alias) => ['mailLocalAddress', alias] as const),
      ...(n % 5 === 0 ? [['proxyAddresses', `SMTP:person.${n}@example.net`] as const] : []),
      ...(n % 5 === 0 ? [['proxyAddresses', `sip:person.${n}@example.org`] as const] : []),
      ...(n % 50 === 7 ? [['proxyAddresses', `smtp:jürgen.${n}@example.org`] as const] : []),
    ]);
    const own = [
      ...addresses,
      ...aliases,
      ...(n % 5 === 0 ? [`person.${n}@example.net`] : []),
      ...(n % 50 === 7 ? [`jürgen.${n}@example.org`] : []),
    ];
    if (left) hidden.push(...own);
    else if (own.length > 0) {
      known.push(...own);
      recipients++;
    }
    if (own.length === 0) hidden.push(`user.${n}@example.org`);
    // The address of another kind.
    if (n % 5 === 0) hidden.push(`person.${n}@example.org`);
  }
  for (let n = 0; n < groups; n++) {
    entry(`cn=group ${n},${BASE}`, [
      ['objectClass', 'groupOfNames'],
      ['objectClass', 'extensibleObject'],
      ['cn', `group ${n}`],
      ['mail', `team-${n}@example.org`],
      ['member', personDn(n)],
      ['member', personDn(n + 1)],
    ]);
    known.push(`team-${n}@example.org`);
    recipients++;
  }
  return {
    suffix: SUFFIX,
    base: BASE,
    schemas: ['misc'],
    schemaText: [
      "attributetype ( 1.2.840.113556.1.2.210 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )",
      "objectclass ( 2.25.88888888 NAME 'exampleRecipient' SUP top AUXILIARY MAY proxyAddresses )",
      '',
    ].join('\n'),
    ldif: `${lines.join('\n')}\n`,
    known,
    hidden,
    recipients,
    dn: personDn,
  };
}

interface Person {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly aliases: readonly string[];
  readonly left: boolean;
}

function person(n: number): Person {
  const odd = ODD_NAMES[n % 100];
  const name = odd === undefined ? `${SURNAMES[n % SURNAMES.length] ?? ''} ${n}` : odd[0];
  // Everybody hundredth has no address at all, and is no recipient unless a proxy address makes him one.
  const addresses = n % 100 === 99 ? [] : [`User.${n}@Example.org`];
  if (n % 40 === 3) addresses.push(`"quoted ${n}"@example.org`);
  if (n % 40 === 23) addresses.push(`"comma,${n}"@example.org`, `o'brien=${n}/x@example.org`);
  const count = n % 400 === 8 ? 60 : n % 4 === 0 ? 3 : 0;
  const aliases = Array.from(
    { length: count },
    (_, at) => `alias-${n}-${at}@example.${at % 2 === 0 ? 'org' : 'net'}`,
  );
  return { name, addresses, aliases, left: n % 97 === 96 };
}

/** Odd names, a name of two parts, a container with a comma. */
function personDn(n: number): string {
  const odd = ODD_NAMES[n % 100]?.[1];
  const surname = SURNAMES[n % SURNAMES.length] ?? '';
  const parent = n % 3 === 0 ? SOUTH : BASE;
  if (odd !== undefined) return `cn=${odd}+uid=u${n},${parent}`;
  return n % 10 === 9 ? `cn=${surname} ${n}+uid=u${n},${parent}` : `cn=${surname} ${n},${parent}`;
}

/** RFC 2849: base64 for what is not safe in clear. */
function line(type: string, value: string): string {
  const safe = /^[!-9;=-~][ -~]*$/.test(value) && !value.endsWith(' ');
  return safe ? `${type}: ${value}` : `${type}:: ${Buffer.from(value).toString('base64')}`;
}
