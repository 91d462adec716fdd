/**
 * Changes a directory transaction after transaction until it is killed: see `kill-lane.ts`. Transaction n adds entries, changes those of the last one, deletes
 * older ones and now and then moves the subtree they are in; so n alone says what there must be.
 */
import { argv, stdout } from 'node:process';
import { systemClock } from '../../src/base/clock.ts';
import { systemFiles } from '../../src/base/files.ts';
import { lockFolder } from '../../src/base/folder-lock.ts';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Directory, type Update } from '../../src/directory/directory.ts';
import { openStore } from '../../src/directory/store/store.ts';
import { fakeRandom } from '../fakes/random.ts';
import { Acknowledged } from './kill-lane.ts';
import { killingFiles } from './killing-files.ts';

const BASE = 'dc=example,dc=org';
const LAST = `cn=last,${BASE}`;
const IN_FLIGHT = 6;
const KEPT = 4;
const EACH = [0, 1, 2];

const parentAt = (n: number): string => `ou=${Math.floor(n / 10) % 2 === 0 ? 'a' : 'b'},${BASE}`;
const subtreeAt = (n: number): string => `ou=m,${parentAt(n)}`;
const entryAt = (group: number, i: number, n: number): string => `cn=g${group}-${i},${subtreeAt(n)}`;

function add(dn: string, attributes: Readonly<Record<string, string>>): Update {
  const list = Object.entries(attributes).map(([type, value]) => ({ type, values: [Buffer.from(value)] }));
  return { request: { op: 'addRequest', dn, attributes: list } };
}

function replace(dn: string, value: string): Update {
  const attribute = { type: 'description', values: [Buffer.from(value)] };
  return { request: { op: 'modifyRequest', dn, changes: [{ kind: 'replace', attribute }] } };
}

const unit = (dn: string): Update => add(dn, { objectClass: 'organizationalUnit' });
const person = (dn: string, description: string, mail: string): Update =>
  add(dn, { objectClass: 'inetOrgPerson', sn: 's', description, mail });

function updatesOf(n: number): Update[] {
  if (n === 0) {
    const units = [parentAt(0), parentAt(10), subtreeAt(0)].map(unit);
    return [add(BASE, { objectClass: 'domain' }), ...units, person(LAST, '0', 'last@example.org')];
  }
  const moved: Update[] =
    subtreeAt(n) === subtreeAt(n - 1)
      ? []
      : [
          {
            request: {
              op: 'modifyDnRequest',
              dn: subtreeAt(n - 1),
              newRdn: 'ou=m',
              deleteOldRdn: true,
              newSuperior: parentAt(n),
            },
          },
        ];
  return [
    ...moved,
    ...EACH.map((i) => person(entryAt(n, i, n), 'new', `g${n}-${i}@example.org`)),
    ...(n > 1 ? EACH.map((i) => replace(entryAt(n - 1, i, n), `changed by ${n}`)) : []),
    ...(n > KEPT
      ? EACH.map((i): Update => ({ request: { op: 'deleteRequest', dn: entryAt(n - KEPT, i, n) } }))
      : []),
    replace(LAST, `${n}`),
  ];
}

/** What there must be after transaction `n`: DN and description. */
function expected(n: number): string[] {
  const lines = [BASE, parentAt(0), parentAt(10), subtreeAt(n)].map((dn) => `${dn} `);
  lines.push(`${LAST} ${n}`);
  for (let group = Math.max(1, n - KEPT + 1); group <= n; group += 1)
    for (const i of EACH)
      lines.push(`${entryAt(group, i, n)} ${group === n ? 'new' : `changed by ${group + 1}`}`);
  return lines.sort();
}

async function judge(directory: Directory, acknowledged: number): Promise<number> {
  const entries = await directory.find({});
  if (entries.length === 0 && acknowledged === 0) return -1;
  const lines = entries.map((entry) => {
    const description = entry.attributes().find(({ type }) => type === 'description');
    return `${entry.dn} ${description?.values.join('|') ?? ''}`;
  });
  const n = Number(lines.find((line) => line.startsWith(`${LAST} `))?.slice(LAST.length + 1));
  if (!(n >= acknowledged && n <= acknowledged + IN_FLIGHT))
    throw new Error(`transaction ${acknowledged} was acknowledged, ${n} is the last there`);
  if (lines.sort().join('\n') !== expected(n).join('\n'))
    throw new Error(`not what transaction ${n} left:\n${lines.join('\n')}`);
  const { problems } = await directory.verify();
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return n;
}

async function main(folder: string, seed: string, step: number, end: boolean): Promise<void> {
  const random = fakeRandom(seed);
  const acknowledged = new Acknowledged(folder);
  const store = await openStore({
    folder,
    files: step < 0 ? systemFiles : killingFiles(step, random),
    lock: lockFolder,
    clock: systemClock,
    random: systemRandom,
    tuning: {
      slabBytes: 32 * 1024,
      snapshotJournalBytes: 24 * 1024,
      snapshotJournalShare: 0.1,
      snapshotChunkBytes: 2048,
      preallocateBytes: 8192,
    },
  });
  const directory = new Directory({
    store,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    contexts: [BASE],
    access: { rules: [], secrets: [] },
  });
  let n = await judge(directory, acknowledged.found);
  if (n >= 0) acknowledged.note(n);
  if (random.fraction() < 0.3 || end) await store.verify();
  stdout.write(`open ${Math.max(0, n)}\n`);
  if (end) {
    await directory.close();
    return store.close();
  }
  const goOn = (): void => {
    n += 1;
    const own = n;
    // As a client's transaction that fails at its end: all of it is undone.
    if (random.fraction() < 0.1)
      directory.apply([...updatesOf(own), add(BASE, { objectClass: 'domain' })]).catch(() => {});
    if (random.fraction() < 0.02) void store.compact();
    void directory.apply(updatesOf(own)).then(() => {
      acknowledged.note(own);
      goOn();
    });
  };
  for (let inFlight = 0; inFlight < IN_FLIGHT; inFlight += 1) goOn();
}

const [folder = '', seed = '', step, end] = argv.slice(2);
await main(folder, seed, Number(step), end === 'end');
