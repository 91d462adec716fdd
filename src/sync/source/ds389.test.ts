import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Ds389, startDs389 } from '../../../test/support/ds389.ts';
import { BASE, FeedReader, people, person } from '../../../test/support/feed-reader.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { ds389Feed } from './ds389.ts';
import type { OpenLdapOptions } from './openldap.ts';
import type { Feed } from './source.ts';

let ds: Ds389;
beforeAll(async () => {
  ds = await startDs389({ ldif: people(4, 'employeeType: staff') });
}, 120_000);
afterAll(() => ds[Symbol.asyncDispose]());

function feedOf(changes: Partial<OpenLdapOptions> = {}): Feed {
  return ds389Feed({
    url: ds.url,
    startTls: false,
    trust: { kind: 'authorities' },
    bindDn: ds.adminDn,
    password: () => Promise.resolve(new Secret(ds.adminPassword)),
    base: BASE,
    filter: '(&(objectClass=inetOrgPerson)(employeeType=staff))',
    attributes: ['mail'],
    mapping: 'test',
    clock: systemClock,
    ...changes,
  });
}

const type = (uid: string | number, to: string): string =>
  `dn: uid=${uid},${BASE}\nchangetype: modify\nreplace: employeeType\nemployeeType: ${to}\n`;

/** One after the other, since they share a server. */
test('everything, changes as they are made, and what happened meanwhile, filter and renames and a restart included', async () => {
  const first = new FeedReader(feedOf());
  const said = await first.until('complete');
  // The entry of the base is no recipient.
  expect(said).toEqual([
    'delete somebody',
    'upsert 0 (uid=0)',
    'upsert 1 (uid=1)',
    'upsert 2 (uid=2)',
    'upsert 3 (uid=3)',
    'complete, sweep',
  ]);
  await ds.add(person(4, 'employeeType: staff'));
  expect(await first.until('position')).toEqual(['upsert 4 (uid=4)', 'position']);
  await ds.modify(type(1, 'guest'));
  expect(await first.until('position')).toEqual(['delete 1', 'position']);
  await ds.modify(type(1, 'staff'));
  expect(await first.until('position')).toEqual(['upsert 1 (uid=1)', 'position']);
  await ds.modify(`dn: uid=2,${BASE}\nchangetype: modrdn\nnewrdn: uid=two\ndeleteoldrdn: 1\n`);
  expect(await first.until('position')).toEqual(['upsert 2 (uid=two)', 'position']);
  const names = await first.close();

  await ds.modify(type(1, 'guest'));
  await ds.modify(`dn: uid=0,${BASE}\nchangetype: delete\n`);
  await ds.modify(`dn: uid=3,${BASE}\nchangetype: modify\nreplace: mail\nmail: drei@example.org\n`);
  const second = new FeedReader(feedOf(), first.cookie, names);
  expect((await second.until('complete')).sort()).toEqual([
    'complete',
    'delete 0',
    'delete 1',
    'upsert drei (uid=3)',
  ]);
  await second.close();

  await ds.stop();
  await ds.start();
  await ds.modify(type(4, 'guest'));
  const third = new FeedReader(feedOf(), second.cookie, names);
  expect(await third.until('complete')).toEqual(['delete 4', 'complete']);
  await third.close();

  // The cookie names base, filter and identity of its search.
  const other = new FeedReader(feedOf({ base: `uid=two,${BASE}` }), third.cookie, names);
  expect(await other.until('complete')).toEqual(['restart', 'upsert 2 (uid=two)', 'complete, sweep']);
  await other.close();
}, 60_000);

test('a filter that only the directory could decide is refused', () => {
  expect(() => feedOf({ filter: '(uidNumber>=1000)' })).toThrow(expect.objectContaining({ code: 'usage' }));
});
