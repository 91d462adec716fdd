/** Searches through the protocol: limits, paging, the gate, back-pressure. */
import { describe, expect, it } from 'vitest';
import { accept, BASE, bind, many, raw, search } from '../../../test/support/directory-requests.ts';
import { ADMINISTRATOR, serveDirectory } from '../../../test/support/served-directory.ts';
import { until } from '../../../test/support/until.ts';
import { systemClock } from '../../base/clock.ts';
import { CONTROL } from '../../ldap/control.ts';
import { encodePagedResults } from '../../ldap/control-values.ts';
import { parseFilter } from '../../ldap/filter.ts';
import { Framer } from '../../ldap/framer.ts';
import type { SearchRequest } from '../../ldap/message.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import { resultOf } from '../directory.ts';
import { TRUSTED_LIMITS } from './limits.ts';

describe('searches', () => {
  it('keep to the limits of size, of pages, and of entries looked at', async () => {
    const limits = { ...TRUSTED_LIMITS, sizeLimit: 5, pageSize: 7, lookThrough: 20 };
    await using served = await serveDirectory({ entries: many(30), server: { limits: () => limits } });
    const client = await served.client();
    const count = async (options: Partial<SearchRequest>): Promise<[number, number]> => {
      let entries = 0;
      const stream = client.search({ base: BASE, ...options }, { accept });
      for await (const item of stream) if (item.operation.op === 'searchResultEntry') entries++;
      return [(await stream.done).operation.result.code, entries];
    };
    expect(await count({})).toEqual([RESULT_CODE.sizeLimitExceeded, 5]);
    expect(await count({ sizeLimit: 3 })).toEqual([RESULT_CODE.sizeLimitExceeded, 3]);
    expect(await count({ sizeLimit: 1, filter: parseFilter('(cn=p1)') })).toEqual([0, 1]);
    expect(await count({ filter: parseFilter('(sn=none)') })).toEqual([RESULT_CODE.adminLimitExceeded, 0]);
    const page = {
      oid: CONTROL.pagedResults,
      critical: true,
      value: encodePagedResults({ size: 100, cookie: Buffer.alloc(0) }),
    };
    const stream = client.search({ base: BASE }, { controls: [page], accept });
    let entries = 0;
    for await (const _ of stream) entries++;
    expect(entries).toBe(7);
  });

  it('end when their time is over', async () => {
    // Every look at the clock takes 0.3 s.
    let now = 0;
    const clock = { ...systemClock, monotonic: () => (now += 300) };
    await using served = await serveDirectory({ entries: many(300), directory: { clock } });
    const client = await served.client();
    const count = async (timeLimit: number): Promise<[number, number]> => {
      const stream = client.search({ base: BASE, timeLimit }, { accept });
      let entries = 0;
      for await (const _ of stream) entries++;
      return [(await stream.done).operation.result.code, entries];
    };
    const [code, entries] = await count(1);
    expect(code).toBe(RESULT_CODE.timeLimitExceeded);
    expect(entries).toBeGreaterThan(0);
    expect(entries).toBeLessThan(301);
    expect(await count(0)).toEqual([0, 301]);
  });

  // So many that they are listed, and so many that they are scanned.
  it.each([50, 1200])(
    'a paged search of %i takes every entry once, and its cookie fits no other',
    async (total) => {
      await using served = await serveDirectory({ entries: many(total) });
      const size = Math.ceil(total / 8);
      const client = await served.client();
      const { decodePagedResults } = await import('../../ldap/control-values.ts');
      const page = async (cookie: Buffer, filter = '(objectClass=*)', on = client) => {
        const control = {
          oid: CONTROL.pagedResults,
          critical: true,
          value: encodePagedResults({ size, cookie }),
        };
        const stream = on.search(
          { base: BASE, filter: parseFilter(filter), attributes: ['1.1'] },
          { controls: [control], accept },
        );
        const names: string[] = [];
        for await (const { operation } of stream)
          if (operation.op === 'searchResultEntry') names.push(operation.dn);
        const done = await stream.done;
        const value = done.controls[0]?.value;
        return {
          names,
          code: done.operation.result.code,
          cookie: value === undefined ? Buffer.alloc(0) : Buffer.from(decodePagedResults(value).cookie),
        };
      };
      const names: string[] = [];
      let cookie = Buffer.alloc(0);
      let stolen = Buffer.alloc(0);
      do {
        const got = await page(cookie);
        expect(got.names.length).toBeLessThanOrEqual(size);
        names.push(...got.names);
        stolen = cookie.length > 0 ? cookie : stolen;
        cookie = got.cookie;
      } while (cookie.length > 0);
      expect(new Set(names).size).toBe(total + 1);
      expect(names).toHaveLength(total + 1);
      expect((await page(stolen, '(sn=*)')).code).toBe(RESULT_CODE.unwillingToPerform);
      const altered = Buffer.from(stolen);
      altered[3] = (altered[3] as number) ^ 1;
      expect((await page(altered)).code).toBe(RESULT_CODE.unwillingToPerform);
      expect((await page(Buffer.from('x'))).code).toBe(RESULT_CODE.unwillingToPerform);
      expect((await page(stolen, '(objectClass=*)', await served.client())).code).toBe(
        RESULT_CODE.unwillingToPerform,
      );
    },
  );

  it('searchGate stands in for "nothing found"', async () => {
    await using served = await serveDirectory({
      hooks: {
        authenticate: () => ({ identity: { role: 'administrator', authorizationId: 'u:a', dn: '' } }),
        searchGate: (_session, base) => (base.startsWith('dc=') ? resultOf('busy', 'first load') : undefined),
      },
    });
    const client = await served.client();
    const asked = async (text: string, base = BASE) => {
      const { operation } = await client.search({ base, filter: parseFilter(text) }, { accept }).done;
      return operation.result;
    };
    for (const filter of ['(cn=p1)', '(mail=x)', '(&(cn=p1))'])
      expect(await asked(filter)).toMatchObject({ code: RESULT_CODE.busy, diagnostic: 'first load' });
    expect((await asked('(objectClass=*)', `dc=missing,${BASE}`)).code).toBe(RESULT_CODE.busy);
    expect((await asked('(objectClass=*)')).code).toBe(0);
    const dse = await client.search({ base: '', scope: 'base' }, { accept }).done;
    expect(dse.operation.result.code).toBe(0);
    const compared = await client.compare(BASE, 'dc', Buffer.from('example'), { accept }).result;
    expect(compared.operation.result.code).toBe(RESULT_CODE.busy);
  });

  it('a slow reader holds up nobody but itself', async () => {
    await using served = await serveDirectory({ entries: many(2000) });
    const slow = await raw(served);
    await slow.send(1, bind(ADMINISTRATOR.dn, ADMINISTRATOR.password));
    await slow.until((m) => m.length === 1);
    slow.socket.pause();
    for (let n = 2; n < 30; n++) await slow.send(n, search({ attributes: ['*', '+'] }));
    const client = await served.client();
    for (let n = 0; n < 20; n++) expect(await client.whoAmI()).toBe(`dn:${ADMINISTRATOR.dn}`);
    const unsent = (): number => Math.max(...[...served.listener.connections].map((one) => one.pendingBytes));
    // What waits for it is bounded, however much it asked for.
    expect(await until('output that waits', unsent, (bytes) => bytes > 0)).toBeLessThan(4 << 20);
    const framer = new Framer({ maxMessageBytes: 1 << 20 });
    let messages = 0;
    const all = new Promise<void>((resolve) => {
      slow.socket.on('data', (chunk: Buffer) => {
        framer.push(chunk);
        for (const _ of framer) messages++;
        if (messages === 28 * 2002) resolve();
      });
    });
    slow.socket.resume();
    await all;
    slow.socket.destroy();
  });
});
