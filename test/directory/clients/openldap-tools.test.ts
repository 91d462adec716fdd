/** OpenLDAP's tools and ldapts as clients of a listening directory. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Attribute as LdaptsAttribute, Change, Client } from 'ldapts';
import { describe, expect, it } from 'vitest';
import { tool } from '../../support/ldap-tool.ts';
import {
  ADMINISTRATOR,
  addition,
  type ServedDirectory,
  serveDirectory,
} from '../../support/served-directory.ts';

const BASE = 'dc=example,dc=org';
const run = promisify(execFile);

const PEOPLE = `dn: ou=people,${BASE}
objectClass: organizationalUnit

dn: cn=Ann,ou=people,${BASE}
objectClass: inetOrgPerson
sn: Lee
mail: ann@example.org
description:: w5xtbMOkdXQ=

dn: cn=Bob,ou=people,${BASE}
objectClass: inetOrgPerson
sn: Ray
mail: bob@example.org
jpegPhoto:: AAEC/w==
`;

async function withPeople(): Promise<ServedDirectory> {
  const served = await serveDirectory();
  expect(await tool(served, 'ldapadd', [], PEOPLE)).toMatchObject({ code: 0 });
  return served;
}

describe('OpenLDAP tools', () => {
  it('ldapadd, ldapsearch', async () => {
    await using served = await withPeople();
    const found = await tool(served, 'ldapsearch', [
      '-LLL',
      '-o',
      'ldif-wrap=no',
      '-b',
      BASE,
      '(&(objectClass=person)(mail=ANN@example.org))',
      'cn',
      'description',
    ]);
    expect(found.out).toBe(`dn: cn=Ann,ou=people,${BASE}\ndescription:: w5xtbMOkdXQ=\ncn: Ann\n\n`);
    const types = await tool(served, 'ldapsearch', ['-LLL', '-A', '-b', BASE, '(cn=bob)', 'jpegPhoto', 'sn']);
    expect(types.out).toBe(`dn: cn=Bob,ou=people,${BASE}\nsn:\njpegPhoto:\n\n`);
    const again = await tool(served, 'ldapadd', ['-c'], PEOPLE);
    expect(again.code).toBe(68);
    expect(again.error).toContain('Already exists');
  });

  it('names the attribute that breaks a rule', async () => {
    await using served = await withPeople();
    const missing = await tool(served, 'ldapadd', [], `dn: cn=C,ou=people,${BASE}\nobjectClass: person\n`);
    expect([missing.code, missing.error]).toEqual([65, expect.stringContaining('sn: required')]);
    const extra = await tool(
      served,
      'ldapmodify',
      [],
      `dn: cn=Ann,ou=people,${BASE}\nadd: member\nmember: ${BASE}\n`,
    );
    expect([extra.code, extra.error]).toEqual([65, expect.stringContaining('member: not allowed')]);
  });

  it('ldapmodify, with increment and with changetype', async () => {
    await using served = await withPeople();
    const changed = await tool(
      served,
      'ldapmodify',
      [],
      `dn: cn=Ann,ou=people,${BASE}
changetype: modify
replace: sn
sn: Miller
-
add: mail
mail: ann@example.net
-
delete: description

dn: cn=Bob,ou=people,${BASE}
changetype: modrdn
newrdn: cn=Robert
deleteoldrdn: 1

dn: cn=Robert,ou=people,${BASE}
changetype: delete
`,
    );
    expect(changed).toMatchObject({ code: 0, error: '' });
    const found = await tool(served, 'ldapsearch', ['-LLL', '-b', `ou=people,${BASE}`, '-s', 'one']);
    expect(found.out).toBe(
      `dn: cn=Ann,ou=people,${BASE}\nobjectClass: inetOrgPerson\nsn: Miller\nmail: ann@example.org\nmail: ann@example.net\ncn: Ann\n\n`,
    );
  });

  it('ldapmodrdn moves a subtree', async () => {
    await using served = await withPeople();
    await tool(served, 'ldapadd', [], `dn: ou=old,${BASE}\nobjectClass: organizationalUnit\n`);
    const moved = await tool(served, 'ldapmodrdn', [
      '-r',
      '-s',
      `ou=old,${BASE}`,
      `ou=people,${BASE}`,
      'ou=staff',
    ]);
    expect(moved).toMatchObject({ code: 0, error: '' });
    const found = await tool(served, 'ldapsearch', [
      '-LLL',
      '-b',
      `ou=staff,ou=old,${BASE}`,
      '(mail=*)',
      '1.1',
    ]);
    expect(found.out).toBe(`dn: cn=Ann,ou=staff,ou=old,${BASE}\n\ndn: cn=Bob,ou=staff,ou=old,${BASE}\n\n`);
    const leaf = await tool(served, 'ldapdelete', [`ou=staff,ou=old,${BASE}`]);
    expect(leaf.code).toBe(66);
  });

  it('ldapdelete, ldapcompare, ldapwhoami', async () => {
    await using served = await withPeople();
    const ann = `cn=Ann,ou=people,${BASE}`;
    expect(await tool(served, 'ldapcompare', [ann, 'mail:ANN@EXAMPLE.ORG'])).toMatchObject({ code: 6 });
    expect(await tool(served, 'ldapcompare', [ann, 'mail:x@y'])).toMatchObject({ code: 5 });
    expect(await tool(served, 'ldapcompare', [ann, 'title:x'])).toMatchObject({ code: 16 });
    expect(await tool(served, 'ldapdelete', [ann])).toMatchObject({ code: 0 });
    expect((await tool(served, 'ldapdelete', [ann])).error).toContain(`ou=people,${BASE}`);
    expect(await tool(served, 'ldapwhoami', [])).toMatchObject({ code: 0, out: `dn:${ADMINISTRATOR.dn}\n` });
    const wrong = await run('ldapwhoami', ['-x', '-H', served.url, '-D', ADMINISTRATOR.dn, '-w', 'no']).catch(
      (error: { code: number }) => error,
    );
    expect(wrong).toMatchObject({ code: 49 });
  });

  it('controls: paging, assertion, pre-read, post-read, manageDsaIT, an unknown one', async () => {
    await using served = await withPeople();
    const paged = await tool(served, 'ldapsearch', ['-LLL', '-b', BASE, '-E', 'pr=1/noprompt', '1.1']);
    expect(paged.out.match(/^dn:/gm)).toHaveLength(4);
    expect(paged.out.match(/pagedresults: cookie=\S/g)?.length).toBeGreaterThanOrEqual(3);
    const change = `dn: cn=Ann,ou=people,${BASE}\nreplace: sn\nsn: Neu\n`;
    const refused = await tool(served, 'ldapmodify', ['-e', '!assert=(sn=Ray)'], change);
    expect(refused.code).toBe(122);
    const read = await tool(
      served,
      'ldapmodify',
      ['-e', '!assert=(sn=Lee)', '-e', '!preread=sn', '-e', '!postread=sn'],
      change,
    );
    expect(read).toMatchObject({ code: 0 });
    expect(read.out).toMatch(/sn: Lee[\s\S]*sn: Neu/);
    expect(await tool(served, 'ldapsearch', ['-M', '-b', BASE])).toMatchObject({ code: 0 });
    expect(await tool(served, 'ldapsearch', ['-b', BASE, '-E', '!mv=(cn=x)'])).toMatchObject({ code: 12 });
    expect(await tool(served, 'ldapsearch', ['-b', BASE, '-E', 'mv=(cn=x)'])).toMatchObject({ code: 0 });
  });

  it('limits of size', async () => {
    await using served = await withPeople();
    const few = await tool(served, 'ldapsearch', ['-LLL', '-z', '2', '-b', BASE, '1.1']);
    expect([few.code, few.out.match(/^dn:/gm)?.length]).toEqual([4, 2]);
  });

  it('root DSE and subschema', async () => {
    await using served = await withPeople();
    const root = await run('ldapsearch', ['-x', '-LLL', '-H', served.url, '-b', '', '-s', 'base', '+']);
    for (const line of [
      `namingContexts: ${BASE}`,
      'supportedLDAPVersion: 3',
      'supportedControl: 1.2.840.113556.1.4.319',
      'supportedExtension: 1.3.6.1.4.1.4203.1.11.3',
      'supportedFeatures: 1.3.6.1.1.14',
      'subschemaSubentry: cn=Subschema',
    ]) {
      expect(root.stdout.split('\n')).toContain(line);
    }
    const schema = await tool(served, 'ldapsearch', [
      '-LLL',
      '-o',
      'ldif-wrap=no',
      '-b',
      'cn=Subschema',
      '-s',
      'base',
      '+',
      '*',
    ]);
    expect(schema.out).toMatch(/^attributeTypes: \( 2\.5\.4\.3 NAME \( 'cn' 'commonName' \) SUP name \)$/m);
    expect(schema.out).toMatch(/^objectClasses: \( \S+ NAME 'posternRecipient' /m);
    expect(schema.out).toMatch(/^matchingRules: \( 2\.5\.13\.2 NAME 'caseIgnoreMatch' /m);
  });
});

describe('ldapts', () => {
  it('binds, adds, searches, modifies, renames, deletes', async () => {
    await using served = await serveDirectory({
      entries: [
        addition(BASE, { objectClass: ['domain'], dc: ['example'] }),
        addition(`ou=people,${BASE}`, { objectClass: ['organizationalUnit'] }),
      ],
    });
    const client = new Client({ url: served.url });
    await client.bind(ADMINISTRATOR.dn, ADMINISTRATOR.password);
    const dn = `cn=Ünal,ou=people,${BASE}`;
    await client.add(dn, { objectClass: ['inetOrgPerson'], sn: 'x', mail: 'u@example.org' });
    await client.modify(
      dn,
      new Change({ operation: 'add', modification: new LdaptsAttribute({ type: 'title', values: ['Dr'] }) }),
    );
    await client.modifyDN(dn, `cn=Vural,ou=people,${BASE}`);
    const { searchEntries } = await client.search(BASE, { filter: '(title=dr)', attributes: ['mail', 'cn'] });
    expect(searchEntries).toEqual([{ dn: `cn=Vural,ou=people,${BASE}`, mail: 'u@example.org', cn: 'Vural' }]);
    await client.del(`cn=Vural,ou=people,${BASE}`);
    const after = await client.search(BASE, { filter: '(mail=*)' });
    expect(after.searchEntries).toEqual([]);
    await client.unbind();
  });
});
