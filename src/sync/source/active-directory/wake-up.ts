/**
 * Change notification ([MS-ADTS] 3.1.1.3.4.1.9): a search that never ends and answers whenever an object changes. What it says is not used;
 * that it says something is a reason to ask for changes now. Without it, or when the controller ends it, the clock alone wakes.
 */
import type { Clock } from '../../../base/clock.ts';
import type { LdapClient, SearchStream } from '../../../ldap/client.ts';
import { CONTROL } from '../../../ldap/control.ts';

export interface WakeUpOptions {
  readonly clock: Clock;
  readonly namingContext: string;
  readonly notification: boolean;
  /** Longest pause between two questions, milliseconds. */
  readonly pollEveryMs: number;
}

/** Changes come in groups: the question waits this long for the rest of one. */
const SETTLE_MS = 20;

export class WakeUp {
  readonly #options: WakeUpOptions;
  readonly #search: SearchStream | undefined;
  #stirred = false;
  #wake: () => void = () => undefined;

  constructor(client: LdapClient, options: WakeUpOptions) {
    this.#options = options;
    if (!options.notification) return;
    this.#search = client.search(
      { base: options.namingContext, attributes: ['1.1'] },
      {
        // Without the second one it does not stir for a deletion.
        controls: [
          { oid: CONTROL.notification, critical: true },
          { oid: CONTROL.showDeleted, critical: true },
        ],
        timeoutMs: 'never',
      },
    );
    void this.#listen(this.#search);
  }

  /** Resolves when something has stirred since the last call, or when it is time to ask anyway. Rejects when `signal` says so. */
  async next(signal: AbortSignal): Promise<void> {
    const { clock, pollEveryMs } = this.#options;
    if (!this.#stirred) {
      const rest = new AbortController();
      this.#wake = () => rest.abort();
      await clock
        .sleep('source.changes', pollEveryMs, AbortSignal.any([signal, rest.signal]))
        .catch(() => undefined);
    }
    if (this.#stirred) await clock.sleep('source.settle', SETTLE_MS, signal);
    signal.throwIfAborted();
    this.#stirred = false;
  }

  stop(): void {
    this.#search?.cancel();
  }

  async #listen(search: SearchStream): Promise<void> {
    try {
      for await (const _ of search.batches()) {
        this.#stirred = true;
        this.#wake();
      }
    } catch {
      // A refused search, or the end of the connection, which the next question will find.
    }
  }
}
