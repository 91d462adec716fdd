import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FakeClock } from '../../../../test/fakes/clock.ts';
import { FeedReader } from '../../../../test/support/feed-reader.ts';
import { type Samba, startSamba } from '../../../../test/support/samba.ts';
import { systemClock } from '../../../base/clock.ts';
import { Secret } from '../../../base/secret.ts';
import type { Feed } from '../source.ts';
import { type ActiveDirectoryOptions, activeDirectoryFeed } from './feed.ts';
import { decodePosition, encodePosition } from './position.ts';

let samba: Samba;
/** May use DirSync; `reader` may only read. */
const accounts = new Map<string, string>();
const PASSWORD = 'Read.the.directory.1';

beforeAll(async () => {
  samba = await startSamba();
  for (const name of ['postern', 'reader']) accounts.set(name, await samba.addAccount(name, PASSWORD));
  await samba.allowDirSync(accounts.get('postern') ?? '');
  await samba.allowDeletedObjects('postern');
}, 120_000);
afterAll(() => samba[Symbol.asyncDispose]());

let units = 0;
/** A unit of its own for each test. */
async function unit(): Promise<string> {
  const dn = `OU=unit${units++},${samba.base}`;
  await samba.modify(`dn: ${dn}\nchangetype: add\nobjectClass: organizationalUnit\n`);
  return dn;
}

function user(name: string, parent: string, ...lines: string[]): string {
  const account = `sAMAccountName: ${name}-${units}`;
  return [
    `dn: CN=${name},${parent}`,
    'changetype: add',
    'objectClass: user',
    account,
    `mail: ${name}@example.org`,
    ...lines,
    '',
    '',
  ].join('\n');
}

const FILTER = '(&(objectClass=user)(!(objectClass=computer)))';

function feedOf(base: string, changes: Partial<ActiveDirectoryOptions> = {}, account = 'postern'): Feed {
  return activeDirectoryFeed({
    urls: [samba.url],
    nextAfterMs: 300_000,
    startTls: false,
    trust: { kind: 'authorities' },
    bindDn: accounts.get(account) ?? '',
    password: () => Promise.resolve(new Secret(PASSWORD)),
    base,
    filter: FILTER,
    attributes: ['objectClass', 'mail', 'proxyAddresses', 'userAccountControl'],
    changes: 'auto',
    // Notifications do it; where there are none, the test waits for this.
    pollEveryMs: 100,
    cookieValidityMs: 21 * 86_400_000,
    mapping: 'test',
    clock: systemClock,
    ...changes,
  });
}

const change = (dn: string, lines: string): string => `dn: ${dn}\nchangetype: modify\n${lines}\n`;
const rename = (dn: string, rdn: string, superior?: string): string =>
  `dn: ${dn}\nchangetype: modrdn\nnewrdn: ${rdn}\ndeleteoldrdn: 1\n${superior === undefined ? '' : `newsuperior: ${superior}\n`}`;

