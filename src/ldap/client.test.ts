import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate, type TestCertificate } from '../../test/support/certificate.ts';
import { type Slapd, startSlapd } from '../../test/support/slapd.ts';
import { systemClock } from '../base/clock.ts';
import { isPosternError } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import { connectLdap, type LdapClient } from './client.ts';
import { resultCodeOf } from './client-error.ts';
import { decodePagedResults, encodePagedResults } from './control-values.ts';
import { CONTROL, findControl, INTERMEDIATE } from './control.ts';
import { decodeSyncDone, decodeSyncInfo, decodeSyncState, encodeSyncRequest } from './sync-values.ts';

const SUFFIX = 'dc=example,dc=org';
const PEOPLE = 500;

let slapd: Slapd;
let authority: TestCertificate;

const person = (n: number): string =>
  `dn: cn=p${n},${SUFFIX}\nobjectClass: inetOrgPerson\nsn: p${n}\nmail: p${n}@example.org\ndescription: ${'x'.repeat(200)}\n`;

beforeAll(async () => {
  authority = await makeCertificate({ name: 'authority.example.org', authority: true });
  const certificate = await makeCertificate({ name: 'slapd.example.org', issuer: authority });
  slapd = await startSlapd({
    ldif: Array.from({ length: PEOPLE }, (_, n) => person(n)).join('\n'),
    tls: { certificate, authorities: authority.certificate, verifyClient: 'allow' },
    syncprov: { sessionlog: 1000 },
    access: [
      'to attrs=userPassword by self =x by * auth',
      'to * by dn.exact="cn=reader,dc=example,dc=org" read by * read',
    ],
  });
});

afterAll(() => slapd[Symbol.asyncDispose]());

const connect = (target = slapd.url, tls = pinned()): Promise<LdapClient> =>
  connectLdap({ target, clock: systemClock, tls });

const pinned = () => ({
  trust: {
    kind: 'pinned' as const,
    verifyPeer: (der: Buffer) => expect(der.equals(slapd.certificate?.der ?? Buffer.alloc(0))).toBe(true),
  },
  minVersion: 'TLSv1.2' as const,
});

async function asAdmin(target = slapd.url): Promise<LdapClient> {
  const client = await connect(target);
  await client.bind(slapd.adminDn, new Secret(slapd.adminPassword));
  return client;
}

describe('operations on slapd', () => {
  test('add, compare, modify, rename, search, delete', async () => {
    await using client = await asAdmin();
    const dn = `cn=new,${SUFFIX}`;
    await client.add(dn, [
      { type: 'objectClass', values: [Buffer.from('inetOrgPerson')] },
      { type: 'sn', values: [Buffer.from('Zoë'), Buffer.from('other')] },
    ]).result;
    const compared = await client.compare(dn, 'sn', Buffer.from('Zoë')).result;
    expect(compared.operation.result.code).toBe(6);
    await client.modify(dn, [{ kind: 'replace', attribute: { type: 'sn', values: [Buffer.from('third')] } }])
      .result;
    await client.modifyDn(dn, { newRdn: 'cn=renamed', deleteOldRdn: true }).result;
    const found = [];
    for await (const { operation } of client.search({
      base: `cn=renamed,${SUFFIX}`,
      scope: 'base',
      attributes: ['sn'],
    }))
      found.push(operation);
    expect(found).toEqual([
      {
        op: 'searchResultEntry',
        dn: `cn=renamed,${SUFFIX}`,
        attributes: [{ type: 'sn', values: [Buffer.from('third')] }],
      },
    ]);
    await client.delete(`cn=renamed,${SUFFIX}`).result;
  });

  test('a result that is no success is an error with its fields', async () => {
    await using client = await connect();
    await expect(client.delete(`cn=none,${SUFFIX}`).result).rejects.toMatchObject({
      code: 'ldap.result',
      fields: { result: 'strongerAuthRequired' },
    });
    const wrong = client.bind(slapd.adminDn, new Secret('wrong'));
    await expect(wrong).rejects.toMatchObject({
      code: 'ldap.result',
      fields: { result: 'invalidCredentials', resultCode: 49, diagnostic: '' },
    });
    await client.bind(slapd.adminDn, new Secret(slapd.adminPassword));
    const missing = await client.delete(`cn=none,${SUFFIX}`).result.catch((error: unknown) => error);
    expect(missing).toMatchObject({ fields: { result: 'noSuchObject', matchedDn: SUFFIX } });
    expect(resultCodeOf(missing)).toBe(32);
    const accepted = await client.delete(`cn=none,${SUFFIX}`, { accept: [32] }).result;
    expect(accepted.operation.result.code).toBe(32);
    await expect(client.bind(slapd.adminDn, new Secret(''))).rejects.toMatchObject({ code: 'usage' });
  });

  test('unix socket with SASL EXTERNAL', async () => {
    await using client = await connect(slapd.ldapiUrl);
    await client.bindExternal();
    expect(await client.whoAmI()).toBe(`dn:${slapd.adminDn}`);
  });

  test('many requests at once, each with its own answer; the window bounds them', async () => {
    await using client = await asAdmin();
    const results: Promise<unknown>[] = [];
    let most = 0;
    for (let n = 0; n < 300; n++) {
      await client.window(64);
      results.push(
        client
          .compare(`cn=p${n},${SUFFIX}`, 'sn', Buffer.from(n % 2 === 0 ? `p${n}` : 'no'))
          .result.then((r) => r.operation.result.code),
      );
      most = Math.max(most, client.outstanding);
    }
    expect(await Promise.all(results)).toEqual(Array.from({ length: 300 }, (_, n) => (n % 2 === 0 ? 6 : 5)));
    expect(most).toBeLessThanOrEqual(64);
  });
});

