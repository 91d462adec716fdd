/** The options of OpenLDAP's tools, one after the other, and what each makes of our answers. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/base/secret.ts';
import { resultOf } from '../../../src/directory/refusal.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { type Ran, runProgram, tool } from '../../support/ldap-tool.ts';
import {
  ADMINISTRATOR,
  addition,
  type ServedDirectory,
  serveDirectory,
} from '../../support/served-directory.ts';

const BASE = 'dc=example,dc=org';
const PEOPLE = `ou=people,${BASE}`;
const entries = [
  addition(BASE, { objectClass: ['domain'], dc: ['example'] }),
  addition(PEOPLE, { objectClass: ['organizationalUnit'] }),
  addition(`cn=Ann,${PEOPLE}`, {
    objectClass: ['inetOrgPerson'],
    sn: ['Lee'],
    mail: ['ann@example.org'],
    employeeNumber: ['3'],
  }),
  addition(`cn=Bob,${PEOPLE}`, {
    objectClass: ['inetOrgPerson'],
    sn: ['Ray'],
    mail: ['bob@example.org'],
    employeeNumber: ['1'],
    jpegPhoto: [Buffer.from([0xff, 0xd8, 0xff, 0xe0])],
  }),
  addition(`cn=Cy,${PEOPLE}`, { objectClass: ['inetOrgPerson'], sn: ['Abe'], employeeNumber: ['2'] }),
];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-tools-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const names = ({ out }: Ran): string[] => [...out.matchAll(/^dn: cn=(\w+)/gm)].map(([, name]) => name ?? '');

describe('ldapsearch', () => {
  let served: ServedDirectory;
  beforeAll(async () => {
    served = await serveDirectory({ entries });
  });
  afterAll(() => served?.[Symbol.asyncDispose]());
  const search = (...args: string[]): Promise<Ran> => tool(served, 'ldapsearch', ['-b', PEOPLE, ...args]);

  it.each([
    ['-L', /^version: 1\n\n#/],
    ['-LL', /^version: 1\n\ndn: /],
    ['-LLL', /^dn: /],
  ])('%s', async (option, expected) => {
    const found = await search(option, '(cn=Ann)');
    expect(found).toMatchObject({ code: 0 });
    expect(found.out).toMatch(expected);
  });

  it.each([
    ['base', 0],
    ['one', 3],
    ['sub', 3],
  ])('-s %s', async (scope, people) => {
    expect(names(await search('-LLL', '-s', scope))).toHaveLength(people);
  });

  it('-s children is refused as malformed: the scope has no place in RFC 4511', async () => {
    expect((await search('-s', 'children')).code).toBe(2);
  });

  it('-S sorts by itself, -E sss lets us', async () => {
    expect(names(await search('-LLL', '-S', 'sn', '(sn=*)'))).toEqual(['Cy', 'Ann', 'Bob']);
    const sort = (keys: string): Promise<Ran> => search('-LLL', '-E', `!sss=${keys}`, '(sn=*)');
    expect(names(await sort('sn:caseIgnoreOrderingMatch'))).toEqual(['Cy', 'Ann', 'Bob']);
    expect(names(await sort('-employeeNumber:2.5.13.3'))).toEqual(['Ann', 'Cy', 'Bob']);
    expect((await sort('jpegPhoto')).code).not.toBe(0);
  });

  it('-z and -l', async () => {
    const few = await search('-LLL', '-z', '2', '(sn=*)');
    expect([few.code, names(few).length]).toEqual([4, 2]);
    expect(await search('-z', 'none', '-l', '5')).toMatchObject({ code: 0 });
    expect(await search('-z', 'max', '-l', 'max')).toMatchObject({ code: 0 });
  });

  it.each(['never', 'always', 'search', 'find'])('-a %s', async (deref) => {
    expect(names(await search('-LLL', '-a', deref, '(sn=*)'))).toHaveLength(3);
  });

  it('-A, -u', async () => {
    expect((await search('-LLL', '-A', '(cn=Bob)', 'mail')).out).toBe(`dn: cn=Bob,${PEOPLE}\nmail:\n\n`);
    expect((await search('-LLL', '-u', '(cn=Bob)', '1.1')).out).toContain('ufn: Bob, people, example.org');
  });

  it('-t, -tt, -T, -F write values to files', async () => {
    const found = await search(
      '-LLL',
      '-tt',
      '-T',
      folder,
      '-F',
      'file:///there/',
      '(cn=Bob)',
      'jpegPhoto',
      'mail',
    );
    expect(found.out).toMatch(/jpegPhoto:< file:\/\/\/there\//);
    const written = await Promise.all(
      (await readdir(folder)).map((name) => readFile(join(folder, name), 'latin1')),
    );
    expect(written.toSorted()).toEqual(['bob@example.org', '\xff\xd8\xff\xe0']);
    const binary = await search('-LLL', '-t', '-T', folder, '(cn=Bob)', 'jpegPhoto', 'mail');
    expect(binary.out).toMatch(/mail: bob@example.org/);
  });

  it('-f asks for each line, -c goes on after a failure', async () => {
    const file = join(folder, 'patterns');
    await writeFile(file, 'Ann\n(\nBob\n');
    const pattern = ['-LLL', '-f', file, '(cn=%s)', '1.1'];
    expect(names(await search(...pattern))).toEqual(['Ann']);
    expect(names(await search('-c', ...pattern))).toEqual(['Ann', 'Bob']);
  });

  it('-n asks nothing, -v says more, -y reads the password', async () => {
    expect((await search('-n', '-v')).out).not.toContain('dn:');
    const file = join(folder, 'password');
    await writeFile(file, ADMINISTRATOR.password);
    const who = await runProgram('ldapwhoami', ['-x', '-H', served.url, '-D', ADMINISTRATOR.dn, '-y', file]);
    expect(who.out).toBe(`dn:${ADMINISTRATOR.dn}\n`);
  });

  it('-P 2 is refused: there is version 3 only', async () => {
    expect((await search('-P', '2')).code).toBe(2);
  });

  it.each(['pr=1/noprompt', '!pr=2/noprompt', 'pr=100/noprompt'])('-E %s', async (control) => {
    expect(names(await search('-LLL', '-E', control, '(sn=*)')).toSorted()).toEqual(['Ann', 'Bob', 'Cy']);
  });

  it('-E pr with sss: pages of a sorted result', async () => {
    const found = await search(
      '-LLL',
      '-E',
      '!pr=1/noprompt',
      '-E',
      '!sss=employeeNumber:caseIgnoreOrderingMatch',
      '(sn=*)',
    );
    expect(names(found)).toEqual(['Bob', 'Cy', 'Ann']);
  });

  it('-E sync=ro', async () => {
    const first = await search('-E', '!sync=ro', '(sn=*)', 'sn');
    expect(first.code).toBe(0);
    expect(names(first)).toHaveLength(3);
    expect(first.out).toMatch(/SyncState control, UUID [0-9a-f-]{36} (added|present)/);
    expect(first.out).toMatch(/SyncDone control|cookie/);
  });

  it('-E sync=rp tells of changes until it goes', async () => {
    const bind = ['-x', '-H', served.url, '-D', ADMINISTRATOR.dn, '-w', ADMINISTRATOR.password];
    const child = spawn('ldapsearch', [...bind, '-b', PEOPLE, '-E', '!sync=rp', '(sn=*)', 'sn'], {
      env: { ...process.env, LDAPCONF: '/dev/null', HOME: '/nonexistent' },
    });
    let out = '';
    const ended = new Promise((resolve) => child.once('close', resolve));
    const until = (text: string): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => (out.includes(text) ? resolve() : undefined);
        child.stdout.on('data', look);
        look();
      });
    child.stdout.setEncoding('utf8').on('data', (more: string) => (out += more));
    try {
      await until(`dn: cn=Cy,${PEOPLE}`);
      const client = await served.client();
      const sn = [{ type: 'sn', values: [Buffer.from('New')] }];
      const attributes = [{ type: 'objectClass', values: [Buffer.from('person')] }, ...sn];
      await client.add(`cn=New,${PEOPLE}`, attributes).result;
      await until(`dn: cn=New,${PEOPLE}`);
      await client.delete(`cn=New,${PEOPLE}`).result;
      await until('deleted');
    } finally {
      child.kill();
      await ended;
    }
  });

  it.each([
    ['-M', 0],
    ['-MM', 0],
    ['-e manageDSAit', 0],
    ['-e !manageDSAit', 0],
    ['-e assert=(objectClass=organizationalUnit)', 0],
    ['-e !assert=(objectClass=country)', 122],
    ['-e !authzid=u:somebody', 12],
    ['-e !noop', 12],
    ['-e noop', 0],
    ['-e !relax', 12],
    ['-e ppolicy', 0],
    ['-e !chaining', 12],
    ['-E !mv=(cn=x)', 12],
    ['-E sss=sn:2.5.13.3 -E !vlv=0/1/1/0', 12],
    ['-E !subentries=true', 12],
    ['-E !domainScope', 12],
    ['-E !deref=member:cn', 12],
    ['-E deref=member:cn', 0],
    ['-E !1.2.3.4=:x', 12],
    ['-E 1.2.3.4=:x', 0],
  ])('%s ends with %i', async (options, code) => {
    expect((await search(...options.split(' '))).code).toBe(code);
  });
});

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
