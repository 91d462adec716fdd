/**
 * One client of the socketmap server: requests in, replies out in the same order, all replies to one chunk in one write. Owns
 * the byte stream; knows neither listeners nor what the tables answer.
 */
import type { Socket } from 'node:net';
import { yieldToLoop } from '../base/clock.ts';
import { describeError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import { readNetstring, writeNetstring } from './netstring.ts';
import type { SocketmapTable } from './socketmap-table.ts';

/** Longest request, octets inside the netstring. Postfix asks keys of at most 10,000. */
export const LONGEST_REQUEST = 10_240;
/** Answers in a row before other work of the loop gets its turn: about a millisecond. */
const ANSWERS_A_TURN = 256;
const SPACE = 0x20;
const EMPTY = Buffer.alloc(0);

export interface ConnectionOptions {
  readonly tables: ReadonlyMap<string, SocketmapTable>;
  readonly log: Log;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly onClose: (connection: SocketmapConnection) => void;
}

export type Waiting = 'request' | 'rest-of-request' | 'reader';

export class SocketmapConnection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  #pending: Buffer = EMPTY;
  #working = false;
  #finishing = false;
  /** Our side is closed: what still arrives is thrown away. */
  #ended = false;
  #progress = false;
  #waiting: Waiting = 'request';
  #since: number;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#since = options.now();
    socket.on('data', (chunk) => {
      if (this.#ended) return;
      this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
      void this.#work();
    });
    socket.on('drain', () => void this.#work());
    socket.on('end', () => this.finish());
    // Whatever goes wrong on a socket is followed by 'close'; a client that went away is no news.
    socket.on('error', () => {});
    socket.on('close', () => options.onClose(this));
  }

  /** What the connection waits for, and since when (monotonic milliseconds). */
  get waiting(): { readonly for: Waiting; readonly since: number } {
    return { for: this.#waiting, since: this.#since };
  }

  /** Answers what has arrived whole, then closes. */
  finish(): void {
    this.#finishing = true;
    void this.#work();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Answers requests until more bytes, or a reader for the replies, are needed. */
  async #work(): Promise<void> {
    if (this.#working || this.#ended) return;
    this.#working = true;
    try {
      while (!this.#socket.destroyed && !this.#socket.writableNeedDrain && this.#answerSome()) {
        this.#socket.pause();
        await yieldToLoop();
      }
    } finally {
      this.#working = false;
    }
    this.#settle();
  }

  /** True when requests may be left. */
  #answerSome(): boolean {
    const buffer = this.#pending;
    let replies = '';
    let offset = 0;
    let count = 0;
    try {
      for (; count < ANSWERS_A_TURN; count++) {
        const request = readNetstring(buffer, offset, LONGEST_REQUEST);
        if (request === undefined) break;
        replies += writeNetstring(this.#answer(buffer.subarray(request.start, request.end)));
        offset = request.next;
      }
    } catch (error) {
      // Where the next request begins is unknown from here on.
      this.#options.log.warn('closed a socketmap client that does not speak the protocol', {
        problem: describeError(error),
      });
      replies += writeNetstring('TEMP not a socketmap request');
      offset = buffer.length;
      this.#finishing = true;
    }
    if (count > 0) this.#progress = true;
    this.#pending = offset === buffer.length ? EMPTY : buffer.subarray(offset);
    if (replies.length > 0) this.#socket.write(replies, 'latin1');
    return count === ANSWERS_A_TURN;
  }

  #answer(request: Buffer): string {
    const space = request.indexOf(SPACE);
    const table = space < 0 ? undefined : this.#options.tables.get(request.toString('latin1', 0, space));
    if (table === undefined)
      return space < 0 ? 'TEMP a request is a map, a space and a key' : 'TEMP no such map';
    try {
      return table(request.subarray(space + 1));
    } catch (error) {
      this.#options.log.error('a lookup failed', { error });
      return 'TEMP internal error';
    }
  }

  /** Nothing can be answered now: note what for, and read on, wait for the reader, or close. */
  #settle(): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    if (socket.writableNeedDrain) {
      // A slow reader: its next requests stay in its own buffers.
      socket.pause();
      this.#wait('reader');
    } else if (this.#finishing) {
      this.#ended = true;
      this.#pending = EMPTY;
      socket.end();
      socket.resume();
      this.#wait('reader');
    } else {
      socket.resume();
      this.#wait(this.#pending.length === 0 ? 'request' : 'rest-of-request');
    }
  }

  /** A request that arrives in drops counts from its first byte, a reader from when it last let a reply through. */
  #wait(what: Waiting): void {
    if (what === this.#waiting && what !== 'request' && !this.#progress) return;
    this.#waiting = what;
    this.#progress = false;
    this.#since = this.#options.now();
  }
}
