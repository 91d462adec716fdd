/**
 * The whole way on real parts: a slapd with 2,000 people, a hub, an edge, and Postfix asking it by socketmap (chrooted and not) and
 * by LDAP. The tests are one story and run in order: nothing subscribed, the source away, loaded, changed.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EdgeStatus, HubStatus, LookupDocument } from '../../src/admin/documents.ts';
import { Deployment, slapdSource } from '../support/deployment.ts';
import { organisation, SOURCE_FILTER } from '../support/organisation.ts';
import { Postfix } from '../support/postfix.ts';
import { runTool, Slapd } from '../support/slapd.ts';
import { SocketmapClient } from '../support/socketmap-client.ts';
import { until } from '../support/until.ts';

const company = organisation();
const parts = new AsyncDisposableStack();
const TABLES = ['chrooted', 'not chrooted', 'ldap'] as const;
type Table = (typeof TABLES)[number];
const postfixes = new Map<Table, Postfix>();

let slapd: Slapd;
let site: Deployment;
let socketmap: SocketmapClient;

function postfixOf(table: Table): Postfix {
  const postfix = postfixes.get(table);
  if (postfix === undefined) throw new Error(`no Postfix ${table}`);
  return postfix;
}

function mapsOf(table: Table): { domains: string; recipients: string } {
  const over = (map: string): string =>
    table === 'chrooted'
      ? `socketmap:unix:postern/socketmap:${map}`
      : table === 'not chrooted'
        ? socketmapByPort(map)
        : `ldap:${postfixOf(table).configFolder}/${map}.cf`;
  return { domains: over('domains'), recipients: over('recipients') };
}

const socketmapByPort = (map: string): string => `socketmap:inet:127.0.0.1:${site.socketmapPort}:${map}`;

/** An ldap_table(5) as docs/mail-servers.md has it. */
function ldapTable(base: string, filter: string, result: string): string {
  return [
    `server_host = ldap://127.0.0.1:${site.ldapPort}`,
    'version = 3',
    'bind = no',
    `search_base = ${base}`,
    'scope = one',
    `query_filter = ${filter}`,
    `result_attribute = ${result}`,
    '',
  ].join('\n');
}

beforeAll(async () => {
  const { suffix, ldif, schemas, schemaText } = company;
  slapd = parts.use(await Slapd.create({ suffix, ldif, schemas, schemaText, syncprov: true }));
  // The ports are chosen at the first start; the hub needs them in its configuration.
  await slapd.start();
  const chrooted = parts.use(
    await Postfix.create({
      relayDomains: 'socketmap:unix:postern/socketmap:domains',
      relayRecipientMaps: 'socketmap:unix:postern/socketmap:recipients',
      chroot: true,
    }),
  );
  postfixes.set('chrooted', chrooted);
  site = parts.use(
    await Deployment.create(async (folder, ports) => ({
      source: { ...(await slapdSource(slapd, folder, company.base)), filter: SOURCE_FILTER },
      edge: {
        listen: {
          ldaps: `127.0.0.1:${ports.ldaps}`,
          ldap: [`127.0.0.1:${ports.ldap}`],
          socketmap: [`127.0.0.1:${ports.socketmap}`, `unix:${chrooted.socketPath}?mode=0666`],
        },
      },
    })),
  );
  for (const table of ['not chrooted', 'ldap'] as const) {
    const over = table === 'ldap' ? (map: string) => `ldap:$config_directory/${map}.cf` : socketmapByPort;
    postfixes.set(
      table,
      parts.use(
        await Postfix.create({
          relayDomains: over('domains'),
          relayRecipientMaps:
            table === 'ldap' ? `${over('recipients')}, ${over('anybody')}` : over('recipients'),
          // With an ldap table, Postfix itself takes the extension off, and asks for the domains above a domain unless told not to.
          main: ['recipient_delimiter = +', 'parent_domain_matches_subdomains ='],
          files: {
            'domains.cf': ldapTable('cn=AcceptedDomains,cn=Configuration', '(cn=%s)', 'cn'),
            'recipients.cf': ldapTable('cn=Recipients', '(mail=%s)', 'posternResult'),
            'anybody.cf': ldapTable(
              'cn=AcceptedDomains,cn=Configuration',
              '(&(cn=%d)(|(posternCatchAll=TRUE)(!(posternDomainKind=authoritative))))',
              'cn',
            ),
          },
        }),
      ),
    );
  }
  await site.startEdge();
  await Promise.all([...postfixes.values()].map((postfix) => postfix.start()));
  socketmap = parts.use(await SocketmapClient.connect({ host: '127.0.0.1', port: site.socketmapPort }));
});
afterAll(() => parts.disposeAsync());

