/**
 * How far a slow listener may slow down the feed: as long as it makes room within a few seconds. One that doesn't is not waited for
 * until it has room again; what it does about its overflowing queue is its own business.
 */
import type { Clock } from '../../base/clock.ts';
import type { MirrorListener } from '../push/mirror-view.ts';

export interface PacedListener extends MirrorListener {
  /** Undefined: there is room for more batches; else a promise of the moment when there is. */
  room?(): Promise<void> | undefined;
}

/** Longest time that the feed stands still for one listener. */
export const PATIENCE_MS = 5000;

export class Pace {
  readonly #clock: Clock;
  readonly #givenUp = new Set<PacedListener>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when every listener has room, or has been waited for long enough. */
  async wait(listeners: Iterable<PacedListener>): Promise<void> {
    for (const listener of listeners) {
      const room = listener.room?.();
      if (room === undefined) this.#givenUp.delete(listener);
      else if (!this.#givenUp.has(listener) && !(await this.#inTime(room))) this.#givenUp.add(listener);
    }
  }

  forget(listener: PacedListener): void {
    this.#givenUp.delete(listener);
  }

  #inTime(room: Promise<void>): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#clock.after('mirror.pace', PATIENCE_MS, () => resolve(false));
      const settle = (): void => {
        timer.cancel();
        resolve(true);
      };
      room.then(settle, settle);
    });
  }
}
