/**
 * tcpdump on loopback, with what was said put together again per direction of a connection, so that a search cannot miss what happens
 * to be cut by a segment.
 *
 *   await using capture = await TcpCapture.start([port]);
 *   ...
 *   const streams = await capture.stop();
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';

/** Sent when the capture ends: when it has arrived, so has everything before it. */
const LAST = Buffer.from('postern-capture-ends-here');

export interface TcpStream {
  readonly fromPort: number;
  readonly toPort: number;
  readonly bytes: Buffer;
}

export class TcpCapture implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #chunks: Buffer[] = [];
  readonly #ended: Promise<void>;
  readonly #marker: Socket;
  #said = '';
  #lastSeen: () => void = () => undefined;

  private constructor(child: ChildProcess, marker: Socket) {
    this.#child = child;
    this.#marker = marker;
    let tail = Buffer.alloc(0);
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      tail = Buffer.concat([tail, chunk]).subarray(-4096);
      if (tail.includes(LAST)) this.#lastSeen();
    });
    this.#ended = new Promise((resolve) => child.once('close', () => resolve()));
  }

  /** Resolves when tcpdump listens. Needs root. */
  static async start(ports: readonly number[]): Promise<TcpCapture> {
    const marker = createSocket('udp4');
    await new Promise<void>((resolve) => marker.bind(0, '127.0.0.1', resolve));
    const tcp = ports.map((port) => `tcp port ${port}`);
    const filter = [...tcp, `udp dst port ${marker.address().port}`].join(' or ');
    // A large buffer, and whole packets: with nothing dropped the search says something.
    const args = ['-i', 'lo', '-n', '-U', '-s', '0', '-B', '65536', '-w', '-', filter];
    const child = spawn('tcpdump', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const capture = new TcpCapture(child, marker);
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', () => reject(new Error(`tcpdump ended: ${capture.#said}`)));
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        capture.#said += text;
        if (capture.#said.includes('listening on')) resolve();
      });
    });
    return capture;
  }

  /** Ends the capture; everything that was sent before is in it. Throws when a packet was dropped. */
  async stop(): Promise<TcpStream[]> {
    const seen = new Promise<void>((resolve) => {
      this.#lastSeen = resolve;
    });
    this.#marker.send(LAST, this.#marker.address().port, '127.0.0.1');
    await Promise.race([seen, this.#ended]);
    this.#child.kill('SIGINT');
    await this.#ended;
    if (!/^0 packets dropped by kernel/m.test(this.#said)) throw new Error(`tcpdump: ${this.#said}`);
    return streamsOf(Buffer.concat(this.#chunks));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    this.#marker.close();
  }
}

/** True when `marker` is in a stream: as it is, in base64 at any offset, in hexadecimal, or as UTF-16. */
export function finds(streams: readonly TcpStream[], marker: string): boolean {
  const plain = Buffer.from(marker);
  const shifted = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), plain]).toString('base64');
    // What the neighbours have a share in is left out.
    return Buffer.from(text.slice(shift === 0 ? 0 : 4, -4));
  });
  const needles = [plain, Buffer.from(marker, 'utf16le'), Buffer.from(plain.toString('hex')), ...shifted];
  return streams.some(({ bytes }) => needles.some((needle) => needle.length > 3 && bytes.includes(needle)));
}

interface Segment {
  readonly sequence: number;
  readonly payload: Buffer;
}

/** pcap (little endian, Ethernet as `lo` has it) with IPv4 or IPv6 and TCP. */
function streamsOf(pcap: Buffer): TcpStream[] {
  if (pcap.length < 24 || pcap.readUInt32LE(0) !== 0xa1b2c3d4 || pcap.readUInt32LE(20) !== 1)
    throw new Error('not the capture file that was expected');
  const flows = new Map<string, Segment[]>();
  for (let at = 24; at + 16 <= pcap.length; ) {
    const length = pcap.readUInt32LE(at + 8);
    const frame = pcap.subarray(at + 16, at + 16 + length);
    at += 16 + length;
    const ip = frame.subarray(14);
    const isV6 = frame.readUInt16BE(12) === 0x86dd;
    if ((isV6 ? ip[6] : ip[9]) !== 6) continue;
    const headerLength = isV6 ? 40 : ((ip[0] ?? 0) & 15) * 4;
    // Segmentation is left to the device, and `lo` has none: a total length of 0 means "all of it".
    const stated = isV6 ? ip.readUInt16BE(4) + 40 : ip.readUInt16BE(2);
    const tcp = ip.subarray(headerLength, stated === 0 || stated === 40 ? undefined : stated);
    const payload = tcp.subarray(((tcp[12] ?? 0) >>> 4) * 4);
    if (payload.length === 0) continue;
    const key = `${tcp.readUInt16BE(0)} ${tcp.readUInt16BE(2)}`;
    const flow = flows.get(key) ?? [];
    flows.set(key, flow);
    flow.push({ sequence: tcp.readUInt32BE(4), payload });
  }
  return [...flows].map(([key, segments]) => {
    const [fromPort = 0, toPort = 0] = key.split(' ').map(Number);
    return { fromPort, toPort, bytes: reassembled(segments) };
  });
}

/** In the order of their sequence numbers, what was sent again once. */
function reassembled(segments: readonly Segment[]): Buffer {
  const first = segments[0]?.sequence ?? 0;
  const placed = segments
    .map(({ sequence, payload }) => ({ offset: (sequence - first) | 0, payload }))
    .sort((a, b) => a.offset - b.offset);
  const parts: Buffer[] = [];
  let end = Number.NEGATIVE_INFINITY;
  for (const { offset, payload } of placed) {
    if (offset + payload.length <= end) continue;
    parts.push(offset < end ? payload.subarray(end - offset) : payload);
    end = offset + payload.length;
  }
  return Buffer.concat(parts);
}
