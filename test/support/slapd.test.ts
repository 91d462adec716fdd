import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runTool, startSlapd } from './slapd.ts';

const PERSON = 'dn: cn=Zoë,dc=example,dc=org\nobjectClass: inetOrgPerson\nsn: Zoë\nmail: zoe@example.org\n';

test('a private slapd: loaded, asked, changed, stopped, started again, killed, gone', async () => {
  const slapd = await startSlapd({ ldif: PERSON, tls: true, syncprov: { sessionlog: 100 } });
  try {
    expect(await slapd.search('(mail=zoe@example.org)', 'sn')).toContain('sn:: Wm/Dqw==');
    await slapd.modify('dn: cn=Zoë,dc=example,dc=org\nchangetype: modify\nreplace: sn\nsn: Other\n');
    const port = slapd.port;
    await slapd.stop();
    await slapd.loadLdif('dn: cn=b,dc=example,dc=org\nobjectClass: inetOrgPerson\nsn: b\n');
    await slapd.start();
    expect(slapd.port).toBe(port);
    await slapd.kill();
    expect(slapd.running).toBe(false);
    await slapd.start();
    const found = await runTool('ldapsearch', [
      '-x',
      '-H',
      slapd.url,
      '-LLL',
      '-D',
      slapd.adminDn,
      '-w',
      slapd.adminPassword,
      '-b',
      slapd.suffix,
      '(sn=*)',
      'sn',
    ]);
    expect(found).toContain('sn: Other');
    expect(found).toContain('sn: b');
    const whoami = await runTool(
      'ldapwhoami',
      ['-x', '-H', slapd.ldapsUrl, '-D', slapd.adminDn, '-w', slapd.adminPassword],
      {
        env: { LDAPTLS_REQCERT: 'allow' },
      },
    );
    expect(whoami.trim()).toBe(`dn:${slapd.adminDn}`);
  } finally {
    await slapd[Symbol.asyncDispose]();
  }
  expect(existsSync(slapd.folder)).toBe(false);
});

test('access rules and a configuration error', async () => {
  await using slapd = await startSlapd({
    ldif: PERSON,
    access: ['to attrs=mail by * none', 'to * by * read'],
  });
  const seen = await runTool('ldapsearch', ['-x', '-H', slapd.url, '-LLL', '-b', slapd.suffix, '(sn=*)']);
  expect(seen).toContain('sn::');
  expect(seen).not.toContain('mail:');
  await expect(startSlapd({ databaseConfig: ['nonsense'] })).rejects.toThrow(/slapadd ended/);
});
