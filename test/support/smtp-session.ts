/** One SMTP dialogue as a client, line by line, over clear text on loopback. */
import { connect, type Socket } from 'node:net';

export class SmtpSession implements AsyncDisposable {
  readonly #socket: Socket;
  #received = '';
  #closed = false;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8').on('data', (text: string) => {
      this.#received += text;
      this.#wake?.();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#closed = true;
      this.#wake?.();
    });
  }

  /** Resolves after the greeting; rejects when there is none. */
  static async connect(port: number, host = '127.0.0.1'): Promise<SmtpSession> {
    const session = new SmtpSession(connect(port, host));
    const greeting = await session.#reply();
    if (!greeting.startsWith('220')) throw new Error(`no greeting: ${greeting}`);
    return session;
  }

  /** Sends a line; resolves to the whole reply, its lines joined by line feeds. */
  command(line: string): Promise<string> {
    this.#socket.write(`${line}\r\n`);
    return this.#reply();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    while (!this.#closed) await this.#more();
  }

  async #reply(): Promise<string> {
    for (;;) {
      // RFC 5321 §4.2.1: every line but the last has a hyphen after its code.
      const whole = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n/.exec(this.#received);
      if (whole !== null) {
        this.#received = this.#received.slice(whole[0].length);
        return whole[0].trimEnd().replaceAll('\r\n', '\n');
      }
      if (this.#closed) throw new Error(`the SMTP server closed the connection: ${this.#received}`);
      await this.#more();
    }
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
