import { cp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { type Slapd, type SlapdOptions, startSlapd } from '../../../test/support/slapd.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { parseCertificate } from '../../certificate/parse.ts';
import { pinFromBytes } from '../../certificate/pin.ts';
import { certificatesFromPem } from '../../certificate/pem.ts';
import { openLdapFeed, type OpenLdapOptions } from './openldap.ts';
import type { Feed, FeedEvent } from './source.ts';

const BASE = 'dc=example,dc=org';

function person(n: number | string, ...lines: string[]): string {
  return [
    `dn: uid=${n},${BASE}`,
    'objectClass: inetOrgPerson',
    `uid: ${n}`,
    `cn: ${n}`,
    `sn: ${n}`,
    `mail: ${n}@example.org`,
    ...lines,
    '',
    '',
  ].join('\n');
}

const people = (count: number, ...lines: string[]): string =>
  Array.from({ length: count }, (_, n) => person(n, ...lines)).join('');

function feedOf(slapd: Slapd, changes: Partial<OpenLdapOptions> = {}): Feed {
  return openLdapFeed({
    url: slapd.url,
    startTls: false,
    trust: { kind: 'authorities' },
    bindDn: slapd.adminDn,
    password: new Secret(slapd.adminPassword),
    base: BASE,
    filter: '(objectClass=inetOrgPerson)',
    attributes: ['objectClass', 'mail'],
    mapping: 'test',
    clock: systemClock,
    ...changes,
  });
}

/** An opening of a feed that the test reads event by event. */
class Reader {
  readonly #abort = new AbortController();
  readonly #arrays: AsyncIterator<readonly FeedEvent[]>;
  readonly #uids: Map<string, string>;
  readonly said: string[] = [];
  cookie: Buffer | undefined;

  /** `uids`: GUID -> mail, kept from opening to opening, since deletions and present phases name GUIDs only. */
  constructor(feed: Feed, cookie?: Buffer, uids = new Map<string, string>()) {
    this.#arrays = feed.follow(cookie, this.#abort.signal)[Symbol.asyncIterator]();
    this.#uids = uids;
  }

  /** Reads until an event of this kind (or the end) has come; returns everything since the last call. */
  async until(kind: FeedEvent['kind'] | 'end', times = 1): Promise<string[]> {
    for (let met = 0; met < times; ) {
      const { done, value } = await this.#arrays.next();
      if (done === true) {
        if (kind !== 'end') throw new Error('the feed has ended');
        break;
      }
      for (const event of value) {
        this.said.push(this.#words(event));
        if (event.kind === kind) met++;
      }
    }
    return this.said.splice(0);
  }

  /** Reads to the end, which must be a failure. */
  async failure(): Promise<unknown> {
    try {
      await this.until('end');
    } catch (error) {
      return error;
    }
    throw new Error(`no failure: ${this.said.join(', ')}`);
  }

  async close(): Promise<Map<string, string>> {
    this.#abort.abort();
    await this.#arrays.return?.();
    return this.#uids;
  }

  #words(event: FeedEvent): string {
    const name = (guid: Buffer): string => this.#uids.get(guid.toString('hex')) ?? 'somebody';
    if (event.kind === 'upsert') {
      const mail = event.entry.attributes.get('mail')?.join('+') ?? 'nobody';
      this.#uids.set(event.entry.guid.toString('hex'), mail.replaceAll('@example.org', ''));
      return `upsert ${name(event.entry.guid)} (${event.entry.dn.replace(`,${BASE}`, '')})`;
    }
    if (event.kind === 'delete') return `delete ${name(event.guid)}`;
    if (event.kind === 'present') return `present ${event.guids.map(name).sort().join(' ')}`;
    if (event.kind === 'restart') return 'restart';
    this.cookie = event.cookie;
    return event.kind === 'complete' && event.sweep ? 'complete, sweep' : event.kind;
  }
}

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
    const reader = new Reader(feedOf(slapd));
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
    const reader = new Reader(feedOf(slapd, { filter }));
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
    const first = new Reader(feedOf(slapd));
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
    const second = new Reader(feedOf(slapd), first.cookie, names);
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
    const third = new Reader(feedOf(slapd), second.cookie);
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
    const first = new Reader(feedOf(slapd));
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
    const second = new Reader(feedOf(slapd), first.cookie, names);
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
    const first = new Reader(feedOf(slapd, { filter }));
    const said = await first.until('complete');
    expect(said.filter((word) => word.startsWith('upsert')).length).toBe(2);
    const names = await first.close();
    await slapd.add(person(1));
    const second = new Reader(feedOf(slapd, { filter }), first.cookie, names);
    const again = (await second.until('complete')).join('; ');
    expect(again).toBe('present 0 nobody somebody; upsert 1 (uid=1); complete, sweep');
    await second.close();
  });
});

