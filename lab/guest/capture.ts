/** What went over the bridge: reads tcpdump's file and says what of it was in clear and what was ESP. Pure. */
import type { ProtectedPort } from '../scenario.ts';
import { BACK_END_ADDRESSES } from './network.ts';

export interface CaptureReport {
  /** Packets of protected ports of the back-end that anybody could read. */
  readonly clearPackets: number;
  /** The first few of them, in words. */
  readonly examples: readonly string[];
  readonly espPackets: number;
  readonly firstEspMs: number | undefined;
  readonly packets: number;
}

const ESP = 50;
const TCP = 6;
const UDP = 17;
const HEADER = 24;

/** Bytes of whole packets in a capture file, which may end in the middle of one. */
export function wholePackets(pcap: Buffer): number {
  let at = HEADER;
  while (at + 16 <= pcap.length && at + 16 + pcap.readUInt32LE(at + 8) <= pcap.length)
    at += 16 + pcap.readUInt32LE(at + 8);
  return at;
}

/** Of the packets from byte `from` on, which were caught at `sinceMs` or later; times are of the epoch. */
export function readCapture(
  pcap: Buffer,
  protects: readonly ProtectedPort[],
  { from = HEADER, sinceMs = 0 }: { from?: number; sinceMs?: number } = {},
): CaptureReport {
  if (pcap.length < HEADER || pcap.readUInt32LE(0) !== 0xa1b2c3d4 || pcap.readUInt32LE(20) !== 1)
    throw new Error('not the capture file that was expected');
  let [espPackets, clearPackets, packets] = [0, 0, 0];
  let firstEspMs: number | undefined;
  const examples: string[] = [];
  for (let at = Math.max(from, HEADER); at + 16 <= pcap.length; ) {
    const length = pcap.readUInt32LE(at + 8);
    const timeMs = pcap.readUInt32LE(at) * 1000 + pcap.readUInt32LE(at + 4) / 1000;
    const packet = ipPacket(pcap.subarray(at + 16, at + 16 + length));
    at += 16 + length;
    if (packet === undefined || timeMs < sinceMs) continue;
    packets += 1;
    if (isEsp(packet)) {
      espPackets += 1;
      firstEspMs ??= timeMs - sinceMs;
    } else if (protects.some((port) => isClear(packet, port))) {
      clearPackets += 1;
      if (examples.length < 5) examples.push(words(packet));
    }
  }
  return { clearPackets, espPackets, firstEspMs, packets, examples };
}

interface IpPacket {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  /** A fragment that isn't the first has no ports to look at. */
  readonly isLaterFragment: boolean;
  readonly payload: Buffer;
}

function ipPacket(frame: Buffer): IpPacket | undefined {
  const type = frame.length >= 34 ? frame.readUInt16BE(12) : 0;
  const ip = frame.subarray(14);
  if (type === 0x0800) {
    return {
      source: [...ip.subarray(12, 16)].join('.'),
      destination: [...ip.subarray(16, 20)].join('.'),
      protocol: ip[9] ?? 0,
      isLaterFragment: (ip.readUInt16BE(6) & 0x1fff) !== 0,
      payload: ip.subarray(((ip[0] ?? 0) & 15) * 4, ip.readUInt16BE(2)),
    };
  }
  if (type !== 0x86dd || ip.length < 40) return undefined;
  let [protocol, at, isLaterFragment] = [ip[6] ?? 0, 40, false];
  // Hop-by-hop, routing, destination options (RFC 8200 §4.3 to 4.6), fragment (§4.5).
  while ([0, 43, 60, 44].includes(protocol) && at + 8 <= ip.length) {
    const next = ip[at] ?? 59;
    if (protocol === 44) isLaterFragment ||= (ip.readUInt16BE(at + 2) & 0xfff8) !== 0;
    at += protocol === 44 ? 8 : ((ip[at + 1] ?? 0) + 1) * 8;
    protocol = next;
  }
  return {
    source: ipv6Text(ip.subarray(8, 24)),
    destination: ipv6Text(ip.subarray(24, 40)),
    protocol,
    isLaterFragment,
    payload: ip.subarray(at),
  };
}

/** As the lab writes its own addresses: fd77::11. */
function ipv6Text(bytes: Buffer): string {
  const words = [0, 2, 4, 6, 8, 10, 12, 14].map((at) => bytes.readUInt16BE(at).toString(16));
  return words.join(':').replace(/(?::0)+:/, '::');
}

function ports({ payload }: IpPacket): [source: number, destination: number] {
  return payload.length < 4 ? [0, 0] : [payload.readUInt16BE(0), payload.readUInt16BE(2)];
}

/** ESP itself, or in UDP on port 4500 without the four zero octets of an IKE message (RFC 3948 §2.2). */
function isEsp(packet: IpPacket): boolean {
  if (packet.protocol === ESP) return true;
  if (packet.protocol !== UDP || packet.isLaterFragment) return false;
  const { payload } = packet;
  return ports(packet).includes(4500) && payload.length > 12 && payload.readUInt32BE(8) !== 0;
}

function isClear(packet: IpPacket, port: ProtectedPort): boolean {
  if (packet.protocol !== (port.protocol === 'tcp' ? TCP : UDP)) return false;
  const [source, destination] = ports(packet);
  const hit = (address: string, number: number): boolean =>
    BACK_END_ADDRESSES.includes(address) &&
    (packet.isLaterFragment || (number >= port.first && number <= port.last));
  return hit(packet.source, source) || hit(packet.destination, destination);
}

function words(packet: IpPacket): string {
  const protocol = packet.protocol === TCP ? 'tcp' : 'udp';
  if (packet.isLaterFragment) return `${protocol} ${packet.source} > ${packet.destination} (fragment)`;
  const [source, destination] = ports(packet);
  return `${protocol} ${packet.source} ${source} > ${packet.destination} ${destination}`;
}
