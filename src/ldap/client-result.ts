/** A request that is answered by one response: a promise of it. */
import type { PosternError } from '../base/error.ts';
import type { Exchange } from './client-pending.ts';
import { resultError } from './client-error.ts';
import type { Reply } from './client-search.ts';
import type { LdapResult, Message, Response } from './message.ts';
import { OPERATION_TAG } from './operation-tag.ts';

export class ResultExchange<R extends Response> implements Exchange {
  readonly ends: Response['op'];
  readonly timeoutMs: number | undefined;
  /** Rejects with `ldap.result` unless the code is success or accepted. */
  readonly result: Promise<Reply<R>>;
  /** Called with a success before the promise is resolved, in the same turn; what it throws becomes the outcome. */
  onSuccess: (() => void) | undefined;
  readonly #what: string;
  readonly #accept: readonly number[] | undefined;
  #resolve: (reply: Reply<R>) => void = ignore;
  #reject: (error: unknown) => void = ignore;

  /** @param what operation and object, for the message of an error */
  constructor(
    ends: Response['op'],
    what: string,
    timeoutMs: number | undefined,
    accept: readonly number[] | undefined,
  ) {
    this.ends = ends;
    this.timeoutMs = timeoutMs;
    this.#what = what;
    this.#accept = accept;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // A pusher may look at its results late, or only at some of them.
    this.result.catch(ignore);
  }

  onMessage(message: Message): void {
    // Intermediate responses belong to no operation we send this way.
    if (message.operation.op !== this.ends) return;
    const { result } = message.operation as unknown as { result: LdapResult };
    if (result.code !== 0 && this.#accept?.includes(result.code) !== true) {
      this.#reject(resultError(result, this.#what));
      return;
    }
    try {
      this.onSuccess?.();
      this.#resolve(message as Reply<R>);
    } catch (error) {
      this.#reject(error);
    }
  }

  onFailure(error: PosternError): void {
    this.#reject(error);
  }
}

function ignore(): void {}

/** Many requests of one kind whose successes nobody waits for, such as the updates of a transaction: only failures are told. */
export class QuietExchange implements Exchange {
  readonly ends: 'addResponse' | 'deleteResponse' | 'modifyResponse';
  readonly timeoutMs: number | undefined;
  readonly quietTag: number;
  readonly #what: string;
  readonly #onFailure: (error: unknown) => void;

  /** @param what operation, for the message of an error */
  constructor(
    ends: QuietExchange['ends'],
    what: string,
    timeoutMs: number | undefined,
    onFailure: (error: unknown) => void,
  ) {
    this.ends = ends;
    this.quietTag = OPERATION_TAG[ends];
    this.timeoutMs = timeoutMs;
    this.#what = what;
    this.#onFailure = onFailure;
  }

  onMessage(message: Message): void {
    if (message.operation.op !== this.ends) return;
    const { result } = message.operation as unknown as { result: LdapResult };
    if (result.code !== 0) this.#onFailure(resultError(result, this.#what));
  }

  onFailure(error: PosternError): void {
    this.#onFailure(error);
  }
}
