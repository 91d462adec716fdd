/** What went over the connections of this process: octets of its client sockets, in both directions, and LDAP messages that either side has read. */
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { Framer } from '../../src/ldap/framer.ts';

export interface Traffic {
  readonly connections: number;
  readonly bytes: number;
  readonly messages: number;
}

const open = new Set<Socket>();
let connections = 0;
let closedBytes = 0;
let messages = 0;
let counting = false;

/** Counts from now on. */
export function countTraffic(): void {
  if (counting) return;
  counting = true;
  subscribe('net.client.socket', (message) => {
    const { socket } = message as { socket: Socket };
    // The TLS socket above it, where it announces itself, too, is of the same connection.
    if ('encrypted' in socket) return;
    connections++;
    open.add(socket);
    socket.once('close', () => {
      open.delete(socket);
      closedBytes += socket.bytesRead + socket.bytesWritten;
    });
  });
  const next = Framer.prototype.next;
  Framer.prototype.next = function (this: Framer) {
    const result = next.call(this);
    if (result.done !== true) messages++;
    return result;
  };
}

export function traffic(): Traffic {
  let bytes = closedBytes;
  for (const socket of open) bytes += socket.bytesRead + socket.bytesWritten;
  return { connections, bytes, messages };
}
