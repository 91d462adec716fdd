/**
 * Listens for LDAP: TCP, TLS or a unix socket; counts and limits connections; hands each to a handler. No operations, no decoding.
 */
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.ts';
import { PosternError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import { FaultLog } from './fault-log.ts';
import { RESULT_CODE } from './result-code.ts';
import { ServerConnection } from './server-connection.ts';
import type { ConnectionHandler, LocalKind } from './server-handler.ts';
import {
  crowdedOut,
  LISTENER_LIMITS,
  type ListenerLimits,
  SourceCounter,
  sourceOf,
  TokenBucket,
} from './server-limits.ts';
import { type ServerIdentity, TlsAcceptor, type TlsServerOptions } from './tls-server.ts';
import { KEEP_ALIVE_MS } from './transport.ts';

export type { ServerConnection } from './server-connection.ts';
export type { ConnectionHandler, LocalKind } from './server-handler.ts';

export interface ListenerOptions {
  /** `mode` are the permissions of the socket file (0o600 unless told). Port 0: any free one. */
  readonly address:
    | { readonly host: string; readonly port: number }
    | { readonly path: string; readonly mode?: number };
  /** With `startTls` false (unless told): TLS from the first byte. With true: plain, and StartTLS is possible. */
  readonly tls?: TlsServerOptions & { readonly startTls?: boolean };
  readonly limits?: Partial<ListenerLimits>;
  readonly clock: Clock;
  readonly log: Log;
  /** Called for each connection, after its TLS handshake. Throwing refuses it. */
  readonly accept: (connection: ServerConnection) => ConnectionHandler;
}

export interface ListenerCounts {
  readonly connections: number;
  readonly handshakes: number;
  /** Since the start: */
  readonly accepted: number;
  readonly refused: number;
  readonly failedHandshakes: number;
}

const SWEEP_MS = 1000;

export class LdapListener implements AsyncDisposable {
  readonly #options: ListenerOptions;
  readonly #limits: ListenerLimits;
  readonly #kind: LocalKind;
  readonly #server: Server;
  readonly #tls: TlsAcceptor | undefined;
  readonly #handshakeTokens: TokenBucket;
  readonly #faults: FaultLog;
  readonly #sources = new SourceCounter();
  readonly #connections = new Set<ServerConnection>();
  /** Sockets between accept and handler. */
  readonly #sockets = new Set<Socket>();
  #queue: Socket[] = [];
  #queueTimer: Timer | undefined;
  #sweepTimer: Timer | undefined;
  #stopping: Promise<void> | undefined;
  #onEmpty: (() => void) | undefined;
  #accepted = 0;
  #refused = 0;
  #failedHandshakes = 0;

  /** Throws `certificate.invalid`. */
  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#limits = { ...LISTENER_LIMITS, ...options.limits };
    const { clock, tls } = options;
    this.#kind =
      'path' in options.address ? 'ldapi' : tls !== undefined && tls.startTls !== true ? 'ldaps' : 'ldap';
    this.#tls = tls === undefined ? undefined : new TlsAcceptor(tls, clock, this.#limits.handshakeTimeoutMs);
    this.#handshakeTokens = new TokenBucket(this.#limits.handshakesPerSecond, clock.monotonic());
    this.#faults = new FaultLog(options.log, this.#limits.faultLinesPerMinute, clock.monotonic());
    this.#server = createServer({
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      pauseOnConnect: true,
    });
    this.#server.on('connection', (socket) => this.#connected(socket));
  }

  /** Rejects with `listen.failed`. */
  async start(): Promise<void> {
    const { address } = this.#options;
    if ('path' in address) await removeStaleSocket(address.path);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenError(error, this.#describe())));
      this.#server.listen(
        'path' in address ? { path: address.path } : { host: address.host, port: address.port },
        resolve,
      );
    });
    if ('path' in address) await chmod(address.path, address.mode ?? 0o600);
    this.#server.removeAllListeners('error').on('error', (error) =>
      this.#faults.report('overload', this.#options.clock.monotonic(), 'accepting a connection failed', {
        error,
      }),
    );
    this.#armSweep();
  }

  /** Where it listens; the port is the real one when 0 was asked for. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  get connections(): ReadonlySet<ServerConnection> {
    return this.#connections;
  }

  get counts(): ListenerCounts {
    return {
      connections: this.#connections.size,
      handshakes: this.#sockets.size,
      accepted: this.#accepted,
      refused: this.#refused,
      failedHandshakes: this.#failedHandshakes,
    };
  }

  /** Replaces certificate and key for handshakes from now on. Throws `certificate.invalid` and keeps the old ones. */
  setIdentity(identity: ServerIdentity): void {
    this.#tls?.setIdentity(identity);
  }

  /** Gives every connection notice, and waits until all have ended (bounded by the close timeout). */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#queueTimer?.cancel();
    for (const socket of this.#sockets) socket.destroy();
    for (const connection of this.#connections)
      connection.noticeOfDisconnection(RESULT_CODE.unavailable, 'server is stopping');
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
    }
    this.#sweepTimer?.cancel();
    await closed;
  }

  #connected(socket: Socket): void {
    socket.on('error', () => undefined);
    const source = this.#kind === 'ldapi' ? '' : sourceOf(socket.remoteAddress ?? '');
    const total = this.#connections.size + this.#sockets.size;
    const fromSource = this.#sources.count(source);
    const tooMany =
      (this.#kind !== 'ldapi' && fromSource >= this.#limits.connectionsPerSource) ||
      (total >= this.#limits.connections && !this.#makeRoom(source));
    if (tooMany || this.#stopping !== undefined) {
      this.#refused++;
      this.#options.log.debug('connection refused: too many', { source, total, fromSource });
      socket.destroy();
      return;
    }
    this.#accepted++;
    this.#sources.add(source);
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#sources.remove(source);
    });
    if (this.#kind !== 'ldaps') return this.#serve(socket, socket);
    this.#queue.push(socket);
    this.#nextHandshakes();
  }

  /** Ends the connection of somebody unknown, when a source has more of them than the newcomer's; false when none has. */
  #makeRoom(newcomer: string): boolean {
    const strangers: { source: string; end: () => void }[] = [];
    for (const connection of this.#connections)
      if (!connection.known && connection.open)
        strangers.push({ source: sourceOf(connection.remoteAddress), end: () => connection.destroy() });
    for (const socket of this.#sockets)
      if (!socket.destroyed)
        strangers.push({ source: sourceOf(socket.remoteAddress ?? ''), end: () => socket.destroy() });
    const goes = crowdedOut(strangers, newcomer);
    goes?.end();
    return goes !== undefined;
  }

  /** Begins as many handshakes as the rate allows; the others wait, unread. */
  #nextHandshakes(): void {
    const { clock } = this.#options;
    while (this.#queue.length > 0) {
      if (this.#queue[0]?.destroyed === true) {
        this.#queue.shift();
        continue;
      }
      const now = clock.monotonic();
      if (!this.#handshakeTokens.take(now)) {
        this.#queueTimer ??= clock.after(
          'ldap.handshake-queue',
          this.#handshakeTokens.wait(now),
          () => {
            this.#queueTimer = undefined;
            this.#nextHandshakes();
          },
          { background: true },
        );
        return;
      }
      const raw = this.#queue.shift() as Socket;
      this.#tls?.accept(raw, (socket, error) => {
        if (socket !== undefined) return this.#serve(socket, raw);
        this.#failedHandshakes++;
        this.#options.log.debug('TLS handshake failed', { source: raw.remoteAddress, error });
      });
    }
  }

  #serve(socket: Socket, raw: Socket): void {
    const { clock, log } = this.#options;
    const tls = this.#tls;
    const connection = new ServerConnection(socket, {
      id: this.#accepted,
      kind: this.#kind,
      limits: this.#limits,
      log,
      faults: this.#faults,
      secure: tls === undefined ? undefined : (plain, done) => tls.accept(plain, done),
      now: () => clock.monotonic(),
      onGone: (gone) => {
        this.#connections.delete(gone);
        if (this.#connections.size === 0) this.#onEmpty?.();
      },
    });
    this.#sockets.delete(raw);
    this.#connections.add(connection);
    try {
      connection.begin(this.#options.accept(connection));
    } catch (error) {
      log.error('a connection could not be served', { source: connection.remoteAddress, error });
      connection.destroy();
      this.#connections.delete(connection);
    }
  }

  #armSweep(): void {
    const { clock } = this.#options;
    this.#sweepTimer = clock.after(
      'ldap.sweep',
      SWEEP_MS,
      () => {
        const now = clock.monotonic();
        for (const connection of this.#connections) connection.sweep(now);
        this.#faults.look(now);
        this.#armSweep();
      },
      { background: true },
    );
  }

  #describe(): string {
    const { address } = this.#options;
    return 'path' in address ? address.path : `${address.host}:${address.port}`;
  }
}

