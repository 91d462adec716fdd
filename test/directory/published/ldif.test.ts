/**
 * RFC 2849's examples, below our suffix, through ldapmodify to slapd and to us: the same results, and the same entries afterwards.
 * And RFC 4516's examples of URLs, asked of both.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseLdapUrl } from '../../../src/ldap/url.ts';
import { runProgram } from '../../support/ldap-tool.ts';
import { Pair } from '../differential/pair.ts';
import { add, search } from '../differential/request.ts';
import { run } from '../differential/run.ts';
import { EVERYTHING } from '../differential/state.ts';
import { BASE } from '../differential/vocabulary.ts';

let pair: Pair;
beforeAll(async () => {
  pair = await Pair.start();
});
afterAll(() => pair?.[Symbol.asyncDispose]());

const AIRIUS = `dc=airius,${BASE}`;
/** The document's own names, below ours. */
const below = (ldif: string): string => ldif.replaceAll('dc=airius, dc=com', AIRIUS);

const SUFFIX = `dn: dc=airius, dc=com
objectclass: domain
dc: airius

dn: ou=Product Development, dc=airius, dc=com
objectclass: organizationalUnit

dn: ou=Accounting, dc=airius, dc=com
objectclass: organizationalUnit

dn: ou=Product Testing, dc=airius, dc=com
objectclass: organizationalUnit
`;

/** Title, LDIF, exit code of ldapmodify. */
const EXAMPLES: readonly (readonly [string, string, number])[] = [
  ['the tree that the examples stand in', SUFFIX, 0],
  [
    'example 1: two entries',
    `version: 1
dn: cn=Barbara Jensen, ou=Product Development, dc=airius, dc=com
objectclass: top
objectclass: person
objectclass: organizationalPerson
cn: Barbara Jensen
cn: Barbara J Jensen
cn: Babs Jensen
sn: Jensen
telephonenumber: +1 408 555 1212
description: A big sailing fan.

dn: cn=Bjorn Jensen, ou=Accounting, dc=airius, dc=com
objectclass: top
objectclass: person
objectclass: organizationalPerson
cn: Bjorn Jensen
sn: Jensen
telephonenumber: +1 408 555 1212
`,
    0,
  ],
  [
    'example 2: a folded value',
    `version: 1
dn:cn=Barbara Folded, ou=Product Development, dc=airius, dc=com
objectclass:top
objectclass:person
objectclass:organizationalPerson
cn:Barbara Folded
sn:Jensen
telephonenumber:+1 408 555 1212
description:Babs is a big sailing fan, and travels extensively in sea
 rch of perfect sailing conditions.
title:Product Manager, Rod and Reel Division
`,
    0,
  ],
  [
    'example 3: a value in base 64',
    `version: 1
dn: cn=Gern Jensen, ou=Product Testing, dc=airius, dc=com
objectclass: top
objectclass: person
objectclass: organizationalPerson
cn: Gern Jensen
cn: Gern O Jensen
sn: Jensen
telephonenumber: +1 408 555 1212
description:: V2hhdCBhIGNhcmVmdWwgcmVhZGVyIHlvdSBhcmUhICBUaGlzIHZhbHVlIGlzIGJhc2UtNjQtZW5jb2RlZCBiZWNhdXNlIGl0IGhhcyBhIGNvbnRyb2wgY2hhcmFjdGVyIGluIGl0IChhIENSKS4NICBCeSB0aGUgd2F5LCB5b3Ugc2hvdWxkIHJlYWxseSBnZXQgb3V0IG1vcmUu
`,
    0,
  ],
  [
    'example 4: names and values in UTF-8, with language options',
    `version: 1
dn:: ${Buffer.from(`ou=営業部,${AIRIUS}`).toString('base64')}
objectclass: top
objectclass: organizationalUnit
ou:: 5Za25qWt6YOo
ou;lang-ja:: 5Za25qWt6YOo
ou;lang-en: Sales
description: Japanese office
`,
    0,
  ],
  [
    'example 4: its option phonetic is known to neither',
    `dn:: ${Buffer.from(`ou=営業部,${AIRIUS}`).toString('base64')}
changetype: modify
add: ou;lang-ja;phonetic
ou;lang-ja;phonetic:: 44GI44GE44GO44KH44GG44G2
-
`,
    17,
  ],
  [
    'example 6: a series of changes',
    `version: 1
# Add a new entry
dn: cn=Fiona Jensen, ou=Product Development, dc=airius, dc=com
changetype: add
objectclass: top
objectclass: person
objectclass: organizationalPerson
cn: Fiona Jensen
sn: Jensen
telephonenumber: +1 408 555 1212

# Delete an existing entry
dn: cn=Gern Jensen, ou=Product Testing, dc=airius, dc=com
changetype: delete

# Modify an entry's relative distinguished name
dn: cn=Barbara Folded, ou=Product Development, dc=airius, dc=com
changetype: modrdn
newrdn: cn=Paula Jensen
deleteoldrdn: 1

# Rename an entry and move all of its children to a new location in
# the directory tree (only implemented by LDAPv3 servers).
dn: ou=Product Testing, dc=airius, dc=com
changetype: modrdn
newrdn: ou=Product Testing East
deleteoldrdn: 0
newsuperior: ou=Accounting, dc=airius, dc=com
`,
    0,
  ],
  [
    'example 6, continued: modifications',
    `version: 1
# Modify an entry: add an additional value to the postaladdress
# attribute, completely delete the description attribute, replace
# the telephonenumber attribute with two values, and delete a specific
# value from the facsimiletelephonenumber attribute
dn: cn=Paula Jensen, ou=Product Development, dc=airius, dc=com
changetype: modify
add: postaladdress
postaladdress: 123 Anystreet $ Sunnyvale, CA $ 94086
-
delete: description
-
replace: telephonenumber
telephonenumber: +1 408 555 1234
telephonenumber: +1 408 555 5678
-
delete: title
title: product manager, rod and reel division
-

# Modify an entry: replace the postaladdress attribute with an empty
# set of values (which will cause the attribute to be removed), and
# delete the entire description attribute. Note that the first will
# always succeed, while the second will only succeed if at least
# one value for the description attribute is present.
dn: cn=Barbara Jensen, ou=Product Development, dc=airius, dc=com
changetype: modify
replace: postaladdress
-
delete: description
-
`,
    0,
  ],
  [
    'the same again: now the second fails',
    `dn: cn=Barbara Jensen, ou=Product Development, dc=airius, dc=com
changetype: modify
replace: postaladdress
-
delete: description
-
`,
    16,
  ],
  [
    'example 7: a change record with a control',
    `version: 1
# Delete an entry. The operation will attach the LDAPv3
# Tree Delete Control defined in [9]. The criticality
# field is "true" and the controlValue field is
# absent, as required by [9].
dn: ou=Product Development, dc=airius, dc=com
control: 1.2.3.4.5.6 true
changetype: delete
`,
    12,
  ],
];