async function edgeStatus(): Promise<EdgeStatus> {
  return JSON.parse((await site.edge('status', '--json')).stdout) as EdgeStatus;
}

const ask = (address: string): Promise<string> => socketmap.ask('recipients', address);
const becomes = (address: string, reply: string): Promise<string> =>
  until(
    `the answer for ${address}`,
    () => ask(address),
    (answer) => answer === reply,
  );

describe('nothing subscribed', () => {
  it.each(TABLES)('everything waits: Postfix by %s', async (table) => {
    expect(await postfixOf(table).smtpDialogue('before@example.org')).toMatch(/^451 4\.3\.0 /);
  });

  it('the edge says so', async () => {
    const result = await site.edge('status');
    expect(result.stdout).toMatch(/subscribed +no/);
    expect(result.stdout).toContain('[edge.not-subscribed]');
    expect(result.exitCode).toBe(3);
  });
});

describe('subscribed, the source away: the first load is not complete', () => {
  beforeAll(async () => {
    await slapd.stop();
    await site.startHub();
    await site.hubOk('domain', 'add', 'example.org', '--recipient-delimiter', '+');
    await site.hubOk('domain', 'add', 'example.net');
    await site.hubOk('domain', 'add', 'split.example', '--kind', 'internalRelay');
    await site.hubOk('domain', 'add', 'all.example', '--catch-all');
    await site.subscribe();
    await until('the accepted domains', edgeStatus, ({ kinds }) =>
      kinds.some(({ kind, loadState }) => kind === 'domains' && loadState === 'complete'),
    );
  });

  it.each(TABLES)('unknown and known wait, foreign is foreign: Postfix by %s', async (table) => {
    const postfix = postfixOf(table);
    expect(await postfix.smtpDialogue('user.1@example.org')).toMatch(/^451 4\.3\.0 /);
    expect(await postfix.smtpDialogue('nobody@example.org')).toMatch(/^451 4\.3\.0 /);
    expect(await postfix.smtpDialogue('user.1@elsewhere.example')).toMatch(
      /^554 5\.7\.1 .*Relay access denied/,
    );
  });

  it.each(TABLES)('postmap -q tells it from "not found": %s', async (table) => {
    const { value, error } = await postfixOf(table).postmap('user.1@example.org', mapsOf(table).recipients);
    expect(value).toBeUndefined();
    expect(error).toMatch(/recipients are not loaded yet|Server is busy/i);
  });

  it('the hub names the source as the cause', async () => {
    const status = await until(
      'a failing source',
      async () => JSON.parse((await site.hub('status', '--json')).stdout) as HubStatus,
      ({ source }) => source.state === 'failed',
    );
    expect(status.warnings.map(({ code }) => code)).toContain('source.failed');
    expect((await site.hub('status')).exitCode).toBeGreaterThanOrEqual(3);
  });
});

