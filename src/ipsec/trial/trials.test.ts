/** Policies on trial with real files, real shell scripts and, in a network namespace, the real guard; killed wherever it hurts. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BACK_END, FRONT_END, policyOf } from '../../../test/support/ipsec-policy.ts';
import { NetworkNamespace } from '../../../test/support/network-namespace.ts';
import { until } from '../../../test/support/until.ts';
import { type Files, systemFiles } from '../../base/files.ts';
import { systemRandom } from '../../base/random.ts';
import { type RunProgram, runProgram } from '../run-program.ts';
import { readEffective, type StateFolders, trialFolder } from '../state/effective-state.ts';
import { makeState, type PolicyState } from '../state/policy-state.ts';
import { bootMoment } from './boot-clock.ts';
import { rollbackPaths } from './rollback-script.ts';
import { Trials } from './trials.ts';
import type { Moment, Trial } from './trial-machine.ts';

const stateOf = (toml: string): PolicyState =>
  makeState({ policy: policyOf(toml), keys: [], mechanism: 'nft' });
const [FIRST, SECOND] = [stateOf(FRONT_END), stateOf(BACK_END)];
const session = { by: 'operator', openedAt: Number.MAX_VALUE } as const;

let namespace: NetworkNamespace;
let top: string;
let folders: StateFolders;
/** Seconds that the machine's clock is ahead. */
let ahead = 0;
let detached: string[][] = [];

const inside: RunProgram = (program, args, input) => {
  const [entering, ...rest] = namespace.enter(program, ...args);
  return runProgram(entering, rest, input);
};
const now = async (): Promise<Moment> => {
  const { bootId, seconds } = await bootMoment(systemFiles);
  return { bootId, seconds: seconds + ahead };
};

function trials(files: Files = systemFiles, run: RunProgram = inside): Trials {
  const detach = (program: string, args: readonly string[]): number => detached.push([program, ...args]);
  return new Trials({
    files,
    folders,
    run,
    detach,
    random: systemRandom,
    now,
    viciSocket: join(top, 'no-charon'),
    exclusive: (work) => work(),
  });
}

const apply = (next: PolicyState, touchesOperator = false, rollbackAfterSeconds = 60): Promise<Trial> =>
  trials().apply({ next, rollbackAfterSeconds, touchesOperator });
const inForce = async (): Promise<string> => {
  const { origin, state } = await readEffective(systemFiles, folders);
  return `${origin} ${state === undefined ? '-' : state.id === FIRST.id ? 'first' : 'second'}`;
};
/** Which guard is in the kernel. */
const guarded = async (): Promise<string> => {
  const { stdout } = await inside('nft', ['list', 'ruleset']);
  return stdout.includes('ip saddr 192.0.2.50')
    ? 'first'
    : stdout.includes('ip saddr 192.0.2.10')
      ? 'second'
      : '-';
};

beforeAll(async () => {
  namespace = await NetworkNamespace.create();
});
afterAll(() => namespace[Symbol.asyncDispose]());
beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'postern-trial-'));
  folders = { confirmed: join(top, 'etc'), run: join(top, 'run') };
  [ahead, detached] = [0, []];
  await inside('nft', ['flush', 'ruleset']);
  return () => rm(top, { recursive: true });
});

describe('a policy on trial', () => {
  it('is in force at once, and for good when it is confirmed', async () => {
    await apply(FIRST);
    expect([await inForce(), await guarded()]).toEqual(['trial first', 'first']);
    await trials().confirm(session);
    expect([await inForce(), await guarded()]).toEqual(['confirmed first', 'first']);
    expect((await readdir(folders.confirmed)).sort()).toEqual(['guard', 'state.json']);
    expect(await trials().look()).toMatchObject({ state: { phase: 'idle' } });
  });

  it.each([
    ['by hand', () => trials().rollback()],
    [
      'when its time is over, by whoever looks',
      () => {
        ahead = 61;
        return trials().look();
      },
    ],
    ["by the timer's script alone", () => inside('/bin/sh', [detached.at(-1)?.[1] ?? '', 'now'])],
  ])('is taken back %s', async (_name, takeBack) => {
    await apply(FIRST);
    await trials().confirm(session);
    const { id } = await apply(SECOND);
    expect([await inForce(), await guarded()]).toEqual(['trial second', 'second']);
    await takeBack();
    expect([await inForce(), await guarded()]).toEqual(['confirmed first', 'first']);
    expect(await trials().takenBack()).toMatchObject({ id });
    await expect(trials().confirm(session)).rejects.toMatchObject({ code: 'ipsec.trial' });
  });

  it('leaves no guard when there was none before', async () => {
    await apply(FIRST);
    await trials().rollback();
    expect([await inForce(), await guarded()]).toEqual(['none -', '-']);
  });

  it('is gone after a reboot', async () => {
    await apply(FIRST);
    await rm(folders.run, { recursive: true });
    expect(await inForce()).toBe('none -');
    await apply(FIRST);
    const other = { ...(await now()), bootId: 'another' };
    const rebooted = new Trials({
      files: systemFiles,
      folders,
      run: inside,
      detach: () => undefined,
      random: systemRandom,
      now: () => Promise.resolve(other),
      viciSocket: '',
      exclusive: (work) => work(),
    });
    expect(await rebooted.look()).toMatchObject({ state: { phase: 'idle' } });
    expect(await inForce()).toBe('none -');
  });

  it('is not confirmed from the session that it touches', async () => {
    const { appliedAt } = await apply(FIRST, true);
    await expect(trials().confirm({ by: 'operator', openedAt: appliedAt - 1 })).rejects.toThrow(
      /before it was applied/,
    );
    await expect(trials().confirm({ by: 'peer' })).rejects.toThrow(/peer alone/);
    await trials().confirm({ by: 'operator', openedAt: appliedAt + 1 });
    expect(await inForce()).toBe('confirmed first');
  });

  it('stands in the way of another, and what was decided stays', async () => {
    const { id } = await apply(FIRST);
    await expect(apply(SECOND)).rejects.toThrow(/on trial already/);
    const script = detached[0]?.[1] ?? '';
    const text = await readFile(script);
    await trials().confirm(session);
    // The timer of the confirmed one fires late, while another is on trial; its script is as it was.
    await apply(SECOND);
    await writeFile(script, text);
    await inside('/bin/sh', [script, 'now']);
    expect(await inForce()).toBe('trial second');
    expect(script).toContain(id);
  });

  it('waits for its deadline in a process that no signal of the session ends', async () => {
    await apply(FIRST, false, 2);
    const [program, ...args] = namespace.enter(...(detached[0] as [string, ...string[]]));
    const watchdog = execFile(program, args);
    await once(watchdog, 'spawn');
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
      await until(
        'it ignores signals',
        () => inside('cat', [`/proc/${watchdog.pid}/cmdline`]),
        ({ stdout }) => stdout.startsWith('/bin/sh'),
      );
      await until(
        'it is asleep',
        () => inside('pgrep', ['-P', String(watchdog.pid), 'sleep']),
        ({ code }) => code === 0,
      );
      watchdog.kill(signal);
    }
    await once(watchdog, 'exit');
    expect([await inForce(), await guarded()]).toEqual(['none -', '-']);
  });
});

