/**
 * The server's side of TLS handshakes: certificates of clients are asked for and shown to the caller, judged nowhere here. Sessions
 * are never resumed: a resumed one would show the client's earlier certificate without a proof of its key.
 *
 * No tickets (SSL_OP_NO_TICKET), no session cache (nobody listens to `resumeSession`), and a session that was resumed all the same
 * is destroyed: three locks on one door.
 */
import type { Socket } from 'node:net';
import {
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type SecureVersion,
  type Server,
  type TLSSocket,
} from 'node:tls';
import type { Clock } from '../base/clock.ts';
import { PosternError } from '../base/error.ts';
import type { HandshakeDone } from './server-handler.ts';
import { keyMaterial, type PrivateKey, SECURE_OPTIONS } from './tls.ts';

export interface ServerIdentity {
  /** PEM, chain allowed. */
  readonly certificate: string;
  readonly key: PrivateKey;
}

export interface TlsServerOptions {
  readonly identity: ServerIdentity;
  /** TLSv1.3 unless told. */
  readonly minVersion?: SecureVersion;
  /** Ask clients for a certificate; yes unless told. Any certificate, or none, passes: see `ServerConnection.peerCertificate`. */
  readonly requestCertificate?: boolean;
}

interface Waiting {
  error: Error | undefined;
  finish(socket: TLSSocket | undefined): void;
}

export class TlsAcceptor {
  readonly #options: TlsServerOptions;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** Never listens: sockets are handed to it (which Node's documentation of 'connection' provides for). */
  readonly #server: Server;
  /** By both ends' addresses, since Node does not tell which bare socket a secured one came from. */
  readonly #waiting = new Map<string, Waiting>();

  /** Throws `certificate.invalid`. */
  constructor(options: TlsServerOptions, clock: Clock, timeoutMs: number) {
    this.#options = options;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#server = createServer({
      ...this.#context(options.identity),
      requestCert: options.requestCertificate ?? true,
      rejectUnauthorized: false,
    });
    this.#server.on('secureConnection', (socket) => this.#secured(socket));
    this.#server.on('tlsClientError', (error, socket) => {
      const waiting = this.#waiting.get(keyOf(socket));
      if (waiting !== undefined) waiting.error = error;
    });
  }

  /** Takes effect for handshakes that begin afterwards. Throws `certificate.invalid` and keeps the old one when it doesn't fit. */
  setIdentity(identity: ServerIdentity): void {
    this.#server.setSecureContext(this.#context(identity));
  }

  /** Handshakes going on. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Does the handshake on a connected TCP socket that nobody reads. */
  accept(raw: Socket, done: HandshakeDone): void {
    const key = keyOf(raw);
    if (raw.destroyed || raw.remotePort === undefined || this.#waiting.has(key)) {
      raw.destroy();
      done(undefined, new Error('closed before the handshake'));
      return;
    }
    const expire = (): void => {
      waiting.error = new Error(`no TLS handshake within ${this.#timeoutMs} ms`);
      raw.destroy();
    };
    const timer = this.#clock.after('ldap.handshake', this.#timeoutMs, expire, { background: true });
    const onClose = (): void => waiting.finish(undefined);
    const waiting: Waiting = {
      error: undefined,
      finish: (socket) => {
        this.#waiting.delete(key);
        timer.cancel();
        raw.off('close', onClose);
        done(
          socket,
          socket === undefined ? (waiting.error ?? new Error('closed during the handshake')) : undefined,
        );
      },
    };
    this.#waiting.set(key, waiting);
    raw.once('close', onClose);
    this.#server.emit('connection', raw);
  }

  #secured(socket: TLSSocket): void {
    // An error that nobody waits for any more must not end the process.
    socket.on('error', () => undefined);
    const waiting = this.#waiting.get(keyOf(socket));
    if (waiting === undefined || socket.isSessionReused()) {
      if (waiting !== undefined) waiting.error = new Error('the client resumed a session');
      socket.destroy();
      return;
    }
    waiting.finish(socket);
  }

  #context(identity: ServerIdentity): SecureContextOptions {
    const options: SecureContextOptions = {
      cert: identity.certificate,
      ...keyMaterial(identity.key),
      minVersion: this.#options.minVersion ?? 'TLSv1.3',
      secureOptions: SECURE_OPTIONS,
      // No authority is trusted: chains are not our way of judging.
      ca: [],
    };
    try {
      createSecureContext(options);
    } catch (error) {
      throw new PosternError('certificate.invalid', 'the certificate and its key cannot be used for TLS', {
        cause: error,
        hint: 'both are PEM, and the key must belong to the first certificate',
      });
    }
    return options;
  }
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}