/** A socket file that nobody listens on is left over from a process that was killed. */
async function removeStaleSocket(path: string): Promise<void> {
  const stat = await lstat(path).catch(() => undefined);
  if (stat === undefined) return;
  if (!stat.isSocket()) {
    throw new PosternError('listen.failed', `cannot listen on ${path}: a file that is no socket is there`, {
      hint: 'remove it, or choose another path',
    });
  }
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error) => resolve((error as { code?: unknown }).code !== 'ECONNREFUSED'));
  });
  if (alive) {
    throw new PosternError('listen.failed', `cannot listen on ${path}: somebody listens there already`, {
      hint: 'is the daemon running twice?',
    });
  }
  await unlink(path);
}

const LISTEN_HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'somebody listens there already: stop it (ss -ltnp shows it), or choose another port',
  EACCES:
    'ports below 1024 need a privilege (CAP_NET_BIND_SERVICE); a socket file needs a folder that exists and is writable',
  EADDRNOTAVAIL: 'this machine has no such address: check the configuration',
};

function listenError(error: Error, where: string): PosternError {
  const systemCode = String((error as { code?: unknown }).code ?? 'unknown');
  const hint = LISTEN_HINTS[systemCode];
  return new PosternError('listen.failed', `cannot listen on ${where}: ${error.message}`, {
    cause: error,
    fields: { systemCode },
    ...(hint === undefined ? {} : { hint }),
  });
}
