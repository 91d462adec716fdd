/**
 * Changes a record store batch after batch until it is killed; says on standard output which batches are durable. Batch n follows from n alone, so that
 * whoever opens the store afterwards knows what to expect. Usage: node store-writer.ts FOLDER
 */
import { argv, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/base/clock.ts';
import { systemFiles } from '../../src/base/files.ts';
import { systemRandom } from '../../src/base/random.ts';
import {
  type Batch,
  openStore,
  type RecordStore,
  type StoreOptions,
} from '../../src/directory/store/store.ts';

export const SLOTS = 60;

export function writerOptions(folder: string): StoreOptions {
  return {
    folder,
    files: systemFiles,
    clock: systemClock,
    random: systemRandom,
    tuning: {
      slabBytes: 64 * 1024,
      snapshotJournalBytes: 96 * 1024,
      snapshotChunkBytes: 4096,
      preallocateBytes: 32 * 1024,
    },
  };
}

/** What batch `n` does: slot -> new content (undefined: none). Every slot is touched by any `SLOTS` batches in a row. */
export function changesOf(n: number): Map<number, string | undefined> {
  const text = `batch ${n} `;
  return new Map([
    [(n * 7 + 3) % SLOTS, n % 3 === 0 ? undefined : text.repeat(1 + (n % 40))],
    [n % SLOTS, text.repeat(1 + (n % 17))],
  ]);
}

/** Slot -> record number and content. */
export function slotsOf(store: RecordStore): Map<number, { id: number; content: string }> {
  const slots = new Map<number, { id: number; content: string }>();
  store.scan((id, buffer, start, end) => {
    const slot = buffer[start] as number;
    if (slots.has(slot)) throw new Error(`slot ${slot} is there twice`);
    slots.set(slot, { id, content: buffer.toString('latin1', start + 1, end) });
  });
  return slots;
}

export function lastBatch(store: RecordStore): number {
  return Number(store.getMeta('last')?.toString() ?? 0);
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

async function main(folder: string): Promise<void> {
  const store = await openStore(writerOptions(folder));
  const ids = new Map([...slotsOf(store)].map(([slot, { id }]) => [slot, id]));
  let n = lastBatch(store);
  const goOn = (): void => {
    n += 1;
    const own = n;
    const batch = store.begin();
    apply(own, batch, ids);
    batch.commit((error) => {
      if (error !== undefined) throw error;
      stdout.write(`${own}\n`, goOn);
    });
  };
  for (let inFlight = 0; inFlight < 16; inFlight += 1) goOn();
}

if (argv[1] === fileURLToPath(import.meta.url)) await main(argv[2] as string);
