/** A TCP line that can be cut and mended: connections through it end when it is cut, and new ones are refused until it is mended. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class CutLine implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #whole = true;
  /** Where it leads to. */
  target = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (near) => {
      if (!this.#whole || this.target === 0) return void near.destroy();
      const far = connect({ host: '127.0.0.1', port: this.target });
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
  }

  static async listen(): Promise<CutLine> {
    const server = createServer();
    await new Promise<void>((resolve, reject) =>
      server.once('error', reject).listen(0, '127.0.0.1', () => resolve()),
    );
    return new CutLine(server);
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  cut(): void {
    this.#whole = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#whole = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
