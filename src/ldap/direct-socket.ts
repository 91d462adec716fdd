/**
 * Two short cuts past Node's streams for the sockets of servers, which cost more per message than an LDAP search does:
 *
 * - reading into one buffer that all connections share (Node has that for clients only: `net.connect({ onread })`; for accepted
 *   sockets it allocates 64 KiB a read event);
 * - writing at once with write(2), where the stream would make a request object and a callback for each message.
 *
 * Both use what Node does not document. So each is tried only where everything it needs looks as expected, and the caller goes the
 * ordinary way when it gets `false` or 0.
 */
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';

interface Handle {
  readonly fd?: unknown;
  readonly useUserBuffer?: unknown;
}

/** As large as what Node reads at once. */
const SHARED_BYTES = 65_536;
const shared = Buffer.allocUnsafeSlow(SHARED_BYTES);

/**
 * From now on what the socket receives is given to `onRead`: the first `length` octets of `buffer`, valid during the call only. What it
 * had received before still comes as `data` events, and first. False: everything comes so.
 */
export function readShared(socket: Socket, onRead: (buffer: Buffer, length: number) => void): boolean {
  const handle = handleOf(socket);
  if (typeof handle?.useUserBuffer !== 'function') return false;
  const symbols = Object.getOwnPropertySymbols(socket);
  const find = (name: string): symbol | undefined => symbols.find(({ description }) => description === name);
  const [buffer, callback, generator] = [find('kBuffer'), find('kBufferCb'), find('kBufferGen')];
  if (buffer === undefined || callback === undefined || generator === undefined) return false;
  const fields = socket as unknown as Record<symbol, unknown>;
  if (fields[buffer] !== null || fields[callback] !== null || fields[generator] !== null) return false;
  fields[buffer] = shared;
  fields[callback] = (length: number, into: Buffer) => onRead(into, length);
  handle.useUserBuffer(shared);
  return true;
}

/** Whether `writeNow` may be tried on this socket. */
export function canWriteNow(socket: Writable): boolean {
  return socket instanceof Socket && !(socket instanceof TLSSocket) && descriptorOf(socket) >= 0;
}

/**
 * Gives octets to the system at once; returns how many it took. The rest, and whatever goes wrong, is for the ordinary way. Only while
 * nothing waits in the socket's own queue.
 */
export function writeNow(socket: Writable, bytes: Uint8Array): number {
  const descriptor = descriptorOf(socket as Socket);
  if (descriptor < 0) return 0;
  try {
    return writeSync(descriptor, bytes, 0, bytes.length);
  } catch {
    // Full, or broken: the stream finds out by itself and says it in its own way.
    return 0;
  }
}

function descriptorOf(socket: Socket): number {
  const descriptor = handleOf(socket)?.fd;
  return typeof descriptor === 'number' ? descriptor : -1;
}

function handleOf(socket: Socket): Handle | null | undefined {
  return (socket as unknown as { readonly _handle?: Handle | null })._handle;
}
