/** The options of ldapsearch, one after the other, and what each makes of our answers. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ran, runProgram, tool } from '../../support/ldap-tool.ts';
import { ADMINISTRATOR, type ServedDirectory, serveDirectory } from '../../support/served-directory.ts';
import { entries, PEOPLE } from './people.ts';

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
