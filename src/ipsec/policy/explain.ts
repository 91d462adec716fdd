/** What would happen to a packet under a policy, and why: the answer of `postern ipsec explain`. Pure. */
import { PosternError } from '../../base/error.ts';
import type { AddressFamily, DesiredBypass, DesiredChild, DesiredConnection, Selector } from '../desired.ts';
import { type ClearPacket, clearNetwork, guardDrops, type GuardScope } from '../guard/scope.ts';
import { canonicalAddress, familyOf } from './address.ts';
import { TCP, UDP } from './protection.ts';

export interface Packet {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  /** 0 where the protocol has none. */
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export interface Verdict {
  /** `dropped`: by the guard. `untouched`: in clear text, as without Postern. `elsewhere`: this host has no part in it. */
  readonly outcome: 'protected' | 'bypassed' | 'dropped' | 'untouched' | 'elsewhere';
  readonly because: string;
  readonly connection?: string;
  readonly child?: string;
  /** The selectors that match, the local one first. */
  readonly selectors?: readonly [string, string];
}

/** Linux takes it for outgoing connections; above it begin the dynamic ports of RPC. */
export const ASSUMED_SOURCE_PORT = 40_000;

/** Reads SRC DST PORT of the command line: PORT is "110", "udp/389", or a protocol without ports ("icmp", "50"). Throws `usage`. */
export function readPacket(
  source: string,
  destination: string,
  port: string,
  sourcePort = ASSUMED_SOURCE_PORT,
): Packet {
  const [from, to] = [source, destination].map((text) => {
    const address = canonicalAddress(text);
    if (address !== undefined) return address;
    throw new PosternError('usage', `"${text.slice(0, 60)}" is no address`, {
      hint: 'give the addresses that stand in the packet, not names',
    });
  });
  if (from === undefined || to === undefined || familyOf(from) !== familyOf(to))
    throw new PosternError('usage', 'one address is IPv4 and the other IPv6: no packet has both');
  const match = /^(?:(tcp|udp)\/)?(\d{1,5})$/.exec(port);
  if (match !== null && Number(match[2]) >= 1 && Number(match[2]) <= 65_535)
    return {
      source: from,
      destination: to,
      protocol: match[1] === 'udp' ? UDP : TCP,
      sourcePort,
      destinationPort: Number(match[2]),
    };
  const protocol = { icmp: familyOf(from) === 'ipv4' ? 1 : 58, esp: 50, vrrp: 112 }[port];
  if (protocol === undefined)
    throw new PosternError('usage', `"${port.slice(0, 40)}" is no port`, {
      hint: 'write 110, tcp/110, udp/389, icmp, esp or vrrp; ports go from 1 to 65535',
    });
  return { source: from, destination: to, protocol, sourcePort: 0, destinationPort: 0 };
}

/** What of a policy decides about a packet. */
export interface PolicyView {
  /** This host's addresses. */
  readonly own: readonly string[];
  readonly connections: readonly DesiredConnection[];
  readonly bypasses: readonly DesiredBypass[];
  readonly guard: GuardScope;
}

export function explain(view: PolicyView, packet: Packet): Verdict {
  const own = new Set(view.own);
  const incoming = !own.has(packet.source);
  if (incoming && !own.has(packet.destination))
    return {
      outcome: 'elsewhere',
      because: `neither ${packet.source} nor ${packet.destination} is an address of this host's policy (${[...own].join(', ')})`,
    };
  if (!incoming && own.has(packet.destination))
    return { outcome: 'untouched', because: 'it does not leave this host' };
  const [ownEnd, peerEnd] = incoming
    ? [destinationOf(packet), sourceOf(packet)]
    : [sourceOf(packet), destinationOf(packet)];
  const family = familyOf(packet.source);
  if (isKeyExchange(packet.protocol, ownEnd.port))
    return { outcome: 'bypassed', because: 'key exchange and ESP are what protection is made of' };
  const at = (one: Selector, end: End): boolean => matches(one, end, packet.protocol);

  const bypass = firstMatch(view.bypasses, family, (one) => pairOf(one, ownEnd, peerEnd, at));
  if (bypass !== undefined)
    return {
      outcome: 'bypassed',
      child: bypass.item.name,
      selectors: bypass.pair,
      because: '"everything" leaves management, VRRP and neighbour discovery alone',
    };
  for (const connection of view.connections) {
    const child = firstMatch(
      connection.children.map((one) => ({ ...one, family: connection.family })),
      family,
      (one) => pairOf(one, ownEnd, peerEnd, at),
    );
    if (child !== undefined) return protectedBy(view, connection, child.item, child.pair);
  }
  return guardVerdict(view, packet.protocol, incoming, ownEnd, peerEnd);
}

function protectedBy(
  view: PolicyView,
  connection: DesiredConnection,
  child: DesiredChild,
  selectors: readonly [string, string],
): Verdict {
  const without = view.guard.drops
    ? 'without an association it waits for one, and the guard drops what would leave in clear'
    : 'the guard does not drop yet';
  return {
    outcome: 'protected',
    connection: connection.name,
    child: child.name,
    selectors,
    because: `${connection.local.id} and ${connection.remote.id} protect it with ESP in transport mode; ${without}`,
  };
}

function guardVerdict(view: PolicyView, protocol: number, incoming: boolean, own: End, peer: End): Verdict {
  const scope = view.guard;
  const clear: ClearPacket = {
    peer: peer.address,
    protocol,
    ownPort: own.port,
    peerPort: peer.port,
    incoming,
    opens: true,
  };
  const reason = guardDrops(scope, clear);
  if (reason !== undefined)
    return scope.drops
      ? { outcome: 'dropped', because: reason }
      : { outcome: 'untouched', because: `${reason}, but at this stage the guard only counts` };
  const network = clearNetwork(scope, peer.address);
  return {
    outcome: 'untouched',
    because:
      network === undefined
        ? 'no protection names it'
        : `${peer.address} is in ${network}, which clear_from lets through`,
  };
}

interface End {
  readonly address: string;
  readonly port: number;
}

function sourceOf(packet: Packet): End {
  return { address: packet.source, port: packet.sourcePort };
}

function destinationOf(packet: Packet): End {
  return { address: packet.destination, port: packet.destinationPort };
}

function isKeyExchange(protocol: number, ownPort: number): boolean {
  return protocol === 50 || (protocol === UDP && (ownPort === 500 || ownPort === 4500));
}

function matches(selector: Selector, end: End, protocol: number): boolean {
  return (
    selector.address === end.address &&
    (selector.protocol === 0 || selector.protocol === protocol) &&
    selector.ports[0] <= end.port &&
    end.port <= selector.ports[1]
  );
}

/** charon makes policies of every local selector with every remote one of the same protocol. */
function pairOf(
  item: Pick<DesiredBypass, 'localSelectors' | 'remoteSelectors'>,
  own: End,
  peer: End,
  at: (selector: Selector, end: End) => boolean,
): [string, string] | undefined {
  const local = item.localSelectors.find((one) => at(one, own));
  const remote = item.remoteSelectors.find((one) => at(one, peer));
  return local === undefined || remote === undefined
    ? undefined
    : [formatSelector(local), formatSelector(remote)];
}

function firstMatch<T extends { readonly family: AddressFamily }>(
  items: readonly T[],
  family: AddressFamily,
  pair: (item: T) => [string, string] | undefined,
): { item: T; pair: [string, string] } | undefined {
  for (const item of items) {
    if (item.family !== family) continue;
    const found = pair(item);
    if (found !== undefined) return { item, pair: found };
  }
  return undefined;
}

const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  0: 'any',
  6: 'tcp',
  17: 'udp',
  58: 'ipv6-icmp',
  112: 'vrrp',
};

/** "192.0.2.1 tcp/110", "192.0.2.1 tcp", "192.0.2.1 any". */
export function formatSelector({ address, protocol, ports: [first, last] }: Selector): string {
  const name = PROTOCOL_NAMES[protocol] ?? String(protocol);
  if (first === 0 && last === 65_535) return `${address} ${name}`;
  return `${address} ${name}/${first === last ? first : `${first}-${last}`}`;
}
