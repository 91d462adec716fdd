import { isPosternError } from '../../base/error.ts';
import { cp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { BASE, feedOf, FeedReader, people, person } from '../../../test/support/feed-reader.ts';
import { type Slapd, type SlapdOptions, startSlapd } from '../../../test/support/slapd.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { parseCertificate } from '../../certificate/parse.ts';
import { certificatesFromPem } from '../../certificate/pem.ts';
import { pinFromBytes } from '../../certificate/pin.ts';
import { openLdapFeed } from './openldap.ts';
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

describe('an answer that is not whole', () => {
  test('slapd killed in the middle of the refresh', async () => {
    const slapd = await start({ ldif: people(4000, `description: ${'x'.repeat(6000)}`) });
    const reader = new FeedReader(feedOf(slapd, { attributes: ['mail', 'description'] }));
    await reader.until('upsert');
    await slapd.kill();
    expect(await reader.failure()).toMatchObject({ code: 'source.unavailable' });
    expect(reader.cookie).toBe(undefined);
    expect(reader.said.some((word) => /complete|delete|position/.test(word))).toBe(false);
    await slapd.start();
    const again = new FeedReader(feedOf(slapd));
    expect((await again.until('complete')).length).toBe(4001);
    await again.close();
  });

  test('slapd ended in the persist stage', async () => {
    const slapd = await start({ ldif: people(1) });
    const reader = new FeedReader(feedOf(slapd));
    await reader.until('complete');
    await slapd.stop();
    expect(await reader.failure()).toMatchObject({ code: 'source.unavailable' });
  });

  test('a size limit', async () => {
    const limits = ['dn.exact="uid=0,dc=example,dc=org" size=3'];
    const slapd = await start({ ldif: people(10, 'userPassword: secret'), limits });
    const reader = new FeedReader(
      feedOf(slapd, { bindDn: `uid=0,${BASE}`, password: () => Promise.resolve(new Secret('secret')) }),
    );
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
    const first = new FeedReader(feedOf(slapd));
    await first.until('complete');
    await slapd.add(person(2));
    await first.until('position');
    const names = await first.close();
    await slapd.stop();
    await rm(data, { recursive: true });
    await rename(`${data}.backup`, data);
    await slapd.start();
    const second = new FeedReader(feedOf(slapd), first.cookie, names);
    expect(await second.failure()).toMatchObject({
      code: 'source.behind',
      hint: expect.stringContaining('sync run --full'),
    });
    const full = new FeedReader(feedOf(slapd), undefined, names);
    expect((await full.until('complete')).slice(-1)).toEqual(['complete, sweep']);
    await full.close();
  });

  test('no entry is left that is as old as the cookie', async () => {
    const slapd = await start({ ldif: people(3) });
    const first = new FeedReader(feedOf(slapd));
    await first.until('complete');
    const names = await first.close();
    const touch = (dn: string): string =>
      `dn: ${dn}\nchangetype: modify\nreplace: description\ndescription: touched\n\n`;
    await slapd.modify(`dn: uid=0,${BASE}\nchangetype: delete\n`);
    await slapd.modify([BASE, `uid=1,${BASE}`, `uid=2,${BASE}`].map(touch).join(''));
    const second = new FeedReader(feedOf(slapd), first.cookie, names);
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
    // What slapd said before it stood still may still be on its way: up to two looks may find it.
    let said: unknown = { value: [], done: false };
    for (let look = 0; look < 3 && !isPosternError(said); look++) {
      const answer = arrays.next().catch((error: unknown) => error);
      await clock.advance(60_000);
      await Promise.race([answer, clock.armed('ldap.operation')]);
      await clock.advance(40_000);
      said = await answer;
    }
    expect(said).toMatchObject({ code: 'source.unavailable' });
    slapd.resume();
  });
});

describe('getting there', () => {
  test.each([
    [
      'a wrong password',
      { password: () => Promise.resolve(new Secret('wrong')) },
      'source.unavailable',
      /name or password/,
    ],
    ['a base that is not there', { base: `ou=none,${BASE}` }, 'source.invalid', /source.base/],
    ['a port where nobody listens', { url: 'ldap://127.0.0.1:1' }, 'source.unavailable', /running/],
  ] as const)('%s', async (_name, changes, code, hint) => {
    const slapd = await start();
    expect(await new FeedReader(feedOf(slapd, changes)).failure()).toMatchObject({
      code,
      hint: expect.stringMatching(hint),
    });
  });

  test('a server without content synchronisation', async () => {
    const slapd = await start({ syncprov: false });
    expect(await new FeedReader(feedOf(slapd)).failure()).toMatchObject({
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
      const reader = new FeedReader(feedOf(slapd, changes));
      expect(await reader.until('complete')).toEqual(['upsert 0 (uid=0)', 'complete, sweep']);
      await reader.close();
    }
    const other = { kind: 'pin', pin: pinFromBytes(Buffer.alloc(32, 1)) } as const;
    for (const changes of [
      { ...ldaps, trust: other },
      { startTls: true, trust: other },
    ]) {
      expect(await new FeedReader(feedOf(slapd, changes)).failure()).toMatchObject({
        code: 'source.unavailable',
        cause: { code: 'pin.mismatch' },
      });
    }
    expect(await new FeedReader(feedOf(slapd, ldaps)).failure()).toMatchObject({
      cause: { code: 'tls.failed' },
    });
  });

  test('over the unix socket as the user of this process', async () => {
    const slapd = await start({ ldif: people(1) });
    const reader = new FeedReader(feedOf(slapd, { url: slapd.ldapiUrl, bindDn: '', password: undefined }));
    expect(await reader.until('complete')).toEqual(['upsert 0 (uid=0)', 'complete, sweep']);
    await reader.close();
  });

  test('no password in clear text over the network', () => {
    const options = { base: BASE, filter: '(a=b)', attributes: [], mapping: '', clock: systemClock };
    const trust = { kind: 'authorities' } as const;
    const open =
      (url: string, bindDn: string, startTls = false) =>
      () =>
        openLdapFeed({
          ...options,
          trust,
          url,
          bindDn,
          startTls,
          password: () => Promise.resolve(new Secret('x')),
        });
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
