/** Changes what a stopped edge stores, as damage or a hand in the wrong place would: behind hub, digest and removal guard. */
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { systemFiles } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import { EDGE_ACCESS } from '../../src/daemon/edge/access.ts';
import { EDGE_CONTEXTS } from '../../src/daemon/edge/base-entries.ts';
import { Directory, type Update } from '../../src/directory/directory.ts';
import { openStore } from '../../src/directory/store/store.ts';

/** `change` is given the GUIDs of the recipients in their order, and returns what is to be done. */
export async function changeEdgeStore(
  data: string,
  change: (guids: readonly string[], directory: Directory) => readonly Update[],
): Promise<void> {
  const parts = { clock: systemClock, random: systemRandom, log: silentLog };
  const onFatal = (error: Error): void => {
    throw error;
  };
  const store = await openStore({ ...parts, folder: join(data, 'directory'), files: systemFiles, onFatal });
  const directory = new Directory({
    ...parts,
    store,
    contexts: EDGE_CONTEXTS,
    indexes: ['posternAddress'],
    access: EDGE_ACCESS,
  });
  try {
    const entries = await directory.find({ base: 'cn=Recipients', scope: 'one' });
    const guids = entries.map((entry) => entry.text('cn') ?? '').sort();
    await directory.apply([...change(guids, directory)]);
  } finally {
    await directory.close();
    await store.close();
  }
}
