/** `postern directory` as an administrator runs it: on a running edge, on a stopped one, and with damaged files. */
import { cp, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  RestoreDocument,
  StatsDocument,
  StoreVerifyDocument,
} from '../../src/admin/directory-documents.ts';
import { Deployment } from '../support/deployment.ts';

const PEOPLE = Array.from(
  { length: 600 },
  (_, n) =>
    `dn: cn=p${n},dc=example,dc=org\nobjectClass: inetOrgPerson\ncn: p${n}\nsn: x\nmail: p${n}@example.org\n`,
).join('\n');

const domain = (name: string): string =>
  `dn: cn=${name},cn=AcceptedDomains,cn=Configuration\nobjectClass: posternAcceptedDomain\ncn: ${name}\nposternDomainKind: authoritative\nposternCatchAll: FALSE\n`;

let site: Deployment;
const at = (name: string): string => join(site.folder, name);

beforeAll(async () => {
  site = await Deployment.create(async (folder) => {
    await writeFile(join(folder, 'people.ldif'), PEOPLE);
    return { source: { kind: 'ldif', path: join(folder, 'people.ldif') } };
  });
  await site.startEdge();
  await site.startHub();
  await site.subscribe();
  await site.hubOk('domain', 'add', 'example.org');
  await site.hubOk('sync', 'run');
}, 60_000);

afterAll(() => site[Symbol.asyncDispose]());

const json = async <T>(...words: string[]): Promise<T> =>
  JSON.parse(await site.edgeOk(...words, '--json')) as T;
const verify = (): Promise<StoreVerifyDocument> => json('directory', 'verify');

describe('while the daemon runs', () => {
  it('verify counts the entries of a loaded edge, before any snapshot and after', async () => {
    const before = await verify();
    expect(before).toMatchObject({ role: 'edge', name: 'edge1', sound: true, records: 0, problems: [] });
    expect(before.entries).toBeGreaterThan(600);
    await site.edgeOk('directory', 'compact');
    expect(await verify()).toMatchObject({ sound: true, entries: before.entries, records: before.entries });
    const stats = await json<StatsDocument>('directory', 'stats');
    expect(stats.containers).toContainEqual({ dn: 'cn=Recipients', children: 600 });
  });

  it('export writes what import finds to be there already; no secret is in it', async () => {
    const file = at('export.ldif');
    await site.edgeOk('directory', 'export', '-o', file);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const text = await readFile(file, 'utf8');
    const entries = Number(/# end: (\d+) entries\n$/.exec(text)?.[1]);
    expect(text.match(/^dn:/gm)).toHaveLength(entries);
    expect(text).not.toMatch(/posternCredential|posternSealedKey/i);
    expect(await site.edge('directory', 'export', '-o', file)).toMatchObject({ exitCode: 7 });
    expect(await json('directory', 'import', file)).toMatchObject({
      added: 0,
      replaced: 0,
      records: entries,
    });
    const hub = await site.hubOk('directory', 'export');
    expect(hub).toContain('dn: cn=edge1,');
    expect(hub).not.toMatch(/posternCredential|posternSealedKey/i);
  });

  it('secrets count in no filter', async () => {
    expect(await site.hubOk('directory', 'search', '(objectClass=posternHub)', 'cn')).toContain('cn: hub1');
    expect(await site.hubOk('directory', 'search', '(posternCredential=*)')).toBe('');
    expect(await site.hubOk('directory', 'search', '(!(posternCredential=*))')).not.toContain('cn: hub1');
  });

  it('import takes entries and change records, in order', async () => {
    const file = at('domains.ldif');
    const change = 'changetype: modify\nreplace: posternCatchAll\nposternCatchAll: TRUE\n-\n';
    const dn = 'dn: cn=new.example,cn=AcceptedDomains,cn=Configuration\n';
    await writeFile(file, `${domain('new.example')}\n${dn}${change}`);
    expect(await json('directory', 'import', file)).toMatchObject({ added: 1, changed: 1 });
    expect(await site.edgeOk('directory', 'search', '(cn=new.example)')).toContain('posternCatchAll: TRUE');
    const again = await site.edge('directory', 'import', file);
    expect([again.exitCode, again.stderr]).toEqual([7, expect.stringContaining('LDIF line 1:')]);
    await writeFile(file, `${domain('new.example')}\n${dn}changetype: delete\n`);
    expect(await json('directory', 'import', '--replace', file)).toMatchObject({ replaced: 1, changed: 1 });
    expect(await site.edgeOk('directory', 'search', '(cn=new.example)')).toBe('');
  });

  it('an error in the middle names its line, and from where to go on', async () => {
    const file = at('many.ldif');
    const names = Array.from({ length: 700 }, (_, n) => `d${n}.example`);
    const bad = names.map((name, n) => (n === 600 ? domain(name).replace('FALSE', 'maybe') : domain(name)));
    await writeFile(file, bad.join('\n'));
    const outcome = await site.edge('directory', 'import', file);
    expect(outcome.exitCode).toBe(1);
    expect(outcome.stderr).toMatch(/LDIF line 3601: cn=d600\.example/);
    expect(outcome.stderr).toMatch(/before line 3001 is imported \(500 records\).*--from-line 3001/);
    await writeFile(file, names.map(domain).join('\n'));
    expect(await json('directory', 'import', '--from-line', '3001', file)).toMatchObject({ added: 200 });
    expect(await json('directory', 'import', file)).toMatchObject({ unchanged: 700 });
  });

  it.each([
    [
      'a secret',
      'dn: cn=h,cn=Hubs,cn=Configuration\nobjectClass: posternHub\ncn: h\nposternCredential: x\n',
      7,
      /line 4|line 1/,
    ],
    ['what the daemon writes', 'dn: cn=recipients,cn=Sync\nchangetype: delete\n', 7, /line 1: entries below/],
    [
      'a move to where the daemon writes',
      'dn: cn=example.org,cn=AcceptedDomains,cn=Configuration\nchangetype: modrdn\nnewrdn: cn=x\ndeleteoldrdn: 1\nnewsuperior: cn=Accounts\n',
      7,
      /line 1: entries below/,
    ],
    ['no LDIF', 'dn: cn=h,cn=Configuration\nrubbish\n', 1, /line 2: expected/],
    [
      'no parent',
      'dn: cn=h,cn=Nope,cn=Configuration\nobjectClass: posternContainer\ncn: h\n',
      1,
      /line 1: .*\n.*above it/,
    ],
  ])('refuses %s, and imports nothing', async (_name, text, exitCode, message) => {
    const file = at('refused.ldif');
    await writeFile(file, text);
    const outcome = await site.edge('directory', 'import', file);
    expect(outcome.exitCode).toBe(exitCode);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.stderr).toContain('nothing has been imported');
  });

  it('backup makes a new folder of private files, and never another one', async () => {
    await site.edgeOk('directory', 'backup', at('backup'));
    for (const name of await readdir(at('backup')))
      expect((await stat(join(at('backup'), name))).mode & 0o777).toBe(0o600);
    expect(await site.edge('directory', 'backup', at('backup'))).toMatchObject({ exitCode: 7 });
    const refused = await site.edge('directory', 'restore', at('backup'));
    expect([refused.exitCode, refused.stderr]).toEqual([7, expect.stringContaining('daemon.running')]);
  });
});

