/**
 * Matching rules and syntaxes against slapd: the same values written, compared, ordered and looked for in parts. A row that differs on
 * purpose says why.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addition, type ServedDirectory, serveDirectory } from '../../../test/support/served-directory.ts';
import { type Slapd, startSlapd } from '../../../test/support/slapd.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { connectLdap, type LdapClient } from '../../ldap/client.ts';
import type { Filter } from '../../ldap/message.ts';
import { standardSchema } from './standard.ts';

const BASE = 'dc=example,dc=org';
const EVERY_CODE = Array.from({ length: 130 }, (_, n) => n);
const SYNTAX = '1.3.6.1.4.1.1466.115.121.1';
const words = (...list: string[]): fc.Arbitrary<string> => fc.constantFrom(...list);
const joined = (unit: fc.Arbitrary<string>, most: number): fc.Arbitrary<string> =>
  fc.array(unit, { maxLength: most }).map((list) => list.join(''));

/**
 * Left out, since slapd differs: case in telephone numbers (RFC 4517 §4.2.29 folds it), `;` and quotes in names (LDAPv2's, RFC 4514 has
 * neither), values after `#` (BER), names as values of OID syntax (RFC 4512 §1.4), the empty postal address (RFC 4517 §3.3.28).
 *
 * name, equality, ordering, substrings, syntax, values. */
