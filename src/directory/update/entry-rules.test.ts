/**
 * What the schema makes of entries, judged here and by slapd: the same schema, the same requests, the same codes. Where they differ,
 * the row says why. Messages name attribute, class and entry.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addition, type ServedDirectory, serveDirectory } from '../../../test/support/served-directory.ts';
import { type Slapd, startSlapd } from '../../../test/support/slapd.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { connectLdap, type LdapClient } from '../../ldap/client.ts';
import type { LdapResult, Modification } from '../../ldap/message.ts';
import { standardSchema } from '../schema/standard.ts';

const BASE = 'dc=example,dc=org';
const EVERY_CODE = Array.from({ length: 130 }, (_, n) => n);
const OWN_SCHEMA = `
attributetype ( 1.3.6.1.4.1.55555.1.1 NAME 'xObsolete' OBSOLETE SUP name )
attributetype ( 1.3.6.1.4.1.55555.1.2 NAME 'xNoRule' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.3.6.1.4.1.55555.2.1 NAME 'xAbstract' SUP top ABSTRACT MAY xObsolete )
objectclass ( 1.3.6.1.4.1.55555.2.2 NAME 'xConcrete' SUP xAbstract STRUCTURAL MUST cn MAY ( xNoRule $ sn ) )
objectclass ( 1.3.6.1.4.1.55555.2.3 NAME 'xObsoleteClass' OBSOLETE SUP top AUXILIARY )
objectclass ( 1.3.6.1.4.1.55555.2.4 NAME 'xAuxiliary' SUP top AUXILIARY MUST xNoRule )
objectclass ( 1.3.6.1.4.1.55555.2.5 NAME 'xRuled' SUP top STRUCTURAL MUST cn MAY ( sn $ description ) )
ditcontentrule ( 1.3.6.1.4.1.55555.2.5 NAME 'xRule' AUX pkiUser MUST description MAY seeAlso NOT sn )
`;
const COLLECTIVE = '/etc/ldap/schema/collective.schema';

type Content = Readonly<Record<string, readonly string[]>>;
const person = (more: Content = {}): Content => ({ objectClass: ['person'], sn: ['x'], ...more });

describe('entries judged as slapd judges them', () => {
  let slapd: Slapd;
  let served: ServedDirectory;
  let theirs: LdapClient;
  let ours: LdapClient;

  beforeAll(async () => {
    slapd = await startSlapd({
      suffix: BASE,
      ldif: `dn: ${BASE}\nobjectClass: domain\ndc: example\n`,
      schemaText: OWN_SCHEMA,
      schemas: ['collective'],
    });
    const texts = [OWN_SCHEMA, readFileSync(COLLECTIVE, 'utf8')].map((text) => ({ name: 'own', text }));
    served = await serveDirectory({
      directory: { schema: standardSchema(texts) },
      entries: [addition(BASE, { objectClass: ['domain'], dc: ['example'] })],
    });
    theirs = await connectLdap({ target: slapd.url, clock: systemClock });
    await theirs.bind(slapd.adminDn, new Secret(slapd.adminPassword));
    ours = await served.client();
    await both((client) => client.add(`cn=a,${BASE}`, attributes(person()), { accept: EVERY_CODE }).result);
  });
  afterAll(async () => {
    theirs?.destroy();
    await served?.[Symbol.asyncDispose]();
    await slapd?.[Symbol.asyncDispose]();
  });

  const attributes = (content: Content): { type: string; values: Buffer[] }[] =>
    Object.entries(content).map(([type, values]) => ({ type, values: values.map((v) => Buffer.from(v)) }));

  async function both(
    run: (client: LdapClient) => Promise<{ operation: { result: LdapResult } }>,
  ): Promise<{ slapd: LdapResult; ours: LdapResult }> {
    const [a, b] = await Promise.all([run(theirs), run(ours)]);
    return { slapd: a.operation.result, ours: b.operation.result };
  }

  /** name, content, code, what the message says; a fifth column is slapd's code where it is another. */
  const ADDED: readonly (readonly [string, Content, number, string, number?])[] = [
    [
      'cn=b',
      { objectClass: ['person'] },
      65,
      'sn: required by object class person, but missing in cn=b,dc=ex',
    ],
    [
      'cn=b',
      person({ mail: ['x'] }),
      65,
      'mail: not allowed by the object classes of cn=b,dc=example,dc=org (per',
    ],
    ['cn=b', { sn: ['x'] }, 65, 'objectClass: cn=b,dc=example,dc=org has no object class'],
    ['cn=b', { objectClass: ['top'] }, 65, 'no structural class'],
    ['cn=b', { objectClass: ['xAbstract'] }, 65, 'no structural class'],
    ['cn=b', { objectClass: ['extensibleObject'], sn: ['x'] }, 65, 'no structural class'],
    ['cn=b', person({ objectClass: ['person', 'xAbstract'] }), 65, 'xAbstract is abstract'],
    ['cn=c1', { objectClass: ['xConcrete', 'xAbstract'] }, 0, ''],
    ['cn=b', person({ objectClass: ['person', 'organizationalUnit'], ou: ['x'] }), 65, 'of different kinds'],
    ['cn=c2', person({ objectClass: ['inetOrgPerson', 'person', 'organizationalPerson', 'top'] }), 0, ''],
    ['cn=b', { objectClass: ['nonsense'] }, 21, 'objectClass: nonsense is unknown'],
    ['cn=b', person({ objectClass: ['person', 'PERSON'] }), 20, 'objectClass: value occurs twice'],
    ['cn=b', person({ objectClass: ['person', '2.5.6.6'] }), 20, 'objectClass: value occurs twice'],
    ['cn=b', person({ objectClass: ['person', 'xAuxiliary'] }), 65, 'required by object class xAuxiliary'],
    ['cn=b', { objectClass: ['xConcrete', 'xObsoleteClass'] }, 65, 'xObsoleteClass is obsolete'],
    ['cn=b', { objectClass: ['xConcrete'], xObsolete: ['x'] }, 19, 'xObsolete: attribute type is obsolete'],
    ['cn=b', person({ objectClass: ['person', 'extensibleObject'], 'c-l': ['x'] }), 65, 'collective'],
    ['cn=b', person({ objectClass: ['person', 'extensibleObject'], nonsense: ['x'] }), 17, 'is unknown'],
    ['cn=b', person({ objectClass: ['inetOrgPerson'], displayName: ['a', 'b'] }), 19, 'more than one value'],
    ['cn=b', person({ createTimestamp: ['20260101000000Z'] }), 19, 'no user modification'],
    ['cn=b', person({ sn: [''] }), 21, 'sn: value is not a Directory String'],
    ['cn=b', person({ sn: ['x', 'X'] }), 20, 'sn: value occurs twice'],
    ['cn=b', person({ seeAlso: ['nosuch=x'] }), 21, 'seeAlso: value is not a DN'],
    // Content rules
    ['cn=b', { objectClass: ['xRuled'] }, 65, 'description: required by content rule xRule'],
    [
      'cn=b',
      { objectClass: ['xRuled'], description: ['x'], sn: ['x'] },
      65,
      'sn: excluded by content rule xRule',
    ],
    ['cn=c3', { objectClass: ['xRuled'], description: ['x'], seeAlso: ['cn=x'] }, 0, ''],
    ['cn=c4', { objectClass: ['xRuled', 'pkiUser'], description: ['x'] }, 0, ''],
    [
      'cn=b',
      { objectClass: ['xRuled', 'uidObject'], description: ['x'], uid: ['x'] },
      65,
      'uidObject is not allowed by content rule xRule',
    ],
    // Options
    ['cn=c5', person({ 'cn;lang-en': ['y'], 'sn;LANG-de-AT;lang-de': ['y'] }), 0, ''],
    ['cn=b', person({ 'sn;foo': ['y'] }), 17, 'sn;foo: option is unknown'],
    ['cn=b', person({ 'sn;x-own': ['y'] }), 17, 'sn;x-own: option is unknown'],
    ['cn=b', person({ 'sn;': ['y'] }), 17, 'option is unknown'],
    ['cn=b', person({ 'sn;lang-': ['y'] }), 17, 'option is unknown'],
    ['cn=b', person({ 'sn;lang-e_n': ['y'] }), 17, 'option is unknown'],
    ['cn=b', person({ 'sn;binary': ['y'] }), 17, 'its values have no ;binary form'],
    [
      'cn=b',
      person({ 'sn;lang-en;lang-de': ['y'], 'sn;lang-de;lang-en': ['z'] }),
      20,
      'attribute occurs twice',
    ],
    ['cn=b', { objectClass: ['person'], 'telephoneNumber;lang-en': ['1'] }, 65, 'sn: required'],
    ['cn=b', person({ objectClass: ['person', 'pkiUser'], userCertificate: ['x'] }), 17, 'with ;binary'],
    [
      'cn=b',
      person({ objectClass: ['person', 'pkiUser'], 'userCertificate;binary': ['x'] }),
      21,
      'Certificate',
    ],
    // Names
    ['xNoRule=v', { objectClass: ['xConcrete'], cn: ['x'] }, 64, 'xNoRule: has no equality rule'],
    ['xObsolete=v', { objectClass: ['xConcrete'], cn: ['x'] }, 64, 'xObsolete: is obsolete'],
    [
      'entryUUID=6ba7b810-9dad-11d1-80b4-00c04fd430c8',
      person({ cn: ['x'] }),
      64,
      'entryUUID: is operational',
    ],
    ['mail=x', person({ cn: ['x'] }), 65, 'mail: not allowed'],
    ['nosuch=x', person({ cn: ['x'] }), 34, 'attribute type nosuch is unknown'],
    ['c=Germany', { objectClass: ['country'] }, 34, 'value of c is not a Country String'],
    ['cn=x+cn=y', person(), 34, 'names an attribute type twice'],
    ['cn=e+sn=d', { objectClass: ['person'] }, 0, ''],
    ['SN=D+CN=\\65', { objectClass: ['person'] }, 68, ''],
    ['2.5.4.3=Dotted', person(), 0, ''],
    // RFC 4514 §2.4: the value behind # is BER.
    ['cn=#0403414243', person(), 0, '', 34],
    // RFC 4512 §2.3.1: a name has attribute types without options.
    ['cn;lang-en=e', person(), 34, 'malformed attribute type', 0],
  ];
  it.each(ADDED.map((row) => ({ row })))('add $row', async ({ row }) => {
    const [name, content, code, message, slapds] = row;
    const result = await both(
      (client) => client.add(`${name},${BASE}`, attributes(content), { accept: EVERY_CODE }).result,
    );
    expect({ ...result.ours, slapd: result.slapd.code }).toMatchObject({ code, slapd: slapds ?? code });
    expect(result.ours.diagnostic).toContain(message);
    if (code !== 0) expect(result.ours.diagnostic === '').toBe(message === '');
  });

  const CHANGED: readonly (readonly [
    Modification['kind'],
    string,
    readonly string[],
    number,
    string,
    number?,
  ])[] = [
    ['add', 'objectClass', ['inetOrgPerson'], 69, 'from person to inetOrgPerson'],
    ['replace', 'objectClass', ['xConcrete'], 69, 'from person to xConcrete'],
    ['replace', 'objectClass', [], 65, 'no object class'],
    ['delete', 'objectClass', ['person'], 65, 'no object class'],
    ['add', 'objectClass', ['xAbstract'], 65, 'xAbstract is abstract'],
    ['add', 'objectClass', ['xObsoleteClass'], 65, 'xObsoleteClass is obsolete'],
    ['add', 'objectClass', ['xAuxiliary'], 65, 'xNoRule: required by object class xAuxiliary'],
    ['add', 'objectClass', ['nonsense'], 21, 'nonsense is unknown'],
    ['add', 'objectClass', ['top'], 0, ''],
    ['add', 'mail', ['x'], 65, 'mail: not allowed by the object classes of cn=a,dc=example,dc=org'],
    ['delete', 'sn', [], 65, 'sn: required by object class person, but missing in cn=a'],
    ['replace', 'sn', [], 65, 'sn: required by object class person, but missing in cn=a'],
    // RFC 4511 §4.6: notAllowedOnRDN
    ['delete', 'cn', [], 67, "cn: value stands in the entry's name", 64],
    ['add', 'entryUUID', ['6ba7b810-9dad-11d1-80b4-00c04fd430c8'], 19, 'no user modification'],
    ['add', 'structuralObjectClass', ['person'], 19, 'no user modification'],
    ['add', 'sn;foo', ['x'], 17, 'sn;foo: option is unknown'],
    ['delete', 'sn;foo', [], 17, 'sn;foo: option is unknown'],
    ['add', 'userCertificate', ['x'], 17, 'values must be transferred with ;binary'],
    ['delete', 'userCertificate;binary', [], 16, 'no such attribute'],
    ['replace', 'xObsolete', [], 0, ''],
    ['replace', 'xObsolete', ['x'], 19, 'obsolete'],
    ['replace', 'c-l', ['x'], 65, 'c-l: collective attributes'],
    ['add', 'telephoneNumber', ['x*'], 21, 'telephoneNumber: value is not a Telephone Number'],
    ['add', 'seeAlso', ['', 'CN=x'], 0, ''],
    ['add', 'seeAlso', ['cn=X'], 20, 'seeAlso: value occurs twice'],
  ];
  it.each(CHANGED.map((row) => ({ row })))('modify $row', async ({ row }) => {
    const [kind, type, values, code, message, slapds] = row;
    const change = { kind, attribute: { type, values: values.map((v) => Buffer.from(v)) } };
    const result = await both(
      (client) => client.modify(`cn=a,${BASE}`, [change], { accept: EVERY_CODE }).result,
    );
    expect({ ...result.ours, slapd: result.slapd.code }).toMatchObject({ code, slapd: slapds ?? code });
    expect(result.ours.diagnostic).toContain(message);
  });

  it('language ranges and tags find what slapd finds', async () => {
    const content = person({
      'description;lang-en': ['a'],
      'description;lang-en-us': ['b'],
      description: ['c'],
    });
    await both((client) => client.add(`cn=lang,${BASE}`, attributes(content), { accept: EVERY_CODE }).result);
    const { parseFilter } = await import('../../ldap/filter.ts');
    for (const filter of [
      '(description;lang-en=a)',
      '(description;lang-en=b)',
      '(description;lang-en-=b)',
      '(description;lang-en-us=b)',
      '(description;lang-=a)',
      '(description;lang-=c)',
      '(description;lang-de-=*)',
      '(!(description;foo=x))',
      '(description;lang-en-=*)',
    ]) {
      const found = async (client: LdapClient): Promise<unknown> => {
        const entries: unknown[] = [];
        const asked = {
          base: `cn=lang,${BASE}`,
          filter: parseFilter(filter),
          attributes: ['description;lang-en-'],
        };
        for await (const { operation } of client.search(asked, { accept: EVERY_CODE }))
          if (operation.op === 'searchResultEntry')
            entries.push(operation.attributes.map((a) => a.type).sort());
        return entries;
      };
      expect({ filter, found: await found(ours) }).toEqual({ filter, found: await found(theirs) });
    }
  });
});
