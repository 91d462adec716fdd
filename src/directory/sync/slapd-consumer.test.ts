/** A slapd with syncrepl that follows our provider: renames, moved subtrees, deletes, restarts on either side, and in the end the same entries. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ask } from '../../../test/support/directory-questions.ts';
import type { ServedDirectory } from '../../../test/support/served-directory.ts';
import { type Slapd, startSlapd } from '../../../test/support/slapd.ts';
import { BASE, carryOut, changes, serveTree } from '../../../test/support/sync-tree.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { connectLdap, type LdapClient } from '../../ldap/client.ts';
import { parseFilter } from '../../ldap/filter.ts';
import type { Update } from '../directory.ts';
import { uuidText } from '../entry/computed.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import type { RecordStore } from '../store/contract.ts';

const QUESTION = { filter: parseFilter('(objectClass=*)'), attributes: ['*', 'entryUUID'] };
/** Long enough for a consumer that has been turned away a few times. */
const POLLS = 1600;

async function content(client: LdapClient): Promise<string[]> {
  const { entries } = await ask(client, QUESTION);
  return Object.entries(entries)
    .map(([dn, attributes]) => `${dn} ${JSON.stringify(Object.entries(attributes).sort())}`)
    .sort();
}

async function askSlapd(slapd: Slapd): Promise<string[]> {
  const client = await connectLdap({ target: slapd.url, clock: systemClock });
  try {
    await client.bind(slapd.adminDn, new Secret(slapd.adminPassword));
    return await content(client);
  } finally {
    client.destroy();
  }
}

async function becomesEqual(slapd: Slapd, served: ServedDirectory): Promise<void> {
  const ours = await served.client();
  const wanted = await content(ours);
  expect(wanted.length).toBeGreaterThan(3);
  let found: string[] = [];
  for (let n = 0; n < POLLS; n++) {
    found = await askSlapd(slapd);
    if (JSON.stringify(found) === JSON.stringify(wanted)) return;
    await systemClock.sleep('test.poll', 25);
  }
  expect(found).toEqual(wanted);
}

const move = (dn: string, newRdn: string, newSuperior?: string): Update => ({
  request: {
    op: 'modifyDnRequest',
    dn,
    newRdn,
    deleteOldRdn: true,
    ...(newSuperior !== undefined && { newSuperior }),
  },
});
const remove = (dn: string): Update => ({ request: { op: 'deleteRequest', dn } });
const A = `ou=a,${BASE}`;
const B = `ou=b,${BASE}`;

/** By hand: what has gone wrong with consumers before. */
const MOVES: readonly (readonly Update[])[] = [
  [move(`ou=sub,${A}`, 'ou=sub', B)],
  [move(`ou=sub,${B}`, 'ou=other')],
  [remove(`cn=1,ou=deep,ou=other,${B}`)],
  [move(`ou=other,${B}`, 'ou=sub', A)],
];
const SCRIPT: readonly (readonly Update[])[] = [
  ...MOVES,
  // Names pass from one to the other.
  [move(`cn=1,${A}`, 'cn=between'), move(`cn=2,${A}`, 'cn=1'), move(`cn=between,${A}`, 'cn=2')],
  [remove(`cn=1,${A}`), move(`cn=3,${A}`, 'cn=1')],
];

const provider = (store: RecordStore, port = 0, changeLog = 1000): Promise<ServedDirectory> =>
  serveTree(
    { store, changeLog },
    { ...(port !== 0 && { entries: [] }), listener: { address: { host: '127.0.0.1', port } } },
  );

function consumer(served: ServedDirectory, how: string): Promise<Slapd> {
  const account = 'bindmethod=simple binddn="cn=admin,dc=example,dc=org" credentials=administrator';
  const where = `provider=${served.url} searchbase="${BASE}" retry="1 +" schemachecking=off`;
  // The same top entry on both sides: a consumer does not replace one that it has under another UUID.
  const top = uuidText(served.directory.readEntry(BASE)?.uuid as Buffer);
  return startSlapd({
    suffix: BASE,
    ldif: `dn: ${BASE}\nobjectClass: domain\ndc: example\nentryUUID: ${top}\n`,
    databaseConfig: [`syncrepl rid=001 ${where} ${account} ${how}`],
  });
}

describe.each([
  ['refreshAndPersist', 'type=refreshAndPersist'],
  ['refreshOnly', 'type=refreshOnly interval=00:00:00:01'],
])('slapd as consumer, %s', (_name, how) => {
  it('follows for a while, by delete phases', async () => {
    const store = createMemoryStore();
    let served = await provider(store);
    const { port } = served.listener;
    await using slapd = await consumer(served, how);
    try {
      await becomesEqual(slapd, served);
      for (const group of SCRIPT) {
        await carryOut(served.directory, group);
        if (how.includes('Persist')) await becomesEqual(slapd, served);
      }
      await becomesEqual(slapd, served);
      const drawn = fc.sample(changes, { numRuns: 120, seed: 7 });
      for (const group of drawn.slice(0, 40)) await carryOut(served.directory, group);
      await becomesEqual(slapd, served);
      // The consumer is away for a while.
      await slapd.stop();
      for (const group of drawn.slice(40, 60)) await carryOut(served.directory, group);
      await slapd.start();
      for (const group of drawn.slice(60, 80)) await carryOut(served.directory, group);
      await becomesEqual(slapd, served);
      // The provider is: in good order, so cookies still fit.
      await served[Symbol.asyncDispose]();
      served = await provider(store, port as number);
      for (const group of drawn.slice(80)) await carryOut(served.directory, group);
      await becomesEqual(slapd, served);
    } finally {
      await served[Symbol.asyncDispose]();
    }
  });

  // No name passes from one entry to another here: slapd cannot follow that in a present phase, since what has gone is known at its end only.
  it('follows by present phases, when nobody remembers what has gone', async () => {
    await using served = await provider(createMemoryStore(), 0, 0);
    await using slapd = await consumer(served, how);
    await becomesEqual(slapd, served);
    await slapd.stop();
    await carryOut(served.directory, MOVES[0] as Update[]);
    await carryOut(served.directory, [remove(`cn=1,${A}`), move(`cn=2,${A}`, 'cn=new', B)]);
    await slapd.start();
    await becomesEqual(slapd, served);
    for (const group of MOVES.slice(1)) await carryOut(served.directory, group);
    await becomesEqual(slapd, served);
  });
});

describe('slapd as consumer', () => {
  it('gets everything from a provider that crashed, and drops what that has lost', async () => {
    const store = createMemoryStore();
    const served = await provider(store);
    const { port } = served.listener;
    await using slapd = await consumer(served, 'type=refreshAndPersist');
    await becomesEqual(slapd, served);
    await served.listener.stop();
    await carryOut(served.directory, [remove(`cn=1,${A}`)]);
    await using again = await provider(store, port as number);
    await carryOut(again.directory, [move(`cn=2,${A}`, 'cn=new', B)]);
    await becomesEqual(slapd, again);
  });
});
