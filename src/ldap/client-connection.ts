/**
 * The client's end of a connection: message ids, which answer belongs to which request, deadlines, back-pressure in both directions,
 * and what happens to everything pending when the connection ends. What operations mean is in `client.ts`.
 */
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import { closedError } from './client-error.ts';
import { decodeMessage } from './decode.ts';
import { encodeMessage } from './encode.ts';
import { EXTENDED } from './control.ts';
import { Framer } from './framer.ts';
import { CLIENT_LIMITS } from './limits.ts';
import { MAX_INT } from './max-int.ts';
import type { Control, ExtendedResponse, Message, Operation, Request, Response } from './message.ts';
import { Output } from './transport-output.ts';

const NO_CONTROLS: readonly Control[] = [];
/** Gathered output is handed to the socket when it comes to this much, without waiting for the end of the tick. */
const FLUSH_AT = 32_768;

/** A request that waits for its answers. */
export interface Exchange {
  /** The response that ends it. */
  readonly ends: Response['op'];
  /** Without an answer for so long it ends with `ldap.timeout`; undefined: it may wait for ever. */
  readonly timeoutMs: number | undefined;
  onMessage(message: Message, bytes: number): void;
  onFailure(error: PosternError): void;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  /** For messages: `host:port` or a path. */
  readonly where: string;
  readonly maxMessageBytes: number;
  /** Messages with id 0 (RFC 4511 §4.4); a notice of disconnection ends the connection as well. */
  readonly onNotification?: ((notification: ExtendedResponse) => void) | undefined;
}

/** How filled the queue of a search is: 1 = wants no more, 2 = must get no more. */
export type Level = 0 | 1 | 2;

interface Pending {
  readonly exchange: Exchange;
  deadline: number;
}

interface Waiter {
  readonly outstanding: number;
  readonly bytes: number;
  readonly resolve: () => void;
}

