/**
 * Which policy is in force: the one that is being tried, below /run, as long as it is there; else the confirmed one, below /etc. Whoever
 * confirms, takes back, or reboots changes nothing but these folders.
 */
import { join } from 'node:path';
import { watch } from 'node:fs';
import type { Clock } from '../../base/clock.ts';
import type { Files } from '../../base/files.ts';
import type { GuardFolders } from '../guard/script.ts';
import { type PolicyState, readState, STATE_FILE } from './policy-state.ts';

export interface StateFolders {
  /** `/etc/postern/ipsec`. */
  readonly confirmed: string;
  /** `/run/postern/ipsec`: gone after a reboot. */
  readonly run: string;
}

export function trialFolder(folders: StateFolders): string {
  return join(folders.run, 'trial');
}

export function guardFolders(folders: StateFolders): GuardFolders {
  return { trial: trialFolder(folders), confirmed: folders.confirmed, run: folders.run };
}

export interface EffectiveState {
  readonly origin: 'trial' | 'confirmed' | 'none';
  /** Where its state and its guard's script are. */
  readonly folder: string;
  readonly state: PolicyState | undefined;
}

export async function readEffective(files: Files, folders: StateFolders): Promise<EffectiveState> {
  const trial = trialFolder(folders);
  const tried = await readState(files, trial);
  if (tried !== undefined) return { origin: 'trial', folder: trial, state: tried };
  const confirmed = await readState(files, folders.confirmed);
  return {
    origin: confirmed === undefined ? 'none' : 'confirmed',
    folder: folders.confirmed,
    state: confirmed,
  };
}

const LOOK_MS = 1000;

/** Calls `changed` when another policy is in force: at once where the system tells of changed files, else within a second. Call `stop` to end. */
export function followEffective(
  { files, folders, clock }: { files: Files; folders: StateFolders; clock: Clock },
  changed: (state: EffectiveState) => void,
  failed: (error: unknown) => void,
): { stop: () => void } {
  let known: string | undefined;
  let seen: readonly (Buffer | undefined)[] = [];
  let stopped = false;
  const look = async (): Promise<void> => {
    // Of a thousand peers the file has megabytes: it is read into shape only when it has changed.
    const found = await Promise.all(
      [trialFolder(folders), folders.confirmed].map((folder) => rawState(files, folder)),
    );
    if (seen.length > 0 && found.every((bytes, index) => sameBytes(bytes, seen[index]))) return;
    seen = found;
    const effective = await readEffective(files, folders);
    const key = `${effective.origin} ${effective.state?.id ?? ''}`;
    if (stopped || key === known) return;
    known = key;
    changed(effective);
  };
  const again = (): void => {
    timer = clock.after('ipsec.effective', LOOK_MS, () => void round(), { background: true });
  };
  const round = async (): Promise<void> => {
    await look().catch(failed);
    if (!stopped) again();
  };
  const watcher = watchFolder(folders.run, () => void look().catch(failed));
  let timer = clock.after('ipsec.effective', 0, () => void round(), { background: true });
  return {
    stop: () => {
      stopped = true;
      timer.cancel();
      watcher?.close();
    },
  };
}

function rawState(files: Files, folder: string): Promise<Buffer | undefined> {
  return files.readFile(join(folder, STATE_FILE)).catch(() => undefined);
}

function sameBytes(one: Buffer | undefined, two: Buffer | undefined): boolean {
  return one === undefined || two === undefined ? one === two : one.equals(two);
}

/** Undefined where the system does not watch, or the folder is not there yet: then the clock alone does it. */
function watchFolder(folder: string, changed: () => void): { close: () => void } | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, changed);
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}
