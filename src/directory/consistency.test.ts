/** Indexes, tree and entries agree after any updates, carried out or undone, and after the indexes were built anew. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BASE } from '../../test/support/directory-questions.ts';
import { SETUP, type Step, step } from '../../test/support/directory-updates.ts';
import { addition, testDirectory } from '../../test/support/served-directory.ts';
import { Database } from './database.ts';
import type { Directory, Update, UpdateRequest } from './directory.ts';
import { createMemoryStore } from './store/store.ts';

function updateOf(one: Step): Update | undefined {
  const octets = ({ type, values }: { type: string; values: readonly string[] }) => ({
    type,
    values: values.map((value) => Buffer.from(value)),
  });
  const request = ((): UpdateRequest | undefined => {
    switch (one.op) {
      case 'add':
        return { op: 'addRequest', dn: one.dn, attributes: one.list.map(octets) };
      case 'modify':
        return {
          op: 'modifyRequest',
          dn: one.dn,
          changes: one.changes.map(({ kind, attribute }) => ({ kind, attribute: octets(attribute) })),
        };
      case 'delete':
        return { op: 'deleteRequest', dn: one.dn };
      case 'rename': {
        const { dn, newRdn, deleteOldRdn, newSuperior } = one;
        return {
          op: 'modifyDnRequest',
          dn,
          newRdn,
          deleteOldRdn,
          ...(newSuperior !== undefined && { newSuperior }),
        };
      }
      default:
        return undefined;
    }
  })();
  return request === undefined ? undefined : { request, idempotent: one.dn.startsWith('cn=a') };
}

/** All content, independent of record numbers. */
async function content(directory: Directory): Promise<unknown[]> {
  return (await directory.find({}))
    .map((e): [string, unknown[]] => [
      e.dn,
      [e.uuid.toString('hex'), e.modifiedAt, e.view.changeCount(), e.attributes()],
    ])
    .sort((a, b) => (a[0] < b[0] ? -1 : 1));
}

/** What a start would make of the store. */
function reopened({ schema, clock, random, database: { store, contexts } }: Directory): Database {
  return new Database({ store, schema, clock, random, contexts: contexts.map(({ dn }) => dn), indexes: [] });
}

it('always', async () => {
  const groups = fc.array(fc.array(step, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(groups, async (list) => {
      const store = createMemoryStore();
      const directory = testDirectory({ store });
      await directory.apply([addition(BASE, { objectClass: ['domain'] })]);
      await directory.apply(SETUP.map(updateOf).filter((update) => update !== undefined));
      for (const group of list) {
        const updates = group.map(updateOf).filter((update) => update !== undefined);
        const before = await content(directory);
        const outcome = await directory.apply(updates).then(
          () => 'done',
          () => 'undone',
        );
        if (outcome === 'undone') expect(await content(directory)).toEqual(before);
        else expect(reopened(directory).lastChange).toEqual(directory.database.lastChange);
        expect(await directory.verify()).toMatchObject({ problems: [] });
      }
      const rebuilt = testDirectory({ store });
      expect(await content(rebuilt)).toEqual(await content(directory));
      expect(await rebuilt.verify()).toMatchObject({ problems: [] });
    }),
    { numRuns: 150 },
  );
});

it('sizes of the indexes are told one by one', async () => {
  const directory = testDirectory();
  await directory.apply([addition(BASE, { objectClass: ['domain'] })]);
  const { indexes, indexBytes } = directory.stats;
  const total = indexes.attributes.reduce((sum, { bytes }) => sum + bytes, indexes.tree + indexes.names);
  expect(total).toBe(indexBytes);
  expect(indexes.attributes.map(({ attribute }) => attribute)).toContain('objectClass');
});
