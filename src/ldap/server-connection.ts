/**
 * The server's end of a connection: frames in, answers out, and what protects the process from the other side. It decodes nothing but the
 * outermost length, and knows nothing of operations beyond the notice of disconnection.
 * All requests of a read event are handed over in one go and their answers leave in one write, behind the round of the loop.
 * Nothing here allocates a promise, closure or timer for a message.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { DecodeError } from '../base/decode-error.ts';
import type { BerWriter } from '../asn1/writer.ts';
import { PosternError } from '../base/error.ts';
import type { LogFields } from '../base/log.ts';
import { EXTENDED } from './control.ts';
import { readShared } from './direct-socket.ts';
import { encodeMessage } from './encode.ts';
import { FairShare } from './fair-share.ts';
import type { Fault } from './fault-log.ts';
import { Framer } from './framer.ts';
import type { Message } from './message.ts';
import { RESULT_CODE } from './result-code.ts';
import type { ConnectionHandler, ConnectionSetup, LocalKind } from './server-handler.ts';
import { ConnectionWatch } from './server-watch.ts';
import { exportKeyingMaterial, peerCertificate } from './tls.ts';
import { Output } from './transport-output.ts';
import { writeTogether } from './write-round.ts';

export type { ConnectionHandler, LocalKind } from './server-handler.ts';

/** Why nothing is read; bits. */
const BY_HANDLER = 1;
const BY_OUTPUT = 2;
const BY_TLS = 4;
const BY_TURN = 8;

/** Answers gathered while many requests of one read event are handled are handed on at this size. */
const FLUSH_AT = 65_536;

export class ServerConnection {
  readonly id: number;
  readonly localKind: LocalKind;
  readonly remoteAddress: string;
  /** Undefined: may be silent for ever. */
  idleTimeoutMs: number | undefined;
  /** Set by the handler when somebody has proved who he is: others have to go first when there are too many connections. */
  known = false;
  #setup: ConnectionSetup;
  #socket: Socket;
  readonly #framer: Framer;
  readonly #output: Output;
  #handler: ConnectionHandler | undefined;
  /** Never below the socket's own mark: only above that one it tells when it has drained. */
  readonly #highBytes: number;
  #held = 0;
  #reading = false;
  #closing = false;
  #gone = false;
  /** Work since the last look of `sweep`. */
  #active = true;
  #frames = 0;
  readonly #watch: ConnectionWatch;
  readonly share = new FairShare(this);
  #closingAt = 0;

  constructor(socket: Socket, setup: ConnectionSetup) {
    this.#socket = socket;
    this.#setup = setup;
    this.id = setup.id;
    this.localKind = setup.kind;
    this.remoteAddress = socket.remoteAddress ?? '';
    this.#highBytes = Math.max(setup.limits.outputHighBytes, socket.writableHighWaterMark);
    this.idleTimeoutMs = setup.limits.idleTimeoutMs;
    this.#framer = new Framer({ maxMessageBytes: setup.limits.firstMessageBytes });
    this.#output = new Output(socket);
    this.#watch = new ConnectionWatch(setup.limits, setup.now());
  }

  /** Encrypted by TLS. */
  get secure(): boolean {
    return this.#socket instanceof TLSSocket;
  }

