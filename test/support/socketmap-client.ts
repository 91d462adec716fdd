/** A socketmap client for tests, written apart from the server's codec: raw bytes out, whole replies in. */
import { connect, type NetConnectOpts, type Socket } from 'node:net';

export class SocketmapClient implements AsyncDisposable {
  readonly socket: Socket;
  readonly #replies: string[] = [];
  #received = '';
  #closed = false;
  #wake: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.#received += chunk.toString('latin1');
      for (let m = /^(\d+):/.exec(this.#received); m !== null; m = /^(\d+):/.exec(this.#received)) {
        const end = m[0].length + Number(m[1]);
        if (this.#received.length <= end) break;
        if (this.#received[end] !== ',') throw new Error(`bad reply: ${this.#received.slice(0, 80)}`);
        this.#replies.push(this.#received.slice(m[0].length, end));
        this.#received = this.#received.slice(end + 1);
      }
      this.#notify();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#closed = true;
      this.#notify();
    });
  }

  static async connect(where: NetConnectOpts): Promise<SocketmapClient> {
    const socket = connect({ ...where, noDelay: true });
    const client = new SocketmapClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return client;
  }

  static request(map: string, key: string): string {
    return `${Buffer.byteLength(map) + 1 + Buffer.byteLength(key)}:${map} ${key},`;
  }

  async ask(map: string, key: string): Promise<string> {
    this.socket.write(SocketmapClient.request(map, key));
    return (await this.replies(1))[0] ?? '';
  }

  /** The next `count` replies; fewer when the server closes before that. */
  async replies(count: number): Promise<string[]> {
    while (this.#replies.length < count && !this.#closed)
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    return this.#replies.splice(0, count);
  }

  /** Replies until the server has closed the connection. */
  async rest(): Promise<string[]> {
    while (!this.#closed) await new Promise<void>((resolve) => this.#wake.push(resolve));
    return this.#replies.splice(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.rest();
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
