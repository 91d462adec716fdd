/** A modify with many changes means what its changes mean one after the other, and its work grows with their number only. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { addition, testDirectory } from '../../../test/support/served-directory.ts';
import type { Modification } from '../../ldap/message.ts';
import { isPosternError } from '../../base/error.ts';
import type { Directory } from '../directory.ts';

const BASE = 'dc=example,dc=org';
const value = fc.constantFrom('a', 'A', ' b', 'b', 'c', 'd', 'ü', 'Ü');
const values = (minLength: number) =>
  fc.uniqueArray(value, { minLength, maxLength: 3, selector: (text) => text.trim().toLowerCase() });
const change = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), values: values(1) }),
  fc.record({
    kind: fc.constantFrom('delete' as const, 'delete' as const, 'replace' as const),
    values: values(0),
  }),
);

const modification = ({
  kind,
  values,
}: {
  kind: Modification['kind'];
  values: readonly string[];
}): Modification => ({
  kind,
  attribute: { type: 'description', values: values.map((text) => Buffer.from(text)) },
});

async function modify(directory: Directory, dn: string, changes: readonly Modification[]): Promise<unknown> {
  try {
    await directory.apply([{ request: { op: 'modifyRequest', dn, changes } }]);
    return undefined;
  } catch (error) {
    if (!isPosternError(error)) throw error;
    return error.fields['resultCode'];
  }
}

it('as one by one', async () => {
  const directory = testDirectory();
  await directory.apply([addition(BASE, { objectClass: ['domain'] })]);
  let n = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 3, maxLength: 7 }), async (changes) => {
      const [together, single] = [`cn=t${++n},${BASE}`, `cn=s${n},${BASE}`];
      const start = { objectClass: ['device'], description: ['a', 'b', 'c'] };
      await directory.apply([addition(together, start), addition(single, start)]);
      const code = await modify(directory, together, changes.map(modification));
      let first: unknown;
      for (const one of changes) first ??= await modify(directory, single, [modification(one)]);
      expect(code).toBe(first);
      const valuesOf = (dn: string): string[] | undefined =>
        directory
          .readEntry(dn)
          ?.values('description')
          .map((octets) => octets.toString());
      if (code === undefined) expect(valuesOf(together)).toEqual(valuesOf(single));
      else expect(valuesOf(together)).toEqual(['a', 'b', 'c']);
    }),
    { numRuns: 300 },
  );
});

it('thousands of deletions from thousands of values read each value a few times', async () => {
  const directory = testDirectory();
  await directory.apply([addition(BASE, { objectClass: ['domain'] })]);
  const members = Array.from({ length: 5000 }, (_, i) => Buffer.from(`cn=m${i},${BASE}`));
  const dn = `cn=group,${BASE}`;
  await directory.apply([addition(dn, { objectClass: ['groupOfNames'], member: members })]);
  const rule = directory.schema.attributeType('member')?.equality;
  if (rule === undefined) return expect.fail('no rule');
  let read = 0;
  const { normalise } = rule;
  Object.assign(rule, {
    normalise: (...given: Parameters<typeof normalise>) => {
      read++;
      return normalise.apply(rule, given);
    },
  });
  const changes = members.slice(1).map((octets) => ({
    kind: 'delete' as const,
    attribute: { type: 'member', values: [octets] },
  }));
  expect(await modify(directory, dn, changes)).toBeUndefined();
  Object.assign(rule, { normalise });
  expect(directory.readEntry(dn)?.values('member').length).toBe(1);
  expect(read).toBeLessThan(10 * members.length);
});