describe('RFC 2849', () => {
  it.each(EXAMPLES)('%s', async (_title, ldif, code) => {
    const ran = await Promise.all(
      [pair.slapd.url, pair.served.url].map((url) =>
        runProgram(
          'ldapmodify',
          ['-a', '-x', '-H', url, '-D', pair.slapd.adminDn, '-w', pair.slapd.adminPassword],
          {
            input: below(ldif),
          },
        ),
      ),
    );
    expect(ran.map((one) => one.code)).toEqual([code, code]);
    const both = await pair.both((client) => run(client, { request: EVERYTHING }));
    expect(both.ours).toEqual(both.slapd);
  });
});

describe('RFC 4516 §4', () => {
  beforeAll(async () => {
    const state = `o=University of Michigan,${BASE}`;
    const adds = [
      add(state, {
        objectClass: ['organization'],
        o: ['University of Michigan'],
        postalAddress: ['Ann Arbor'],
      }),
      add(`cn=Babs Jensen,${state}`, { objectClass: ['person'], cn: ['Babs Jensen'], sn: ['Jensen'] }),
      add(`o=Question?,${BASE}`, { objectClass: ['organization'], o: ['Question?'] }),
      add(`o=An Example\\2C Inc.,${BASE}`, { objectClass: ['organization'], o: ['An Example, Inc.'] }),
      add(`cn=octets,${BASE}`, { objectClass: ['device', 'testThings'], testOctets: ['\0\0\0\u0004'] }),
    ];
    for (const asked of adds) await pair.both((client) => run(client, asked));
  });

  const end = encodeURIComponent(`,${BASE}`);
  it.each([
    [`ldap://ldap1.example.net/o=University%20of%20Michigan${end}`, 1],
    [`ldap://ldap1.example.net/o=University%20of%20Michigan${end}?postalAddress`, 1],
    [`ldap://ldap1.example.net:6666/o=University%20of%20Michigan${end}??sub?(cn=Babs%20Jensen)`, 1],
    [`LDAP://ldap1.example.com/${end.slice(3)}?cn?ONE?(objectClass=*)`, 5],
    [`ldap://ldap2.example.com/o=Question%3f${end}?mail`, 1],
    [`ldap://ldap3.example.com/${end.slice(3)}??sub?(testOctets=%5c00%5c00%5c00%5c04)`, 1],
    [`ldap://ldap.example.com/o=An%20Example%5C2C%20Inc.${end}`, 1],
    [`ldap://ldap.example.net/o=University%20of%20Michigan${end}??base??`, 1],
  ])('%s', async (text, entries) => {
    const { dn, attributes, scope = 'base', filter } = parseLdapUrl(text);
    const more = filter === undefined ? {} : { filter };
    const asked = search('(objectClass=*)', { base: dn, attributes, scope, ...more });
    const both = await pair.both((client) => run(client, asked));
    expect(both.ours).toEqual(both.slapd);
    expect(Object.keys(both.ours.entries)).toHaveLength(
      text.includes('ONE') ? Object.keys(both.slapd.entries).length : entries,
    );
  });
});
