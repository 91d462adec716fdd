/** The options of OpenLDAP's other tools, and of their transports. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/base/secret.ts';
import { resultOf } from '../../../src/directory/refusal.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { type Ran, runProgram, tool } from '../../support/ldap-tool.ts';
import { ADMINISTRATOR, type ServedDirectory, serveDirectory } from '../../support/served-directory.ts';
import { BASE, entries, PEOPLE } from './people.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-tools-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('update tools', () => {
  let served: ServedDirectory;
  beforeEach(async () => {
    served = await serveDirectory({ entries });
    return () => served[Symbol.asyncDispose]();
  });
  const show = async (filter: string, ...attributes: string[]): Promise<string> =>
    (await tool(served, 'ldapsearch', ['-LLL', '-o', 'ldif-wrap=no', '-b', BASE, filter, ...attributes])).out;

  it('ldapmodify: comments, folded lines, base64, values in files, -a, moddn', async () => {
    const file = join(folder, 'value');
    await writeFile(file, 'from a file');
    const ldif = `version: 1
# a comment
 that is folded
dn:: ${Buffer.from(`cn=Ann,${PEOPLE}`).toString('base64')}
changetype: modify
replace: title
title:< file://${file}
-
add: description
description: folded
  here
description:: w6Q=
-
increment: telephoneNumber
telephoneNumber: 1
-

dn: cn=Ann,${PEOPLE}
changetype: moddn
newrdn: cn=Anna
deleteoldrdn: 1
newsuperior: ${BASE}
`;
    const wrong = await tool(served, 'ldapmodify', [], ldif);
    // telephoneNumber is no integer: nothing of the modify is carried out.
    expect(wrong.code).toBe(19);
    expect(await show('(title=*)')).toBe('');
    const right = ldif.replace(/increment: telephoneNumber\ntelephoneNumber: 1\n-\n/, '');
    expect(await tool(served, 'ldapmodify', [], right)).toMatchObject({ code: 0, error: '' });
    expect(await show('(cn=Anna)', 'title', 'description')).toBe(
      `dn: cn=Anna,${BASE}\ntitle: from a file\ndescription: folded here\ndescription:: w6Q=\n\n`,
    );
    const added = await tool(
      served,
      'ldapmodify',
      ['-a'],
      `dn: ou=new,${BASE}\nobjectClass: organizationalUnit\n`,
    );
    expect(added.code).toBe(0);
  });

  it('ldapmodify -c goes on, -S keeps what was refused, -n changes nothing', async () => {
    const ldif = `dn: cn=Ann,${PEOPLE}\nchangetype: delete\n\ndn: cn=None,${PEOPLE}\nchangetype: delete\n\ndn: cn=Bob,${PEOPLE}\nchangetype: delete\n`;
    expect((await tool(served, 'ldapmodify', ['-n', '-v'], ldif)).code).toBe(0);
    const skipped = join(folder, 'skipped');
    expect((await tool(served, 'ldapmodify', ['-c', '-S', skipped], ldif)).code).toBe(32);
    expect(await readFile(skipped, 'utf8')).toContain(`dn: cn=None,${PEOPLE}`);
    expect(await show('(sn=*)', '1.1')).toBe(`dn: cn=Cy,${PEOPLE}\n\n`);
  });

  it.each([
    ['commit', `dn: cn=Cy,${PEOPLE}\n\n`],
    ['abort', `dn: cn=Ann,${PEOPLE}\n\ndn: cn=Bob,${PEOPLE}\n\ndn: cn=Cy,${PEOPLE}\n\n`],
  ])('ldapmodify -E txn=%s', async (end, left) => {
    const ldif = `dn: cn=Ann,${PEOPLE}\nchangetype: delete\n\ndn: cn=Bob,${PEOPLE}\nchangetype: delete\n`;
    const done = await tool(served, 'ldapmodify', ['-E', `!txn=${end}`], ldif);
    expect(done).toMatchObject({ code: 0 });
    expect(await show('(sn=*)', '1.1')).toBe(left);
  });

  it('ldapmodify -e preread, postread, assert; -M', async () => {
    const change = `dn: cn=Ann,${PEOPLE}\nchangetype: modify\nreplace: sn\nsn: New\n`;
    const read = await tool(
      served,
      'ldapmodify',
      ['-M', '-e', '!assert=(sn=Lee)', '-e', 'preread=sn', '-e', 'postread=*'],
      change,
    );
    expect(read.code).toBe(0);
    expect(read.out).toMatch(/PreRead[\s\S]*sn: Lee[\s\S]*PostRead[\s\S]*sn: New/i);
    expect((await tool(served, 'ldapmodify', ['-e', '!assert=(sn=Lee)'], change)).code).toBe(122);
  });

  it('ldapmodrdn -r, -s, -f, -c', async () => {
    const file = join(folder, 'names');
    await writeFile(
      file,
      `cn=Ann,${PEOPLE}\ncn=Anna\n\ncn=None,${PEOPLE}\ncn=X\n\ncn=Bob,${PEOPLE}\ncn=Robert\n`,
    );
    expect((await tool(served, 'ldapmodrdn', ['-c', '-r', '-f', file])).code).toBe(32);
    expect(await show('(|(cn=Anna)(cn=Robert))', 'cn')).toBe(
      `dn: cn=Anna,${PEOPLE}\ncn: Anna\n\ndn: cn=Robert,${PEOPLE}\ncn: Robert\n\n`,
    );
    expect((await tool(served, 'ldapmodrdn', ['-s', BASE, `cn=Anna,${PEOPLE}`, 'cn=Ann'])).code).toBe(0);
    expect(await show('(cn=Ann)', 'cn')).toMatch(
      new RegExp(`^dn: cn=Ann,${BASE}\\n(cn: Ann\\ncn: Anna|cn: Anna\\ncn: Ann)\\n\\n$`),
    );
  });

  it('ldapdelete -f, -c, -r, -e', async () => {
    expect((await tool(served, 'ldapdelete', [PEOPLE])).code).toBe(66);
    expect((await tool(served, 'ldapdelete', ['-c', `cn=None,${PEOPLE}`, `cn=Cy,${PEOPLE}`])).code).toBe(32);
    expect((await tool(served, 'ldapdelete', ['-e', '!assert=(sn=x)', `cn=Ann,${PEOPLE}`])).code).toBe(122);
    expect(await tool(served, 'ldapdelete', ['-r', PEOPLE])).toMatchObject({ code: 0, error: '' });
    expect(await show('(objectClass=*)', '1.1')).toBe(`dn: ${BASE}\n\n`);
  });

  it('ldapdelete with the tree delete control', async () => {
    const oid = '1.2.840.113556.1.4.805';
    const client = await served.client();
    await client.delete(PEOPLE, { controls: [{ oid, critical: true }] }).result;
    expect(await show('(objectClass=*)', '1.1')).toBe(`dn: ${BASE}\n\n`);
  });

  it('ldapcompare, -z silent, value in base64', async () => {
    const ann = `cn=Ann,${PEOPLE}`;
    expect(await tool(served, 'ldapcompare', [ann, 'sn: LEE'])).toMatchObject({ code: 6, out: 'TRUE\n' });
    expect(await tool(served, 'ldapcompare', ['-z', ann, 'sn:Ray'])).toMatchObject({ code: 5, out: '' });
    expect(
      (await tool(served, 'ldapcompare', [ann, `sn::${Buffer.from('lee').toString('base64')}`])).code,
    ).toBe(6);
    expect((await tool(served, 'ldapcompare', [`cn=None,${PEOPLE}`, 'sn:x'])).code).toBe(32);
  });
});

describe('extended operations', () => {
  it('ldapexop whoami, cancel, refresh, an unknown one', async () => {
    await using served = await serveDirectory({ entries });
    expect((await tool(served, 'ldapexop', ['whoami'])).out).toContain(`dn:${ADMINISTRATOR.dn}`);
    expect((await tool(served, 'ldapexop', ['cancel', '9'])).error).toMatch(/No Operation to Cancel \(119\)/);
    // RFC 2589, which is not supported.
    expect((await tool(served, 'ldapexop', ['refresh', PEOPLE, '60'])).error).toMatch(/Protocol error \(2\)/);
    expect((await tool(served, 'ldapexop', ['1.2.3.4:x'])).error).toMatch(/Protocol error \(2\)/);
    expect((await tool(served, 'ldapexop', ['1.3.6.1.4.1.4203.1.11.3'])).code).toBe(0);
  });

  it('ldappasswd: old and new, one made by the server, a wrong one, and where nobody changes passwords', async () => {
    const passwords = new Map([[ADMINISTRATOR.dn, ADMINISTRATOR.password]]);
    await using served = await serveDirectory({
      entries,
      hooks: {
        changePassword: ({ old, wanted, identity }) => {
          const name = identity.dn ?? '';
          if (old !== undefined && old.reveal().toString() !== passwords.get(name))
            return { result: resultOf('unwillingToPerform') };
          passwords.set(name, wanted?.reveal().toString() ?? 'made here');
          return {
            result: resultOf('success'),
            ...(wanted === undefined && { generated: new Secret('made here') }),
          };
        },
      },
    });
    const change = (...args: string[]): Promise<Ran> => tool(served, 'ldappasswd', args);
    expect(await change('-a', ADMINISTRATOR.password, '-s', 'next one')).toMatchObject({ code: 0 });
    expect(passwords.get(ADMINISTRATOR.dn)).toBe('next one');
    expect((await change('-a', 'wrong', '-s', 'x')).out).toContain(
      'Result: Server is unwilling to perform (53)',
    );
    expect((await change()).out).toBe('New password: made here\n');
    await using none = await serveDirectory({ entries });
    expect((await tool(none, 'ldappasswd', ['-s', 'x'])).out).toContain('Result: Protocol error (2)');
  });
});

describe('transports', () => {
  it('-Z and -ZZ by StartTLS; ldaps', async () => {
    const certificate = await makeCertificate({ name: 'localhost' });
    const authority = join(folder, 'certificate.pem');
    await writeFile(authority, certificate.certificate);
    const env = { LDAPTLS_CACERT: authority, LDAPTLS_REQCERT: 'demand' };
    const identity = { certificate: certificate.certificate, key: certificate.key };
    const who = ['-x', '-D', ADMINISTRATOR.dn, '-w', ADMINISTRATOR.password];
    await using plain = await serveDirectory({
      entries,
      server: { startTls: true },
      listener: { tls: { identity, startTls: true } },
    });
    for (const option of ['-Z', '-ZZ'])
      expect(await runProgram('ldapwhoami', [...who, option, '-H', plain.url], { env })).toMatchObject({
        code: 0,
        error: '',
      });
    await using secure = await serveDirectory({ entries, listener: { tls: { identity } } });
    const url = secure.url.replace('ldap:', 'ldaps:');
    expect(await runProgram('ldapwhoami', [...who, '-H', url], { env })).toMatchObject({ code: 0 });
    await using without = await serveDirectory({ entries });
    expect((await runProgram('ldapwhoami', [...who, '-ZZ', '-H', without.url], { env })).code).not.toBe(0);
  });

  it('-H ldapi, by name and password and by -Y EXTERNAL', async () => {
    const path = join(folder, 'ldapi');
    await using _served = await serveDirectory({ entries, listener: { address: { path } } });
    const url = `ldapi://${encodeURIComponent(path)}`;
    const who = await runProgram('ldapwhoami', [
      '-x',
      '-H',
      url,
      '-D',
      ADMINISTRATOR.dn,
      '-w',
      ADMINISTRATOR.password,
    ]);
    expect(who).toMatchObject({ code: 0, out: `dn:${ADMINISTRATOR.dn}\n` });
    // No mechanism is offered here: authMethodNotSupported.
    expect((await runProgram('ldapwhoami', ['-Q', '-Y', 'EXTERNAL', '-H', url])).code).toBe(7);
  });
});
