/** RFC 4533 as provider, over trees that move: what every kind of consumer holds in the end is what a search shows it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ServedDirectory } from '../../../test/support/served-directory.ts';
import {
  Consumer,
  Follower,
  refresh,
  request,
  shown,
  type Wish,
} from '../../../test/support/sync-consumer.ts';
import { BASE, carryOut, changes, PARTLY, serveTree } from '../../../test/support/sync-tree.ts';
import { systemClock } from '../../base/clock.ts';
import { parseFilter } from '../../ldap/filter.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import type { Update } from '../directory.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { ChangeLog } from './change-log.ts';
import { forgetHistory } from './provider.ts';

const person = (cn: string, below = BASE, description = 'in'): Update => ({
  request: {
    op: 'addRequest',
    dn: `cn=${cn},${below}`,
    attributes: Object.entries({ objectClass: 'person', sn: 'x', userPassword: 'secret', description }).map(
      ([type, value]) => ({ type, values: [Buffer.from(value)] }),
    ),
  },
});
const remove = (dn: string): Update => ({ request: { op: 'deleteRequest', dn } });
const move = (dn: string, newRdn: string, newSuperior: string): Update => ({
  request: { op: 'modifyDnRequest', dn, newRdn, deleteOldRdn: true, newSuperior },
});
const A = `ou=a,${BASE}`;
const B = `ou=b,${BASE}`;

const WISHES: readonly { readonly wish: Wish; readonly as?: typeof PARTLY }[] = [
  { wish: {} },
  { wish: { base: A } },
  { wish: { base: A, scope: 'one' } },
  { wish: { filter: parseFilter('(description=in)') } },
  { wish: {}, as: PARTLY },
];

/** Waits until a follower has been told everything that was durable before. */
async function settled(
  served: ServedDirectory,
  follower: Follower,
  expected: Record<string, string>,
): Promise<void> {
  const same = (): boolean =>
    JSON.stringify(sort(follower.consumer.state)) === JSON.stringify(sort(expected));
  for (let n = 0; n < 200 && !same() && follower.code === undefined; n++)
    await systemClock.sleep('test.poll', 5);
  expect(served.listener.counts.connections).toBeGreaterThan(0);
}

const sort = (state: Record<string, string>): [string, string][] =>
  Object.entries(state).sort(([a], [b]) => (a < b ? -1 : 1));

describe('subtrees move, names pass from entry to entry', () => {
  it('whatever the changes, the scope, the rights and the length of the log', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: changes },
      { weight: 1, arbitrary: fc.constant('refresh' as const) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 25 }),
        fc.constantFrom(0, 2, 8, 1000),
        fc.constantFrom(...WISHES),
        async (steps, changeLog, { wish, as }) => {
          await using served = await serveTree({ changeLog });
          const [poller, watcher, reader] = [
            await served.client(as),
            await served.client(as),
            await served.client(as),
          ];
          const polling = new Consumer();
          let follower = new Follower(watcher, new Consumer(), wish);
          for (const one of steps) {
            if (one === 'refresh') await refresh(poller, polling, wish);
            else await carryOut(served.directory, one);
          }
          await refresh(poller, polling, wish);
          const expected = await shown(reader, wish);
          expect(polling.state).toEqual(expected);
          await settled(served, follower, expected);
          // A refresh that was overtaken may be ended; it goes on from its cookie.
          if (follower.code === RESULT_CODE.busy) {
            follower = new Follower(await served.client(as), follower.consumer, wish);
            await settled(served, follower, expected);
          }
          expect(follower.consumer.state).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('an entry that moves to where it must not be seen is deleted, with all below it, and comes again', async () => {
    await using served = await serveTree();
    const wish = {};
    const follower = new Follower(await served.client(PARTLY), new Consumer(), wish);
    const reader = await served.client(PARTLY);
    await settled(served, follower, await shown(reader, wish));
    expect(Object.keys(follower.consumer.state)).toContain(`ou=deep,ou=sub,${A}`);
    expect(Object.keys(follower.consumer.state)).not.toContain(B);
    await served.directory.apply([move(`ou=sub,${A}`, 'ou=sub', B)]);
    await settled(served, follower, await shown(reader, wish));
    expect(Object.keys(follower.consumer.state).filter((dn) => dn.includes('ou=sub'))).toEqual([]);
    const { deletes } = follower.consumer;
    // Nothing is said of what happens there.
    await served.directory.apply([person('hidden', B), remove(`cn=1,ou=deep,ou=sub,${B}`)]);
    await served.directory.apply([move(`ou=sub,${B}`, 'ou=sub', A)]);
    await settled(served, follower, await shown(reader, wish));
    expect(follower.consumer.state).toEqual(await shown(reader, wish));
    expect(follower.consumer.deletes).toBe(deletes);
    await follower.stop();
  });

  it('secrets are never sent', async () => {
    await using served = await serveTree();
    const follower = new Follower(await served.client(), new Consumer());
    await served.directory.apply([person('p')]);
    await settled(served, follower, await shown(await served.client()));
    expect(JSON.stringify(follower.consumer.state)).toContain('cn=p,');
    expect(JSON.stringify(follower.consumer.state)).not.toContain('secret');
    await follower.stop();
  });
});

