/**
 * A search as a stream: entries, references and intermediate responses in the order they came, then the result. What isn't consumed is
 * bounded: the connection stops reading, so the server stops sending.
 */
import { PosternError } from '../base/error.ts';
import type { ClientConnection, Level } from './client-connection.ts';
import { resultError } from './client-error.ts';
import type { Exchange } from './client-pending.ts';
import type {
  Control,
  IntermediateResponse,
  Message,
  PlainResponse,
  Response,
  SearchRequest,
  SearchResultEntry,
  SearchResultReference,
} from './message.ts';

/** A response with what stands around it. */
export interface Reply<R extends Response> {
  readonly messageId: number;
  readonly operation: R;
  readonly controls: readonly Control[];
}

export type SearchItem = Reply<SearchResultEntry | SearchResultReference | IntermediateResponse>;

/** Wire bytes of items that wait to be consumed: the first stops reading unless other requests wait, the second always. */
const FULL_AT = 1 << 20;
const OVERFULL_AT = 64 << 20;

export interface SearchStreamOptions {
  readonly timeoutMs: number | undefined;
  readonly accept: readonly number[];
  readonly signal: AbortSignal | undefined;
}

export class SearchStream implements AsyncIterable<SearchItem>, Exchange {
  readonly ends = 'searchResultDone';
  readonly timeoutMs: number | undefined;
  /**
   * The result with its controls, whatever its code, when it has arrived; that may take until the items before it have been
   * consumed. Rejects as the iteration does when the connection ends, time runs out, or the search is canceled.
   */
  readonly done: Promise<Reply<PlainResponse>>;
  readonly #connection: ClientConnection;
  readonly #request: SearchRequest;
  readonly #options: SearchStreamOptions;
  #messageId = 0;
  #items: SearchItem[] = [];
  #bytes = 0;
  #level: Level = 0;
  #end: Reply<PlainResponse> | PosternError | undefined;
  #wake: (() => void) | undefined;
  #resolveDone: (reply: Reply<PlainResponse>) => void = () => undefined;
  #rejectDone: (error: Error) => void = () => undefined;
  readonly #onAbort = (): void =>
    this.#cancel(
      new PosternError('canceled', 'the search was canceled', { cause: this.#options.signal?.reason }),
    );

  constructor(connection: ClientConnection, request: SearchRequest, options: SearchStreamOptions) {
    this.#connection = connection;
    this.#request = request;
    this.#options = options;
    this.timeoutMs = options.timeoutMs;
    this.done = new Promise((resolve, reject) => {
      this.#resolveDone = resolve;
      this.#rejectDone = reject;
    });
    // Who only iterates learns of a failure there.
    this.done.catch(() => undefined);
  }

  get messageId(): number {
    return this.#messageId;
  }

  /** Sends the request. For `LdapClient.search`. */
  begin(controls: readonly Control[] | undefined): this {
    const { signal } = this.#options;
    if (signal?.aborted === true)
      throw new PosternError('canceled', 'the search was canceled', { cause: signal.reason });
    this.#messageId = this.#connection.request(this.#request, controls, this);
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    return this;
  }

  /** Tells the server to stop (Abandon) and ends the iteration; `done` rejects with `canceled`. */
  cancel(): void {
    this.#cancel(new PosternError('canceled', 'the search was canceled'));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SearchItem, void, undefined> {
    for await (const batch of this.batches()) yield* batch;
  }

  /**
   * What has arrived, at least one item at a time: for those who handle very many entries. Throws `ldap.result` after the last batch
   * when the search did not succeed, `ldap.closed`, `ldap.timeout`, `canceled`. Leaving the loop early cancels the search.
   */
  async *batches(): AsyncGenerator<readonly SearchItem[], void, undefined> {
    try {
      for (;;) {
        if (this.#items.length > 0) {
          const batch = this.#items;
          this.#items = [];
          this.#bytes = 0;
          this.#setLevel(0);
          yield batch;
        } else if (this.#end !== undefined) {
          return this.#finish(this.#end);
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.cancel();
    }
  }

  onMessage(message: Message, bytes: number): void {
    const { operation } = message;
    if (operation.op === 'searchResultDone') {
      this.#over(message as Reply<PlainResponse>);
      return;
    }
    this.#items.push(message as SearchItem);
    this.#bytes += bytes;
    this.#setLevel(this.#bytes >= OVERFULL_AT ? 2 : this.#bytes >= FULL_AT ? 1 : 0);
    this.#wakeUp();
  }

  /** What was received before the failure is still handed out. */
  onFailure(error: PosternError): void {
    this.#over(error);
  }

  #cancel(error: PosternError): void {
    if (this.#end !== undefined) return;
    this.#items = [];
    this.#connection.abandon(this.#messageId, error);
  }

  #over(end: Reply<PlainResponse> | PosternError): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#setLevel(0);
    if (end instanceof PosternError) this.#rejectDone(end);
    else this.#resolveDone(end);
    this.#wakeUp();
  }

  #finish(end: Reply<PlainResponse> | PosternError): void {
    if (end instanceof PosternError) throw end;
    const { result } = end.operation;
    if (result.code === 0 || this.#options.accept.includes(result.code)) return;
    throw resultError(result, `search of "${this.#request.base}"`);
  }

  #setLevel(level: Level): void {
    // The end of the answers needs no more room.
    const after = this.#end === undefined ? level : 0;
    if (after === this.#level) return;
    const before = this.#level;
    this.#level = after;
    this.#connection.changeLevel(before, after);
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