describe('searches on slapd', () => {
  test('pages', async () => {
    await using client = await connect();
    let cookie = Buffer.alloc(0);
    const sizes: number[] = [];
    do {
      const control = {
        oid: CONTROL.pagedResults,
        critical: true,
        value: encodePagedResults({ size: 120, cookie }),
      };
      const search = client.search(
        { base: SUFFIX, filter: { kind: 'present', attribute: 'mail' }, attributes: ['1.1'] },
        { controls: [control] },
      );
      let count = 0;
      for await (const batch of search.batches()) count += batch.length;
      sizes.push(count);
      const { controls } = await search.done;
      cookie = Buffer.from(decodePagedResults(findControl(controls, CONTROL.pagedResults)?.value).cookie);
    } while (cookie.length > 0);
    expect(sizes).toEqual([120, 120, 120, 120, 20]);
  });

  test('a search that fails hands out what came before, then throws', async () => {
    await using client = await connect();
    const search = client.search({ base: SUFFIX, sizeLimit: 5 });
    let count = 0;
    const run = async (): Promise<void> => {
      for await (const _item of search) count++;
    };
    await expect(run()).rejects.toMatchObject({ fields: { result: 'sizeLimitExceeded' } });
    expect(count).toBe(5);
    expect((await search.done).operation.result.code).toBe(4);
  });

  test('leaving the loop abandons the search, and the connection goes on', async () => {
    await using client = await connect();
    const search = client.search({ base: SUFFIX });
    for await (const _item of search) break;
    await expect(search.done).rejects.toMatchObject({ code: 'canceled' });
    expect(client.outstanding).toBe(0);
    expect(await client.whoAmI()).toBe('');
  });

  test('a persistent synchronisation: refresh, then changes live, then canceled', async () => {
    await using client = await asAdmin();
    const abort = new AbortController();
    const control = {
      oid: CONTROL.syncRequest,
      critical: true,
      value: encodeSyncRequest({ mode: 'refreshAndPersist', reloadHint: false }),
    };
    const search = client.search(
      { base: SUFFIX, filter: { kind: 'present', attribute: 'mail' }, attributes: ['sn'] },
      { controls: [control], signal: abort.signal, timeoutMs: 'never' },
    );
    const seen: string[] = [];
    let refreshed = 0;
    const run = async (): Promise<void> => {
      for await (const { operation, controls } of search) {
        if (operation.op === 'intermediateResponse') {
          expect(operation.oid).toBe(INTERMEDIATE.syncInfo);
          expect(decodeSyncInfo(operation.value)).toMatchObject({ kind: 'refreshDelete', refreshDone: true });
          refreshed = seen.length;
          // From another connection, as in real life.
          await slapd.modify(
            `dn: cn=p1,${SUFFIX}\nchangetype: modify\nreplace: sn\nsn: changed\n\ndn: cn=p2,${SUFFIX}\nchangetype: delete\n`,
          );
        } else if (operation.op === 'searchResultEntry') {
          const { state } = decodeSyncState(findControl(controls, CONTROL.syncState)?.value);
          seen.push(`${state} ${operation.dn}`);
          if (state === 'delete') abort.abort();
        }
      }
    };
    await expect(run()).rejects.toMatchObject({ code: 'canceled' });
    expect(refreshed).toBe(PEOPLE);
    expect(seen.slice(PEOPLE)).toEqual([`modify cn=p1,${SUFFIX}`, `delete cn=p2,${SUFFIX}`]);
    await slapd.add(person(2));
    expect(await client.whoAmI()).toBe(`dn:${slapd.adminDn}`);
  });

  test('a synchronisation without persistence ends with a cookie', async () => {
    await using client = await asAdmin();
    const control = {
      oid: CONTROL.syncRequest,
      critical: true,
      value: encodeSyncRequest({ mode: 'refreshOnly', reloadHint: false }),
    };
    const search = client.search({ base: SUFFIX, attributes: ['1.1'] }, { controls: [control] });
    for await (const _batch of search.batches());
    const { controls } = await search.done;
    expect(decodeSyncDone(findControl(controls, CONTROL.syncDone)?.value).cookie?.toString()).toMatch(
      /^rid=000,csn=/,
    );
  });

  test('a consumer that does not consume stops the reading; a request in between is answered all the same', async () => {
    const base = `ou=big,${SUFFIX}`;
    await slapd.add(`dn: ${base}\nobjectClass: organizationalUnit\nou: big\n`);
    const big = (n: number): string =>
      `dn: cn=b${n},${base}\nobjectClass: inetOrgPerson\nsn: b\ndescription: ${'y'.repeat(20_000)}\n`;
    await slapd.add(Array.from({ length: 400 }, (_, n) => big(n)).join('\n'));
    await using client = await connect();
    const search = client.search({ base, scope: 'one' });
    const iterator = search[Symbol.asyncIterator]();
    await iterator.next();
    // 8 MB are there; about 1 MB is taken until somebody consumes.
    expect(await client.whoAmI()).toBe('');
    let count = 1;
    for (;;) {
      const next = await iterator.next();
      if (next.done === true) break;
      count++;
      if (count % 100 === 0) expect(await client.whoAmI()).toBe('');
    }
    expect(count).toBe(400);
  });
});

