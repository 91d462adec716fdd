/** Groups of changes in the process: order, hooks, failures, and what listeners are told. */
import { describe, expect, it } from 'vitest';
import { addition, testDirectory } from '../../../test/support/served-directory.ts';
import { type Directory, Session, type Update } from '../directory.ts';
import { createMemoryStore } from '../store/store.ts';
import type { Change } from './commit.ts';

const BASE = 'dc=example,dc=org';
const TOP = addition(BASE, { objectClass: ['domain'] });
const person = (cn: string): Update => addition(`cn=${cn},${BASE}`, { objectClass: ['person'], sn: ['s'] });
const administrator = (directory: Directory): Session => {
  const session = new Session({ kind: 'inProcess' });
  session.identity = { role: 'administrator', authorizationId: 'u:a', dn: 'cn=a' };
  directory.addSession(session);
  return session;
};

describe('groups', () => {
  it('are told to listeners whole and in order, entries as they were and are', async () => {
    const directory = testDirectory();
    const seen: (readonly Change[])[] = [];
    const stop = directory.onChange((changes) => seen.push(changes));
    await directory.apply([TOP, person('a'), person('b')]);
    const first = directory.apply([
      {
        request: {
          op: 'modifyRequest',
          dn: `cn=a,${BASE}`,
          changes: [{ kind: 'replace', attribute: { type: 'sn', values: [Buffer.from('t')] } }],
        },
      },
      { request: { op: 'deleteRequest', dn: `cn=b,${BASE}` } },
    ]);
    const second = directory.apply([
      { request: { op: 'modifyDnRequest', dn: `cn=a,${BASE}`, newRdn: 'cn=z', deleteOldRdn: true } },
      person('short-lived'),
      { request: { op: 'deleteRequest', dn: `cn=short-lived,${BASE}` } },
    ]);
    await Promise.all([first, second]);
    stop();
    await directory.apply([person('later')]);
    expect(
      seen.map((changes) =>
        changes.map(({ kind, before, after }) => [
          kind,
          before?.dn,
          before?.text('sn'),
          after?.dn,
          after?.text('sn'),
        ]),
      ),
    ).toEqual([
      [
        ['add', undefined, undefined, BASE, undefined],
        ['add', undefined, undefined, `cn=a,${BASE}`, 's'],
        ['add', undefined, undefined, `cn=b,${BASE}`, 's'],
      ],
      [
        ['modify', `cn=a,${BASE}`, 's', `cn=a,${BASE}`, 't'],
        ['delete', `cn=b,${BASE}`, 's', undefined, undefined],
      ],
      [['rename', `cn=a,${BASE}`, 't', `cn=z,${BASE}`, 't']],
    ]);
  });

  it('keep their order while beforeCommit thinks', async () => {
    const waiting: (() => void)[] = [];
    const directory = testDirectory({
      hooks: {
        beforeCommit: (_session, updates) =>
          updates.some((u) => u.request.dn.startsWith('cn=slow'))
            ? new Promise((resolve) => waiting.push(() => resolve(updates)))
            : updates,
      },
    });
    await directory.apply([TOP]);
    const session = administrator(directory);
    const order: string[] = [];
    const commits = ['slow', 'b', 'slow2', 'c'].map((cn) =>
      directory.apply([person(cn)], { session }).then(() => order.push(cn)),
    );
    await Promise.resolve();
    expect(directory.resolve(`cn=b,${BASE}`)).toBe(0);
    waiting.shift()?.();
    await commits[1];
    expect(directory.resolve(`cn=c,${BASE}`)).toBe(0);
    waiting.shift()?.();
    await Promise.all(commits);
    expect(order).toEqual(['slow', 'b', 'slow2', 'c']);
  });

  it('a hook that fails refuses its group and harms no other', async () => {
    const directory = testDirectory({
      hooks: {
        beforeCommit(_session, updates) {
          if (updates[0]?.request.dn.startsWith('cn=bad')) throw new Error('marker');
          if (updates[0]?.request.dn.startsWith('cn=late')) return Promise.reject(new Error('marker'));
          return updates;
        },
        afterCommit() {
          throw new Error('marker');
        },
      },
    });
    await directory.apply([TOP]);
    const session = administrator(directory);
    for (const cn of ['bad', 'late']) {
      await expect(directory.apply([person(cn)], { session })).rejects.toMatchObject({
        code: 'ldap.result',
        fields: { result: 'other', diagnostic: 'internal error' },
      });
    }
    await directory.apply([person('good')], { session });
    expect(directory.readEntry(`cn=good,${BASE}`)?.dn).toBe(`cn=good,${BASE}`);
  });

  it('the process’s own changes are not judged', async () => {
    let judged = 0;
    const directory = testDirectory({
      hooks: {
        beforeCommit(_session, updates) {
          judged++;
          return updates;
        },
      },
    });
    await directory.apply([TOP, person('a')]);
    expect(judged).toBe(0);
  });

  it('say so once when the store fails, and answer unavailable', async () => {
    const store = createMemoryStore();
    const failures: string[] = [];
    let broken = false;
    const directory = testDirectory({
      store: {
        ...store,
        begin() {
          const batch = store.begin();
          const commit = batch.commit.bind(batch);
          batch.commit = ((onDurable: (error?: Error) => void) =>
            commit(() => onDurable(broken ? new Error('disk') : undefined))) as typeof batch.commit;
          return batch;
        },
      },
      hooks: { storeFailed: (error) => failures.push(error.message) },
    });
    await directory.apply([TOP]);
    broken = true;
    for (const cn of ['a', 'b'])
      await expect(directory.apply([person(cn)])).rejects.toMatchObject({
        fields: { result: 'unavailable' },
      });
    expect(failures).toEqual(['disk']);
  });
});