describe('an answer that is not whole', () => {
  test('slapd killed in the middle of the refresh', async () => {
    const slapd = await start({ ldif: people(4000, `description: ${'x'.repeat(6000)}`) });
    const reader = new Reader(feedOf(slapd, { attributes: ['mail', 'description'] }));
    await reader.until('upsert');
    await slapd.kill();
    expect(await reader.failure()).toMatchObject({ code: 'source.unavailable' });
    expect(reader.cookie).toBe(undefined);
    expect(reader.said.some((word) => /complete|delete|position/.test(word))).toBe(false);
    await slapd.start();
    const again = new Reader(feedOf(slapd));
    expect((await again.until('complete')).length).toBe(4001);
    await again.close();
  });

  test('slapd ended in the persist stage', async () => {
    const slapd = await start({ ldif: people(1) });
    const reader = new Reader(feedOf(slapd));
    await reader.until('complete');
    await slapd.stop();
    expect(await reader.failure()).toMatchObject({ code: 'source.unavailable' });
  });

  test('a size limit', async () => {
    const limits = ['dn.exact="uid=0,dc=example,dc=org" size=3'];
    const slapd = await start({ ldif: people(10, 'userPassword: secret'), limits });
    const reader = new Reader(feedOf(slapd, { bindDn: `uid=0,${BASE}`, password: new Secret('secret') }));
    expect(await reader.failure()).toMatchObject({
      code: 'source.incomplete',
      hint: expect.stringContaining('limits'),
    });
  });

  test('a provider put back to an earlier state', async () => {
    const slapd = await start({ ldif: people(2), maxSizeBytes: 2 ** 24 });
    const data = join(slapd.folder, 'data');
    await slapd.add(person('early'));
    await slapd.stop();
    await cp(data, `${data}.backup`, { recursive: true });
    await slapd.start();
    const first = new Reader(feedOf(slapd));
    await first.until('complete');
    await slapd.add(person(2));
    await first.until('position');
    const names = await first.close();
    await slapd.stop();
    await rm(data, { recursive: true });
    await rename(`${data}.backup`, data);
    await slapd.start();
    const second = new Reader(feedOf(slapd), first.cookie, names);
    expect(await second.failure()).toMatchObject({
      code: 'source.behind',
      hint: expect.stringContaining('sync run --full'),
    });
    const full = new Reader(feedOf(slapd), undefined, names);
    expect((await full.until('complete')).slice(-1)).toEqual(['complete, sweep']);
    await full.close();
  });

  test('no entry is left that is as old as the cookie', async () => {
    const slapd = await start({ ldif: people(3) });
    const first = new Reader(feedOf(slapd));
    await first.until('complete');
    const names = await first.close();
    const touch = (dn: string): string =>
      `dn: ${dn}\nchangetype: modify\nreplace: description\ndescription: touched\n\n`;
    await slapd.modify(`dn: uid=0,${BASE}\nchangetype: delete\n`);
    await slapd.modify([BASE, `uid=1,${BASE}`, `uid=2,${BASE}`].map(touch).join(''));
    const second = new Reader(feedOf(slapd), first.cookie, names);
    const said = await second.until('complete');
    expect(said.filter((word) => word.startsWith('upsert'))).toEqual([
      'upsert 1 (uid=1)',
      'upsert 2 (uid=2)',
    ]);
    expect(said.at(-1)).toBe('complete, sweep');
    await slapd.add(person(9));
    expect(await second.until('position')).toEqual(['upsert 9 (uid=9)', 'position']);
    await second.close();
  });

  test('a provider that stands still is noticed, one that is only silent is confirmed', async () => {
    const clock = new FakeClock();
    const slapd = await start({ ldif: people(1) });
    const abort = new AbortController();
    const arrays = feedOf(slapd, { clock }).follow(undefined, abort.signal)[Symbol.asyncIterator]();
    for (;;) {
      const { value } = await arrays.next();
      if ((value as readonly FeedEvent[]).at(-1)?.kind === 'complete') break;
    }
    let next = arrays.next();
    // The first time something was heard since the last look.
    await clock.advance(60_000);
    expect(await next).toEqual({ done: false, value: [] });
    next = arrays.next();
    await clock.advance(60_000);
    expect(await next).toEqual({ done: false, value: [] });
    slapd.freeze();
    const last = expect(arrays.next()).rejects.toMatchObject({ code: 'source.unavailable' });
    await clock.advance(60_000);
    await clock.armed('ldap.operation');
    await clock.advance(40_000);
    await last;
    slapd.resume();
  });
});

