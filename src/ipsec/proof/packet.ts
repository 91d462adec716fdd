/**
 * A captured packet as far as a proof needs it: addresses, protocol, ports, and what is a fragment. Pure and bounded; any octets give a packet or
 * nothing. RFC 791, RFC 8200 §4, RFC 3948 (ESP within UDP); link layers as libpcap names them.
 */
import { canonicalAddress } from '../policy/address.ts';

export interface WirePacket {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  /** Undefined where the protocol has none, or they are in another fragment. */
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
  /** Names the datagram that this is a part of; undefined when it is whole. */
  readonly fragment: string | undefined;
  readonly isFirst: boolean;
  /** The first octets behind a UDP header. */
  readonly payload: Buffer;
  /** Has SYN and not ACK. */
  readonly opens: boolean;
}

/** Octets of the link header, and where the EtherType is in it; by the link type of the capture (pcap-linktype(7)). */
const LINKS: Readonly<Record<number, { readonly header: number; readonly type: number } | 'raw'>> = {
  1: { header: 14, type: 12 },
  101: 'raw',
  113: { header: 16, type: 14 },
  276: { header: 20, type: 0 },
};

export function isKnownLink(link: number): boolean {
  return LINKS[link] !== undefined;
}

/** Undefined for what is not IP, or too short. */
export function readPacket(bytes: Buffer, link: number): WirePacket | undefined {
  const known = LINKS[link];
  if (known === undefined) return undefined;
  if (known === 'raw') return readIp(bytes);
  if (bytes.length < known.header) return undefined;
  let type = bytes.readUInt16BE(known.type);
  let at = known.header;
  // IEEE 802.1Q and 802.1ad, at most two of them.
  for (let tags = 0; (type === 0x8100 || type === 0x88a8) && tags < 2; tags++) {
    if (bytes.length < at + 4) return undefined;
    type = bytes.readUInt16BE(at + 2);
    at += 4;
  }
  return type === 0x0800 || type === 0x86dd ? readIp(bytes.subarray(at)) : undefined;
}

function readIp(bytes: Buffer): WirePacket | undefined {
  const version = (bytes[0] ?? 0) >> 4;
  return version === 4 ? readIpv4(bytes) : version === 6 ? readIpv6(bytes) : undefined;
}

function readIpv4(bytes: Buffer): WirePacket | undefined {
  const length = ((bytes[0] ?? 0) & 0x0f) * 4;
  if (length < 20 || bytes.length < length) return undefined;
  const flags = bytes.readUInt16BE(6);
  const [offset, more] = [flags & 0x1fff, (flags & 0x2000) !== 0];
  const protocol = bytes[9] ?? 0;
  const ends = { source: bytes.subarray(12, 16).join('.'), destination: bytes.subarray(16, 20).join('.') };
  const fragment =
    offset > 0 || more
      ? `${ends.source} ${ends.destination} ${protocol} ${bytes.readUInt16BE(4)}`
      : undefined;
  return {
    ...ends,
    protocol,
    fragment,
    isFirst: offset === 0,
    ...transport(bytes.subarray(length), protocol, offset === 0),
  };
}

const EXTENSION = { hopByHop: 0, routing: 43, fragment: 44, destination: 60 } as const;
const MOST_EXTENSIONS = 16;

function readIpv6(bytes: Buffer): WirePacket | undefined {
  if (bytes.length < 40) return undefined;
  const ends = { source: ipv6Text(bytes.subarray(8, 24)), destination: ipv6Text(bytes.subarray(24, 40)) };
  let protocol = bytes[6] ?? 59;
  let at = 40;
  let fragment: string | undefined;
  let isFirst = true;
  for (let count = 0; count < MOST_EXTENSIONS && isFirst; count++) {
    const isFragment = protocol === EXTENSION.fragment;
    if (
      !isFragment &&
      protocol !== EXTENSION.hopByHop &&
      protocol !== EXTENSION.routing &&
      protocol !== EXTENSION.destination
    )
      break;
    if (bytes.length < at + 8) return undefined;
    if (isFragment) {
      isFirst = (bytes.readUInt16BE(at + 2) & 0xfff8) === 0;
      fragment = `${ends.source} ${ends.destination} ${bytes.readUInt32BE(at + 4)}`;
    }
    protocol = bytes[at] ?? 59;
    at += isFragment ? 8 : ((bytes[at + 1] ?? 0) + 1) * 8;
  }
  return {
    ...ends,
    protocol,
    fragment,
    isFirst,
    ...transport(bytes.subarray(Math.min(at, bytes.length)), protocol, isFirst),
  };
}

function ipv6Text(bytes: Buffer): string {
  const groups = bytes.toString('hex').match(/.{4}/g) ?? [];
  // Addresses that the policy does not know in this form (IPv4 within) stay as they are.
  return canonicalAddress(groups.join(':')) ?? groups.join(':');
}

type Transport = Pick<WirePacket, 'sourcePort' | 'destinationPort' | 'payload' | 'opens'>;
const NONE: Transport = {
  sourcePort: undefined,
  destinationPort: undefined,
  payload: Buffer.alloc(0),
  opens: false,
};

function transport(bytes: Buffer, protocol: number, isFirst: boolean): Transport {
  if (!isFirst || (protocol !== 6 && protocol !== 17) || bytes.length < 4) return NONE;
  const flags = bytes[13] ?? 0;
  return {
    sourcePort: bytes.readUInt16BE(0),
    destinationPort: bytes.readUInt16BE(2),
    payload: protocol === 17 ? bytes.subarray(8, 16) : Buffer.alloc(0),
    opens: protocol === 6 && (flags & 0x12) === 0x02,
  };
}
