/** Runs scenarios in a guest from start to end, and says what came of each, whatever becomes of the guest. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { type Machine, runGuest } from './machine/machine.ts';
import { prepareIdentities, preparePrograms, prepareSshKeys } from './prepare.ts';
import { readResults, type ScenarioResult } from './result.ts';
import { makeWorkFolder } from './work-folder.ts';

export interface RunOptions {
  readonly top: string;
  readonly node: string;
  readonly machine: Machine;
  /** Names of scenarios, from lab/scenarios. */
  readonly scenarios: readonly string[];
  /** Whether hosts have the command `postern`. */
  readonly withPostern: boolean;
  readonly limitSeconds: number;
  /** Where the logs and captures go, when a scenario fails or always. */
  readonly keepAt: string;
  readonly keepAlways?: boolean;
  readonly onResult?: (result: ScenarioResult) => void;
}

const LOOK_EVERY_MS = 200;

export async function runScenarios(options: RunOptions): Promise<ScenarioResult[]> {
  const { top, node, machine, scenarios, withPostern, limitSeconds, keepAt, keepAlways, onResult } = options;
  const missing = machine.missing();
  if (missing.length > 0) throw new Error(`the lab's ${machine.name} machine needs ${missing.join(', ')}`);
  const work = makeWorkFolder();
  const remove = (): void => rmSync(work, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    mkdirSync(join(work, 'program'));
    await preparePrograms(top, work, withPostern);
    prepareIdentities(work);
    prepareSshKeys(work);
    writeFileSync(join(work, 'plan'), `${scenarios.join('\n')}\n`);
    writeFileSync(join(work, 'results'), '');
    if (keepAlways === true) writeFileSync(join(work, 'keep-always'), '');
    let told = 0;
    const look = (): ReturnType<typeof readResults> => {
      const results = readResults(readFileSync(join(work, 'results'), 'utf8'));
      for (const result of results.scenarios.slice(told)) onResult?.(result);
      told = results.scenarios.length;
      return results;
    };
    const guest = runGuest(machine, { top, work, node, program: 'main.mjs', limitSeconds });
    const state = { isOver: false };
    const over = guest.finally(() => {
      state.isOver = true;
    });
    // A rejection is dealt with below.
    over.catch(() => undefined);
    while (!state.isOver) {
      await Promise.race([after(LOOK_EVERY_MS), over.catch(() => undefined)]);
      look();
    }
    const end = await guest;
    const { scenarios: results, isEnded } = look();
    const all = isEnded ? results : [...results, ...unfinished(scenarios, results, end, work, onResult)];
    if (keepAlways === true || all.some(({ failures }) => failures.length > 0)) keep(work, keepAt);
    return all;
  } finally {
    process.off('exit', remove);
    remove();
  }
}

/** Scenarios of which nothing was heard: failed, with the last words of the guest. */
function unfinished(
  scenarios: readonly string[],
  results: readonly ScenarioResult[],
  end: string,
  work: string,
  onResult: RunOptions['onResult'],
): ScenarioResult[] {
  const words = ['console', 'guest.log'].map((name) => {
    const file = join(work, name);
    return `${name}:\n${existsSync(file) ? readFileSync(file, 'utf8').slice(-1500) : '(none)'}`;
  });
  const why = end === 'time' ? 'the guest did not end in time' : 'the guest ended before this scenario';
  return scenarios.slice(results.length).map((name) => {
    const failures = [`${why}\n${words.join('\n')}`];
    const result = { name, failures, seconds: 0, clearPackets: 0, espPackets: 0, figures: {} };
    onResult?.(result);
    return result;
  });
}

function keep(work: string, keepAt: string): void {
  rmSync(keepAt, { recursive: true, force: true });
  mkdirSync(keepAt, { recursive: true });
  for (const name of ['kept', 'console', 'guest.log', 'results']) {
    if (existsSync(join(work, name))) cpSync(join(work, name), join(keepAt, name), { recursive: true });
  }
}
