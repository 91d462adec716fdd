/**
 * No flush is there for nothing: for each place in the store's code that flushes a file, a write or a folder, a store that leaves out that one loses something when
 * the power goes. The places are found by running the store, so a new one is tested without being named here.
 */
import { expect, test } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { FakeFiles } from '../../../test/fakes/files.ts';
import { smallStore, stateOf } from '../../../test/support/record-store-model.ts';
import {
  commitRandom,
  type History,
  judge,
  startHistory,
  work,
} from '../../../test/support/store-history.ts';
import type { Files, OpenFile } from '../../base/files.ts';
import { checkBackup, openStore, restoreBackup } from './store.ts';

/** The place in the store's code that called: file and function. */
function place(): string {
  const frame = (new Error().stack ?? '')
    .split('\n')
    .find((line) => /\/store\/(?!named-reads|flush\.test)[\w-]+\.ts/.test(line));
  const found = /at (?:async )?(?:Proxy\.)?([\w.#<>]+)?.*\/store\/([\w-]+)\.ts:(\d+)/.exec(frame ?? '');
  return `${found?.[2]}: ${found?.[1] ?? 'anonymous'} (line ${found?.[3]})`;
}

/** Files that leave out the flushes of one place, and note all places. */
function without(files: FakeFiles, skipped: string, places: Map<string, number>): Files {
  const meet = (what: string): boolean => {
    const name = `${what} in ${place()}`;
    places.set(name, (places.get(name) ?? 0) + 1);
    return name === skipped;
  };
  const wrap = (file: OpenFile): OpenFile => ({
    ...file,
    datasync: () => (meet('datasync') ? Promise.resolve() : file.datasync()),
    writeThrough: (bytes, position) =>
      meet('writeThrough') ? file.write(bytes, position) : file.writeThrough(bytes, position),
  });
  return {
    open: async (path, how) => wrap(await files.open(path, how)),
    readFile: (path) => files.readFile(path),
    rename: (from, to) => files.rename(from, to),
    remove: (path) => files.remove(path),
    exists: (path) => files.exists(path),
    list: (folder) => files.list(folder),
    makeFolder: (path) => files.makeFolder(path),
    syncFolder: (folder) => (meet('syncFolder') ? Promise.resolve() : files.syncFolder(folder)),
  };
}

/** Files of a process until that is killed: from then on nothing it asks for happens any more. */
function mortal(files: Files): { files: Files; kill: () => void } {
  let dead = false;
  const alive =
    <A extends unknown[], T>(run: (...args: A) => Promise<T>) =>
    (...args: A): Promise<T> =>
      dead ? new Promise<T>(() => {}) : run(...args);
  const wrap = (file: OpenFile): OpenFile => ({
    write: alive(file.write),
    writeThrough: alive(file.writeThrough),
    read: alive(file.read),
    truncate: alive(file.truncate),
    datasync: alive(file.datasync),
    size: alive(file.size),
    close: alive(file.close),
  });
  return {
    files: {
      open: alive(async (path, how) => wrap(await files.open(path, how))),
      readFile: alive((path) => files.readFile(path)),
      rename: alive((from, to) => files.rename(from, to)),
      remove: alive((path) => files.remove(path)),
      exists: alive((path) => files.exists(path)),
      list: alive((folder) => files.list(folder)),
      makeFolder: alive((path) => files.makeFolder(path)),
      syncFolder: alive((folder) => files.syncFolder(folder)),
    },
    kill: () => {
      dead = true;
    },
  };
}

/** Work, then the process is killed, then another one that finds what is there and goes on a little. */
async function killedWork(
  files: FakeFiles,
  through: Files,
  seed: string,
  killAt: number,
  tuning: { preallocateBytes?: number },
): Promise<History> {
  const first = mortal(through);
  await new Promise<void>((ended) => {
    files.before = (step) => {
      if (step.number !== killAt) return undefined;
      first.kill();
      // Its last step is still carried out.
      setImmediate(ended);
      return undefined;
    };
    work(first.files, startHistory(), seed, tuning).then(ended, ended);
  });
  files.before = undefined;
  const store = await openStore(smallStore(through, `${seed} next`, tuning));
  // Whatever the next process found, and may have shown to somebody, has to stay.
  const found = startHistory(stateOf(store));
  for (let n = 0; n < killAt % 4; n += 1) await commitRandom(store, found, `${seed} next ${n}`);
  return found;
}

const TRIES = 400;

/** The first loss found when the flushes of `skipped` are left out; undefined when there is none. */
async function findLoss(skipped: string, places = new Map<string, number>()): Promise<string | undefined> {
  for (let n = 0; n < TRIES; n += 1) {
    const files = new FakeFiles();
    const through = without(files, skipped, places);
    let history = startHistory();
    const step = (n * 37) % 151;
    const tuning = n % 4 < 2 ? {} : { preallocateBytes: 4096 };
    if (n % 2 === 0) {
      files.powerOffAtStep(step);
      await work(through, history, `work ${n}`, tuning).catch(() => {});
    } else {
      history = await killedWork(files, through, `killed ${n}`, step, tuning);
    }
    for (const loss of [
      { unsynced: 'dropped' },
      { seed: `${n} a` },
      { seed: `${n} b` },
      { seed: `${n} c` },
    ] as const) {
      const problem = await judge(files.survivor(loss), history);
      if (problem !== undefined) return `try ${n}: ${problem}`;
    }
  }
  return undefined;
}

/** What is wrong with a backup, and a store restored from it, when the power goes just after each was reported. */
async function findBackupLoss(
  skipped: string,
  places = new Map<string, number>(),
): Promise<string | undefined> {
  const files = new FakeFiles();
  const through = without(files, skipped, places);
  const store = await openStore(smallStore(files, 'backup'));
  const history = startHistory();
  for (let n = 0; n < 12; n += 1) await commitRandom(store, history, `backup ${n}`);
  await store.close();
  const again = await openStore(smallStore(through, 'backup'));
  await again.backup('/backup');
  const before = files.survivor({ unsynced: 'dropped' });
  const place = { files: before, folder: '/backup', clock: new FakeClock() };
  const problem = await checkBackup(place).then(
    () => undefined,
    (error: Error) => error.message,
  );
  if (problem !== undefined) return problem;
  const other = new FakeFiles();
  for (const name of await before.list('/backup'))
    other.put(`/backup/${name}`, before.peek(`/backup/${name}`) ?? Buffer.alloc(0));
  await restoreBackup({ ...place, files: without(other, skipped, places) }, '/data/store');
  return judge(other.survivor({ unsynced: 'dropped' }), history);
}

test.each([
  ['a store', findLoss, 8],
  ['a backup', findBackupLoss, 4],
] as const)(
  'each flush of %s is needed: without any one of them something is lost',
  async (what, find, least) => {
    const places = new Map<string, number>();
    expect(await find('none', places)).toBeUndefined();
    const names = [...places.keys()].filter((name) => what === 'a store' || name.includes('backup'));
    expect(names.length).toBeGreaterThanOrEqual(least);
    for (const name of names) {
      const loss = await find(name);
      process.stdout.write(`without ${name}: ${loss}\n`);
      expect([name, loss]).not.toContain(undefined);
    }
  },
);
