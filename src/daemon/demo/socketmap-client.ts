/** Asks a socketmap server as a mail server would: one connection, questions answered in their order. */
import { connect, type Socket } from 'node:net';
import { PosternError } from '../../base/error.ts';
import { readNetstring, writeNetstring } from '../../lookup/netstring.ts';

const LONGEST_REPLY = 100_000;

interface Waiting {
  resolve(reply: string): void;
  reject(error: Error): void;
}

export class SocketmapClient implements Disposable {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #received: Buffer = Buffer.alloc(0);
  #ended: PosternError | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (cause) => this.#end(closed(cause)));
    socket.on('close', () => this.#end(closed()));
  }

  /** Rejects with `connect.failed`. */
  static async connect(port: number, host = '127.0.0.1'): Promise<SocketmapClient> {
    const socket = connect({ host, port, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (cause) =>
        reject(
          new PosternError('connect.failed', `no socketmap server answers on ${host}:${port}`, { cause }),
        ),
      );
    });
    return new SocketmapClient(socket.removeAllListeners('error'));
  }

  /** The reply, `OK ...`, `NOTFOUND ` or `TEMP ...`. Rejects with `connect.failed` when the connection ends before it. */
  ask(map: string, key: string): Promise<string> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    this.#socket.write(writeNetstring(`${map} ${key}`));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Ends the connection; what was asked is not answered any more. */
  [Symbol.dispose](): void {
    this.#socket.destroy();
    this.#end(closed());
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    let at = 0;
    try {
      for (;;) {
        const reply = readNetstring(this.#received, at, LONGEST_REPLY);
        if (reply === undefined) break;
        this.#waiting.shift()?.resolve(this.#received.toString('utf8', reply.start, reply.end));
        at = reply.next;
      }
      this.#received = this.#received.subarray(at);
    } catch (cause) {
      this.#end(new PosternError('decode', 'the socketmap server sent no netstring', { cause }));
      this.#socket.destroy();
    }
  }

  #end(error: PosternError): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }
}

function closed(cause?: unknown): PosternError {
  return new PosternError('connect.failed', 'the socketmap server closed the connection', { cause });
}