describe('reading in the process', () => {
  it('finds by filter, base and scope, and by value without any', async () => {
    const directory = testDirectory({ indexes: ['sn', 'cn'] });
    await directory.apply([
      TOP,
      addition(`ou=x,${BASE}`, { objectClass: ['organizationalUnit'] }),
      person('a'),
      person('b'),
    ]);
    expect((await directory.find({ filter: '(sn=S)' })).map((e) => e.dn)).toEqual([
      `cn=a,${BASE}`,
      `cn=b,${BASE}`,
    ]);
    expect((await directory.find({ base: BASE, scope: 'one' })).length).toBe(3);
    expect((await directory.find({ base: `cn=a,${BASE}`, scope: 'base' })).map((e) => e.text('cn'))).toEqual([
      'a',
    ]);
    await expect(directory.find({ base: `cn=missing,${BASE}` })).rejects.toMatchObject({
      fields: { result: 'noSuchObject' },
    });
    await expect(directory.find({ filter: '(broken' })).rejects.toMatchObject({ code: 'decode' });
    expect(directory.lookupEquality('sn', Buffer.from('s'))).toHaveLength(2);
    expect(directory.lookupEquality('cn', Buffer.from('a'))).toHaveLength(1);
    expect(directory.lookupEquality('cn', Buffer.from('none'))).toEqual([]);
    expect(() => directory.lookupEquality('mail', Buffer.from('x'))).toThrow(
      expect.objectContaining({ code: 'usage' }),
    );
    const entry = directory.readEntry(`CN=A, ${BASE}`);
    expect(entry?.isA('person')).toBe(true);
    expect(entry?.isA('top')).toBe(true);
    expect(entry?.isA('device')).toBe(false);
    expect(directory.sameName('CN=A , dc=x', 'cn=a,DC=X')).toBe(true);
    expect(directory.stats.entries).toBe(4);
  });

  it('with more entries of one value than an index lists', async () => {
    const directory = testDirectory({ indexes: ['sn'] });
    await directory.apply([TOP, ...Array.from({ length: 1200 }, (_, n) => person(`p${n}`))]);
    expect(directory.lookupEquality('sn', Buffer.from('s'))).toHaveLength(1200);
    expect(await directory.find({ filter: '(sn=s)' })).toHaveLength(1200);
    expect(await directory.find({ filter: '(&(sn=s)(cn=p7))' })).toHaveLength(1);
  });
});
