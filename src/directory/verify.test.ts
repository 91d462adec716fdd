/** Each way in which entries, tree and indexes may disagree is found and named; and what is stored but makes no sense never stops the process. */
import { expect, it, test } from 'vitest';
import { addition, testDirectory } from '../../test/support/served-directory.ts';
import type { Directory } from './directory.ts';
import { EntryView } from './entry/layout.ts';
import { createMemoryStore } from './store/store.ts';

const BASE = 'dc=example,dc=org';
const A = `cn=a,ou=u,${BASE}`;
const SETUP = [
  addition(BASE, { objectClass: ['domain'] }),
  addition(`ou=u,${BASE}`, { objectClass: ['organizationalUnit'] }),
  addition(A, { objectClass: ['inetOrgPerson'], sn: ['s'], mail: ['a@x.org'] }),
  addition(`cn=b,ou=u,${BASE}`, { objectClass: ['inetOrgPerson'], sn: ['s'], mail: ['b@x.org', 'c@x.org'] }),
];

async function filled(): Promise<Directory> {
  const directory = testDirectory();
  await directory.apply(SETUP);
  return directory;
}

function viewOf(directory: Directory, dn: string): { id: number; view: EntryView } {
  const id = directory.resolve(dn);
  const view = new EntryView();
  directory.database.read(id, view);
  return { id, view };
}

/** Writes an entry's bytes behind the directory's back. */
function alter(directory: Directory, dn: string, change: (bytes: Buffer) => Buffer): void {
  const { id, view } = viewOf(directory, dn);
  const bytes = change(Buffer.from(view.buffer.subarray(view.start, view.end)));
  const batch = directory.database.store.begin();
  batch.put(id, bytes);
  batch.commit(() => {});
}

/** Where the parent's number stands in an entry: the only place that differs when it moves. */
function withParent(directory: Directory, bytes: Buffer, from: number, to: number): Buffer {
  const view = new EntryView();
  for (let at = 0; at + 4 <= bytes.length; at += 1) {
    if (bytes.readUInt32LE(at) !== from) continue;
    const changed = Buffer.from(bytes);
    changed.writeUInt32LE(to, at);
    view.buffer = changed;
    view.start = 0;
    view.end = changed.length;
    if (view.parent === to) return changed;
  }
  throw new Error(`no parent ${from} in an entry of ${directory.database.size}`);
}

const faults: [what: string, spoil: (directory: Directory) => void, finding: RegExp][] = [
  [
    'an entry is not in the tree',
    (d) => d.database.tree.remove(d.resolve(A)),
    /^entry 3 .*hangs below 0 in the tree and below 2 in itself/,
  ],
  [
    'the tree has a child twice',
    (d) => d.database.tree.add(d.resolve(A), d.resolve(`ou=u,${BASE}`)),
    /2 children, the tree counts 3/,
  ],
  [
    'a value is not in its index',
    (d) => d.database.values.link(viewOf(d, A).view, 3, 'remove'),
    /^entry 3 \(cn=a,ou=u,dc=example,dc=org\): is not found by mail/,
  ],
  [
    'an index has values of nobody',
    (d) => d.database.values.link(viewOf(d, A).view, 77, 'add'),
    /^the index of mail holds 4 values, the entries have 3/,
  ],
  ['a name is not known', (d) => d.database.unlink(3), /3 names are known of 4 entries/],
  ['a name is known twice', (d) => d.database.link(3), /5 names are known of 4 entries/],
  [
    'an entry is its own ancestor',
    (d) => alter(d, A, (bytes) => withParent(d, bytes, 2, 3)),
    /^entry 3: its parents form a circle/,
  ],
  [
    'the parent does not exist',
    (d) => alter(d, A, (bytes) => withParent(d, bytes, 2, 99)),
    /its parent 99 does not exist/,
  ],
  [
    'an entry is cut short',
    (d) => alter(d, A, (bytes) => bytes.subarray(0, bytes.length >> 1)),
    /^entry 3.*(attribute|longer)/,
  ],
  ['an entry is nothing', (d) => alter(d, A, () => Buffer.alloc(0)), /^entry 3.*shorter/],
];

test.each(faults)('%s', async (_what, spoil, finding) => {
  const directory = await filled();
  expect(await directory.verify()).toEqual({ entries: 4, values: expect.any(Number), problems: [] });
  spoil(directory);
  const { problems } = await directory.verify();
  expect(problems.filter((problem) => finding.test(problem))).not.toEqual([]);
});

it('does not compare numbers that change meanwhile, and finds nothing wrong while there are changes', async () => {
  const directory = await filled();
  for (let n = 0; n < 300; n += 1)
    await directory.apply([
      addition(`cn=p${n},ou=u,${BASE}`, { objectClass: ['inetOrgPerson'], sn: ['s'], mail: [`p${n}@x.org`] }),
    ]);
  for (let round = 0; round < 20; round += 1) {
    const verified = directory.verify();
    const dn = `cn=p${round},ou=u,${BASE}`;
    await directory.apply([
      { request: { op: 'deleteRequest', dn } },
      ...(round % 2 === 0 ? [] : [addition(dn, { objectClass: ['person'], sn: ['s'] })]),
    ]);
    expect((await verified).problems).toEqual([]);
  }
});

it('a directory whose entries make no sense is not opened, and never ends the process in another way', async () => {
  const store = createMemoryStore();
  const directory = testDirectory({ store });
  await directory.apply(SETUP);
  const { id, view } = viewOf(directory, A);
  const good = Buffer.from(view.buffer.subarray(view.start, view.end));
  const ends = { opened: 0, refused: 0 };
  const attempt = async (bytes: Buffer): Promise<void> => {
    const batch = store.begin();
    batch.put(id, bytes);
    batch.commit(() => {});
    let opened: Directory;
    try {
      opened = testDirectory({ store, schema: directory.schema });
    } catch (error) {
      expect(error).toMatchObject({ code: 'store.damaged', hint: expect.any(String) });
      ends.refused += 1;
      return;
    }
    ends.opened += 1;
    await opened.verify();
  };
  for (let byte = 0; byte < good.length; byte += 1) {
    const bytes = Buffer.from(good);
    bytes[byte] = (bytes[byte] as number) ^ (1 << (byte % 8));
    await attempt(bytes);
    await attempt(good.subarray(0, byte));
  }
  expect(ends.opened).toBeGreaterThan(50);
  expect(ends.refused).toBeGreaterThan(100);
});