describe('TLS to slapd', () => {
  test('pinned: other name, unknown authority; the leaf is what is verified', async () => {
    await using client = await asAdmin(slapd.ldapsUrl);
    expect(new X509Certificate(client.peerCertificate ?? '').subject).toBe('CN=slapd.example.org');
    expect(await client.whoAmI()).toBe(`dn:${slapd.adminDn}`);
    expect(client.secure).toBe(true);
  });

  test('authorities: the right name passes, another is refused with a hint', async () => {
    const trust = { kind: 'authorities' as const, authorities: authority.certificate };
    await using client = await connectLdap({
      target: slapd.ldapsUrl,
      clock: systemClock,
      tls: { trust: { ...trust, serverName: 'slapd.example.org' } },
    });
    expect(await client.whoAmI()).toBe('');
    expect(new X509Certificate(client.peerCertificate ?? '').subject).toBe('CN=slapd.example.org');
    const other = connectLdap({
      target: slapd.ldapsUrl,
      clock: systemClock,
      tls: { trust: { ...trust, serverName: 'other.example.org' } },
    });
    await expect(other).rejects.toMatchObject({
      code: 'tls.failed',
      hint: expect.stringContaining('names another host') as string,
    });
    const unknown = connectLdap({
      target: slapd.ldapsUrl,
      clock: systemClock,
      tls: { trust: { kind: 'authorities' } },
    });
    await expect(unknown).rejects.toMatchObject({
      code: 'tls.failed',
      hint: expect.stringContaining('not trusted') as string,
    });
  });

  test('StartTLS with a client certificate, then EXTERNAL', async () => {
    const own = await makeCertificate({ name: 'hub', issuer: authority });
    await using client = await connect();
    await client.startTls({ ...pinned(), certificate: own.certificate, key: own.key });
    await client.bindExternal();
    expect(await client.whoAmI()).toBe('dn:cn=hub');
  });

  test('StartTLS with the wrong pin closes the connection', async () => {
    await using client = await connect();
    const refuse = {
      trust: {
        kind: 'pinned' as const,
        verifyPeer: () => {
          throw new Error('not this one');
        },
      },
    };
    await expect(client.startTls(refuse)).rejects.toThrow('not this one');
    expect(client.isClosed).toBe(true);
    await expect(client.whoAmI()).rejects.toMatchObject({ code: 'ldap.closed' });
  });

  test('TLS 1.3 can be demanded', async () => {
    const tls = { ...pinned(), minVersion: 'TLSv1.3' as const };
    await using client = await connectLdap({ target: slapd.ldapsUrl, clock: systemClock, tls });
    expect(await client.whoAmI()).toBe('');
  });
});

describe('losses', () => {
  test('everything pending is rejected when the server dies', async () => {
    await using own = await startSlapd({ ldif: `dn: cn=a,${SUFFIX}\nobjectClass: person\nsn: a\n` });
    const client = await connectLdap({ target: own.url, clock: systemClock });
    await client.bind(own.adminDn, new Secret(own.adminPassword));
    own.freeze();
    const search = client.search({ base: SUFFIX });
    const iteration = search[Symbol.asyncIterator]().next();
    const pending = Promise.allSettled([
      client.whoAmI(),
      client.add('cn=x', []).result,
      iteration,
      search.done,
    ]);
    await own.kill();
    const lost = { status: 'rejected', reason: { code: 'ldap.closed' } };
    expect(await pending).toMatchObject([lost, lost, lost, lost]);
    expect((await client.closed).code).toBe('ldap.closed');
    await expect(client.whoAmI()).rejects.toMatchObject({ code: 'ldap.closed' });
    await expect(client.window(1)).rejects.toMatchObject({ code: 'ldap.closed' });
    await expect(client.search({ base: SUFFIX })[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'ldap.closed',
    });
    const again = await connectLdap({ target: own.url, clock: systemClock }).catch((error: unknown) => error);
    expect(isPosternError(again, 'connect.failed') && again.fields['systemCode']).toBe('ECONNREFUSED');
  });
});
