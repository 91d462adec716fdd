/**
 * Socketmap server: the lookup front for Postfix and Sendmail, on unix sockets and on loopback. Owns listeners, limits and
 * the connections' lives; what is answered comes from `socketmap-table.ts`.
 *
 * It trusts nobody for being local: requests and connections are bounded, a client that stops reading or never finishes its
 * request is cut off, and one that floods gets its turn only between others.
 */
import { isIP, createServer, type Server, type Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.ts';
import { PosternError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import { listenOnUnixSocket } from '../base/unix-socket.ts';
import { SocketmapConnection } from './socketmap-connection.ts';
import type { SocketmapTable } from './socketmap-table.ts';

/** As `listen.socketmap` of the edge's configuration gives it. */
export type SocketmapAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string; readonly mode: number };

export interface SocketmapServerOptions {
  readonly listen: readonly SocketmapAddress[];
  readonly tables: ReadonlyMap<string, SocketmapTable>;
  readonly clock: Clock;
  readonly log: Log;
  /** 1000 unless told; at the limit the client that has been idle for longest makes room (Postfix connects again by itself). */
  readonly maxConnections?: number;
}

/** Postfix closes a connection that it did not use for 10 s, and every connection after 100 s. */
const IDLE_MS = 300_000;
/** For the rest of a request, and for a reader of our replies. */
const STALLED_MS = 30_000;
const SWEEP_MS = 10_000;
const FINISH_WITHIN_MS = 1_000;
/** Idle for less than this is in use. */
const EVICTABLE_AFTER_MS = 1_000;

export class SocketmapServer implements AsyncDisposable {
  readonly #options: SocketmapServerOptions;
  readonly #connections = new Set<SocketmapConnection>();
  readonly #listeners: { server: Server; removeFile: () => Promise<void> }[] = [];
  #sweep: Timer | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: SocketmapServerOptions) {
    this.#options = options;
  }

  /** Where it listens, ports filled in. */
  get addresses(): readonly SocketmapAddress[] {
    return this.#listeners.map(({ server }, i) => {
      const asked = this.#options.listen[i]!;
      const bound = server.address();
      return asked.kind === 'tcp' && typeof bound === 'object' && bound !== null
        ? { ...asked, port: bound.port }
        : asked;
    });
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Listens on all addresses or on none. Throws `config.invalid`, `daemon.running`, `file.unwritable`. */
  async start(): Promise<void> {
    try {
      for (const address of this.#options.listen) await this.#listen(address);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** No new clients; what was asked is answered; then everything is closed. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #listen(address: SocketmapAddress): Promise<void> {
    const { log } = this.#options;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    let removeFile = async (): Promise<void> => {};
    if (address.kind === 'unix') {
      removeFile = await listenOnUnixSocket(server, address.path, address.mode);
    } else {
      await listenOnLoopback(server, address.host, address.port);
    }
    server.on('error', (error) => log.error('socketmap listener', { error }));
    this.#listeners.push({ server, removeFile });
  }

  #accept(socket: Socket): void {
    const { clock, log, tables, maxConnections = 1000 } = this.#options;
    if (this.#stopping !== undefined || (this.#connections.size >= maxConnections && !this.#makeRoom())) {
      socket.destroy();
      return;
    }
    this.#connections.add(
      new SocketmapConnection(socket, {
        tables,
        log,
        now: () => clock.monotonic(),
        onClose: (connection) => void this.#connections.delete(connection),
      }),
    );
    this.#sweep ??= this.#armSweep();
  }

  #makeRoom(): boolean {
    let idlest: SocketmapConnection | undefined;
    for (const connection of this.#connections) {
      if (idlest === undefined || connection.waiting.since < idlest.waiting.since) idlest = connection;
    }
    if (idlest === undefined || this.#options.clock.monotonic() - idlest.waiting.since < EVICTABLE_AFTER_MS) {
      this.#options.log.warn('too many socketmap clients', { connections: this.#connections.size });
      return false;
    }
    this.#connections.delete(idlest);
    idlest.destroy();
    return true;
  }

  #armSweep(): Timer {
    return this.#options.clock.after('socketmap-sweep', SWEEP_MS, () => this.#sweepNow(), {
      background: true,
    });
  }

  #sweepNow(): void {
    const now = this.#options.clock.monotonic();
    for (const connection of this.#connections) {
      const { for: what, since } = connection.waiting;
      if (now - since >= (what === 'request' ? IDLE_MS : STALLED_MS)) connection.destroy();
    }
    this.#sweep = this.#connections.size === 0 ? undefined : this.#armSweep();
  }

  async #stop(): Promise<void> {
    const { clock } = this.#options;
    const closed = this.#listeners.map(({ server }) => new Promise((resolve) => server.close(resolve)));
    for (const connection of this.#connections) connection.finish();
    const deadline = clock.after('socketmap-finish', FINISH_WITHIN_MS, () => {
      for (const connection of this.#connections) connection.destroy();
    });
    await Promise.all(closed);
    deadline.cancel();
    this.#sweep?.cancel();
    for (const { removeFile } of this.#listeners) await removeFile();
  }
}

async function listenOnLoopback(server: Server, host: string, port: number): Promise<void> {
  if (!(host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.')))) {
    throw new PosternError('config.invalid', 'the socketmap listener must be on loopback or a unix socket', {
      hint: 'it answers without a password: use 127.0.0.1, ::1 or unix:/path',
      fields: { host },
    });
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const taken = cause.code === 'EADDRINUSE';
      reject(
        new PosternError(
          taken ? 'daemon.running' : 'config.invalid',
          'the socketmap listener cannot listen',
          {
            hint: taken
              ? 'another process has this port: stop it, or name another port'
              : 'check the address',
            fields: { host, port },
            cause,
          },
        ),
      );
    });
    server.listen(port, host, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}
