/** What is remembered of an entry is never another than what reading it would give. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { addition, testDirectory } from '../../test/support/served-directory.ts';
import type { Update } from './directory.ts';
import { KeptEntry } from './kept-entry.ts';

const BASE = 'dc=example,dc=org';
const ABOVE = `cn=above,${BASE}`;
const KEPT = `cn=kept,${ABOVE}`;

const person = (dn: string): Update => addition(dn, { objectClass: ['person'], sn: ['s'] });
const rename = (dn: string, newRdn: string): Update => ({
  request: { op: 'modifyDnRequest', dn, newRdn, deleteOldRdn: true },
});
const describe = (dn: string, text: string): Update => ({
  request: {
    op: 'modifyRequest',
    dn,
    changes: [{ kind: 'replace', attribute: { type: 'description', values: [Buffer.from(text)] } }],
  },
});
/** Makes the whole group fail, what stands before it included. */
const REFUSED: Update = { request: { op: 'deleteRequest', dn: `cn=nobody,${BASE}` } };

const update = fc.oneof(
  fc.constantFrom(
    person(KEPT),
    person(ABOVE),
    person(`cn=other,${BASE}`),
    { request: { op: 'deleteRequest', dn: KEPT } } as const,
    { request: { op: 'deleteRequest', dn: ABOVE } } as const,
    rename(KEPT, 'cn=away'),
    rename(`cn=away,${ABOVE}`, 'cn=kept'),
    rename(ABOVE, 'cn=elsewhere'),
    rename(`cn=elsewhere,${BASE}`, 'cn=above'),
    REFUSED,
  ),
  fc
    .tuple(
      fc.constantFrom(KEPT, `cn=other,${BASE}`, `cn=kept,cn=elsewhere,${BASE}`),
      fc.constantFrom('1', '2'),
    )
    .map(([dn, text]) => describe(dn, text)),
);

it('is as reading it anew, whatever happens', async () => {
  const groups = fc.array(fc.array(update, { minLength: 1, maxLength: 3 }), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(groups, async (list) => {
      const directory = testDirectory();
      const show = (): string | undefined => {
        const entry = directory.readEntry(KEPT);
        return entry && `${entry.uuid.toString('hex')} ${entry.text('description')}`;
      };
      const kept = new KeptEntry(directory, KEPT, (entry) => entry && show());
      await directory.apply([addition(BASE, { objectClass: ['domain'] }), person(ABOVE), person(KEPT)]);
      for (const group of list) {
        await directory.apply(group).catch(() => undefined);
        expect(kept.value).toBe(show());
      }
      await directory.close();
    }),
    { numRuns: 300 },
  );
});

it('is not made again when other entries change', async () => {
  const directory = testDirectory();
  let made = 0;
  const kept = new KeptEntry(directory, KEPT, (entry) => {
    made++;
    return entry?.text('sn');
  });
  await directory.apply([addition(BASE, { objectClass: ['domain'] }), person(ABOVE), person(KEPT)]);
  for (let n = 0; n < 10; n++) {
    expect(kept.value).toBe('s');
    await directory.apply([person(`cn=other${n},${BASE}`)]);
    await directory.apply([describe(`cn=other${n},${BASE}`, 'x')]);
  }
  expect(made).toBe(1);
  await directory.apply([describe(KEPT, 'x')]);
  expect(kept.value).toBe('s');
  expect(made).toBe(2);
  await directory.close();
});