describe('while it does not', () => {
  it('the same commands work on its files; restore checks first, moves aside, and tells the copy apart', async () => {
    const { entries } = await verify();
    await site.edgeDaemon?.stop();
    const outcome = await site.edge('directory', 'verify', '--json');
    expect(outcome.stderr).toContain('is not running');
    expect(JSON.parse(outcome.stdout)).toMatchObject({ sound: true, entries });
    expect(await site.edgeOk('directory', 'search', '-s', 'base', '-b', 'cn=recipients,cn=Sync')).toContain(
      'posternCookie',
    );

    await cp(at('backup'), at('flipped'), { recursive: true });
    const snapshot = (await readdir(at('flipped'))).find((name) => name.startsWith('snapshot')) as string;
    const bytes = await readFile(join(at('flipped'), snapshot));
    bytes[5000] = (bytes[5000] as number) ^ 1;
    await writeFile(join(at('flipped'), snapshot), bytes);
    await cp(at('backup'), at('short'), { recursive: true });
    await truncate(join(at('short'), snapshot), 5000);
    for (const folder of ['flipped', 'short']) {
      const damaged = await site.edge('directory', 'restore', '--replace', at(folder));
      expect(damaged.stderr).toMatch(new RegExp(`backup is damaged: ${snapshot}.*\\[store.damaged\\]`));
      expect(damaged.exitCode).toBe(1);
    }
    expect(await site.edge('directory', 'restore', at('backup'))).toMatchObject({ exitCode: 7 });
    expect(await site.edge('directory', 'restore', at('nowhere'))).toMatchObject({ exitCode: 6 });
    expect(await site.hub('directory', 'restore', at('backup'))).toMatchObject({ exitCode: 7 });
    expect(await verify()).toMatchObject({ sound: true, entries });

    const restored = await json<RestoreDocument>('directory', 'restore', '--replace', at('backup'));
    expect(restored.entries).toBe(entries);
    expect(await readdir(site.edgeData)).toContain(restored.former?.split('/').at(-1));
    // Not in step with any hub, until one has compared.
    expect(
      await site.edgeOk('directory', 'search', '-s', 'base', '-b', 'cn=recipients,cn=Sync'),
    ).not.toContain('posternCookie');
    await site.startEdge();
    expect((await site.edge('lookup', 'p7@example.org')).exitCode).toBe(0);
    await site.hubOk('sync', 'run');
    expect(await site.hubOk('sync', 'verify')).toContain('equal');
  });

  it('damaged files are named, with exit code 4', async () => {
    await site.edgeOk('directory', 'compact');
    await site.edgeDaemon?.stop();
    const folder = join(site.edgeData, 'directory');
    const snapshot = (await readdir(folder)).find((name) => name.startsWith('snapshot')) as string;
    const bytes = await readFile(join(folder, snapshot));
    bytes[5000] = (bytes[5000] as number) ^ 1;
    await writeFile(join(folder, snapshot), bytes);
    const outcome = await site.edge('directory', 'verify');
    expect(outcome.stdout).toContain('DAMAGED');
    expect(outcome.stdout).toContain(join(folder, snapshot));
    expect(outcome.exitCode).toBe(4);
  });
});
