/**
 * Carries out what `trial-machine.ts` decides: files below /run and /etc, the guard's script, the rollback's timer. It may be killed anywhere: what stands in
 * the files is what the next call, the timer's script, or a reboot goes on from. Nothing is in force before its rollback is armed.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { PosternError } from '../../base/error.ts';
import { type Files, replaceFile } from '../../base/files.ts';
import type { Random } from '../../base/random.ts';
import { Guard } from '../guard/guard.ts';
import { GUARD_SCRIPT, renderGuardScript } from '../guard/script.ts';
import type { RunProgram } from '../run-program.ts';
import { guardFolders, type StateFolders, trialFolder } from '../state/effective-state.ts';
import { type PolicyState, readState, STATE_FILE } from '../state/policy-state.ts';
import { KEEP, renderRollback, rollbackPaths } from './rollback-script.ts';
import {
  type Confirmation,
  type Moment,
  step,
  type Trial,
  type TrialEvent,
  type TrialState,
} from './trial-machine.ts';
import { undoRequests } from './undo.ts';

export interface TrialsOptions {
  readonly files: Files;
  readonly folders: StateFolders;
  readonly run: RunProgram;
  /** Starts a program that outlives us. */
  readonly detach: (program: string, args: readonly string[]) => void;
  readonly random: Pick<Random, 'uuid'>;
  readonly now: () => Promise<Moment>;
  readonly viciSocket: string;
  /** Runs one after the other what several processes must not do at once. */
  readonly exclusive: <T>(work: () => Promise<T>) => Promise<T>;
}

export interface ApplyOptions {
  readonly next: PolicyState;
  readonly rollbackAfterSeconds: number;
  readonly touchesOperator: boolean;
}

const TRIAL_FILE = 'trial.json';
const trialSchema = z.strictObject({
  id: z.string(),
  policy: z.string(),
  bootId: z.string(),
  appliedAt: z.number(),
  deadline: z.number(),
  touchesOperator: z.boolean(),
});

export class Trials {
  readonly #options: TrialsOptions;

  constructor(options: TrialsOptions) {
    this.#options = options;
  }

  /** Where things stand; what is overdue or half done is finished first. */
  async look(): Promise<{ state: TrialState; now: Moment }> {
    return this.#take({ kind: 'look' }).then(({ state, now }) => ({ state, now }));
  }

  /** When the last policy on trial of this boot was taken back, it: until another is applied. */
  async takenBack(): Promise<Trial | undefined> {
    const { files, folders } = this.#options;
    const trial = await readTrial(files, join(folders.run, 'taken-back'));
    return trial?.bootId === (await this.#options.now()).bootId ? trial : undefined;
  }

  /** Puts a policy on trial: rollback armed, in force, guard loaded. charon follows by whoever watches the folders. Throws `ipsec.trial`. */
  async apply({ next, rollbackAfterSeconds, touchesOperator }: ApplyOptions): Promise<Trial> {
    const { bootId, seconds } = await this.#options.now();
    const trial = {
      id: this.#options.random.uuid().slice(0, 8),
      policy: next.id,
      bootId,
      appliedAt: seconds,
      deadline: seconds + rollbackAfterSeconds,
      touchesOperator,
    };
    await this.#take({ kind: 'apply', trial }, next);
    return trial;
  }

  /** Makes the policy on trial permanent. Throws `ipsec.trial`. */
  async confirm(confirmation: Confirmation): Promise<void> {
    await this.#take({ kind: 'confirm', confirmation });
  }

  /** Takes the policy on trial back now. Throws `ipsec.trial`. */
  async rollback(): Promise<void> {
    await this.#take({ kind: 'rollback' });
  }

  #take(event: TrialEvent, next?: PolicyState): Promise<{ state: TrialState; now: Moment }> {
    return this.#options.exclusive(() => this.#perform(event, next));
  }

  async #perform(event: TrialEvent, next?: PolicyState): Promise<{ state: TrialState; now: Moment }> {
    const now = await this.#options.now();
    const result = step(await this.#read(), event, now);
    for (const effect of result.effects) {
      const trial = result.state.phase === 'idle' ? undefined : result.state.trial;
      if (effect === 'forget') await this.#forget();
      else if (trial === undefined) continue;
      else if (effect === 'arm' && next !== undefined) await this.#arm(trial, next);
      else if (effect === 'enforce') await this.#enforce();
      else if (effect === 'decideKeep') await this.#decideKeep(trial);
      else if (effect === 'keep') await this.#keep(trial);
      else if (effect === 'takeBack') await this.#takeBack(trial);
    }
    if (result.refusal !== undefined)
      throw new PosternError('ipsec.trial', result.refusal.reason, { hint: result.refusal.hint });
    const ended = result.state.phase === 'keeping' || result.state.phase === 'takingBack';
    return { state: ended ? { phase: 'idle' } : result.state, now };
  }

