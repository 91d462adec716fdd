/** Postfix and Dovecot as clients of a listening directory: lookups of recipients and domains, logins by bind, users and their list. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Dovecot } from '../../support/dovecot.ts';
import { Postfix } from '../../support/postfix.ts';
import {
  ADMINISTRATOR,
  addition,
  type ServedDirectory,
  serveDirectory,
} from '../../support/served-directory.ts';

const BASE = 'dc=example,dc=org';
const PEOPLE = `ou=people,${BASE}`;
const ANN = `uid=ann,${PEOPLE}`;

let served: ServedDirectory;
beforeAll(async () => {
  served = await serveDirectory({
    accounts: { [ANN]: { password: 'open sesame', role: 'user' } },
    // A login asks nothing but whether the password is right.
    rules: [{ roles: ['user'], subtree: BASE, rights: [] }],
    entries: [
      addition(BASE, { objectClass: ['domain'], dc: ['example'], associatedName: [BASE] }),
      addition(PEOPLE, { objectClass: ['organizationalUnit'] }),
      addition(ANN, {
        objectClass: ['inetOrgPerson'],
        cn: ['Ann Lee'],
        sn: ['Lee'],
        mail: ['ann@example.org', 'a.lee@example.org'],
      }),
      addition(`uid=bob,${PEOPLE}`, {
        objectClass: ['inetOrgPerson'],
        cn: ['Bob (the) *'],
        sn: ['Ray'],
        mail: ['bob@example.org', '"odd\\name*"@example.org'],
        seeAlso: [ANN],
      }),
      addition(`cn=all,${BASE}`, {
        objectClass: ['groupOfNames'],
        member: [ANN, `uid=bob,${PEOPLE}`],
        description: ['all@example.org'],
      }),
    ],
  });
});
afterAll(() => served?.[Symbol.asyncDispose]());

describe('postmap -q, ldap:', () => {
  let postfix: Postfix;
  const bind = (): string[] => [
    `server_host = ${served.url}`,
    'version = 3',
    'bind = yes',
    `bind_dn = ${ADMINISTRATOR.dn}`,
    `bind_pw = ${ADMINISTRATOR.password}`,
    `search_base = ${BASE}`,
  ];
  beforeAll(async () => {
    const table = (...lines: string[]): string => `${[...bind(), ...lines].join('\n')}\n`;
    postfix = await Postfix.create({
      relayDomains: '',
      relayRecipientMaps: '',
      files: {
        recipients: table('query_filter = (mail=%s)', 'result_attribute = uid', 'scope = sub'),
        parts: table(
          'query_filter = (&(uid=%u)(mail=*@%d))',
          'result_attribute = mail',
          'domain = example.org',
        ),
        domains: table(
          'query_filter = (dc=%1)',
          'result_attribute = dc',
          'result_format = OK %s',
          'scope = base',
        ),
        groups: table(
          'query_filter = (description=%s)',
          'special_result_attribute = member',
          'leaf_result_attribute = mail',
          'result_attribute =',
        ),
        paged: table(
          'query_filter = (objectClass=inetOrgPerson)',
          'result_attribute = uid',
          'size_limit = 1',
        ),
        wrong: table('query_filter = (mail=%s)', 'result_attribute = uid').replace(
          ADMINISTRATOR.password,
          'wrong',
        ),
        away: table('query_filter = (mail=%s)', 'result_attribute = uid').replace(
          `= ${BASE}`,
          `= ou=none,${BASE}`,
        ),
      },
    });
  });
  afterAll(() => postfix?.[Symbol.asyncDispose]());
  const ask = (table: string, key: string): Promise<{ value: string | undefined; error: string }> =>
    postfix.postmap(key, `ldap:${postfix.configFolder}/${table}`);

  it.each([
    ['recipients', 'ann@example.org', 'ann'],
    ['recipients', 'A.LEE@Example.Org', 'ann'],
    ['recipients', 'nobody@example.org', undefined],
    ['recipients', '"odd\\name*"@example.org', 'bob'],
    ['recipients', '*', undefined],
    ['recipients', 'x)(mail=*', undefined],
    ['parts', 'ann@example.org', 'ann@example.org,a.lee@example.org'],
    ['parts', 'ann@example.net', undefined],
    ['domains', 'x@example.org', undefined],
    ['domains', 'x@org.example', 'OK example'],
  ])('%s: %s', async (table, key, value) => {
    expect(await ask(table, key)).toEqual({ value, error: '' });
  });

  it('members of a group, followed by name', async () => {
    const { value, error } = await ask('groups', 'all@example.org');
    expect(error).toBe('');
    expect(value?.split(',').toSorted()).toEqual([
      '"odd\\name*"@example.org',
      'a.lee@example.org',
      'ann@example.org',
      'bob@example.org',
    ]);
  });

  it('too many answers, a wrong password: an error, never "not found"', async () => {
    expect((await ask('paged', 'x')).error).toMatch(/size limit|Size limit/i);
    expect((await ask('wrong', 'ann@example.org')).error).toMatch(/Unable to bind|Invalid credentials/);
  });

  it('a base that is not there: nothing is found', async () => {
    expect((await ask('away', 'ann@example.org')).value).toBeUndefined();
  });
});

describe('Dovecot', () => {
  let dovecot: Dovecot;
  beforeAll(async () => {
    dovecot = await Dovecot.start({
      ldap: [
        `uris = ${served.url}`,
        `dn = ${ADMINISTRATOR.dn}`,
        `dnpass = ${ADMINISTRATOR.password}`,
        'auth_bind = yes',
        'ldap_version = 3',
        `base = ${PEOPLE}`,
        'scope = onelevel',
        'pass_attrs = uid=user',
        'pass_filter = (&(objectClass=inetOrgPerson)(|(uid=%n)(mail=%u)))',
        'user_attrs = =home=/home/%{ldap:uid}, =uid=65534, =gid=65534, cn=full_name',
        'user_filter = (&(objectClass=inetOrgPerson)(|(uid=%n)(mail=%u)))',
        'iterate_attrs = uid=user',
        'iterate_filter = (objectClass=inetOrgPerson)',
      ],
    });
  });
  afterAll(() => dovecot?.[Symbol.asyncDispose]());

  it('passdb: a login is a bind, by name or by address', async () => {
    expect((await dovecot.doveadm('auth', 'test', 'ann', 'open sesame')).out).toContain(
      'passdb: ann auth succeeded',
    );
    const byAddress = await dovecot.doveadm('auth', 'test', 'a.lee@example.org', 'open sesame');
    expect(byAddress.out).toMatch(/auth succeeded[\s\S]*user=ann/);
    expect((await dovecot.doveadm('auth', 'test', 'ann', 'wrong')).out).toContain('auth failed');
    expect((await dovecot.doveadm('auth', 'test', 'nobody', 'open sesame')).out).toContain('auth failed');
  });

  it('userdb: what is known of a user', async () => {
    const found = await dovecot.doveadm('user', 'bob@example.org');
    expect(found.out).toMatch(/home\s+\/home\/bob/);
    expect(found.out).toMatch(/full_name\s+Bob \(the\) \*/);
    for (const name of ['nobody', 'x)(uid=ann'])
      expect((await dovecot.doveadm('user', name)).out).toContain("doesn't exist");
  });

  it('the list of users', async () => {
    expect((await dovecot.doveadm('user', '*')).out).toBe('ann\nbob\n');
  });

  it('after the directory has closed its connections it connects again', async () => {
    expect((await dovecot.doveadm('user', 'ann')).out).toContain('/home/ann');
    served.directory.terminate(() => true);
    expect((await dovecot.doveadm('user', 'ann')).out).toContain('/home/ann');
  });
});
