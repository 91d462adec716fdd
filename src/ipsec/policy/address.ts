/** IP addresses and networks as policies write them: one spelling of each, and which network holds which address. Knows text and numbers only. */
import { isIPv4, isIPv6 } from 'node:net';
import type { AddressFamily } from '../desired.ts';

export interface Network {
  /** Canonical: "192.0.2.0/24", "2001:db8::/32". */
  readonly text: string;
  readonly family: AddressFamily;
  readonly first: bigint;
  readonly last: bigint;
}

/** Undefined for an IPv4 address, IPv6 address or anything else when it is no address of one host in one spelling (zones, IPv4 in IPv6). */
export function canonicalAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  // IPv4-mapped addresses never stand in a packet.
  return canonical.startsWith('::ffff:') ? undefined : canonical;
}

export function familyOf(address: string): AddressFamily {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** An address, or an address with a prefix length whose other bits are zero; undefined for anything else. */
export function parseNetwork(text: string): Network | undefined {
  const [head = '', length, ...rest] = text.split('/');
  const address = canonicalAddress(head);
  if (address === undefined || rest.length > 0) return undefined;
  const family = familyOf(address);
  const bits = family === 'ipv4' ? 32 : 128;
  if (length !== undefined && !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const prefix = length === undefined ? bits : Number(length);
  if (prefix > bits) return undefined;
  const size = 1n << BigInt(bits - prefix);
  const first = addressNumber(address);
  if (first % size !== 0n) return undefined;
  return { text: `${address}/${prefix}`, family, first, last: first + size - 1n };
}

export function holds(network: Network, address: string): boolean {
  if (familyOf(address) !== network.family) return false;
  const number = addressNumber(address);
  return number >= network.first && number <= network.last;
}

const NOT_A_HOST = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '224.0.0.0/4',
  '255.255.255.255',
  '::',
  '::1',
  'ff00::/8',
  // Needs an interface beside it, which neither peers nor certificates know.
  'fe80::/10',
].map((text) => parseNetwork(text) as Network);

/** False for loopback, multicast, link-local IPv6 and unspecified addresses: nothing that a peer could have. */
export function isHostAddress(address: string): boolean {
  return !NOT_A_HOST.some((network) => holds(network, address));
}

/** `address` must be canonical. */
function addressNumber(address: string): bigint {
  if (!address.includes(':')) return address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const [head = '', tail] = address.split('::');
  const groups = (part: string | undefined): string[] =>
    part === undefined || part === '' ? [] : part.split(':');
  const [left, right] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...zeros, ...right].reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}
