import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { normaliseAddress } from '../../directory/address/address.ts';
import type { SourceEntry } from '../source/source.ts';
import { attributesOf, createMapper } from './mapping.ts';
import { MAPPING_PRESETS, mappingIdentity, type MappingRules } from './preset.ts';

function preset(name: string): MappingRules {
  const rules = MAPPING_PRESETS[name];
  if (rules === undefined) throw new Error(`no mapping ${name}`);
  return rules;
}

function entry(attributes: Record<string, string | string[]>): SourceEntry {
  return {
    guid: Buffer.alloc(16),
    dn: 'cn=x',
    attributes: new Map(
      Object.entries(attributes).map(([type, value]) => [
        type.toLowerCase(),
        [value].flat().map((each) => Buffer.from(each)),
      ]),
    ),
  };
}

/** What becomes of an entry, in words: `kind address...`, or the reason; and how many values were dropped. */
function outcome(name: string, attributes: Record<string, string | string[]>): string {
  const mapped = createMapper(preset(name), normaliseAddress)(entry(attributes));
  const what =
    mapped.recipient === undefined
      ? mapped.reason
      : `${mapped.recipient.kind} ${mapped.recipient.addresses.join(' ')}`;
  return mapped.dropped === 0 ? what : `${what} (-${mapped.dropped})`;
}

const person = { objectClass: ['top', 'person', 'inetOrgPerson'] };

describe('inetOrgPerson', () => {
  test.each<[string, Record<string, string | string[]>, string]>([
    ['one address', { ...person, mail: 'Anna@Example.ORG' }, 'user anna@example.org'],
    [
      'several, from several attributes, each once, in order',
      { ...person, mail: ['b@x.org', 'a@x.org', 'A@X.org'], mailAlternateAddress: ['c@x.org', 'b@x.org'] },
      'user a@x.org b@x.org c@x.org',
    ],
    ['a quoted local part', { ...person, mail: '"anna b"@example.org' }, 'user "anna b"@example.org'],
    ['Unicode', { ...person, mail: 'JÜRGEN@Bücher.example' }, 'user jürgen@xn--bcher-kva.example'],
    ['no address', { ...person, cn: 'x' }, 'no-address'],
    ['values that are no addresses', { ...person, mail: ['a b', 'nobody', 'a@x.org'] }, 'user a@x.org (-2)'],
    ['nothing but such values', { ...person, mail: ['', '@x.org'] }, 'no-address (-2)'],
    [
      'a group',
      { objectClass: ['top', 'groupOfNames', 'extensibleObject'], mail: 'g@x.org' },
      'group g@x.org',
    ],
    ['a group in other letters', { objectClass: ['GROUPOFUNIQUENAMES'], mail: 'g@x.org' }, 'group g@x.org'],
  ])('%s', (_name, attributes, expected) => {
    expect(outcome('inetorgperson', attributes)).toBe(expected);
  });
});

describe('Active Directory', () => {
  const user = { objectClass: ['top', 'person', 'organizationalPerson', 'user'] };
  test.each<[string, Record<string, string | string[]>, string]>([
    [
      'proxyAddresses of all kinds',
      {
        ...user,
        mail: 'anna@example.org',
        proxyAddresses: [
          'SMTP:Anna@example.org',
          'smtp:a.b@example.com',
          'X500:/o=Org/cn=anna',
          'SIP:anna@example.org',
        ],
      },
      'user a.b@example.com anna@example.org',
    ],
    ['a value without prefix', { ...user, proxyAddresses: ['plain@example.org'] }, 'user plain@example.org'],
    [
      'a quoted colon',
      { ...user, proxyAddresses: ['"a:b"@x.org', 'smtp:"c:d"@x.org'] },
      'user "a:b"@x.org "c:d"@x.org',
    ],
    [
      'other types only',
      { ...user, proxyAddresses: ['x400:c=de', 'sip:a@b.org', 'SMTPX:a@b.org'] },
      'no-address',
    ],
    ['an empty prefix', { ...user, proxyAddresses: ['smtp:', ':a@b.org'] }, 'no-address (-1)'],
    ['enabled', { ...user, userAccountControl: '512', mail: 'a@x.org' }, 'user a@x.org'],
    ['disabled', { ...user, userAccountControl: '514', mail: 'a@x.org' }, 'disabled'],
    ['disabled, with other flags', { ...user, userAccountControl: '66050', mail: 'a@x.org' }, 'disabled'],
    ['nonsense for flags', { ...user, userAccountControl: '2x', mail: 'a@x.org' }, 'user a@x.org'],
    [
      'very long nonsense',
      { ...user, userAccountControl: '2'.repeat(100_000), mail: 'a@x.org' },
      'user a@x.org',
    ],
    [
      'a shared mailbox is a disabled account and a recipient',
      { ...user, userAccountControl: '514', msExchRecipientTypeDetails: '4', mail: 's@x.org' },
      'sharedMailbox s@x.org',
    ],
    [
      'a room',
      { ...user, userAccountControl: '514', msExchRecipientTypeDetails: '16', mail: 'r@x.org' },
      'resource r@x.org',
    ],
    ['a contact', { objectClass: ['top', 'contact'], mail: 'c@x.org' }, 'contact c@x.org'],
    ['a public folder', { objectClass: ['publicFolder'], mail: 'p@x.org' }, 'publicFolder p@x.org'],
    ['a group', { objectClass: ['top', 'group'], mail: 'g@x.org', userAccountControl: '2' }, 'group g@x.org'],
    [
      'a group that refuses outside senders',
      { objectClass: ['group'], mail: 'g@x.org', msExchRequireAuthToSendTo: 'TRUE' },
      'left-out',
    ],
    [
      'one that does not',
      { objectClass: ['group'], mail: 'g@x.org', msExchRequireAuthToSendTo: 'FALSE' },
      'group g@x.org',
    ],
    ['a tombstone', { ...user, isDeleted: 'TRUE', mail: 'a@x.org' }, 'left-out'],
  ])('%s', (_name, attributes, expected) => {
    expect(outcome('active-directory', attributes)).toBe(expected);
  });
});

