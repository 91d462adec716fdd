/**
 * The client's end of a connection: which answer belongs to which request, back-pressure in both directions, and what
 * happens to everything pending when the connection ends. What operations mean is in `client.ts`.
 */
import type { Socket } from 'node:net';
import { TAG } from '../asn1/tag.ts';
import type { Clock } from '../base/clock.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import { closedError } from './client-error.ts';
import { type Exchange, PendingRequests } from './client-pending.ts';
import { EXTENDED } from './control.ts';
import { decodeMessage } from './decode.ts';
import { encodeMessage, encodeRequestWith } from './encode.ts';
import { type Frame, Framer } from './framer.ts';
import { CLIENT_LIMITS } from './limits.ts';
import type { Control, ExtendedResponse, Message, Operation, Request, Response } from './message.ts';
import { Output } from './transport-output.ts';

const NO_CONTROLS: readonly Control[] = [];
/** Gathered output is handed to the socket when it comes to this much, without waiting for the end of the tick. */
const FLUSH_AT = 32_768;

/** Length of a result, resultCode success, no matchedDN, no diagnosticMessage. */
const SUCCESS_BODY = [7, TAG.enumerated, 1, 0, TAG.octetString, 0, TAG.octetString, 0] as const;
/** Such a message without the octets of its id. */
const PLAIN_SUCCESS_BYTES = 5 + SUCCESS_BODY.length;

/** How filled the queue of a search is: 1 = wants no more, 2 = must get no more. */
export type Level = 0 | 1 | 2;