const TYPES: readonly (readonly [string, string, string, string, string, fc.Arbitrary<string>])[] = [
  [
    'xIgnore',
    'caseIgnoreMatch',
    'caseIgnoreOrderingMatch',
    'caseIgnoreSubstringsMatch',
    `${SYNTAX}.15`,
    joined(words('a', 'B', 'b', 'A', ' ', '  ', 'ü', 'Ü', 'U\u0308', '1', '-', '*', '\\'), 4),
  ],
  [
    'xExact',
    'caseExactMatch',
    'caseExactOrderingMatch',
    'caseExactSubstringsMatch',
    `${SYNTAX}.15`,
    joined(words('a', 'B', 'b', 'A', ' ', '  ', 'ü', 'U\u0308', '('), 4),
  ],
  [
    'xIa5',
    'caseIgnoreIA5Match',
    '',
    'caseIgnoreIA5SubstringsMatch',
    `${SYNTAX}.26`,
    joined(words('a', 'B', 'b', ' ', '@', '.', 'ü'), 4),
  ],
  [
    'xIa5Exact',
    'caseExactIA5Match',
    '',
    'caseExactIA5SubstringsMatch',
    `${SYNTAX}.26`,
    joined(words('a', 'A', ' ', '@'), 4),
  ],
  [
    'xNumeric',
    'numericStringMatch',
    'numericStringOrderingMatch',
    'numericStringSubstringsMatch',
    `${SYNTAX}.36`,
    joined(words('1', '2', '0', ' ', '  ', 'a'), 5),
  ],
  [
    'xPhone',
    'telephoneNumberMatch',
    '',
    'telephoneNumberSubstringsMatch',
    `${SYNTAX}.50`,
    joined(words('+', '49', '3', '-', ' ', 'x'), 5),
  ],
  [
    'xInteger',
    'integerMatch',
    'integerOrderingMatch',
    '',
    `${SYNTAX}.27`,
    words(
      '0',
      '1',
      '-1',
      '10',
      '9',
      '-10',
      '-9',
      '007',
      '-0',
      '99999999999999999999',
      '-99999999999999999999',
      '1.5',
      '',
      ' 1',
      '+1',
      'x',
    ),
  ],
  [
    'xBoolean',
    'booleanMatch',
    '',
    '',
    `${SYNTAX}.7`,
    words('TRUE', 'FALSE', 'true', 'false', '', '1', ' TRUE'),
  ],
  [
    'xTime',
    'generalizedTimeMatch',
    'generalizedTimeOrderingMatch',
    '',
    `${SYNTAX}.24`,
    words(
      '20260101000000Z',
      '20260101000000.0Z',
      '20260101000000.5Z',
      '20260101000000,50Z',
      '20260101010000+0100',
      '20251231230000-01',
      '2026010100Z',
      '202601010000Z',
      '20260101000001Z',
      '20261301000000Z',
      '20260230000000Z',
      '20260101240000Z',
      '20260101000060Z',
      'now',
      '20260101000000',
      '20260101',
    ),
  ],
  [
    'xDn',
    'distinguishedNameMatch',
    '',
    '',
    `${SYNTAX}.12`,
    words(
      'cn=a,dc=b',
      'CN=A , DC=B',
      'cn=a+sn=b,dc=c',
      'SN=B+CN=A,dc=c',
      '2.5.4.3=a,dc=b',
      'commonName=a,domainComponent=b',
      'cn=\\61,dc=b',
      'cn=a\\,b',
      'cn=a\\2cb',
      'cn=a\\2Cb',
      'cn=a,cn=b',
      'cn=\\ a',
      'cn=a\\ ',
      'cn=a',
      'cn=  a  ',
      'cn=a  b',
      'cn=A B',
      '',
      'cn=a,',
      'a',
      'cn=',
      'nosuch=a',
      'cn=a\\zz',
      'cn=Müller',
      'cn=M\\C3\\BCller',
      'cn=MU\u0308LLER',
      'uid=a+cn=b',
      'cn=b+uid=a',
      'serialNumber=1,cn=x',
      'serialnumber=1,cn=X',
    ),
  ],
  [
    'xUid',
    'uniqueMemberMatch',
    '',
    '',
    `${SYNTAX}.34`,
    words(
      "cn=a#'01'B",
      "CN=A#'01'B",
      "cn=a#'10'B",
      'cn=a',
      'CN=A',
      "cn=b#'01'B",
      "cn=a#''B",
      "cn=a#'2'B",
      "#'01'B",
      'cn=a#x',
      'a',
    ),
  ],
  [
    'xOid',
    'objectIdentifierMatch',
    '',
    '',
    `${SYNTAX}.38`,
    words('2.5.4.3', '2.5.4.4', '2.5.6.6', '1.2.3', '1.2.3.0', '1.2.03', 'no such', '1.', ''),
  ],
  [
    'xBits',
    'bitStringMatch',
    '',
    '',
    `${SYNTAX}.6`,
    words("'01'B", "'010'B", "''B", "'1'B", "'2'B", '01', "'01'b"),
  ],
  [
    'xOctets',
    'octetStringMatch',
    'octetStringOrderingMatch',
    'octetStringSubstringsMatch',
    `${SYNTAX}.40`,
    joined(words('a', 'A', ' ', '\u0000', 'ü'), 4),
  ],
  [
    'xList',
    'caseIgnoreListMatch',
    '',
    'caseIgnoreListSubstringsMatch',
    `${SYNTAX}.41`,
    joined(words('a', 'B', 'b', ' ', '\\24', '\\5C', '\\5c', 'c$d'), 4).map((text) => `x${text}`),
  ],
  [
    'xUuid',
    'UUIDMatch',
    'UUIDOrderingMatch',
    '',
    '1.3.6.1.1.16.1',
    words(
      '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
      '6BA7B810-9DAD-11D1-80B4-00C04FD430C8',
      '6ba7b811-9dad-11d1-80b4-00c04fd430c8',
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
      '6ba7b8109dad11d180b400c04fd430c8',
      'x',
      '',
    ),
  ],
];
const OWN_SCHEMA = [
  ...TYPES.map(([name, equality, ordering, substrings, syntax], n) => {
    const more = `${ordering === '' ? '' : `ORDERING ${ordering}`} ${substrings === '' ? '' : `SUBSTR ${substrings}`}`;
    return `attributetype ( 1.3.6.1.4.1.55555.1.${n + 1} NAME '${name}' EQUALITY ${equality} ${more} SYNTAX ${syntax} )`;
  }),
  `objectclass ( 1.3.6.1.4.1.55555.2.1 NAME 'xRules' SUP top STRUCTURAL MUST cn MAY ( ${TYPES.map(([name]) => name).join(' $ ')} ) )`,
].join('\n');

