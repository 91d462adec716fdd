/**
 * Runs inside a network namespace: answers on TCP and UDP ports, and says what becomes of what it is told to send. One JSON line in, one out.
 * Started by `network-talk.ts`.
 */
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';

interface Order {
  readonly id: number;
  readonly what: 'serve' | 'tcp' | 'udp';
  readonly host: string;
  readonly port: number;
  readonly from?: string;
  readonly size?: number;
}

function carryOut({ what, host, port, from, size }: Order, answer: (text: string) => void): void {
  if (what === 'serve') {
    const kind = host.includes(':') ? 'udp6' : 'udp4';
    const udp = createSocket(kind);
    udp.on('message', (bytes, sender) => udp.send(bytes, sender.port, sender.address));
    const tcp = createServer((socket) => socket.on('error', () => socket.destroy()).pipe(socket));
    udp.bind(port, host, () => tcp.listen(port, host, () => answer('serving')));
  } else if (what === 'tcp') {
    const socket = connect({ host, port, ...(from === undefined ? {} : { localAddress: from }) });
    socket.once('connect', () => answer('connected'));
    socket.once('error', (error: NodeJS.ErrnoException) => answer(error.code ?? 'error'));
  } else {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.once('message', (bytes) =>
      answer(bytes.length === (size ?? 1) ? 'answered' : `${bytes.length} octets`),
    );
    socket.once('error', (error: NodeJS.ErrnoException) => answer(error.code ?? 'error'));
    socket.send(Buffer.alloc(size ?? 1, 7), port, host, (error) => {
      if (error !== null && error !== undefined) answer((error as NodeJS.ErrnoException).code ?? 'error');
    });
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line) as Order;
    carryOut(order, (text) => process.stdout.write(`${JSON.stringify({ id: order.id, text })}\n`));
  })
  .once('close', () => process.exit(0));
