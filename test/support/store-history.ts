/** What was committed to a store, how much of it was acknowledged, and whether what is found later agrees with that. */
import type { Files } from '../../src/base/files.ts';
import { openStore, type RecordStore, type StoreOptions } from '../../src/directory/store/store.ts';
import { fakeRandom } from '../fakes/random.ts';
import {
  copyState,
  emptyState,
  fingerprint,
  randomChanges,
  smallStore,
  type State,
  stateOf,
} from './record-store-model.ts';

/** What was committed, in order, and how much of it was acknowledged. */
export interface History {
  /** `states[n]` after n batches. */
  states: State[];
  acknowledged: number;
}

const CHANGES = 5;
const LONGEST = 150;

export function startHistory(state = emptyState()): History {
  return { states: [state], acknowledged: 0 };
}

/** One batch; the history learns when it is durable. */
export function commitRandom(store: RecordStore, history: History, seed: string): Promise<void> {
  const state = copyState(history.states.at(-1) as State);
  const batch = store.begin();
  randomChanges(batch, state, fakeRandom(seed), CHANGES, LONGEST);
  const number = history.states.push(state) - 1;
  return batch.commit().then(() => {
    history.acknowledged = Math.max(history.acknowledged, number);
  });
}

/** Batches alone and in bursts, snapshots among them, an orderly end, and a second life. */
export async function work(
  files: Files,
  history: History,
  seed: string,
  tuning: StoreOptions['tuning'] = {},
): Promise<void> {
  for (const life of ['first', 'second']) {
    const store = await openStore(smallStore(files, `${seed} ${life}`, tuning));
    const background: Promise<unknown>[] = [];
    try {
      for (let n = 0; n < 8; n += 1) {
        await commitRandom(store, history, `${seed} ${life} ${n}`);
        if (n === 3) background.push(store.snapshot());
        const burst = [0, 1, 2].map((m) => commitRandom(store, history, `${seed} ${life} ${n} ${m}`));
        background.push(...burst);
        for (const one of background) one.catch(() => {});
        if (n % 2 === 0) await Promise.all(burst);
      }
      await Promise.all(background);
      await store.close();
    } finally {
      await store.close().catch(() => {});
      await Promise.allSettled(background);
    }
  }
}

/** Undefined when the store holds the state after some batch from the last acknowledged on; else what is wrong. */
export async function judge(files: Files, history: History): Promise<string | undefined> {
  const store = await openStore(smallStore(files, 'judge')).catch((error: Error) => error);
  if (store instanceof Error) return `not opened: ${store.message}`;
  const found = fingerprint(stateOf(store));
  await store.close().catch(() => {});
  const index = history.states.findLastIndex((state) => fingerprint(state) === found);
  if (index < 0) return 'a state that no batch left';
  return index < history.acknowledged
    ? `only ${index} of ${history.acknowledged} acknowledged batches`
    : undefined;
}
