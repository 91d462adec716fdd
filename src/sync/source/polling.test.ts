import { afterEach, expect, test } from 'vitest';
import { ShiftedClock } from '../../../test/fakes/shifted-clock.ts';
import { BASE, FeedReader, people, person } from '../../../test/support/feed-reader.ts';
import { type Slapd, startSlapd } from '../../../test/support/slapd.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { timeOf, uniqueIdOf } from './entry-identity.ts';
import { pollingFeed, type PollingOptions } from './polling.ts';
import { decodePollingPosition } from './polling-position.ts';

const slapds: Slapd[] = [];
afterEach(async () => {
  for (const slapd of slapds.splice(0)) await slapd[Symbol.asyncDispose]();
});

/** A server that offers nothing but searches. */
async function start(ldif: string): Promise<Slapd> {
  const slapd = await startSlapd({ ldif });
  slapds.push(slapd);
  return slapd;
}

const HOUR = 3_600_000;

function reader(
  slapd: Slapd,
  changes: Partial<PollingOptions> = {},
  cookie?: Buffer,
  names?: Map<string, string>,
): FeedReader {
  const feed = pollingFeed({
    url: slapd.url,
    startTls: false,
    trust: { kind: 'authorities' },
    bindDn: slapd.adminDn,
    password: () => Promise.resolve(new Secret(slapd.adminPassword)),
    base: BASE,
    filter: '(objectClass=inetOrgPerson)',
    attributes: ['mail'],
    uniqueId: 'entryUUID',
    pollEveryMs: 20,
    fullEveryMs: HOUR,
    mapping: 'test',
    clock: systemClock,
    ...changes,
  });
  return new FeedReader(feed, cookie, names);
}

const mailOf = (uid: number, to: string): string =>
  `dn: uid=${uid},${BASE}\nchangetype: modify\nreplace: mail\nmail: ${to}@example.org\n`;

/** What was told of `name` until it was. */
async function untilTold(feed: FeedReader, name: string): Promise<void> {
  while (!(await feed.until('upsert')).some((said) => said.startsWith(`upsert ${name} `)));
}

test('everything by pages, then what is young', async () => {
  const slapd = await start(people(1500));
  const feed = reader(slapd);
  const said = await feed.until('complete');
  expect(new Set(said.filter((each) => each.startsWith('upsert')))).toHaveLength(1500);
  expect(said.at(-1)).toBe('complete, sweep');
  await slapd.modify(mailOf(7, 'sieben'));
  await untilTold(feed, 'sieben');
  await slapd.add(person(2000));
  await untilTold(feed, '2000');
  await feed.close();
});

test('going on where it stopped; a deletion is found when everything is read', async () => {
  const slapd = await start(people(3));
  const clock = new ShiftedClock();
  const first = reader(slapd, { clock });
  await first.until('complete');
  const names = await first.close();
  await slapd.modify(`dn: uid=0,${BASE}\nchangetype: delete\n`);
  await slapd.modify(mailOf(1, 'eins'));
  const second = reader(slapd, { clock }, first.cookie, names);
  const said = await second.until('complete');
  expect(said).toContain('upsert eins (uid=1)');
  expect(said.at(-1)).toBe('complete');
  // It ends by itself when everything is due, and is opened again.
  clock.shift(HOUR);
  await second.until('end');
  const third = reader(slapd, { clock }, second.cookie, names);
  const everything = await third.until('complete');
  expect(new Set(everything)).toEqual(
    new Set(['upsert eins (uid=1)', 'upsert 2 (uid=2)', 'complete, sweep']),
  );
  await third.close();
});

test('a position whose hour lies in the future, or that is none, is worth nothing', async () => {
  const slapd = await start(people(1));
  const clock = new ShiftedClock();
  clock.shift(HOUR / 2);
  const first = reader(slapd, { clock });
  await first.until('complete');
  await first.close();
  clock.shift(-HOUR);
  for (const cookie of [first.cookie, Buffer.from('garbage'), Buffer.alloc(0)]) {
    const again = reader(slapd, { clock }, cookie);
    expect((await again.until('complete')).at(-1)).toBe('complete, sweep');
    await again.close();
  }
  expect(decodePollingPosition(Buffer.from('garbage'))).toBeUndefined();
});

test('an entry without the attribute that names it, and a server that cuts its answer', async () => {
  const slapd = await start(people(3));
  expect(await reader(slapd, { uniqueId: 'ibm-entryUUID' }).failure()).toMatchObject({
    code: 'source.invalid',
    hint: expect.stringContaining('source.unique_id') as string,
  });
  const limited = await startSlapd({ ldif: people(3), databaseConfig: ['sizelimit 2'] });
  slapds.push(limited);
  await limited.add(
    `dn: cn=reader,${BASE}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: secret\n`,
  );
  const password = (): Promise<Secret> => Promise.resolve(new Secret('secret'));
  const cut = reader(limited, { bindDn: `cn=reader,${BASE}`, password });
  expect(await cut.failure()).toMatchObject({ code: 'source.incomplete' });
});

test.each<[string | undefined, string | undefined]>([
  ['00112233-4455-6677-8899-AABBCCDDEEFF', '00112233445566778899aabbccddeeff'],
  ['00112233-44556677-8899aabb-ccddeeff', '00112233445566778899aabbccddeeff'],
  ['0123456789abcdef', '30313233343536373839616263646566'],
  ['0011223344556677-8899-AABB-CCDDEEF', undefined],
  ['x'.repeat(1000), undefined],
  [undefined, undefined],
])('identity %s', (text, expected) => {
  expect(uniqueIdOf(text === undefined ? undefined : Buffer.from(text))?.toString('hex')).toBe(expected);
});

test.each<[string, number | undefined]>([
  ['20260102030405Z', Date.UTC(2026, 0, 2, 3, 4, 5)],
  ['20260102030405.25Z', Date.UTC(2026, 0, 2, 3, 4, 5, 250)],
  ['yesterday', undefined],
])('time %s', (text, expected) => {
  expect(timeOf(Buffer.from(text))).toBe(expected);
});
