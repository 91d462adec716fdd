/** A bare connection for tests that speak to a server byte by byte, or play a server that misbehaves. */
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Socket } from 'node:net';
import { decodeBytes } from '../../src/ldap/decode.ts';
import { encodeBytes } from '../../src/ldap/encode.ts';
import { Framer } from '../../src/ldap/framer.ts';
import type { Control, Message, Operation } from '../../src/ldap/message.ts';

export class RawConnection {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  readonly closed: Promise<void>;
  #waiters: (() => void)[] = [];
  isClosed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk);
      this.#wake();
    });
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.isClosed = true;
        this.#wake();
        resolve();
      });
    });
  }

  static async open(options: NetConnectOpts): Promise<RawConnection> {
    const socket = connect(options);
    socket.setNoDelay(true);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
    return new RawConnection(socket);
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks);
  }

  /** Whole messages received so far. */
  get messages(): Message[] {
    const framer = new Framer({ maxMessageBytes: 1 << 26 });
    framer.push(this.received);
    return [...framer].map((frame) => decodeBytes(frame.buffer.subarray(frame.start, frame.end)));
  }

  /** Sends bytes; resolves when the system has taken them. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.socket.write(bytes, () => resolve());
    });
  }

  send(messageId: number, operation: Operation, controls: readonly Control[] = []): Promise<void> {
    return this.write(encodeBytes({ messageId, operation, controls }));
  }

  /** Waits until `condition` holds; rejects when the connection closes before. */
  async until(condition: (messages: Message[]) => boolean): Promise<Message[]> {
    for (;;) {
      const { messages } = this;
      if (condition(messages)) return messages;
      if (this.isClosed) throw new Error(`closed after ${messages.length} messages`);
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

export interface RawServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** Connections in the order they came; waits for the next one. */
  next(): Promise<RawConnection>;
}

/** A server on 127.0.0.1 that does nothing but accept. */
export async function rawServer(): Promise<RawServer> {
  const ready: RawConnection[] = [];
  const waiting: ((connection: RawConnection) => void)[] = [];
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    const connection = new RawConnection(socket);
    const waiter = waiting.shift();
    if (waiter === undefined) ready.push(connection);
    else waiter(connection);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `ldap://127.0.0.1:${port}`,
    next: () => {
      const connection = ready.shift();
      return connection === undefined
        ? new Promise((resolve) => waiting.push(resolve))
        : Promise.resolve(connection);
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
