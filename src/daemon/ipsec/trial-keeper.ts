/** Ends policies on trial while the daemon runs: taken back when their own timer is gone, confirmed when the peers have proved them. */
import type { Clock, Timer } from '../../base/clock.ts';
import { describeError } from '../../base/error.ts';
import type { Files } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import type { ReconcilerStatus } from '../../ipsec/charon/reconciler.ts';
import { readState } from '../../ipsec/state/policy-state.ts';
import { unproved } from '../../ipsec/trial/peer-proof.ts';
import type { Trials } from '../../ipsec/trial/trials.ts';

const LOOK_MS = 1000;

export interface TrialKeeperOptions {
  readonly trials: Pick<Trials, 'look' | 'confirm'>;
  /** Where the policy on trial is. */
  readonly folder: string;
  readonly charon: () => Pick<ReconcilerStatus, 'associations' | 'lastLook'>;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Log;
}

export class TrialKeeper {
  readonly #options: TrialKeeperOptions;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;
  #fault: string | undefined;

  constructor(options: TrialKeeperOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#stopped) return;
    this.#timer = this.#options.clock.after(
      'ipsec.trial',
      LOOK_MS,
      () => {
        this.#running = this.#look()
          .catch((error: unknown) => this.#failed(error))
          .finally(() => this.start());
      },
      { background: true },
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #look(): Promise<void> {
    const { trials, files, folder, clock, log, charon } = this.#options;
    const { state, now } = await trials.look();
    this.#fault = undefined;
    if (state.phase !== 'trying' || state.trial.touchesOperator) return;
    const tried = await readState(files, folder);
    const { associations, lastLook } = charon();
    // Without connections nobody could prove anything.
    if (tried === undefined || tried.connections.length === 0 || lastLook === undefined) return;
    const age = {
      appliedSecondsAgo: now.seconds - state.trial.appliedAt,
      ageSeconds: (clock.now() - lastLook) / 1000,
    };
    if (unproved(tried, associations, age).length > 0) return;
    await trials.confirm({ by: 'peer' });
    log.info('every peer has sent through the policy on trial: it is confirmed', { trial: state.trial.id });
  }

  #failed(error: unknown): void {
    const text = describeError(error);
    if (text !== this.#fault)
      this.#options.log.error('the policy on trial cannot be looked after', { error });
    this.#fault = text;
  }
}