  /** DER of the client's certificate; it has proved to have the key. Undefined without TLS or when it showed none. */
  get peerCertificate(): Buffer | undefined {
    return peerCertificate(this.#socket);
  }

  readonly exportKeyingMaterial = (length: number, label: string): Buffer | undefined =>
    exportKeyingMaterial(this.#socket, length, label);

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  /** False as soon as it is being closed, from either side. */
  get open(): boolean {
    return !this.#closing;
  }

  /** Bytes the other side has not taken yet. A handler that produces much stops above `outputHighBytes` until `onDrain`. */
  get pendingBytes(): number {
    return this.#output.pending;
  }

  /** True while `pendingBytes` is above the mark from which no more requests are read. */
  get congested(): boolean {
    return this.#output.pending > this.#highBytes;
  }

  /** Longest message accepted from now on. */
  set maxMessageBytes(bytes: number) {
    this.#framer.maxMessageBytes = bytes;
  }

  /** Begins to read. For the listener. */
  begin(handler: ConnectionHandler): void {
    this.#handler = handler;
    // Not where StartTLS will put another reader in its place.
    const { kind, secure } = this.#setup;
    if (kind !== 'ldap' || secure === undefined) readShared(this.#socket, this.#onShared);
    this.#attach(this.#socket);
    this.#socket.resume();
  }

  /** Where to append whole messages; see `Output.writer`. They go out with the round (`write-round.ts`), or after the code that runs now. */
  writer(): BerWriter {
    this.#active = true;
    if (!this.#reading) this.#output.flushSoon();
    return this.#output.writer();
  }

  sendMessage(message: Message): void {
    if (!this.#closing) encodeMessage(this.writer(), message);
  }

  /** Sends a copy of encoded messages. */
  send(bytes: Uint8Array): void {
    if (!this.#closing) this.writer().raw(bytes);
  }

  /** Hands what was sent to the system now, for those who send much at once. Returns false when `congested`. */
  flush(): boolean {
    this.#output.flush();
    return !this.#congest();
  }

  /** No frames until `resume`. */
  pause(): void {
    this.#hold(BY_HANDLER);
  }

  resume(): void {
    this.#release(BY_HANDLER);
  }

  /**
   * What the handler was given has to wait for its turn: no frames until the returned function is called with the work, which may throw
   * as `onFrame` may. Independent of `pause` and `resume`.
   */
  postpone(): (work: () => void) => void {
    this.#hold(BY_TURN);
    return (work) => {
      if (this.#closing) return;
      try {
        work();
      } catch (error) {
        this.#failed(error);
      }
      this.#release(BY_TURN);
    };
  }

  /** Notice of disconnection (RFC 4511 §4.4.1), then closes. */
  noticeOfDisconnection(code: number, diagnostic: string): void {
    if (this.#closing) return;
    this.sendMessage({
      messageId: 0,
      operation: {
        op: 'extendedResponse',
        result: { code, matchedDn: '', diagnostic },
        oid: EXTENDED.noticeOfDisconnection,
      },
      controls: [],
    });
    this.close();
  }

  /** Sends what was gathered and closes; what still comes is thrown away. */
  close(): void {
    if (this.#closing) return;
    // Under a TLS handshake nothing can be said.
    if ((this.#held & BY_TLS) !== 0) return this.destroy();
    this.#output.flush();
    this.#leave();
    this.#closingAt = this.#setup.now();
    this.#socket.end();
    this.#socket.resume();
  }

  /** Closes at once. */
  destroy(): void {
    this.#output.drop();
    this.#leave();
    this.#socket.destroy();
  }

  /**
   * Begins TLS (RFC 4511 §4.14): call it in `onFrame` of the request, after sending its success; what is sent later goes over TLS. Throws `refused` where there can be
   * none; answer with an error then. Bytes that came behind the request end the connection: clear text must not pass for protected.
   */
  startTls(): void {
    const { secure } = this.#setup;
    if (secure === undefined || this.secure || this.localKind === 'ldapi')
      throw new PosternError('refused', 'StartTLS is not available here');
    this.#hold(BY_TLS);
    this.#output.suspend();
    if (!this.#reading) this.#upgrade();
  }

  /** Looks after time limits; the listener calls it about every second. `now` in monotonic milliseconds. */
  sweep(now: number): void {
    const { limits } = this.#setup;
    if (this.#closing) {
      if (now - this.#closingAt >= limits.closeTimeoutMs) this.#socket.destroy();
      return;
    }
    this.#congest();
    const partial = this.#held === 0 && this.#framer.buffered > 0;
    const { idleTimeoutMs } = this;
    const unsent = this.pendingBytes;
    const verdict = this.#watch.look(
      { active: this.#active, unsent, frames: this.#frames, partial, idleTimeoutMs, known: this.known },
      now,
    );
    this.#active = false;
    if (verdict === undefined) return;
    this.#fault('timeLimit', 'connection closed by a time limit', { limit: verdict, unsent });
    if (verdict === 'stalled') this.destroy();
    else if (verdict === 'idle') this.noticeOfDisconnection(RESULT_CODE.unavailable, 'idle for too long');
    else if (verdict === 'stranger')
      this.noticeOfDisconnection(RESULT_CODE.strongerAuthRequired, 'no bind within the time allowed');
    else this.noticeOfDisconnection(RESULT_CODE.protocolError, 'message not completed in time');
  }

  #attach(socket: Socket): void {
    this.#listen(socket, 'on');
    if (socket.destroyed) this.#onClose();
  }

  #listen(socket: Socket, how: 'on' | 'off'): void {
    socket[how]('data', this.#onData)[how]('drain', this.#onDrain)[how]('end', this.#onEnd);
    socket[how]('error', this.#onError)[how]('close', this.#onClose);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#closing) return;
    this.#active = true;
    this.#framer.push(chunk);
    this.#readFrames();
  };

  readonly #onShared = (buffer: Buffer, length: number): void => {
    if (this.#closing) return;
    this.#active = true;
    this.#framer.push(buffer, length);
    this.#readFrames();
    this.#framer.keep();
  };

  readonly #onDrain = (): void => {
    if (this.#closing) return;
    this.#active = true;
    try {
      this.#handler?.onDrain?.(this);
    } catch (error) {
      this.#failed(error);
    }
    this.#output.flush();
    if (!this.congested) this.#release(BY_OUTPUT);
  };

  readonly #onError = (error: Error): void => {
    this.#setup.log.debug('connection failed', { source: this.remoteAddress, error });
  };

  readonly #onEnd = (): void => {
    this.#output.flush();
    this.#leave();
    this.#closingAt = this.#setup.now();
  };

  readonly #onClose = (): void => {
    this.#leave();
    if (this.#gone) return;
    this.#gone = true;
    this.share.gone();
    this.#output.drop();
    this.#setup.onGone(this);
  };

  #readFrames(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.share.reads();
    const handler = this.#handler as ConnectionHandler;
    try {
      while (this.#held === 0 && !this.#closing) {
        const next = this.#framer.next();
        if (next.done === true) break;
        this.#frames++;
        handler.onFrame(next.value, this);
        if (this.#output.gathered >= FLUSH_AT) this.flush();
      }
      if (!this.#closing) handler.onReadEnd?.(this);
    } catch (error) {
      this.#failed(error);
    }
    this.#reading = false;
    if (this.#closing) return;
    if ((this.#held & BY_TLS) !== 0) this.#upgrade();
    else if (this.#output.gathered > 0) writeTogether(this);
  }

  #failed(error: unknown): void {
    if (error instanceof DecodeError) {
      this.#fault('notLdap', 'client sent something that is not LDAP: closed', { error });
      this.noticeOfDisconnection(RESULT_CODE.protocolError, error.message);
      return;
    }
    this.#fault('internal', 'serving a connection failed: closed', { error });
    this.noticeOfDisconnection(RESULT_CODE.other, 'internal error');
  }

  /** Stops reading requests while too much is unsent; true then. */
  #congest(): boolean {
    if (this.#closing || !this.congested) return false;
    // Only a socket that has refused more says when it is empty again.
    if (this.#socket.writableNeedDrain) this.#hold(BY_OUTPUT);
    return true;
  }

  #hold(why: number): void {
    this.#held |= why;
    this.#socket.pause();
  }

  #release(why: number): void {
    if ((this.#held & why) === 0) return;
    this.#held &= ~why;
    if (this.#held !== 0 || this.#closing || this.#reading) return;
    this.#readFrames();
    if (this.#held === 0 && !this.#closing) this.#socket.resume();
  }

  #upgrade(): void {
    const raw = this.#socket;
    if (this.#framer.buffered > 0 || raw.readableLength > 0) {
      this.#fault('clearText', 'clear text behind StartTLS: closed', {});
      this.destroy();
      return;
    }
    this.#listen(raw, 'off');
    const onRawClose = (): void => this.#onClose();
    raw.once('close', onRawClose);
    this.#setup.secure?.(raw, (socket, error) => {
      raw.off('close', onRawClose);
      if (socket === undefined || this.#closing) {
        this.#fault('handshake', 'TLS handshake failed', { error });
        socket?.destroy();
        this.#onClose();
        return;
      }
      this.#socket = socket;
      this.#output.attach(socket);
      this.#attach(socket);
      this.#held &= ~BY_TLS;
      try {
        this.#handler?.onSecure?.(this);
      } catch (failure) {
        this.#failed(failure);
      }
      if (this.#held === 0) socket.resume();
    });
  }

  #fault(fault: Fault, message: string, fields: LogFields): void {
    const { faults, now } = this.#setup;
    faults.report(fault, now(), message, { source: this.remoteAddress, ...fields });
  }

  /** No more frames, no more output. */
  #leave(): void {
    if (this.#closing) return;
    this.#closing = true;
    try {
      this.#handler?.onClose?.(this);
    } catch (error) {
      this.#setup.log.error('a handler failed on close', { source: this.remoteAddress, error });
    }
  }
}