export interface ConnectionOptions {
  readonly clock: Clock;
  /** For messages: `host:port` or a path. */
  readonly where: string;
  readonly maxMessageBytes: number;
  /** Messages with id 0 (RFC 4511 §4.4); a notice of disconnection ends the connection as well. */
  readonly onNotification?: ((notification: ExtendedResponse) => void) | undefined;
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
  readonly #pending: PendingRequests;
  #socket: Socket;
  #error: PosternError | undefined;
  #systemError: Error | undefined;
  /** True while nothing is read. */
  #held = false;
  /** How many searches are at level 1 or 2, and at level 2. */
  #full = 0;
  #overfull = 0;
  #waiters: Waiter[] = [];
  readonly closed: Promise<PosternError>;
  #resolveClosed: (error: PosternError) => void = () => undefined;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#framer = new Framer({ maxMessageBytes: options.maxMessageBytes });
    this.#output = new Output(socket);
    this.#pending = new PendingRequests(options.clock, (messageId, exchange) =>
      this.#expired(messageId, exchange),
    );
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
  request(
    operation: Request,
    controls: readonly Control[] | Uint8Array | undefined,
    exchange: Exchange,
  ): number {
    if (this.#error !== undefined) {
      exchange.onFailure(this.#error);
      return 0;
    }
    const messageId = this.#pending.nextId();
    this.#send(messageId, operation, controls);
    this.#pending.add(messageId, exchange);
    if (this.#held) this.#updateReading();
    return messageId;
  }

  /** RFC 4511 §4.3 */
  sendUnbind(): void {
    this.#send(this.#pending.nextId(), { op: 'unbindRequest' });
  }

  /** Forgets a request, fails it with `error`, and tells the server so (RFC 4511 §4.11). Answers still on their way are passed over. */
  abandon(messageId: number, error: PosternError): void {
    const exchange = this.#pending.forget(messageId);
    if (exchange === undefined || this.#error !== undefined) return;
    this.#send(this.#pending.nextId(), { op: 'abandonRequest', messageId });
    exchange.onFailure(error);
    this.#afterAnswers();
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
   * Hands the bare socket over for StartTLS and stops reading it. Must be called in the very call that delivers the answer:
   * what has been received behind the answer would be clear text that somebody injected (`ldap.protocol`).
   */
  detach(): Socket {
    if (this.#framer.buffered > 0) throw this.#protocolError('clear text behind the answer to StartTLS');
    if (this.#pending.size > 0) throw this.#protocolError('requests were outstanding during StartTLS');
    this.#output.suspend();
    this.#socket.pause();
    this.#listen(this.#socket, 'off');
    return this.#socket;
  }

  /** Goes on over TLS, with what was requested in between. */
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

  #send(
    messageId: number,
    operation: Request,
    controls: readonly Control[] | Uint8Array = NO_CONTROLS,
  ): void {
    const writer = this.#output.writer();
    if (controls instanceof Uint8Array) encodeRequestWith(writer, messageId, operation, controls);
    else encodeMessage(writer, { messageId, operation, controls });
    if (this.#output.gathered >= FLUSH_AT) this.#output.flush();
    else this.#output.flushSoon();
  }

  #attach(socket: Socket): void {
    this.#listen(socket, 'on');
    if (socket.destroyed) this.#onClose();
  }

  #listen(socket: Socket, how: 'on' | 'off'): void {
    socket[how]('data', this.#onData)[how]('drain', this.#onDrain)[how]('end', this.#onEnd);
    socket[how]('error', this.#onError)[how]('close', this.#onClose);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#error !== undefined) return;
    try {
      this.#framer.push(chunk);
      for (const frame of this.#framer) {
        if (this.#quietSuccess(frame)) continue;
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
    const hint = 'the server or something on the way ended the connection: look in the server’s log';
    this.destroy(
      closedError(this.where, cause?.message ?? why, cause === undefined ? { hint } : { hint, cause }),
    );
  }

  /** Takes the plain success of a request whose success nobody waits for, without making a message of it; false for all else. */
  #quietSuccess({ buffer, start, end }: Frame): boolean {
    const idLength = end - start - PLAIN_SUCCESS_BYTES;
    if (idLength < 1 || idLength > 4 || buffer[start + 2] !== TAG.integer || buffer[start + 3] !== idLength)
      return false;
    let messageId = 0;
    for (let at = start + 4; at < start + 4 + idLength; at++)
      messageId = messageId * 256 + (buffer[at] as number);
    const operation = start + 4 + idLength;
    for (let i = 0; i < SUCCESS_BODY.length; i++)
      if (buffer[operation + 1 + i] !== SUCCESS_BODY[i]) return false;
    const tag = this.#pending.get(messageId)?.quietTag;
    if (tag === undefined || tag !== buffer[operation]) return false;
    this.#pending.forget(messageId);
    return true;
  }

  #dispatch(message: Message, bytes: number): void {
    const { messageId, operation } = message;
    if (messageId === 0) return this.#notified(operation);
    const exchange = this.#pending.get(messageId);
    // Answers to abandoned requests may still come (RFC 4511 §4.11).
    if (exchange === undefined) return;
    if (operation.op === exchange.ends) {
      this.#pending.forget(messageId);
    } else if (!mayPrecede(operation.op, exchange.ends)) {
      this.destroy(
        this.#protocolError(`the server answered with ${operation.op} where ${exchange.ends} was due`),
      );
      return;
    } else {
      this.#pending.touch(messageId);
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
    this.destroy(closedError(this.where, 'the server gave notice', { notice: operation.result }));
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
    const hold = this.#overfull > 0 || (this.#full > 0 && this.#pending.plain === 0);
    if (hold === this.#held || this.#error !== undefined) return;
    this.#held = hold;
    if (hold) {
      this.#socket.pause();
    } else {
      this.#pending.touchAll();
      this.#socket.resume();
    }
  }

  #open(outstanding: number, bytes: number): boolean {
    return this.#pending.size < outstanding && this.#output.pending <= bytes;
  }

  #expired(messageId: number, exchange: Exchange): void {
    if (this.#held) {
      this.#pending.touch(messageId);
      return;
    }
    const message = `no answer from ${this.where} within ${exchange.timeoutMs} ms`;
    const hint = 'the server is overloaded, or searches through everything for lack of an index';
    this.abandon(messageId, new PosternError('ldap.timeout', message, { hint }));
  }

  #finish(error: PosternError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#pending.failAll(error);
    for (const waiter of this.#waiters.splice(0)) waiter.resolve();
    this.#resolveClosed(error);
  }

  #protocolError(message: string, cause?: unknown): PosternError {
    if (isPosternError(cause) && cause.code !== 'decode') return cause;
    return new PosternError('ldap.protocol', `${message} (${this.where})`, { cause });
  }
}

/** Whether a response may come before the one that ends an operation. */
function mayPrecede(op: Operation['op'], ends: Response['op']): boolean {
  if (op === 'intermediateResponse') return true;
  return ends === 'searchResultDone' && (op === 'searchResultEntry' || op === 'searchResultReference');
}