describe('loaded', () => {
  beforeAll(async () => {
    await slapd.start();
    await site.hubOk('sync', 'run');
  });

  it('verify proves it by content, and the counts are those of the directory', async () => {
    const text = await site.hubOk('sync', 'verify');
    expect(text).toMatch(/^edge1: equal \(proved: content; 1,980 entries there, 1,980 here\)/);
    const { kinds } = await edgeStatus();
    expect(kinds.find(({ kind }) => kind === 'recipients')?.entries).toBe(company.recipients);
    expect((await site.edge('status')).exitCode).toBe(0);
    expect((await site.hub('status')).exitCode).toBe(0);
  });

  it('every address of the organisation is known by socketmap, and no other', async () => {
    const asked = [...company.known, ...company.hidden];
    for (const address of asked) socketmap.socket.write(SocketmapClient.request('recipients', address));
    const replies = await socketmap.replies(asked.length);
    const wrong = asked.filter((_, at) => replies[at] !== (at < company.known.length ? 'OK 1' : 'NOTFOUND '));
    expect(wrong).toEqual([]);
  });

  it('every address of the organisation is known by LDAP, and no other', async () => {
    const search = async (addresses: readonly string[]): Promise<string[]> => {
      const list = join(site.folder, 'addresses');
      await writeFile(list, `${addresses.join('\n')}\n`);
      const output = await runTool('ldapsearch', [
        '-x',
        '-LLL',
        '-H',
        `ldap://127.0.0.1:${site.ldapPort}`,
        '-b',
        'cn=Recipients',
        '-s',
        'one',
        '-f',
        list,
        '(mail=%s)',
        'posternResult',
        'posternAddress',
      ]);
      return output.split('\n').filter((line) => line !== '');
    };
    const lines = await search(company.known);
    expect(lines.filter((line) => line === 'posternResult: OK')).toHaveLength(company.known.length);
    // Nothing but names and the constant: not even hashes.
    expect(
      lines.filter((line) => !/^(dn: cn=[0-9a-f-]{36},cn=Recipients|posternResult: OK)$/.test(line)),
    ).toEqual([]);
    expect(await search(company.hidden)).toEqual([]);
  });

  describe.each(TABLES)('Postfix by %s', (table) => {
    it.each([
      ['primary address', 'user.1@example.org', /^250 /],
      ['other case', 'USER.2@EXAMPLE.ORG', /^250 /],
      ['alias', 'alias-4-0@example.org', /^250 /],
      ['alias in the other domain', 'alias-4-1@example.net', /^250 /],
      ['one of sixty aliases', 'alias-408-58@example.org', /^250 /],
      ['proxy address', 'person.10@example.net', /^250 /],
      ['extension where the domain has a delimiter', 'user.3+news@example.org', /^250 /],
      ['quoted local part', '"quoted 3"@example.org', /^250 /],
      ['quoted comma', '"comma,23"@example.org', /^250 /],
      ['odd but legal', "o'brien=23/x@example.org", /^250 /],
      ['group', 'team-7@example.org', /^250 /],
      ['name that a DN escapes', 'user.103@example.org', /^250 /],
      ['unknown', 'nobody@example.org', /^550 5\.1\.1 .*User unknown/],
      ['unknown, quoted', '"quoted 4"@example.org', /^550 5\.1\.1 .*User unknown/],
      ['somebody of the other domain', 'user.1@example.net', /^550 5\.1\.1 .*User unknown/],
      ['somebody who left the filter', 'user.96@example.org', /^550 5\.1\.1 .*User unknown/],
      ['somebody without an address', 'user.99@example.org', /^550 5\.1\.1 .*User unknown/],
      ['relay domain, where others may know him', 'nobody@split.example', /^250 /],
      ['domain with every address', 'nobody@all.example', /^250 /],
      ['foreign domain', 'user.4@elsewhere.example', /^554 5\.7\.1 .*Relay access denied/],
      ['domain below ours', 'user.4@sub.example.org', /^554 5\.7\.1 .*Relay access denied/],
    ])('%s: RCPT TO:<%s>', async (_what, recipient, reply) => {
      expect(await postfixOf(table).smtpDialogue(recipient)).toMatch(reply);
    });

    it('postmap -q', async () => {
      const maps = mapsOf(table);
      const query = (key: string, map: string): Promise<{ value: string | undefined; error: string }> =>
        postfixOf(table).postmap(key, map);
      const known = { value: table === 'ldap' ? 'OK' : '1', error: '' };
      expect(await query('user.1@example.org', maps.recipients)).toEqual(known);
      expect(await query('Alias-4-0@example.org', maps.recipients)).toEqual(known);
      expect(await query('nobody@example.org', maps.recipients)).toEqual({ value: undefined, error: '' });
      expect((await query('example.org', maps.domains)).value).toBe(
        table === 'ldap' ? 'example.org' : 'authoritative',
      );
      expect(await query('elsewhere.example', maps.domains)).toEqual({ value: undefined, error: '' });
    });
  });

  it.each(['chrooted', 'not chrooted'] as const)(
    'the domain decides about extensions by socketmap, and Unicode is found: Postfix %s',
    async (table) => {
      const postfix = postfixOf(table);
      expect(await postfix.smtpDialogue('jürgen.7@example.org')).toMatch(/^250 /);
      expect(await postfix.smtpDialogue('JÜRGEN.57@example.org')).toMatch(/^250 /);
      expect(await postfix.smtpDialogue('jürgen.8@example.org')).toMatch(/^550 5\.1\.1 /);
      // No delimiter was given for this domain.
      expect(await ask('alias-4-1+news@example.net')).toBe('NOTFOUND ');
      expect(await ask('user.5+news@example.org')).toBe('OK 1');
    },
  );

  it('lookup says what, by which entry, and exits accordingly', async () => {
    const known = await site.edge('lookup', '--json', 'USER.1+x@example.org');
    expect(known.exitCode).toBe(0);
    expect(JSON.parse(known.stdout)).toMatchObject({
      answer: 'known',
      socketmap: 'OK 1',
      domain: 'example.org',
      guid: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
    });
    expect(await site.edge('lookup', 'nobody@example.org')).toMatchObject({
      exitCode: 6,
      stdout: expect.stringContaining('NOTFOUND') as string,
    });
    expect((await site.edge('lookup', 'user.1@elsewhere.example')).stdout).toContain('not ours');
  });
});

