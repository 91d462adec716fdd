/** What was acknowledged is there after a restart, in good order or by kill -9; a transaction is there whole or not at all. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ask } from '../../test/support/directory-questions.ts';
import { addition, testDirectory } from '../../test/support/served-directory.ts';
import { systemClock } from '../base/clock.ts';
import { systemFiles } from '../base/files.ts';
import { systemRandom } from '../base/random.ts';
import { connectLdap, type LdapClient } from '../ldap/client.ts';
import { CONTROL, EXTENDED } from '../ldap/control.ts';
import { encodeEndTransactionRequest } from '../ldap/extended-values.ts';
import { parseFilter } from '../ldap/filter.ts';
import type { Directory } from './directory.ts';
import { openStore } from './store/store.ts';

const BASE = 'dc=example,dc=org';

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'directory-'));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Everything about every entry, operational attributes included. */
async function dump(directory: Directory): Promise<unknown[]> {
  const entries = await directory.find({});
  return entries
    .map((e) => [
      e.dn,
      e.id,
      e.uuid.toString('hex'),
      e.createdAt,
      e.modifiedAt,
      e.view.changeCount(),
      e.attributes(),
    ])
    .sort((a, b) => ((a[0] as string) < (b[0] as string) ? -1 : 1));
}

it('a reopened directory is the same, indexes and names included', async () => {
  await withFolder(async (folder) => {
    const open = () => openStore({ folder, files: systemFiles, clock: systemClock, random: systemRandom });
    let store = await open();
    let directory = testDirectory({ store, changeLog: 10 });
    const person = (cn: string, ou: string) =>
      addition(`cn=${cn},ou=${ou},${BASE}`, {
        objectClass: ['inetOrgPerson'],
        sn: ['s'],
        mail: [`${cn}@example.org`],
        'title;lang-de': ['x'],
      });
    await directory.apply([
      addition(BASE, { objectClass: ['domain'] }),
      addition(`ou=a,${BASE}`, { objectClass: ['organizationalUnit'] }),
      addition(`ou=b,${BASE}`, { objectClass: ['organizationalUnit'] }),
      ...['one', 'two', 'three'].map((cn) => person(cn, 'a')),
    ]);
    await directory.apply([
      {
        request: {
          op: 'modifyDnRequest',
          dn: `ou=a,${BASE}`,
          newRdn: 'ou=moved',
          deleteOldRdn: true,
          newSuperior: `ou=b,${BASE}`,
        },
      },
      { request: { op: 'deleteRequest', dn: `cn=two,ou=moved,ou=b,${BASE}` } },
    ]);
    await directory.apply([person('late', 'b')]);
    const before = await dump(directory);
    const cookie = directory.sync.cookie(directory.database.lastChange);
    await directory.close();
    await store.close();
    store = await open();
    directory = testDirectory({ store, changeLog: 10 });
    expect(await dump(directory)).toEqual(before);
    const found = directory.lookupEquality('mail', Buffer.from('one@example.org'));
    expect(found.map((id) => directory.readEntry(id)?.dn)).toEqual([`cn=one,ou=moved,ou=b,${BASE}`]);
    expect(directory.lookupEquality('mail', Buffer.from('two@example.org'))).toEqual([]);
    // An orderly end keeps cookies good; the change numbers go on rising.
    expect(directory.sync.position(cookie, directory.database.lastChange)).toEqual(
      directory.database.lastChange,
    );
    const last = directory.database.lastChange;
    await directory.apply([person('more', 'b')]);
    const next = directory.database.lastChange;
    expect(next.time > last.time || next.count > last.count).toBe(true);
    // A crash does not: the run begins anew.
    await store.close();
    store = await open();
    directory = testDirectory({ store, changeLog: 10 });
    expect(directory.sync.position(cookie, directory.database.lastChange)).toBeUndefined();
    await store.close();
  });
});

interface Child {
  readonly process: ChildProcess;
  readonly client: LdapClient;
}

async function startChild(folder: string, path: string): Promise<Child> {
  const script = join(import.meta.dirname, '../../test/support/directory-child.ts');
  const child = spawn(process.execPath, [script, folder, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`the server ended: ${code}`)));
  });
  return {
    process: child,
    client: await connectLdap({ target: { kind: 'unix', path }, clock: systemClock }),
  };
}

const PERSON = [
  { type: 'objectClass', values: [Buffer.from('person')] },
  { type: 'sn', values: [Buffer.from('x')] },
];

/** Keeps transactions of five adds on their way until the connection breaks; returns the numbers of those acknowledged. */
async function load(
  client: LdapClient,
  first: number,
  kill: () => void,
  killAfter: number,
): Promise<number[]> {
  const acknowledged: number[] = [];
  for (let n = first; ; n++) {
    try {
      const { operation } = await client.extended(EXTENDED.startTransaction).result;
      const identifier = operation.value as Buffer;
      const controls = [{ oid: CONTROL.transactionSpecification, critical: true, value: identifier }];
      for (let i = 0; i < 5; i++) client.add(`cn=t${n}-${i},${BASE}`, PERSON, { controls });
      // The next one is begun before this one's answer is here.
      const end = client.extended(
        EXTENDED.endTransaction,
        encodeEndTransactionRequest({ commit: true, identifier }),
      );
      void end.result.then(
        () => acknowledged.push(n),
        () => undefined,
      );
      if (n - first === killAfter) kill();
    } catch {
      return acknowledged;
    }
  }
}

it('after kill -9 under load every acknowledged transaction is there, and no half one', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'ldapi');
    const acknowledged: number[] = [];
    let first = 0;
    for (let round = 0; round < 8; round++) {
      const { process: child, client } = await startChild(join(folder, 'data'), path);
      const { entries } = await ask(client, { filter: parseFilter('(cn=t*)'), attributes: ['1.1'] });
      const counts = new Map<number, number>();
      for (const dn of Object.keys(entries)) {
        const n = Number(/^cn=t(\d+)-/.exec(dn)?.[1]);
        counts.set(n, (counts.get(n) ?? 0) + 1);
      }
      expect([...counts.values()].filter((count) => count !== 5)).toEqual([]);
      expect(acknowledged.filter((n) => !counts.has(n))).toEqual([]);
      const ended = new Promise((resolve) => child.once('exit', resolve));
      const known = await load(client, first, () => child.kill('SIGKILL'), round * 23);
      await ended;
      acknowledged.push(...known);
      first += 100_000;
    }
    expect(acknowledged.length).toBeGreaterThan(200);
  });
});
