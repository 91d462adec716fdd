/**
 * Changes a record store batch after batch until it is killed: see `kill-lane.ts`. Batch n follows from n alone, so that whoever opens the store
 * afterwards knows what to expect. Among the batches: such as are undone, snapshots, compaction, backups.
 */
import { rm } from 'node:fs/promises';
import { argv, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/base/clock.ts';
import { isPosternError } from '../../src/base/error.ts';
import { type Files, systemFiles } from '../../src/base/files.ts';
import { lockFolder } from '../../src/base/folder-lock.ts';
import { systemRandom } from '../../src/base/random.ts';
import {
  type Batch,
  checkBackup,
  openStore,
  type RecordStore,
  type StoreOptions,
} from '../../src/directory/store/store.ts';
import { fakeRandom } from '../fakes/random.ts';
import { Acknowledged } from './kill-lane.ts';
import { killingFiles } from './killing-files.ts';

const SLOTS = 60;
const IN_FLIGHT = 16;

export function writerOptions(folder: string, files: Files = systemFiles): StoreOptions {
  return {
    folder,
    files,
    lock: lockFolder,
    clock: systemClock,
    random: systemRandom,
    tuning: {
      slabBytes: 16 * 1024,
      snapshotJournalBytes: 12 * 1024,
      snapshotJournalShare: 0.1,
      snapshotChunkBytes: 2048,
      preallocateBytes: 4096,
    },
  };
}

/** What batch `n` does: slot -> new content (undefined: none). Every slot is touched by any `SLOTS` batches in a row. */
function changesOf(n: number): Map<number, string | undefined> {
  const text = `batch ${n} `;
  return new Map([
    [(n * 7 + 3) % SLOTS, n % 3 === 0 ? undefined : text.repeat(1 + (n % 40))],
    [n % SLOTS, text.repeat(1 + (n % 17))],
  ]);
}

/** Slot -> record number and content. */
function slotsOf(store: RecordStore): Map<number, { id: number; content: string }> {
  const slots = new Map<number, { id: number; content: string }>();
  store.scan((id, buffer, start, end) => {
    const slot = buffer[start] as number;
    if (slots.has(slot)) throw new Error(`slot ${slot} is there twice`);
    slots.set(slot, { id, content: buffer.toString('latin1', start + 1, end) });
  });
  return slots;
}

/** Number of the last batch there is; throws when what is there isn't what all batches up to that one leave. */
function judge(store: RecordStore, acknowledged: number): number {
  const found = Number(store.getMeta('last')?.toString() ?? 0);
  if (found < acknowledged)
    throw new Error(`batch ${acknowledged} was acknowledged, ${found} is the last there`);
  if (found > acknowledged + IN_FLIGHT) throw new Error(`nobody began batch ${found}`);
  const expected = new Map<number, string>();
  for (let n = Math.max(1, found - SLOTS); n <= found; n += 1) {
    for (const [slot, content] of changesOf(n)) {
      if (content === undefined) expected.delete(slot);
      else expected.set(slot, content);
    }
  }
  const slots = slotsOf(store);
  if (slots.size !== expected.size) throw new Error(`${slots.size} records instead of ${expected.size}`);
  for (const [slot, content] of expected)
    if (slots.get(slot)?.content !== content) throw new Error(`slot ${slot} is wrong after batch ${found}`);
  return found;
}

function apply(n: number, batch: Batch, ids: Map<number, number>): void {
  for (const [slot, content] of changesOf(n)) {
    const id = ids.get(slot);
    if (content !== undefined) {
      const bytes = Buffer.concat([Buffer.of(slot), Buffer.from(content)]);
      if (id === undefined) ids.set(slot, batch.add(bytes));
      else batch.put(id, bytes);
    } else if (id !== undefined) {
      batch.delete(id);
      ids.delete(slot);
    }
  }
  batch.setMeta('last', Buffer.from(String(n)));
}

/** A backup that a kill interrupted is none; one that is there is whole. */
async function judgeBackup(folder: string): Promise<void> {
  await checkBackup({ files: systemFiles, folder, clock: systemClock }).catch((error: unknown) => {
    if (!isPosternError(error, 'not-found')) throw error;
  });
  await rm(folder, { recursive: true, force: true });
}

async function main(folder: string, seed: string, step: number, end: boolean): Promise<void> {
  const random = fakeRandom(seed);
  const files = step < 0 ? systemFiles : killingFiles(step, random);
  const backup = `${folder}-backup`;
  await judgeBackup(backup);
  const acknowledged = new Acknowledged(folder);
  const store = await openStore(writerOptions(folder, files));
  let n = judge(store, acknowledged.found);
  acknowledged.note(n);
  if (random.fraction() < 0.3 || end) await store.verify();
  stdout.write(`open ${n}\n`);
  if (end) return store.close();
  const ids = new Map([...slotsOf(store)].map(([slot, { id }]) => [slot, id]));
  const background = (task: Promise<unknown>): void =>
    void task.catch((error: unknown) =>
      queueMicrotask(() => {
        throw error;
      }),
    );
  let backedUp = false;
  const goOn = (): void => {
    const way = random.fraction();
    if (way < 0.05) {
      const undone = store.begin();
      apply(n + 1000, undone, new Map(ids));
      undone.rollback();
    } else if (way < 0.07) background(store.compact());
    else if (way < 0.09 && !backedUp) {
      backedUp = true;
      background(store.backup(backup));
    }
    n += 1;
    const own = n;
    const batch = store.begin();
    apply(own, batch, ids);
    batch.commit((error) => {
      if (error !== undefined) throw error;
      acknowledged.note(own);
      goOn();
    });
  };
  for (let inFlight = 0; inFlight < IN_FLIGHT; inFlight += 1) goOn();
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const [folder = '', seed = '', step, end] = argv.slice(2);
  await main(folder, seed, Number(step), end === 'end');
}