describe('getting there', () => {
  test.each([
    ['a wrong password', { password: new Secret('wrong') }, 'source.unavailable', /name or password/],
    ['a base that is not there', { base: `ou=none,${BASE}` }, 'source.invalid', /source.base/],
    ['a port where nobody listens', { url: 'ldap://127.0.0.1:1' }, 'source.unavailable', /running/],
  ] as const)('%s', async (_name, changes, code, hint) => {
    const slapd = await start();
    expect(await new Reader(feedOf(slapd, changes)).failure()).toMatchObject({
      code,
      hint: expect.stringMatching(hint),
    });
  });

  test('a server without content synchronisation', async () => {
    const slapd = await start({ syncprov: false });
    expect(await new Reader(feedOf(slapd)).failure()).toMatchObject({
      code: 'source.invalid',
      hint: expect.stringContaining('syncprov'),
    });
  });

  test('TLS by pin and by authority, from the start and later', async () => {
    const slapd = await start({ ldif: people(1), tls: true });
    const pem = slapd.certificate?.certificate ?? '';
    const { pin } = parseCertificate(certificatesFromPem(Buffer.from(pem))[0] as Buffer);
    const ldaps = { url: slapd.ldapsUrl };
    const authorities = { kind: 'authorities', authorities: pem } as const;
    for (const changes of [
      { ...ldaps, trust: { kind: 'pin', pin } as const },
      { ...ldaps, trust: authorities },
      { startTls: true, trust: { kind: 'pin', pin } as const },
      { startTls: true, trust: authorities },
    ]) {
      const reader = new Reader(feedOf(slapd, changes));
      expect(await reader.until('complete')).toEqual(['upsert 0 (uid=0)', 'complete, sweep']);
      await reader.close();
    }
    const other = { kind: 'pin', pin: pinFromBytes(Buffer.alloc(32, 1)) } as const;
    for (const changes of [
      { ...ldaps, trust: other },
      { startTls: true, trust: other },
    ]) {
      expect(await new Reader(feedOf(slapd, changes)).failure()).toMatchObject({
        code: 'source.unavailable',
        cause: { code: 'pin.mismatch' },
      });
    }
    expect(await new Reader(feedOf(slapd, ldaps)).failure()).toMatchObject({ cause: { code: 'tls.failed' } });
  });

  test('over the unix socket as the user of this process', async () => {
    const slapd = await start({ ldif: people(1) });
    const reader = new Reader(feedOf(slapd, { url: slapd.ldapiUrl, bindDn: '', password: undefined }));
    expect(await reader.until('complete')).toEqual(['upsert 0 (uid=0)', 'complete, sweep']);
    await reader.close();
  });

  test('no password in clear text over the network', () => {
    const options = { base: BASE, filter: '(a=b)', attributes: [], mapping: '', clock: systemClock };
    const trust = { kind: 'authorities' } as const;
    const open =
      (url: string, bindDn: string, startTls = false) =>
      () =>
        openLdapFeed({ ...options, trust, url, bindDn, startTls, password: new Secret('x') });
    expect(open('ldap://ldap.example.org', 'cn=a')).toThrow(/clear text/);
    expect(open('ldap://192.0.2.1', 'cn=a')).toThrow(/clear text/);
    for (const url of [
      'ldap://localhost',
      'ldap://127.9.9.9:1389',
      'ldap://[::1]',
      'ldaps://x',
      'ldapi://%2Fs',
    ])
      expect(open(url, 'cn=a')).not.toThrow();
    expect(open('ldap://ldap.example.org', 'cn=a', true)).not.toThrow();
    expect(open('ldap://ldap.example.org', '')).not.toThrow();
  });
});