test.each<[string, Record<string, string | string[]>, string]>([
  ['zimbra', { zimbraMailDeliveryAddress: 'a@x.org', zimbraMailAlias: ['b@x.org'] }, 'user a@x.org b@x.org'],
  ['zimbra', { objectClass: 'zimbraDistributionList', mail: 'l@x.org' }, 'group l@x.org'],
  ['zimbra', { zimbraMailStatus: 'Disabled', mail: 'l@x.org' }, 'left-out'],
  ['zimbra', { zimbraAccountStatus: 'closed', mail: 'l@x.org' }, 'left-out'],
  ['postfix-book', { mail: 'a@x.org', mailAlias: 'b@x.org', mailEnabled: 'TRUE' }, 'user a@x.org b@x.org'],
  ['postfix-book', { mail: 'a@x.org', mailEnabled: 'FALSE' }, 'left-out'],
])('%s: %o', (name, attributes, expected) => {
  expect(outcome(name, attributes)).toBe(expected);
});

describe('rules of one’s own', () => {
  const rules: MappingRules = {
    name: 'own',
    addresses: ['mail'],
    proxyAddresses: [],
    kinds: [
      { attribute: 'employeeType', value: 'Straße', kind: 'resource' },
      { attribute: 'employeeType', value: 'staff', kind: 'contact' },
      { attribute: 'objectClass', value: 'room', kind: 'group' },
    ],
    leaveOut: [{ attribute: 'l', value: 'moon' }],
    require: { attribute: 'memberOf', value: 'cn=mail,dc=x' },
  };
  const mapped = (attributes: Record<string, string | string[]>) => {
    const { recipient } = createMapper(
      rules,
      normaliseAddress,
    )(entry({ memberOf: 'CN=mail,DC=x', mail: 'a@x.org', ...attributes }));
    return recipient?.kind;
  };

  test('what is required, what is left out, and the first rule that fits', () => {
    expect(mapped({})).toBe('user');
    expect(mapped({ memberOf: 'cn=other' })).toBe(undefined);
    expect(mapped({ l: ['earth', 'MOON'] })).toBe(undefined);
    expect(mapped({ employeeType: ['STAFF', 'straße'], objectClass: 'room' })).toBe('resource');
    expect(mapped({ employeeType: 'staff', objectClass: 'room' })).toBe('contact');
    expect(mapped({ objectClass: ['ROOM'] })).toBe('group');
  });

  test('the attributes to ask for, each once', () => {
    expect(attributesOf({ ...rules, addresses: ['mail', 'MAIL', 'Objectclass'] })).toEqual([
      'objectClass',
      'userAccountControl',
      'MAIL',
      'employeeType',
      'l',
      'memberOf',
    ]);
  });

  test('other rules are another mapping', () => {
    const same = structuredClone(rules);
    expect(mappingIdentity(same)).toBe(mappingIdentity(rules));
    const others: MappingRules[] = [
      { ...rules, addresses: ['mail', 'other'] },
      { ...rules, addresses: [], proxyAddresses: ['mail'] },
      { ...rules, leaveOut: [] },
      { ...rules, kinds: rules.kinds.slice(1) },
      { ...rules, require: { attribute: 'memberOf', value: 'other' } },
    ];
    expect(new Set([rules, ...others].map(mappingIdentity)).size).toBe(6);
  });
});

test('more addresses than anybody has are cut short', () => {
  const mail = Array.from({ length: 5000 }, (_, n) => `a${n}@x.org`);
  const mapped = createMapper(preset('inetorgperson'), normaliseAddress)(entry({ mail }));
  expect([mapped.recipient?.addresses.length, mapped.dropped]).toEqual([4096, 904]);
});

test('whatever the values are, addresses are canonical, distinct and in the order of their octets', () => {
  const value = fc.oneof(
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(fc.string({ unit: 'grapheme', maxLength: 8 }), fc.constantFrom('x.org', 'ü.org'))
      .map(([local, domain]) => Buffer.from(`${local}@${domain}`)),
    fc.emailAddress().map((text) => Buffer.from(`smtp:${text}`)),
  );
  const map = createMapper(preset('active-directory'), normaliseAddress);
  fc.assert(
    fc.property(fc.array(value), fc.array(value), (mail, proxyAddresses) => {
      const { recipient, dropped } = map({
        guid: Buffer.alloc(16),
        dn: '',
        attributes: new Map([
          ['mail', mail],
          ['proxyaddresses', proxyAddresses],
        ]),
      });
      const addresses = recipient?.addresses ?? [];
      expect(addresses.map((address) => normaliseAddress(address))).toEqual(addresses);
      const bytes = addresses.map((address) => Buffer.from(address));
      expect([...bytes].sort(Buffer.compare)).toEqual(bytes);
      expect(new Set(addresses).size).toBe(addresses.length);
      expect(addresses.length + dropped).toBeLessThanOrEqual(mail.length + proxyAddresses.length);
      expect(recipient === undefined).toBe(addresses.length === 0);
    }),
  );
});