describe.each([
  ['DirSync', 'postern', 'dirsync'],
  ['uSNChanged, since the account may not use DirSync', 'administrator', 'usn'],
] as const)('by %s', (_name, account, method) => {
  const open = (base: string, changes: Partial<ActiveDirectoryOptions> = {}): Feed =>
    account === 'postern'
      ? feedOf(base, changes)
      : feedOf(base, {
          changes: 'usn',
          bindDn: samba.adminDn,
          password: () => Promise.resolve(new Secret(samba.adminPassword)),
          ...changes,
        });

  test('everything first, then changes as they are made', async () => {
    const base = await unit();
    await samba.modify(user('a', base) + user('b', base));
    const reader = new FeedReader(open(base));
    expect((await reader.until('complete')).sort()).toEqual([
      'complete, sweep',
      expect.stringMatching(/^upsert a \(CN=a,/),
      expect.stringMatching(/^upsert b \(CN=b,/),
    ]);
    expect(decodePosition(reader.cookie)?.method).toBe(method);
    await samba.modify(user('c', base));
    expect(await reader.until('position')).toEqual([expect.stringMatching(/^upsert c/), 'position']);
    await samba.modify(change(`CN=a,${base}`, 'replace: mail\nmail: aa@example.org'));
    expect(await reader.until('position')).toEqual([expect.stringMatching(/^upsert aa/), 'position']);
    await samba.modify(rename(`CN=b,${base}`, 'CN=bb'));
    expect(await reader.until('position')).toEqual([expect.stringMatching(/^upsert b \(CN=bb,/), 'position']);
    await samba.modify(`dn: CN=c,${base}\nchangetype: delete\n`);
    expect(await reader.until('position')).toEqual(['delete c', 'position']);
    await reader.close();
  });

  test('what leaves the filter or the base is a deletion, what comes back an addition', async () => {
    const base = await unit();
    const elsewhere = await unit();
    await samba.modify(user('a', base, 'employeeType: staff') + user('b', base, 'employeeType: staff'));
    const filter = '(&(objectClass=user)(employeeType=staff))';
    const reader = new FeedReader(open(base, { filter, attributes: ['mail', 'employeeType'] }));
    await reader.until('complete');
    await samba.modify(change(`CN=a,${base}`, 'replace: employeeType\nemployeeType: guest'));
    expect(await reader.until('position')).toEqual(['delete a', 'position']);
    await samba.modify(change(`CN=a,${base}`, 'replace: employeeType\nemployeeType: staff'));
    expect(await reader.until('position')).toEqual([expect.stringMatching(/^upsert a/), 'position']);
    await samba.modify(rename(`CN=b,${base}`, 'CN=b', elsewhere));
    expect(await reader.until('position')).toEqual(['delete b', 'position']);
    await samba.modify(rename(`CN=b,${elsewhere}`, 'CN=b', base));
    expect(await reader.until('position')).toEqual([expect.stringMatching(/^upsert b/), 'position']);
    await reader.close();
  });

  test('going on where it stopped', async () => {
    const base = await unit();
    await samba.modify(user('a', base) + user('b', base) + user('c', base));
    const first = new FeedReader(open(base));
    await first.until('complete');
    const names = await first.close();
    await samba.modify(
      `dn: CN=a,${base}\nchangetype: delete\n\n${change(`CN=b,${base}`, 'replace: mail\nmail: bb@example.org')}`,
    );
    const second = new FeedReader(open(base), first.cookie, names);
    expect((await second.until('complete')).sort()).toEqual([
      'complete',
      'delete a',
      expect.stringMatching(/^upsert bb/),
    ]);
    await second.close();
  });

  test('a unit that was moved out of the base takes everybody along', async () => {
    const base = await unit();
    const elsewhere = await unit();
    const inner = `OU=inner,${base}`;
    await samba.modify(`dn: ${inner}\nchangetype: add\nobjectClass: organizationalUnit\n`);
    await samba.modify(user('a', base) + user('b', inner));
    const first = new FeedReader(open(base));
    await first.until('complete');
    const names = await first.close();
    await samba.modify(rename(inner, 'OU=inner', elsewhere));
    const second = new FeedReader(open(base), first.cookie, names);
    expect(await second.until('complete')).toEqual([
      'restart',
      expect.stringMatching(/^upsert a/),
      'complete, sweep',
    ]);
    await second.close();
  });
});

describe('a position', () => {
  test.each<[string, (position: NonNullable<ReturnType<typeof decodePosition>>) => object]>([
    ['of another controller', () => ({ server: Buffer.alloc(16, 7) })],
    ['too old', ({ reachedAt }) => ({ reachedAt: reachedAt - 22 * 86_400_000 })],
  ])('%s is worth nothing', async (_name, difference) => {
    const base = await unit();
    await samba.modify(user('a', base));
    const first = new FeedReader(feedOf(base));
    await first.until('complete');
    await first.close();
    const position = decodePosition(first.cookie);
    if (position === undefined) throw new Error('no position');
    const second = new FeedReader(feedOf(base), encodePosition({ ...position, ...difference(position) }));
    expect((await second.until('complete')).at(-1)).toBe('complete, sweep');
    await second.close();
  });

  test('with a cookie that the controller does not know: everything again', async () => {
    const base = await unit();
    const first = new FeedReader(feedOf(base));
    await first.until('complete');
    await first.close();
    const position = decodePosition(first.cookie);
    if (position === undefined) throw new Error('no position');
    const second = new FeedReader(
      feedOf(base),
      encodePosition({ ...position, cookie: Buffer.from('garbage') }),
    );
    expect(await second.until('complete')).toEqual(['restart', 'complete, sweep']);
    await second.close();
  });

  test('from the future of a controller is refused', async () => {
    const base = await unit();
    const first = new FeedReader(feedOf(base));
    await first.until('complete');
    await first.close();
    const position = decodePosition(first.cookie);
    if (position === undefined) throw new Error('no position');
    const second = new FeedReader(feedOf(base), encodePosition({ ...position, usn: position.usn + 1000 }));
    expect(await second.failure()).toMatchObject({ code: 'source.behind' });
  });
});

describe('rights', () => {
  test('an account without the right to DirSync polls, and a stated method is not replaced by another', async () => {
    const base = await unit();
    await samba.modify(user('a', base));
    const reader = new FeedReader(feedOf(base, {}, 'reader'));
    await reader.until('complete');
    expect(decodePosition(reader.cookie)?.method).toBe('usn');
    await reader.close();
    const stated = new FeedReader(feedOf(base, { changes: 'dirsync' }, 'reader'));
    expect(await stated.failure()).toMatchObject({
      code: 'source.invalid',
      hint: expect.stringContaining('get-changes') as string,
    });
  });

  test('an account that may not see what was deleted reads everything at each opening', async () => {
    const base = await unit();
    await samba.modify(user('a', base) + user('b', base));
    const first = new FeedReader(feedOf(base, {}, 'reader'));
    await first.until('complete');
    const names = await first.close();
    await samba.modify(`dn: CN=a,${base}\nchangetype: delete\n`);
    const second = new FeedReader(feedOf(base, {}, 'reader'), first.cookie, names);
    expect(await second.until('complete')).toEqual([expect.stringMatching(/^upsert b/), 'complete, sweep']);
    await second.close();
  });

  test('a base that cannot be read is an error, not an empty directory', async () => {
    const reader = new FeedReader(feedOf(`OU=nowhere,${samba.base}`));
    expect(await reader.failure()).toMatchObject({ code: 'source.invalid' });
    const foreign = new FeedReader(feedOf('DC=example,DC=org'));
    expect(await foreign.failure()).toMatchObject({
      code: 'source.invalid',
      message: expect.stringContaining('naming context') as string,
    });
  });
});

test('the next controller after the time that was set, not before', async () => {
  const base = await unit();
  const clock = new FakeClock();
  const feed = feedOf(base, { urls: ['ldap://127.0.0.1:1', samba.url], nextAfterMs: 300_000, clock });
  const fails = async (): Promise<void> => {
    expect(await new FeedReader(feed).failure()).toMatchObject({ code: 'source.unavailable' });
  };
  await fails();
  await clock.advance(299_000);
  await fails();
  await clock.advance(1000);
  await fails();
  const reader = new FeedReader(feed);
  expect((await reader.until('complete')).at(-1)).toBe('complete, sweep');
  await reader.close();
});
