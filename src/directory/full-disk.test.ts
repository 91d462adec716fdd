/** A directory on a full disk: updates are refused as slapd refuses them, with entries, indexes and tree as before; searches go on. */
import { expect, it } from 'vitest';
import { FakeFiles } from '../../test/fakes/files.ts';
import { smallStore } from '../../test/support/record-store-model.ts';
import { addition, testDirectory } from '../../test/support/served-directory.ts';
import { openStore } from './store/store.ts';

const BASE = 'dc=example,dc=org';

it('refuses, undoes, goes on, and recovers', async () => {
  const files = new FakeFiles();
  const options = smallStore(files, 'full', { slabBytes: 65_536, preallocateBytes: 8192 });
  let store = await openStore(options);
  let failed: unknown;
  let directory = testDirectory({ store, hooks: { storeFailed: (error) => (failed = error) } });
  const person = (n: number, more: Record<string, string[]> = {}) =>
    addition(`cn=p${n},${BASE}`, {
      objectClass: ['inetOrgPerson'],
      sn: ['s'],
      mail: [`p${n}@x.org`],
      ...more,
    });
  await directory.apply([addition(BASE, { objectClass: ['domain'] }), person(0)]);
  files.capacity = 40_000;
  let last = 0;
  let refusal: unknown;
  while (refusal === undefined) {
    refusal = await directory.apply([person(last + 1), person(last + 2)]).then(
      () => void (last += 2),
      (error: unknown) => error,
    );
  }
  // RFC 4511 appendix A.2: other (80), and what an administrator needs to know.
  expect(refusal).toMatchObject({ code: 'ldap.result', message: expect.stringContaining('no space left') });
  expect(refusal).toMatchObject({ message: expect.stringMatching(/other|80/) });
  expect(last).toBeGreaterThan(10);
  const updates = [
    [person(9000, { 'givenName;lang-eo': ['first use of a description'] })],
    [{ request: { op: 'deleteRequest' as const, dn: `cn=p1,${BASE}` } }, person(9001)],
    [
      {
        request: {
          op: 'modifyDnRequest' as const,
          dn: `cn=p2,${BASE}`,
          newRdn: 'cn=renamed',
          deleteOldRdn: true,
        },
      },
      person(9002, { description: ['x'.repeat(9000)] }),
    ],
  ];
  const entries = async (): Promise<string[]> => (await directory.find({})).map(({ dn }) => dn).sort();
  const before = await entries();
  expect(before).toHaveLength(last + 2);
  const refuseAll = async (): Promise<number> => {
    let refused = 0;
    for (const group of updates) {
      await directory.apply(group).catch(() => (refused += 1));
    }
    return refused;
  };
  files.capacity = 0;
  let applied = 0;
  const { onApplied } = directory.committer;
  directory.committer.onApplied = (change) => {
    applied += 1;
    onApplied?.(change);
  };
  expect(await refuseAll()).toBe(3);
  // Whoever keeps count of changes hears nothing of those that were undone.
  expect(applied).toBe(0);
  expect(await entries()).toEqual(before);
  expect((await directory.verify()).problems).toEqual([]);
  expect(directory.lookupEquality('mail', Buffer.from('p1@x.org'))).toHaveLength(1);
  expect(failed).toBeUndefined();
  expect(directory.stats.store.full).toBe(true);
  // Room again.
  files.capacity = Number.POSITIVE_INFINITY;
  await directory.apply([person(9100)]).catch(() => undefined);
  await store.flush();
  expect(await refuseAll()).toBe(0);
  const after = await entries();
  expect(after).toContain(`cn=renamed,${BASE}`);
  await directory.close();
  await store.close();
  // What was first used in a refused group is known to the next process.
  store = await openStore(options);
  directory = testDirectory({ store });
  expect(await entries()).toEqual(after);
  expect((await directory.verify()).problems).toEqual([]);
  expect(
    directory
      .readEntry(`cn=p9000,${BASE}`)
      ?.attributes()
      .map(({ type }) => type),
  ).toContain('givenName;lang-eo');
  await store.close();
});