describe('a consumer that does not keep up', () => {
  it('is ended with busy, holds up no writer, and goes on from its cookie', async () => {
    await using served = await serveTree();
    const client = await served.client();
    const consumer = new Consumer();
    await refresh(client, consumer);
    // Nothing is taken from the stream, so nothing is read from the socket, once a little is waiting.
    const stalled = await served.client();
    consumer.begin();
    const stream = stalled.search({ base: BASE }, request('refreshAndPersist', consumer.cookie));
    const begun = stream[Symbol.asyncIterator]();
    const first = await begun.next();
    if (first.done !== true) consumer.take(first.value);
    expect(consumer.refreshDone).toBe(1);
    const big = 'x'.repeat(100_000);
    for (let n = 0; n < 200; n++) await served.directory.apply([person(`big${n}`, BASE, big)]);
    for (let item = await begun.next(); item.done !== true; item = await begun.next())
      consumer.take(item.value);
    const { result } = (await stream.done).operation;
    expect([result.code, result.diagnostic]).toEqual([
      RESULT_CODE.busy,
      'changes are not read fast enough: go on from the last cookie',
    ]);
    const missed = Object.keys(await shown(client)).length - Object.keys(consumer.state).length;
    expect(missed).toBeGreaterThan(0);
    await refresh(client, consumer);
    expect([consumer.adds, consumer.presents]).toEqual([missed, 0]);
    expect(consumer.state).toEqual(await shown(client));
  });
});