describe('rules compare as they do in slapd', () => {
  let slapd: Slapd;
  let served: ServedDirectory;
  let clients: readonly [LdapClient, LdapClient];

  beforeAll(async () => {
    slapd = await startSlapd({
      suffix: BASE,
      ldif: `dn: ${BASE}\nobjectClass: domain\ndc: example\n`,
      schemaText: `${OWN_SCHEMA}\n`,
    });
    served = await serveDirectory({
      directory: { schema: standardSchema([OWN_SCHEMA]) },
      entries: [addition(BASE, { objectClass: ['domain'], dc: ['example'] })],
    });
    const theirs = await connectLdap({ target: slapd.url, clock: systemClock });
    await theirs.bind(slapd.adminDn, new Secret(slapd.adminPassword));
    clients = [theirs, await served.client()];
    for (const client of clients) {
      const values = [Buffer.from('xRules')];
      for (const [name] of TYPES)
        await client.add(`cn=${name},${BASE}`, [{ type: 'objectClass', values }]).result;
    }
  });
  afterAll(async () => {
    clients?.[0].destroy();
    await served?.[Symbol.asyncDispose]();
    await slapd?.[Symbol.asyncDispose]();
  });

  const code = (reply: { operation: { result: { code: number } } }): number => reply.operation.result.code;

  async function judge(
    client: LdapClient,
    type: string,
    value: string,
    assertion: string,
    part: string,
  ): Promise<unknown> {
    const dn = `cn=${type},${BASE}`;
    const change = { kind: 'replace' as const, attribute: { type, values: [Buffer.from(value)] } };
    const written = code(await client.modify(dn, [change], { accept: EVERY_CODE }).result);
    if (written !== 0) return { written };
    const asserted = Buffer.from(assertion);
    const compared = code(await client.compare(dn, type, asserted, { accept: EVERY_CODE }).result);
    const some = Buffer.from(part);
    const filters: readonly Filter[] = [
      { kind: 'equality', attribute: type, value: asserted },
      { kind: 'not', filter: { kind: 'equality', attribute: type, value: asserted } },
      { kind: 'greaterOrEqual', attribute: type, value: asserted },
      { kind: 'lessOrEqual', attribute: type, value: asserted },
      { kind: 'substrings', attribute: type, initial: some, any: [] },
      { kind: 'substrings', attribute: type, any: [some] },
      { kind: 'substrings', attribute: type, any: [], final: some },
    ];
    const found: boolean[] = [];
    // RFC 4518 §2.6.1: outer spaces of a part count; slapd takes them off. §2.6.3: of hyphens and spaces alone nothing is left, which stands everywhere.
    for (const filter of part.trim() !== part || /^[- ]*$| {2}/.test(part) ? filters.slice(0, 4) : filters) {
      const stream = client.search(
        { base: dn, scope: 'base', filter, attributes: ['1.1'] },
        { accept: EVERY_CODE },
      );
      let seen = false;
      for await (const { operation } of stream) seen ||= operation.op === 'searchResultEntry';
      found.push(seen);
    }
    return { written, compared, found };
  }

  it.each(TYPES.map((row) => ({ name: row[0], equality: row[1], values: row[5] })))(
    '$equality',
    async ({ name, values }) => {
      await fc.assert(
        fc.asyncProperty(values, values, values, async (value, assertion, part) => {
          const [theirs, ours] = await Promise.all(
            clients.map((client) => judge(client, name, value, assertion, part)),
          );
          expect({ value, assertion, part, ours }).toEqual({ value, assertion, part, ours: theirs });
        }),
        { numRuns: 150 },
      );
    },
  );
});
