/**
 * Output of one connection: messages are encoded into a chunk that all connections of the process share, and what was gathered
 * goes out in one write (storage.md: one write a read event; more of them cost a quarter of the throughput). It owns when and how bytes
 * are handed to the socket; it knows nothing of what they mean.
 */
import type { Writable } from 'node:stream';
import { BerWriter } from '../asn1/writer.ts';
import { canWriteNow, writeNow } from './direct-socket.ts';

const CHUNK_BYTES = 65_536;

/** The shared chunk, and whose bytes stand at its end, not yet taken. */
const shared: { readonly writer: BerWriter; owner: Output | undefined } = {
  writer: new BerWriter(CHUNK_BYTES),
  owner: undefined,
};

export class Output {
  #socket: Writable;
  /** Bytes that another connection's output has been appended behind; before those in the shared chunk. */
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #scheduled = false;
  #suspended = false;
  #direct: boolean;
  readonly #flushScheduled: () => void;

  constructor(socket: Writable) {
    this.#socket = socket;
    this.#direct = canWriteNow(socket);
    this.#flushScheduled = () => {
      this.#scheduled = false;
      this.flush();
    };
  }

  /** Holds back what is gathered from now on, while TLS begins: it must not leave in the clear. */
  suspend(): void {
    this.flush();
    this.#suspended = true;
  }

  /** Goes on with another socket over the same connection. */
  attach(socket: Writable): void {
    this.#socket = socket;
    this.#direct = canWriteNow(socket);
    this.#suspended = false;
    this.flush();
  }

  /**
   * Where to append whole messages, until control returns to the event loop or another output is written to. Never keep it; don't
   * call its `take`, `toBuffer` or `rewind(0)`.
   */
  writer(): BerWriter {
    const { owner } = shared;
    if (owner !== this) {
      if (owner !== undefined) owner.#take();
      shared.owner = this;
    }
    return shared.writer;
  }

  /** Appends a copy of whole encoded messages. */
  append(bytes: Uint8Array): void {
    this.writer().raw(bytes);
  }

  /** Bytes not yet handed to the socket. */
  get gathered(): number {
    return this.#pieceBytes + (shared.owner === this ? shared.writer.length : 0);
  }

  /** Bytes that the operating system has not taken yet. */
  get pending(): number {
    return this.gathered + this.#socket.writableLength;
  }

  /** Flushes when the code that runs now has ended, however often it is called before. */
  flushSoon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#flushScheduled);
  }

  /** Hands everything gathered to the socket in one write. On a destroyed or ended socket it is dropped. */
  flush(): void {
    if (shared.owner === this) this.#take();
    const pieces = this.#pieces;
    if (pieces.length === 0 || this.#suspended) return;
    this.#pieces = [];
    this.#pieceBytes = 0;
    const socket = this.#socket;
    if (!socket.writable) return;
    // A piece that has to wait would keep its whole chunk alive: a slow reader could pin hundreds of times what it is owed.
    const waits = socket.writableLength > 0;
    if (pieces.length === 1) {
      const piece = pieces[0] as Buffer;
      if (waits) {
        socket.write(own(piece));
        return;
      }
      const written = this.#direct ? writeNow(socket, piece) : 0;
      if (written < piece.length) socket.write(written === 0 ? piece : own(piece.subarray(written)));
      return;
    }
    socket.cork();
    if (waits) socket.write(Buffer.concat(pieces));
    else for (const piece of pieces) socket.write(piece);
    socket.uncork();
  }

  /** Forgets what was gathered. */
  drop(): void {
    if (shared.owner === this) this.#take();
    this.#pieces = [];
    this.#pieceBytes = 0;
  }

  #take(): void {
    const { writer } = shared;
    if (writer.length > 0) {
      this.#pieceBytes += writer.length;
      this.#pieces.push(writer.take());
    }
    shared.owner = undefined;
  }
}

function own(piece: Buffer): Buffer {
  if (piece.length > CHUNK_BYTES / 2) return piece;
  const copy = Buffer.allocUnsafeSlow(piece.length);
  copy.set(piece);
  return copy;
}
