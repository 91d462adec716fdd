/**
 * Proof that a provider is alive while it has nothing to say: a small question on the same connection, behind which a lost peer, a
 * stopped process or a forgetful firewall shows. Ends the connection when the answer does not come.
 */
import type { Clock, Timer } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';
import type { LdapClient } from '../../ldap/client.ts';

export interface WatchOptions {
  readonly clock: Clock;
  readonly base: string;
  readonly probeEveryMs?: number;
}

const PROBE_EVERY_MS = 60_000;
const ANSWER_WITHIN_MS = 30_000;
/** While it looks for what has changed, a provider that does one thing at a time answers late. */
const REFRESH_ANSWER_WITHIN_MS = 10 * 60_000;

export class Watch {
  readonly #client: LdapClient;
  readonly #options: WatchOptions;
  readonly #stage: () => 'refresh' | 'persist';
  #timer: Timer | undefined;
  #heard = false;
  #stopped = false;
  #proven: () => void = () => undefined;

  constructor(client: LdapClient, options: WatchOptions, stage: () => 'refresh' | 'persist') {
    this.#client = client;
    this.#options = options;
    this.#stage = stage;
    this.#arm();
  }

  /**
   * What `answer` gives, or undefined at a proof of life before that. (Not `Promise.race`: a promise that stays pending for long would
   * keep every answer that won against it.)
   */
  during<T>(answer: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.#proven = () => resolve(undefined);
      answer.then(resolve, reject);
    });
  }

  /** The provider has sent something: proof enough. */
  heard(): void {
    this.#heard = true;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    const { clock, probeEveryMs } = this.#options;
    this.#timer = clock.after('source.probe', probeEveryMs ?? PROBE_EVERY_MS, () => void this.#prove(), {
      background: true,
    });
  }

  async #prove(): Promise<void> {
    if (!this.#heard) {
      try {
        await this.#ask();
      } catch (error) {
        if (!this.#stopped) this.#client.destroy(deaf(this.#client.where, error));
        return;
      }
    }
    this.#heard = false;
    if (this.#stopped) return;
    this.#proven();
    this.#arm();
  }

  async #ask(): Promise<void> {
    const timeoutMs = this.#stage() === 'refresh' ? REFRESH_ANSWER_WITHIN_MS : ANSWER_WITHIN_MS;
    const search = this.#client.search(
      { base: this.#options.base, scope: 'base', attributes: ['1.1'] },
      { timeoutMs },
    );
    try {
      for await (const _ of search.batches());
    } catch (error) {
      // Any result is an answer.
      if (resultCodeOf(error) === undefined) throw error;
    }
  }
}

function deaf(where: string, cause: unknown): PosternError {
  return new PosternError('ldap.timeout', `${where} no longer answers`, {
    cause,
    hint: 'is the server overloaded or stopped, or does a firewall forget idle connections?',
  });
}
