/** The subschema entry as others read it: OpenLDAP's ldapsearch, and the schema parser of Python's ldap module. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ADMINISTRATOR,
  type ServedDirectory,
  serveDirectory,
} from '../../../test/support/served-directory.ts';
import { formatDescription } from './description.ts';
import { parseDescription } from './parse-description.ts';
import { standardSchema } from './standard.ts';

const run = promisify(execFile);
const MOST_OUTPUT = { maxBuffer: 16 << 20 };
const schema = standardSchema([
  `attributetype ( 1.3.6.1.4.1.55555.1.1 NAME 'xQuoted' DESC 'it\\27s a \\5C, "so"' SUP name X-ORIGIN ( 'a' 'b' ) )
   ditcontentrule ( 2.5.6.6 NAME 'people' AUX pkiUser NOT seeAlso )`,
]);

const ASK_PYTHON = `
import json, sys, ldap.schema
dn, sub = ldap.schema.urlfetch(sys.argv[1])
kinds = {k.schema_attribute: k for k in (ldap.schema.AttributeType, ldap.schema.ObjectClass, ldap.schema.MatchingRule,
         ldap.schema.MatchingRuleUse, ldap.schema.LDAPSyntax, ldap.schema.DITContentRule)}
must, may = sub.attribute_types(['inetOrgPerson', 'pkiUser'])
print(json.dumps({
  'dn': dn,
  'oids': {name: sorted(sub.listall(kind)) for name, kind in kinds.items()},
  'must': sorted(a.names[0] for a in must.values()), 'may': sorted(a.names[0] for a in may.values()),
  'structural': sub.get_structural_oc(['top', 'person', 'inetOrgPerson', 'organizationalPerson']),
  'desc': sub.get_obj(ldap.schema.AttributeType, 'xQuoted').desc,
  'syntax': sub.get_inheritedattr(ldap.schema.AttributeType, 'sn', 'syntax'), 'single': sub.get_obj(ldap.schema.AttributeType, 'displayName').single_value,
  'rule': sub.get_inheritedattr(ldap.schema.AttributeType, 'sn', 'equality'),
}))
`;

describe('the subschema entry', () => {
  let served: ServedDirectory;
  beforeAll(async () => {
    served = await serveDirectory({ directory: { schema } });
  });
  afterAll(() => served?.[Symbol.asyncDispose]());

  it('is found by ldapsearch through the root DSE, and reads back as what the server works with', async () => {
    const as = [
      '-x',
      '-H',
      served.url,
      '-D',
      ADMINISTRATOR.dn,
      '-w',
      ADMINISTRATOR.password,
      '-LLL',
      '-o',
      'ldif-wrap=no',
    ];
    const root = await run('ldapsearch', [...as, '-b', '', '-s', 'base', 'subschemaSubentry']);
    const dn = /^subschemaSubentry: (.*)$/m.exec(root.stdout)?.[1] ?? '';
    const names = ['attributeTypes', 'objectClasses', 'matchingRules', 'ldapSyntaxes', 'dITContentRules'];
    const { stdout } = await run(
      'ldapsearch',
      [...as, '-b', dn, '-s', 'base', '(objectClass=subschema)', ...names],
      MOST_OUTPUT,
    );
    const values = (name: string): string[] =>
      Array.from(stdout.matchAll(new RegExp(`^${name}: (.*)$`, 'gm')), (match) => match[1] ?? '');
    expect(values('attributeTypes').map((text) => parseDescription('attributeType', text))).toEqual(
      schema.attributeTypes.map(({ description }) => description),
    );
    expect(values('objectClasses').map((text) => parseDescription('objectClass', text))).toEqual(
      schema.objectClasses.map(({ description }) => description),
    );
    expect(values('matchingRules').map((text) => parseDescription('matchingRule', text).oid)).toEqual(
      schema.matchingRules.map(({ oid }) => oid),
    );
    expect(values('ldapSyntaxes').map((text) => parseDescription('ldapSyntax', text).oid)).toEqual(
      schema.syntaxes.map(({ oid }) => oid),
    );
    expect(values('dITContentRules')).toEqual(
      [...schema.contentRules.values()].map((r) => formatDescription(r.description)),
    );
  });

  it("is understood by Python's schema parser", async () => {
    // The module is Debian's package: it belongs to the system's Python.
    const url = `${served.url}/????bindname=${encodeURIComponent(ADMINISTRATOR.dn)},X-BINDPW=${ADMINISTRATOR.password}`;
    const { stdout } = await run('/usr/bin/python3', ['-c', ASK_PYTHON, url], MOST_OUTPUT);
    const found = JSON.parse(stdout) as Record<string, unknown> & { oids: Record<string, string[]> };
    const oids = (items: Iterable<{ oid: string }>): string[] => Array.from(items, ({ oid }) => oid).sort();
    expect(found.oids['attributeTypes']).toEqual(oids(schema.attributeTypes));
    expect(found.oids['objectClasses']).toEqual(oids(schema.objectClasses));
    expect(found.oids['matchingRules']).toEqual(oids(schema.matchingRules));
    expect(found.oids['ldapSyntaxes']).toEqual(oids(schema.syntaxes));
    expect(found.oids['dITContentRules']).toEqual(['2.5.6.6']);
    const person = schema.objectClass('inetOrgPerson');
    expect(found['must']).toEqual(Array.from(person?.must ?? [], ({ name }) => name).sort());
    const may = new Set([...(person?.may ?? []), ...(schema.objectClass('pkiUser')?.may ?? [])]);
    for (const type of person?.must ?? []) may.delete(type);
    expect(found['may']).toEqual(Array.from(may, ({ name }) => name).sort());
    expect(found).toMatchObject({
      dn: 'cn=Subschema',
      structural: person?.oid,
      syntax: '1.3.6.1.4.1.1466.115.121.1.15',
      single: true,
      rule: 'caseIgnoreMatch',
    });
    expect(found['desc']).toContain('so');
  });
});
