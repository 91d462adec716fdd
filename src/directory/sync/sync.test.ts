/** RFC 4533 as provider: a consumer that believes every message ends with what a search shows, whatever happened in between. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addition, type ServedDirectory, serveDirectory } from '../../../test/support/served-directory.ts';
import { Consumer, refresh, request, shown } from '../../../test/support/sync-consumer.ts';
import { parseFilter } from '../../ldap/filter.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import type { Update } from '../directory.ts';
import { TRUSTED_LIMITS } from '../protocol/limits.ts';

const BASE = 'dc=example,dc=org';
const person = (cn: string, description = 'd'): Update =>
  addition(`cn=${cn},${BASE}`, { objectClass: ['person'], sn: ['x'], description: [description] });
const modify = (cn: string, description: string): Update => ({
  request: {
    op: 'modifyRequest',
    dn: `cn=${cn},${BASE}`,
    changes: [{ kind: 'replace', attribute: { type: 'description', values: [Buffer.from(description)] } }],
  },
});
const remove = (cn: string): Update => ({ request: { op: 'deleteRequest', dn: `cn=${cn},${BASE}` } });
const rename = (cn: string, to: string): Update => ({
  request: { op: 'modifyDnRequest', dn: `cn=${cn},${BASE}`, newRdn: `cn=${to}`, deleteOldRdn: true },
});

const site = (changeLog: number): Promise<ServedDirectory> =>
  serveDirectory({
    directory: { changeLog, access: { rules: [ALL], secrets: [] } },
    entries: [addition(BASE, { objectClass: ['domain'] }), ...['a', 'b', 'c', 'd'].map((cn) => person(cn))],
  });
const ALL = {
  roles: ['administrator'],
  subtree: '',
  rights: ['search', 'read', 'compare', 'write', 'add', 'delete', 'rename'],
} as const;

describe('refreshOnly', () => {
  it('sends everything first, then nothing, then what changed, deletions by UUID', async () => {
    await using served = await site(100);
    const client = await served.client();
    const consumer = new Consumer();
    await refresh(client, consumer);
    expect([consumer.adds, consumer.presents, consumer.deletes]).toEqual([5, 0, 0]);
    await refresh(client, consumer);
    expect([consumer.adds, consumer.presents, consumer.deletes]).toEqual([0, 0, 0]);
    await served.directory.apply([modify('a', 'new'), remove('b'), rename('c', 'C2'), person('e')]);
    await refresh(client, consumer);
    expect([consumer.adds, consumer.presents, consumer.deletes]).toEqual([3, 0, 1]);
    expect(consumer.state).toEqual(await shown(client));
  });

  it('uses the present phase when the log does not reach back', async () => {
    await using served = await site(2);
    const client = await served.client();
    const consumer = new Consumer();
    await refresh(client, consumer);
    await served.directory.apply([modify('a', '1')]);
    await served.directory.apply([remove('b')]);
    await served.directory.apply([modify('a', '2')]);
    await refresh(client, consumer);
    expect([consumer.adds, consumer.presents, consumer.deletes]).toEqual([1, 3, 0]);
    expect(consumer.state).toEqual(await shown(client));
  });

  it.each(['nonsense', 'rid=000', 'rid=000,csn=20260101000000.000000Z#000000#000#000000', ''])(
    'a cookie of somebody else (%j) gets everything',
    async (cookie) => {
      await using served = await site(100);
      const client = await served.client();
      const consumer = new Consumer();
      consumer.cookie = Buffer.from(cookie);
      consumer.content.set('00', { dn: 'cn=stale', values: '' });
      expect(await refresh(client, consumer)).toBe(0);
      expect(consumer.adds).toBe(5);
      expect(consumer.state).toEqual(await shown(client));
    },
  );

  it('an entry that leaves the filter is deleted, one that enters is added', async () => {
    await using served = await site(100);
    const client = await served.client();
    const wish = { filter: parseFilter('(description=in)') };
    const consumer = new Consumer();
    await served.directory.apply([modify('a', 'in'), modify('b', 'in')]);
    await refresh(client, consumer, wish);
    await served.directory.apply([modify('a', 'out'), modify('c', 'in')]);
    await refresh(client, consumer, wish);
    expect(consumer.state).toEqual(await shown(client, wish));
    expect(Object.keys(consumer.state)).toEqual([`cn=b,${BASE}`, `cn=c,${BASE}`]);
  });

  it('needs the right to it', async () => {
    await using served = await serveDirectory({
      server: { limits: () => ({ ...TRUSTED_LIMITS, persistent: 0 }) },
    });
    const client = await served.client();
    expect(await refresh(client, new Consumer())).toBe(RESULT_CODE.insufficientAccessRights);
  });

  it('ends equal to a search after any changes, with any length of the log', async () => {
    const cn = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const change = fc.oneof(
      fc.tuple(fc.constant('put' as const), cn, fc.constantFrom('in', 'out')),
      fc.tuple(fc.constant('remove' as const), cn, fc.constant('')),
      fc.tuple(fc.constant('rename' as const), cn, cn),
      fc.tuple(fc.constant('refresh' as const), fc.constantFrom('first', 'second'), fc.constant('')),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { maxLength: 40 }),
        fc.constantFrom(0, 1, 3, 100),
        async (steps, log) => {
          await using served = await site(log);
          const client = await served.client();
          const wish = { filter: parseFilter('(description=in)') };
          const consumers = { first: new Consumer(), second: new Consumer() };
          for (const [what, x, y] of steps) {
            if (what === 'refresh') await refresh(client, consumers[x as 'first'], x === 'first' ? {} : wish);
            else {
              const update =
                what === 'remove'
                  ? remove(x)
                  : what === 'rename'
                    ? rename(x, y)
                    : { ...person(x, y), idempotent: true };
              await served.directory.apply([update]).catch(() => undefined);
            }
          }
          for (const [name, consumer] of Object.entries(consumers)) {
            await refresh(client, consumer, name === 'first' ? {} : wish);
            expect(consumer.state).toEqual(await shown(client, name === 'first' ? {} : wish));
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('refreshAndPersist', () => {
  it('tells changes as they become durable, with a cookie to go on from', async () => {
    await using served = await site(100);
    const client = await served.client();
    const watcher = await served.client();
    const consumer = new Consumer();
    const wish = { filter: parseFilter('(objectClass=person)') };
    const stream = watcher.search({ base: BASE, ...wish }, request('refreshAndPersist', undefined));
    const until = async (condition: () => boolean): Promise<void> => {
      for await (const item of { [Symbol.asyncIterator]: () => iterator }) {
        consumer.take(item);
        if (condition()) return;
      }
    };
    // One iterator for the whole stream: leaving a loop would end it.
    const inner = stream[Symbol.asyncIterator]();
    const iterator = { next: () => inner.next() };
    await until(() => consumer.refreshDone === 1);
    expect(consumer.state).toEqual(await shown(client, wish));
    consumer.begin();
    await served.directory.apply([modify('a', 'new'), person('e'), remove('b'), rename('c', 'C2')]);
    await until(() => consumer.adds + consumer.deletes === 4);
    expect(consumer.state).toEqual(await shown(client, wish));
    watcher.abandon(stream.messageId);
    await served.directory.apply([remove('d')]);
    await refresh(client, consumer, wish);
    expect([consumer.adds, consumer.deletes]).toEqual([0, 1]);
    expect(consumer.state).toEqual(await shown(client, wish));
  });
});