export class ClientConnection {
  readonly #options: ConnectionOptions;
  readonly #framer: Framer;
  readonly #output: Output;
  readonly #pending = new Map<number, Pending>();
  #socket: Socket;
  #lastId = 0;
  #error: PosternError | undefined;
  #systemError: Error | undefined;
  #notice: string | undefined;
  #timer: Timer | undefined;
  #timerAt = 0;
  /** True while nothing is read. */
  #held = false;
  /** How many searches are at level 1 or 2, and at level 2. */
  #full = 0;
  #overfull = 0;
  /** Requests other than searches that wait for their answers. */
  #plain = 0;
  #waiters: Waiter[] = [];
  readonly closed: Promise<PosternError>;
  #resolveClosed: (error: PosternError) => void = () => undefined;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#framer = new Framer({ maxMessageBytes: options.maxMessageBytes });
    this.#output = new Output(socket);
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#attach(socket);
  }

  get socket(): Socket {
    return this.#socket;
  }

  get where(): string {
    return this.#options.where;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  /** Why the connection ended, once it has. */
  get error(): PosternError | undefined {
    return this.#error;
  }

  get outstanding(): number {
    return this.#pending.size;
  }

  get pendingBytes(): number {
    return this.#output.pending;
  }

  /** Sends a request and remembers who gets the answers. Fails the exchange on an ended connection (returns 0). Throws what encoding throws. */
  request(operation: Request, controls: readonly Control[] | undefined, exchange: Exchange): number {
    if (this.#error !== undefined) {
      exchange.onFailure(this.#error);
      return 0;
    }
    const messageId = this.#nextId();
    this.send(messageId, operation, controls);
    const deadline =
      exchange.timeoutMs === undefined
        ? Number.POSITIVE_INFINITY
        : this.clock.monotonic() + exchange.timeoutMs;
    this.#pending.set(messageId, { exchange, deadline });
    if (exchange.ends !== 'searchResultDone') this.#plain++;
    if (deadline < this.#timerAt || (this.#timer === undefined && exchange.timeoutMs !== undefined))
      this.#arm(deadline);
    if (this.#held) this.#updateReading();
    return messageId;
  }

  /** Sends a request that has no answer (unbind, abandon), or that `request` remembers. */
  send(messageId: number, operation: Request, controls: readonly Control[] = NO_CONTROLS): void {
    if (this.#error !== undefined) throw this.#error;
    encodeMessage(this.#output.writer(), { messageId, operation, controls });
    if (this.#output.gathered >= FLUSH_AT) this.#output.flush();
    else this.#output.flushSoon();
  }

  /** Forgets a request, fails it with `error`, and tells the server so (RFC 4511 §4.11). Answers still on their way are passed over. */
  abandon(messageId: number, error: PosternError): void {
    const pending = this.#forget(messageId);
    if (pending === undefined || this.#error !== undefined) return;
    this.send(this.#nextId(), { op: 'abandonRequest', messageId });
    pending.exchange.onFailure(error);
    this.#afterAnswers();
  }

  /** RFC 4511 §4.3 */
  sendUnbind(): void {
    this.send(this.#nextId(), { op: 'unbindRequest' });
  }

  /** Undefined when fewer than `outstanding` requests wait for answers and at most `bytes` are unsent; else a promise of that moment. */
  window(outstanding: number, bytes: number): Promise<void> | undefined {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#open(outstanding, bytes)) return undefined;
    this.#output.flush();
    return new Promise<void>((resolve) => {
      this.#waiters.push({ outstanding, bytes, resolve });
    });
  }

  /** A search reports how filled its queue is. */
  changeLevel(before: Level, after: Level): void {
    this.#full += Math.min(after, 1) - Math.min(before, 1);
    this.#overfull += Math.max(after, 1) - Math.max(before, 1);
    this.#updateReading();
  }

  /**
   * Hands the bare socket over for StartTLS and stops reading it. Must be called in the very call that delivers the answer: what has
   * been received behind the answer would be clear text that somebody injected (`ldap.protocol`).
   */
  detach(): Socket {
    if (this.#framer.buffered > 0) throw this.#protocolError('clear text behind the answer to StartTLS');
    if (this.#pending.size > 0) throw this.#protocolError('requests were outstanding during StartTLS');
    this.#output.flush();
    this.#socket.pause();
    this.#detachListeners(this.#socket);
    return this.#socket;
  }

  /** Goes on over TLS. */
  reattach(socket: Socket): void {
    this.#socket = socket;
    this.#output.attach(socket);
    this.#attach(socket);
  }

  /** Ends the connection: sends what was gathered and a FIN; everything pending is rejected. */
  end(error: PosternError): void {
    if (this.#error !== undefined) return;
    this.#output.flush();
    this.#finish(error);
    this.#socket.destroySoon();
  }

  /** Ends the connection at once. */
  destroy(error: PosternError): void {
    this.#output.drop();
    this.#finish(error);
    this.#socket.destroy();
  }

  #attach(socket: Socket): void {
    socket
      .on('data', this.#onData)
      .on('drain', this.#onDrain)
      .on('error', this.#onError)
      .on('close', this.#onClose)
      .on('end', this.#onEnd);
    if (socket.destroyed) this.#onClose();
  }

  #detachListeners(socket: Socket): void {
    socket
      .off('data', this.#onData)
      .off('drain', this.#onDrain)
      .off('error', this.#onError)
      .off('close', this.#onClose)
      .off('end', this.#onEnd);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#error !== undefined) return;
    try {
      this.#framer.push(chunk);
      for (const frame of this.#framer) {
        this.#dispatch(decodeMessage(frame, CLIENT_LIMITS), frame.end - frame.start);
        if (this.#error !== undefined) return;
      }
    } catch (error) {
      this.destroy(this.#protocolError('the server sent something that is not LDAP', error));
      return;
    }
    this.#afterAnswers();
  };

  readonly #onDrain = (): void => this.#afterAnswers();

  readonly #onError = (error: Error): void => {
    this.#systemError = error;
  };

  readonly #onEnd = (): void => this.#lost('the server closed it');

  readonly #onClose = (): void => this.#lost('it was cut');

  #lost(why: string): void {
    if (this.#error !== undefined) return;
    const cause = this.#systemError;
    this.destroy(
      closedError(this.where, this.#notice ?? cause?.message ?? why, {
        hint: 'the server or something on the way ended the connection: look in the server’s log',
        ...(cause === undefined ? {} : { cause }),
      }),
    );
  }

  #dispatch(message: Message, bytes: number): void {
    if (message.messageId === 0) return this.#notified(message.operation);
    const pending = this.#pending.get(message.messageId);
    // Answers to abandoned requests may still come (RFC 4511 §4.11).
    if (pending === undefined) return;
    const { exchange } = pending;
    const { op } = message.operation;
    if (op === exchange.ends) {
      this.#forget(message.messageId);
    } else if (
      op !== 'intermediateResponse' &&
      !(
        exchange.ends === 'searchResultDone' &&
        (op === 'searchResultEntry' || op === 'searchResultReference')
      )
    ) {
      this.destroy(this.#protocolError(`the server answered with ${op} where ${exchange.ends} was due`));
      return;
    } else if (exchange.timeoutMs !== undefined) {
      pending.deadline = this.clock.monotonic() + exchange.timeoutMs;
    }
    exchange.onMessage(message, bytes);
  }

  #notified(operation: Operation): void {
    if (operation.op !== 'extendedResponse') {
      this.destroy(this.#protocolError('a message with id 0 that is no notification'));
      return;
    }
    this.#options.onNotification?.(operation);
    if (operation.oid !== EXTENDED.noticeOfDisconnection) return;
    const { code, diagnostic } = operation.result;
    this.destroy(
      closedError(
        this.where,
        `the server gave notice: result ${code}${diagnostic === '' ? '' : ` (${diagnostic.slice(0, 300)})`}`,
      ),
    );
  }

  #afterAnswers(): void {
    if (this.#waiters.length > 0) {
      this.#waiters = this.#waiters.filter((waiter) => {
        if (!this.#open(waiter.outstanding, waiter.bytes)) return true;
        waiter.resolve();
        return false;
      });
    }
    if (this.#full > 0) this.#updateReading();
  }

  /**
   * Reads from the socket, or leaves what comes to the system's buffers: while a search isn't consumed, unless another request
   * waits for an answer too (its answer stands behind the entries, and the consumer may be waiting for it).
   */
  #updateReading(): void {
    const hold = this.#overfull > 0 || (this.#full > 0 && this.#plain === 0);
    if (hold === this.#held) return;
    this.#held = hold;
    if (hold) {
      this.#socket.pause();
    } else {
      // Nobody could be answered while nobody listened.
      this.#extendDeadlines();
      this.#socket.resume();
    }
  }

  #forget(messageId: number): Pending | undefined {
    const pending = this.#pending.get(messageId);
    if (pending === undefined) return undefined;
    this.#pending.delete(messageId);
    if (pending.exchange.ends !== 'searchResultDone') this.#plain--;
    return pending;
  }

  #open(outstanding: number, bytes: number): boolean {
    return this.#pending.size < outstanding && this.#output.pending <= bytes;
  }

  #nextId(): number {
    do this.#lastId = this.#lastId >= MAX_INT ? 1 : this.#lastId + 1;
    while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }

  /** One timer for all requests, armed for the earliest deadline; it may be late by an eighth of a request's time. */
  #arm(deadline: number): void {
    this.#timer?.cancel();
    this.#timerAt = deadline;
    this.#timer = this.clock.after(
      'ldap.operation',
      deadline - this.clock.monotonic(),
      () => this.#expire(),
      { background: true },
    );
  }

  #expire(): void {
    this.#timer = undefined;
    this.#timerAt = 0;
    if (this.#held) this.#extendDeadlines();
    const now = this.clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    for (const [messageId, { exchange, deadline }] of this.#pending) {
      if (deadline > now) {
        next = Math.min(next, Math.max(deadline, now + (exchange.timeoutMs ?? 0) / 8));
        continue;
      }
      this.abandon(
        messageId,
        new PosternError('ldap.timeout', `no answer from ${this.where} within ${exchange.timeoutMs} ms`, {
          hint: 'the server is overloaded, or searches through everything for lack of an index',
        }),
      );
    }
    if (next !== Number.POSITIVE_INFINITY && this.#error === undefined) this.#arm(next);
  }

  #extendDeadlines(): void {
    const now = this.clock.monotonic();
    for (const pending of this.#pending.values()) {
      if (pending.exchange.timeoutMs !== undefined) pending.deadline = now + pending.exchange.timeoutMs;
    }
  }

  #finish(error: PosternError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#timer?.cancel();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { exchange } of pending) exchange.onFailure(error);
    for (const waiter of this.#waiters.splice(0)) waiter.resolve();
    this.#resolveClosed(error);
  }

  #protocolError(message: string, cause?: unknown): PosternError {
    if (isPosternError(cause) && cause.code !== 'decode') return cause;
    return new PosternError('ldap.protocol', `${message} (${this.where})`, {
      ...(cause === undefined ? {} : { cause }),
    });
  }
}