  async #read(): Promise<TrialState> {
    const { files, folders } = this.#options;
    const trial = await readTrial(files, trialFolder(folders));
    if (trial === undefined) return { phase: 'idle' };
    const decision = await readText(files, rollbackPaths(folders, trial.id).decision);
    if (decision === undefined) return { phase: 'trying', trial };
    return { phase: decision.trim() === KEEP ? 'keeping' : 'takingBack', trial };
  }

  /** Everything that taking back needs, and the timer; then, by one rename, in force. */
  async #arm(trial: Trial, next: PolicyState): Promise<void> {
    const { files, folders, viciSocket } = this.#options;
    const paths = rollbackPaths(folders, trial.id);
    const former = await readState(files, folders.confirmed);
    await files.makeFolder(folders.run);
    // Of earlier ones, long decided: nothing of theirs is in force.
    for (const name of await files.list(folders.run))
      if (/^(rollback|undo|decision)-/.test(name)) await files.remove(join(folders.run, name));
    await replaceFile(files, paths.undo, undoRequests(former, next));
    const script = renderRollback({ trial, folders, tried: next, viciSocket });
    await replaceFile(files, paths.script, Buffer.from(script));
    const fresh = join(folders.run, 'trial-new');
    await this.#removeFolder(fresh);
    await files.makeFolder(fresh);
    const guard = renderGuardScript(next.guard.scope, next.guard.mechanism, guardFolders(folders));
    await replaceFile(files, join(fresh, GUARD_SCRIPT), Buffer.from(guard));
    await replaceFile(files, join(fresh, TRIAL_FILE), Buffer.from(JSON.stringify(trial)));
    await replaceFile(files, join(fresh, STATE_FILE), Buffer.from(JSON.stringify(next)));
    await this.#startTimer(trial, paths.script);
    await files.rename(fresh, trialFolder(folders));
  }

  async #startTimer(trial: Trial, script: string): Promise<void> {
    const { files, run, detach } = this.#options;
    // sd_booted(3).
    if (await files.exists('/run/systemd/system')) {
      const seconds = Math.ceil(trial.deadline - trial.appliedAt);
      const unit = `--unit=${timerUnit(trial)}`;
      const { code } = await run('systemd-run', [
        '--collect',
        unit,
        `--on-active=${seconds}s`,
        '--timer-property=AccuracySec=100ms',
        '/bin/sh',
        script,
        'now',
      ]);
      if (code === 0) return;
    }
    detach('/bin/sh', [script, 'wait']);
  }

  async #enforce(): Promise<void> {
    await new Guard(this.#options.run, trialFolder(this.#options.folders)).load();
  }

  /** Made once, with its content, by whoever is first: this or the rollback's script. */
  async #decideKeep(trial: Trial): Promise<void> {
    const { files, folders, run } = this.#options;
    const { decision } = rollbackPaths(folders, trial.id);
    await replaceFile(files, `${decision}.${KEEP}`, Buffer.from(`${KEEP}\n`));
    await run('ln', [`${decision}.${KEEP}`, decision]);
    await files.remove(`${decision}.${KEEP}`);
    const decided = (await readText(files, decision))?.trim();
    if (decided !== KEEP)
      throw new PosternError('ipsec.trial', 'the policy was taken back just now', {
        hint: 'apply it again, and confirm in time',
      });
  }

  /** From /run to /etc, the state last: until then the trial's is in force, and it is the same. */
  async #keep(trial: Trial): Promise<void> {
    const { files, folders, run } = this.#options;
    const folder = trialFolder(folders);
    await files.makeFolder(folders.confirmed);
    for (const name of [GUARD_SCRIPT, STATE_FILE])
      await replaceFile(files, join(folders.confirmed, name), await files.readFile(join(folder, name)));
    const paths = rollbackPaths(folders, trial.id);
    const over = join(folders.run, 'kept');
    await this.#removeFolder(over);
    await files.rename(folder, over);
    await this.#removeFolder(over);
    for (const path of [paths.script, paths.undo]) await files.remove(path);
    if (await files.exists('/run/systemd/system')) {
      await run('systemctl', ['stop', `${timerUnit(trial)}.timer`]);
      await run('systemctl', ['enable', '--now', 'postern-ipsec-guard.service']);
    }
  }

  async #takeBack(trial: Trial): Promise<void> {
    const { folders, run } = this.#options;
    const { code, stderr } = await run('/bin/sh', [rollbackPaths(folders, trial.id).script, 'now']);
    if (code !== 0)
      throw new PosternError(
        'ipsec.trial',
        `the policy could not be taken back: ${stderr.split('\n')[0] ?? ''}`,
        {
          hint: 'run as root; a reboot takes it back in any case',
        },
      );
  }

  async #forget(): Promise<void> {
    await this.#removeFolder(trialFolder(this.#options.folders));
  }

  async #removeFolder(folder: string): Promise<void> {
    const { files, run } = this.#options;
    if (await files.exists(folder)) await run('rm', ['-rf', '--', folder]);
  }
}

const timerUnit = (trial: Trial): string => `postern-ipsec-rollback-${trial.id}`;

async function readTrial(files: Files, folder: string): Promise<Trial | undefined> {
  const text = await readText(files, join(folder, TRIAL_FILE));
  if (text === undefined) return undefined;
  try {
    return trialSchema.parse(JSON.parse(text));
  } catch {
    throw new PosternError('ipsec.trial', `${join(folder, TRIAL_FILE)} is damaged`, {
      hint: `reboot, or remove ${folder}: what is confirmed stays`,
    });
  }
}

async function readText(files: Files, path: string): Promise<string | undefined> {
  try {
    return (await files.readFile(path)).toString('utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new PosternError('file.unreadable', `cannot read ${path}`, { cause, hint: 'run as root' });
  }
}
