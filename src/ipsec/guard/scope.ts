/**
 * What the guard drops when it is not inside ESP: the policy seen from a place that knows neither charon nor associations. Pure; how it is written
 * for nft or XFRM stands beside it.
 */
import { holds, parseNetwork } from '../policy/address.ts';
import { endsOf, familiesOf, VRRP } from '../policy/compile.ts';
import type { Policy } from '../policy/policy.ts';
import type { Ports } from '../policy/protection.ts';
import { TCP, UDP } from '../policy/protection.ts';

export interface GuardScope {
  /** False: clear text is counted and passes. */
  readonly drops: boolean;
  /** Whose the protected ports are, the peer's (on a front-end) or this host's own (on a back-end). */
  readonly service: 'peer' | 'own';
  /** Towards the peers: every packet of these ports. Sorted and grouped, so that equal policies make equal guards. */
  readonly towards: readonly { readonly peers: readonly string[]; readonly ports: readonly Ports[] }[];
  /** On a back-end, towards everybody: its ports on all its addresses. */
  readonly anybody: readonly Ports[];
  /** Addresses of peers with whom everything is protected. */
  readonly everything: readonly string[];
  /** Networks, as text. */
  readonly clearFrom: readonly string[];
  readonly sshPorts: readonly number[];
  /** This host's addresses: between them nothing is guarded. */
  readonly own: readonly string[];
}

const ESP = 50;
export const IKE_PORTS = [500, 4500] as const;

/**
 * Linux gives outgoing connections ports from 32768 on. Of a protected port up there, whoever is no peer is kept from opening connections, and
 * nothing else: an answer to a connection of this host's own must get in.
 */
export const FIRST_EPHEMERAL = 32_768;

export function guardScope(policy: Policy): GuardScope {
  const byPorts = new Map<string, { peers: Set<string>; ports: readonly Ports[] }>();
  const everything = new Set<string>();
  for (const link of policy.links)
    for (const family of familiesOf(link)) {
      const { peer } = endsOf(link, family);
      if (link.protections.some((one) => one.everything)) everything.add(peer);
      else
        addGroup(
          byPorts,
          peer,
          link.protections.flatMap(({ ports }) => ports),
        );
    }
  return {
    drops: policy.stage === 'guarded',
    service: policy.role === 'front-end' ? 'peer' : 'own',
    towards: [...byPorts.values()]
      .map(({ peers, ports }) => ({ peers: [...peers].sort(), ports }))
      .sort((a, b) => (portsKey(a.ports) < portsKey(b.ports) ? -1 : 1)),
    anybody:
      policy.role === 'front-end'
        ? []
        : mergePorts(policy.own.flatMap(({ protections }) => protections.flatMap(({ ports }) => ports))),
    everything: [...everything].sort(),
    clearFrom: policy.clearFrom.map(({ text }) => text),
    sshPorts: policy.sshPorts,
    own: policy.own.flatMap(({ addresses }) => Object.values(addresses)).sort(),
  };
}

/** A peer may be linked with several own identities: what is protected with one of them is guarded for all. */
function addGroup(
  groups: Map<string, { peers: Set<string>; ports: readonly Ports[] }>,
  peer: string,
  ports: readonly Ports[],
): void {
  let all = ports;
  for (const [key, group] of groups)
    if (group.peers.delete(peer)) {
      all = [...all, ...group.ports];
      if (group.peers.size === 0) groups.delete(key);
    }
  const merged = mergePorts(all);
  const key = portsKey(merged);
  const group = groups.get(key) ?? { peers: new Set<string>(), ports: merged };
  group.peers.add(peer);
  groups.set(key, group);
}

/** Sorted, overlapping and adjacent ranges as one. */
export function mergePorts(ports: readonly Ports[]): Ports[] {
  const merged: Ports[] = [];
  for (const one of [...ports].sort((a, b) => a.protocol - b.protocol || a.first - b.first)) {
    const last = merged.at(-1);
    if (last !== undefined && last.protocol === one.protocol && one.first <= last.last + 1)
      merged[merged.length - 1] = { ...last, last: Math.max(last.last, one.last) };
    else merged.push(one);
  }
  return merged;
}

function portsKey(ports: readonly Ports[]): string {
  return ports.map(({ protocol, first, last }) => `${protocol}/${first}-${last}`).join(' ');
}

export function isEmpty(scope: GuardScope): boolean {
  return scope.towards.length === 0 && scope.anybody.length === 0 && scope.everything.length === 0;
}

/** A packet outside ESP, seen from this host. */
export interface ClearPacket {
  readonly peer: string;
  readonly protocol: number;
  /** 0 where the protocol has none. */
  readonly ownPort: number;
  readonly peerPort: number;
  readonly incoming: boolean;
  /** The first packet of a TCP connection. */
  readonly opens: boolean;
}

/** Why the guard drops a packet; undefined when it lets it pass. What `render` makes of the scope, as a function. */
export function guardDrops(scope: GuardScope, packet: ClearPacket): string | undefined {
  const servicePort = scope.service === 'peer' ? packet.peerPort : packet.ownPort;
  const isOf = (ports: readonly Ports[]): boolean =>
    ports.some(
      ({ protocol, first, last }) =>
        protocol === packet.protocol && first <= servicePort && servicePort <= last,
    );
  if (packet.protocol === UDP && IKE_PORTS.some((port) => port === packet.ownPort)) return undefined;
  if (scope.everything.includes(packet.peer)) {
    if (packet.protocol === ESP || packet.protocol === VRRP) return undefined;
    if (
      packet.protocol === TCP &&
      scope.sshPorts.some((port) => port === packet.ownPort || port === packet.peerPort)
    )
      return undefined;
    return `everything between this host and ${packet.peer} has to be protected`;
  }
  if (scope.towards.some(({ peers, ports }) => peers.includes(packet.peer) && isOf(ports)))
    return scope.service === 'peer'
      ? `port ${servicePort} of the back-end ${packet.peer} is protected`
      : `port ${servicePort} of this host is protected towards ${packet.peer}`;
  if (!isOf(scope.anybody) || clearNetwork(scope, packet.peer) !== undefined) return undefined;
  if (packet.protocol === TCP && servicePort >= FIRST_EPHEMERAL && !(packet.incoming && packet.opens))
    return undefined;
  return `port ${servicePort} of this host is protected, and ${packet.peer} is no peer and in no network of clear_from`;
}

/** The network of clear_from that holds an address. */
export function clearNetwork(scope: GuardScope, address: string): string | undefined {
  return scope.clearFrom.find((text) => {
    const network = parseNetwork(text);
    return network !== undefined && holds(network, address);
  });
}
