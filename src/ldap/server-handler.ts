/** What a connection and the one who serves it expect of each other. */
import type { Socket } from 'node:net';
import type { Log } from '../base/log.ts';
import type { FaultLog } from './fault-log.ts';
import type { Frame } from './framer.ts';
import type { ServerConnection } from './server-connection.ts';
import type { ListenerLimits } from './server-limits.ts';

/** `ldaps`: TLS from the first byte; `ldap`: plain, StartTLS perhaps; `ldapi`: a unix socket. */
export type LocalKind = 'ldaps' | 'ldap' | 'ldapi';

/** What serves one connection. */
export interface ConnectionHandler {
  /**
   * One whole message. Its bytes are valid only during the call: copy what is kept. A `DecodeError` thrown here ends the
   * connection with a notice (protocolError), any other error too (other). Not called again while the connection is paused.
   */
  onFrame(frame: Frame, connection: ServerConnection): void;
  /** After the last frame of a read event; then everything sent goes out in one write. */
  onReadEnd?(connection: ServerConnection): void;
  /** Unsent output has gone: go on with what was held back. */
  onDrain?(connection: ServerConnection): void;
  /** TLS has begun on what was a plain connection. */
  onSecure?(connection: ServerConnection): void;
  /** Once; no frame comes after it and what is sent then is dropped. */
  onClose?(connection: ServerConnection): void;
}

/** What a listener gives to a connection. */
export interface ConnectionSetup {
  readonly id: number;
  readonly kind: LocalKind;
  readonly limits: ListenerLimits;
  readonly log: Log;
  /** For what the other side can make us write as often as it likes. */
  readonly faults: FaultLog;
  /** Does the handshake for StartTLS; undefined when there is no certificate. */
  readonly secure: ((raw: Socket, done: HandshakeDone) => void) | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly onGone: (connection: ServerConnection) => void;
}

/** Called once: with the secured socket, or with what went wrong (the bare socket is destroyed then). */
export type HandshakeDone = (socket: Socket | undefined, error: Error | undefined) => void;