/** Dies at the nth change of a file or start of a program, as a killed process does: nothing of ours runs after that. */
function dyingAt(step: number): { files: Files; run: RunProgram; died: () => boolean } {
  let left = step;
  let dead = false;
  const count =
    <A extends unknown[], R>(inner: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> => {
      if (dead || --left < 0) {
        dead = true;
        return new Promise<R>(() => undefined);
      }
      return inner(...args);
    };
  const files: Files = {
    ...systemFiles,
    open: count(systemFiles.open),
    rename: count(systemFiles.rename),
    remove: count(systemFiles.remove),
    makeFolder: count((path) => systemFiles.makeFolder(path)),
    syncFolder: count((path) => systemFiles.syncFolder(path)),
  };
  return { files, run: count(inside), died: () => dead };
}

/** Runs until it ends or dies; false when it died. */
async function survive(work: Promise<unknown>, died: () => boolean): Promise<boolean> {
  let ended = false;
  void work.then(() => {
    ended = true;
  });
  await until(
    'it ends or dies',
    () => ended || died(),
    (over) => over,
  );
  return ended;
}

describe('whoever applies or confirms is killed', () => {
  it('at any step of apply: nothing is in force without a rollback that takes it back', async () => {
    await apply(FIRST);
    await trials().confirm(session);
    for (let step = 0; ; step++) {
      detached = [];
      const { files, run, died } = dyingAt(step);
      const over = await survive(
        trials(files, run).apply({ next: SECOND, rollbackAfterSeconds: 60, touchesOperator: false }),
        died,
      );
      const script = detached[0]?.[1];
      if ((await inForce()) === 'trial second') expect(script).toBeDefined();
      if (script !== undefined) await inside('/bin/sh', [script, 'now']);
      expect([step, await inForce(), await guarded()]).toEqual([step, 'confirmed first', 'first']);
      if (over) break;
    }
  });

  it('at any step of confirm: it is either taken back or kept to the end, whoever comes next', async () => {
    const seen = new Set<string>();
    for (let step = 0; ; step++) {
      await rm(folders.confirmed, { recursive: true, force: true });
      await rm(folders.run, { recursive: true, force: true });
      await apply(FIRST);
      const script = detached.at(-1)?.[1] ?? '';
      const { files, run, died } = dyingAt(step);
      const over = await survive(trials(files, run).confirm(session), died);
      // Both come next, the timer first.
      await inside('/bin/sh', [script, 'now']);
      await trials().look();
      const outcome = `${await inForce()}, guard ${await guarded()}`;
      expect(['none -, guard -', 'confirmed first, guard first']).toContain(outcome);
      if (over) expect(outcome).toBe('confirmed first, guard first');
      seen.add(outcome);
      if (over) break;
    }
    expect(seen.size).toBe(2);
  });

  it('and two who decide at once decide one thing', async () => {
    for (let round = 0; round < 5; round++) {
      await rm(folders.confirmed, { recursive: true, force: true });
      await rm(folders.run, { recursive: true, force: true });
      const trial = await apply(FIRST);
      const confirmed = trials()
        .confirm(session)
        .then(
          () => true,
          () => false,
        );
      await inside('/bin/sh', [rollbackPaths(folders, trial.id).script, 'now']);
      const expected = (await confirmed) ? 'confirmed first' : 'none -';
      expect(await inForce()).toBe(expected);
      expect(await readdir(folders.run)).not.toContain(trialFolder(folders).split('/').at(-1));
    }
  });
});