describe('cookies', () => {
  const cookieOf = async (served: ServedDirectory): Promise<Consumer> => {
    const consumer = new Consumer();
    await refresh(await served.client(), consumer);
    return consumer;
  };

  it('outlive an orderly restart, with the log', async () => {
    const store = createMemoryStore();
    let consumer: Consumer;
    {
      await using served = await serveTree({ store });
      consumer = await cookieOf(served);
      await served.directory.apply([remove(`cn=1,${A}`), person('new', B)]);
    }
    await using again = await serveTree({ store }, { entries: [] });
    await again.directory.apply([remove(`cn=2,${A}`)]);
    const client = await again.client();
    await refresh(client, consumer);
    expect([consumer.adds, consumer.presents, consumer.deletes]).toEqual([1, 0, 2]);
    expect(consumer.state).toEqual(await shown(client));
  });

  it.each(['crash', 'copy'])(
    'do not fit after a %s: everything is sent, and what has gone goes',
    async (what) => {
      const store = createMemoryStore();
      const served = await serveTree({ store });
      const consumer = await cookieOf(served);
      await served.directory.apply([remove(`cn=1,${A}`)]);
      if (what === 'crash') await served.listener.stop();
      else {
        await served[Symbol.asyncDispose]();
        await forgetHistory(store);
      }
      await using again = await serveTree({ store }, { entries: [] });
      const client = await again.client();
      await refresh(client, consumer);
      const entries = Object.keys(await shown(client)).length;
      expect([consumer.adds, consumer.presents]).toEqual([entries, 0]);
      expect(consumer.state).toEqual(await shown(client));
      if (what === 'crash') await served[Symbol.asyncDispose]();
    },
  );

  it('from the future, of another, or cut: everything is sent', async () => {
    await using served = await serveTree();
    const { cookie } = await cookieOf(served);
    const text = cookie?.toString() ?? '';
    const others = [
      text.replace(/csn=\d{4}/, 'csn=2999'),
      text.replace(/csn=\d{8}/, 'csn=20269999'),
      text.slice(0, 30),
      text.replace(/#[0-9a-f]{6}$/, '#000000'),
      text.replace(/#([0-9a-f]{3})#/, '#fff#'),
      `${text}${'x'.repeat(5000)}`,
    ];
    const client = await served.client();
    for (const other of others) {
      const consumer = new Consumer();
      consumer.cookie = Buffer.from(other);
      consumer.content.set('00', { dn: 'cn=stale', values: '' });
      expect(await refresh(client, consumer)).toBe(RESULT_CODE.success);
      expect(consumer.state).toEqual(await shown(client));
    }
  });

  it('a search that nothing concerns gets a newer cookie now and then', async () => {
    await using served = await serveTree({ changeLog: 5000 });
    const wish = { base: B };
    const follower = new Follower(await served.client(), new Consumer(), wish);
    await settled(served, follower, await shown(await served.client(), wish));
    const first = follower.consumer.cookie?.toString();
    for (let n = 0; n < 45; n++)
      await served.directory.apply(Array.from({ length: 100 }, (_, m) => person(`${n}.${m}`, A)));
    for (let n = 0; n < 200 && follower.consumer.cookie?.toString() === first; n++)
      await systemClock.sleep('test.poll', 5);
    expect(follower.consumer.cookie?.toString()).not.toBe(first);
    await follower.stop();
  });
});

describe('the change log', () => {
  const at = (time: number): { time: number; count: number } => ({ time, count: 0 });
  const uuid = (n: number): Buffer => Buffer.alloc(16, n);

  it('comes back as it was saved', () => {
    const event = fc.record({
      uuid: fc.nat(20),
      kind: fc.constantFrom('add' as const, 'moved' as const, 'below' as const, 'forget' as const),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), fc.integer({ min: 0, max: 20 }), (events, capacity) => {
        const log = new ChangeLog(capacity, at(0));
        for (const [n, { uuid: id, kind }] of events.entries()) {
          if (kind === 'forget') log.forget(at(n + 1));
          else if (kind === 'below') log.addBelow(uuid(id), 0, at(n + 1));
          else log.add(uuid(id), 0, at(n + 1), kind === 'moved' ? id : undefined);
        }
        const copy = ChangeLog.load(log.save(), capacity);
        for (let n = 0; n <= events.length; n++) {
          expect(copy?.since(at(n))).toEqual(log.since(at(n)));
          expect(copy?.reaches(at(n))).toBe(log.reaches(at(n)));
          // What it says is all there was.
          const since = log.since(at(n));
          const real = events.slice(n);
          if (since !== undefined) {
            expect(real.some(({ kind }) => kind === 'forget')).toBe(false);
            expect([...since.uuids].sort()).toEqual(
              [...new Set(real.map((one) => uuid(one.uuid).toString('latin1')))].sort(),
            );
          }
        }
      }),
    );
  });

  it('takes nothing else for one', () => {
    const saved = new ChangeLog(5, at(1)).save();
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(21), Buffer.concat([saved, Buffer.alloc(3)])])
      expect(ChangeLog.load(bytes, 5)).toBeUndefined();
  });
});
