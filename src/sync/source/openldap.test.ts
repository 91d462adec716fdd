import { afterEach, describe, expect, test } from 'vitest';
import { BASE, feedOf, FeedReader, people, person } from '../../../test/support/feed-reader.ts';
import { type Slapd, type SlapdOptions, startSlapd } from '../../../test/support/slapd.ts';
import type { FeedEvent } from './source.ts';

const slapds: Slapd[] = [];
afterEach(async () => {
  for (const slapd of slapds.splice(0)) await slapd[Symbol.asyncDispose]();
});

async function start(options: SlapdOptions = {}): Promise<Slapd> {
  const slapd = await startSlapd({ syncprov: true, ...options });
  slapds.push(slapd);
  return slapd;
}

describe('the refresh and what comes after it', () => {
  test('everything first, then changes as they are made', async () => {
    const slapd = await start({ ldif: people(3) });
    const reader = new FeedReader(feedOf(slapd));
    expect(await reader.until('complete')).toEqual([
      'upsert 0 (uid=0)',
      'upsert 1 (uid=1)',
      'upsert 2 (uid=2)',
      'complete, sweep',
    ]);
    await slapd.add(person(3));
    expect(await reader.until('position')).toEqual(['upsert 3 (uid=3)', 'position']);
    await slapd.modify(`dn: uid=3,${BASE}\nchangetype: modify\nadd: mail\nmail: drei@example.org\n`);
    expect(await reader.until('position')).toEqual(['upsert 3+drei (uid=3)', 'position']);
    await slapd.modify(`dn: uid=3,${BASE}\nchangetype: modrdn\nnewrdn: uid=three\ndeleteoldrdn: 1\n`);
    expect(await reader.until('position')).toEqual(['upsert 3+drei (uid=three)', 'position']);
    await slapd.modify(`dn: uid=0,${BASE}\nchangetype: delete\n`);
    expect(await reader.until('position')).toEqual(['delete 0', 'position']);
    await reader.close();
  });

  test('an entry that leaves the filter is a deletion, one that enters it an addition', async () => {
    const slapd = await start({ ldif: people(2, 'employeeType: staff') });
    const filter = '(&(objectClass=inetOrgPerson)(employeeType=staff))';
    const reader = new FeedReader(feedOf(slapd, { filter }));
    await reader.until('complete');
    await slapd.modify(`dn: uid=1,${BASE}\nchangetype: modify\nreplace: employeeType\nemployeeType: guest\n`);
    expect(await reader.until('position')).toEqual(['delete 1', 'position']);
    await slapd.modify(`dn: uid=1,${BASE}\nchangetype: modify\nreplace: employeeType\nemployeeType: staff\n`);
    expect(await reader.until('position')).toEqual(['upsert 1 (uid=1)', 'position']);
    await reader.close();
  });

  test.each([
    ['without a session log: a present phase', true as const],
    ['with a session log: a delete phase', { sessionlog: 100 }],
  ])('going on after a while, %s', async (_name, syncprov) => {
    const slapd = await start({ ldif: people(5), syncprov });
    const first = new FeedReader(feedOf(slapd));
    await first.until('complete');
    await slapd.modify(`dn: uid=4,${BASE}\nchangetype: modify\nreplace: mail\nmail: vier@example.org\n`);
    await first.until('position');
    const names = await first.close();
    await slapd.modify(
      [
        `dn: uid=0,${BASE}\nchangetype: delete\n`,
        `dn: uid=1,${BASE}\nchangetype: modify\nreplace: mail\nmail: eins@example.org\n`,
        `dn: uid=2,${BASE}\nchangetype: modrdn\nnewrdn: uid=two\ndeleteoldrdn: 1\n`,
      ].join('\n'),
    );
    await slapd.add(person(5));
    const second = new FeedReader(feedOf(slapd), first.cookie, names);
    const said = await second.until('complete');
    expect(said.filter((word) => word.startsWith('upsert')).sort()).toEqual([
      'upsert 2 (uid=two)',
      'upsert 5 (uid=5)',
      'upsert eins (uid=1)',
    ]);
    if (syncprov === true) {
      // slapd lists what is there, what it is going to send included.
      expect(said[0]).toBe('present 1 2 3 somebody vier');
      expect(said.at(-1)).toBe('complete, sweep');
      expect(said.filter((word) => word.startsWith('delete'))).toEqual([]);
    } else {
      expect(said).toContain('delete 0');
      expect(said.at(-1)).toBe('complete');
    }
    expect(second.cookie?.toString()).not.toContain('delcsn');
    const third = new FeedReader(feedOf(slapd), second.cookie);
    expect(await third.until('complete')).toEqual(['complete']);
    await slapd.add(person(6));
    for (const reader of [second, third]) {
      expect(await reader.until('position')).toEqual(['upsert 6 (uid=6)', 'position']);
      await reader.close();
    }
  });

  test('a provider among several: its cookie in the persist stage speaks of one of them', async () => {
    const sid = (n: number, time: string): string => `20260101${time}.000000Z#000000#00${n}#000000`;
    const slapd = await start({
      globalConfig: ['serverID 1'],
      ldif: [
        `dn: ${BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example`,
        `entryCSN: ${sid(1, '100000')}\ncontextCSN: ${sid(1, '100500')}\ncontextCSN: ${sid(2, '100400')}\n\n`,
        person(0, `entryCSN: ${sid(1, '100500')}`),
        person(1, `entryCSN: ${sid(2, '100400')}`),
      ].join('\n'),
      syncprov: { sessionlog: 100 },
    });
    const first = new FeedReader(feedOf(slapd));
    await first.until('complete');
    expect(first.cookie?.toString()).toMatch(/#001#.*#002#/);
    await slapd.add(person(2));
    await first.until('position');
    const kept = first.cookie?.toString() ?? '';
    expect(kept).toMatch(/#001#.*#002#/);
    expect(kept).toContain(sid(2, '100400'));
    expect(kept).not.toContain(sid(1, '100500'));
    const names = await first.close();
    await slapd.add(person(3));
    const second = new FeedReader(feedOf(slapd), first.cookie, names);
    expect(await second.until('complete')).toEqual(['upsert 3 (uid=3)', 'complete']);
    await second.close();
  });

  test('Unicode, odd names, many values', async () => {
    const odd = [
      `dn:: ${Buffer.from(`cn=Jürgen 😀 \\2C Ünïcode+sn=\\#1,${BASE}`).toString('base64')}`,
      'objectClass: inetOrgPerson',
      `cn:: ${Buffer.from('Jürgen 😀 , Ünïcode').toString('base64')}`,
      'sn: #1',
      'mail: "quoted part"@example.org',
      ...Array.from({ length: 500 }, (_, n) => `mail: alias${n}@example.org`),
      '',
      '',
    ].join('\n');
    const slapd = await start({ ldif: odd });
    const events: FeedEvent[] = [];
    const abort = new AbortController();
    for await (const array of feedOf(slapd).follow(undefined, abort.signal)) {
      events.push(...array);
      if (array.at(-1)?.kind === 'complete') break;
    }
    const [event] = events;
    expect(event).toMatchObject({ kind: 'upsert' });
    if (event?.kind !== 'upsert') return;
    expect(event.entry.dn).toContain('Jürgen 😀');
    expect(event.entry.attributes.get('mail')?.length).toBe(501);
    expect(event.entry.attributes.get('mail')?.join()).toContain('"quoted part"@example.org');
  });

  test('a referral object is known, and called unchanged like any entry', async () => {
    const referral = `dn: ou=elsewhere,${BASE}\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\nref: ldap://ldap.example.net/\n\n`;
    const slapd = await start({ ldif: `${people(1)}${referral}` });
    const filter = '(|(objectClass=inetOrgPerson)(objectClass=referral))';
    const first = new FeedReader(feedOf(slapd, { filter }));
    const said = await first.until('complete');
    expect(said.filter((word) => word.startsWith('upsert')).length).toBe(2);
    const names = await first.close();
    await slapd.add(person(1));
    const second = new FeedReader(feedOf(slapd, { filter }), first.cookie, names);
    const again = (await second.until('complete')).join('; ');
    expect(again).toBe('present 0 nobody somebody; upsert 1 (uid=1); complete, sweep');
    await second.close();
  });
});