describe('changes at the source', () => {
  const dn = (n: number): string => `dn:: ${Buffer.from(company.dn(n)).toString('base64')}`;

  it('somebody added', async () => {
    expect(await ask('new@example.org')).toBe('NOTFOUND ');
    await slapd.add(
      `dn: cn=New,${company.base}\nobjectClass: inetOrgPerson\ncn: New\nsn: New\nmail: new@example.org\n`,
    );
    await becomes('new@example.org', 'OK 1');
    for (const table of TABLES)
      expect(await postfixOf(table).smtpDialogue('New@example.org')).toMatch(/^250 /);
  });

  it('aliases changed', async () => {
    await slapd.modify(
      `${dn(8)}\nchangetype: modify\nreplace: mailLocalAddress\nmailLocalAddress: fresh@example.org\nmailLocalAddress: alias-8-0@example.org\n`,
    );
    await becomes('fresh@example.org', 'OK 1');
    await becomes('alias-8-1@example.net', 'NOTFOUND ');
    expect(await ask('alias-8-0@example.org')).toBe('OK 1');
    for (const table of TABLES) {
      expect(await postfixOf(table).smtpDialogue('Fresh@example.org')).toMatch(/^250 /);
      expect(await postfixOf(table).smtpDialogue('alias-8-59@example.net')).toMatch(/^550 5\.1\.1 /);
    }
  });

  it('somebody renamed and moved: the same recipient', async () => {
    const guid = async (): Promise<string | undefined> =>
      (JSON.parse((await site.edge('lookup', '--json', 'user.11@example.org')).stdout) as LookupDocument)
        .guid;
    const before = await guid();
    await slapd.modify(
      `${dn(11)}\nchangetype: moddn\nnewrdn: cn=Renamed\ndeleteoldrdn: 1\nnewsuperior: ${company.base}\n\ndn: cn=Renamed,${company.base}\nchangetype: modify\nadd: mail\nmail: renamed@example.org\n`,
    );
    await becomes('renamed@example.org', 'OK 1');
    expect(await ask('user.11@example.org')).toBe('OK 1');
    expect(await guid()).toBe(before);
  });

  it('somebody deleted', async () => {
    await slapd.modify(`${dn(12)}\nchangetype: delete\n`);
    await becomes('user.12@example.org', 'NOTFOUND ');
    for (const table of TABLES)
      expect(await postfixOf(table).smtpDialogue('alias-12-0@example.org')).toMatch(/^550 5\.1\.1 /);
  });

  it('somebody leaving the filter, and coming back', async () => {
    await slapd.modify(`${dn(13)}\nchangetype: modify\nreplace: employeeType\nemployeeType: left\n`);
    await becomes('user.13@example.org', 'NOTFOUND ');
    await slapd.modify(`${dn(13)}\nchangetype: modify\ndelete: employeeType\n`);
    await becomes('user.13@example.org', 'OK 1');
  });

  it('a domain added on the hub', async () => {
    await slapd.modify(`${dn(14)}\nchangetype: modify\nadd: mail\nmail: u14@late.example\n`);
    expect(await ask('u14@late.example')).toBe('NOTFOUND ');
    await site.hubOk('domain', 'add', 'late.example');
    await becomes('u14@late.example', 'OK 1');
    for (const table of TABLES) {
      expect(await postfixOf(table).smtpDialogue('u14@late.example')).toMatch(/^250 /);
      expect(await postfixOf(table).smtpDialogue('nobody@late.example')).toMatch(/^550 5\.1\.1 /);
    }
  });

  it('verify still proves every entry equal, the source reread', async () => {
    const result = await site.hub('sync', 'verify', '--source');
    expect(result.stdout).toMatch(/^edge1: equal \(proved: source; /);
    expect(result.exitCode).toBe(0);
    expect((await site.hub('sync', 'verify', 'u14@late.example')).exitCode).toBe(0);
  });
});
