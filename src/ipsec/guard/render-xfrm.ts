/**
 * The guard as XFRM policies of the worst priority, for kernels without nft's `inet` family: any trap or association of charon's wins over them, and they
 * outlive it. Pure. An own address is always "any" here: the kernel keeps one policy for equal selectors whatever their priorities, so a
 * policy with charon's own selectors would be replaced by charon and go away with it.
 */
import { PosternError } from '../../base/error.ts';
import { familyOf } from '../policy/address.ts';
import { ICMPV6, NEIGHBOUR_DISCOVERY, VRRP } from '../policy/compile.ts';
import { type Ports, TCP, UDP } from '../policy/protection.ts';
import { splitAtEphemeral } from './render-nft.ts';
import { FIRST_EPHEMERAL, type GuardScope } from './scope.ts';

/** What blocks, and what passes before it: nobody else's policies have these priorities. */
export const BLOCK_PRIORITY = 4_294_967_295;
export const PASS_PRIORITY = 4_294_967_294;

/** `ip xfrm` knows single ports only, and the kernel sorts each new policy into one list: 4,000 take a few seconds, 65,000 took five minutes. */
const MOST_POLICIES = 4000;

/**
 * Selector and action of each policy, as `ip xfrm policy` takes them: "dir out src 0.0.0.0/0 dst 192.0.2.50/32 proto tcp dport 110 action block
 * priority 4294967295". Empty for a guard that only counts. Throws `ipsec.guard` for ranges too wide to be written port by port.
 */
export function renderXfrm(scope: GuardScope): string[] {
  if (!scope.drops) return [];
  const lines = [
    ...scope.everything.flatMap((peer) => everythingPolicies(scope, host(peer))),
    ...scope.towards.flatMap(({ peers, ports }) =>
      peers.flatMap((peer) => portPolicies(scope, host(peer), ports, 'block')),
    ),
    ...anybodyPolicies(scope),
  ];
  if (lines.length <= MOST_POLICIES) return lines;
  throw new PosternError(
    'ipsec.guard',
    `this kernel has no nftables family "inet", and the ranges of the policy would need ${lines.length} XFRM policies`,
    {
      hint: 'load the module nf_tables_inet, or protect fewer ports',
    },
  );
}

interface Network {
  readonly text: string;
  readonly any: string;
}

function host(address: string): Network {
  return familyOf(address) === 'ipv4'
    ? { text: `${address}/32`, any: '0.0.0.0/0' }
    : { text: `${address}/128`, any: '::/0' };
}

function everythingPolicies(scope: GuardScope, peer: Network): string[] {
  const both = (rest: string, action: 'block' | 'allow'): string[] => [
    line('in', peer, rest, action),
    line('out', peer, rest, action),
  ];
  return [
    ...scope.sshPorts.flatMap((port) => [
      ...both(`proto tcp sport ${port}`, 'allow'),
      ...both(`proto tcp dport ${port}`, 'allow'),
    ]),
    ...both(`proto ${VRRP}`, 'allow'),
    ...(peer.any === '::/0'
      ? NEIGHBOUR_DISCOVERY.flatMap((type) => both(`proto ${ICMPV6} type ${type}`, 'allow'))
      : []),
    ...both('', 'block'),
  ];
}

function portPolicies(
  scope: GuardScope,
  peer: Network,
  ports: readonly Ports[],
  action: 'block' | 'allow',
): string[] {
  const own = scope.service === 'own';
  return ports.flatMap(({ protocol, first, last }) =>
    Array.from({ length: last - first + 1 }, (_, index) => first + index).flatMap((port) => {
      const name = protocol === TCP ? 'tcp' : 'udp';
      return [
        line('in', peer, `proto ${name} ${own ? 'dport' : 'sport'} ${port}`, action),
        line('out', peer, `proto ${name} ${own ? 'sport' : 'dport'} ${port}`, action),
      ];
    }),
  );
}

/** Ports of outgoing connections are guarded towards peers alone: a policy cannot tell who opened a connection. */
function anybodyPolicies(scope: GuardScope): string[] {
  const ports = scope.anybody.flatMap((one) =>
    one.protocol === UDP ? [one] : splitAtEphemeral(one).filter(({ first }) => first < FIRST_EPHEMERAL),
  );
  if (ports.length === 0) return [];
  return [
    ...scope.clearFrom.flatMap((text) =>
      portPolicies(scope, { text, any: familyOf(text) === 'ipv4' ? '0.0.0.0/0' : '::/0' }, ports, 'allow'),
    ),
    ...loopbackPolicies(scope),
    ...['0.0.0.0/0', '::/0'].flatMap((any) => portPolicies(scope, { text: any, any }, ports, 'block')),
  ];
}

/**
 * What stays on the host is not exempt by itself everywhere (IPv6). By addresses, since a selector's device is the loopback for whatever is delivered
 * here, wherever it came from.
 */
function loopbackPolicies(scope: GuardScope): string[] {
  const networks = ['127.0.0.0/8', '::1/128', ...scope.own.map((address) => host(address).text)];
  return networks.flatMap((text) => [
    line('in', { text, any: text }, '', 'allow'),
    line('out', { text, any: text }, '', 'allow'),
  ]);
}

function line(direction: 'in' | 'out', peer: Network, rest: string, action: 'block' | 'allow'): string {
  const ends = direction === 'in' ? `src ${peer.text} dst ${peer.any}` : `src ${peer.any} dst ${peer.text}`;
  const priority = action === 'block' ? BLOCK_PRIORITY : PASS_PRIORITY;
  return `dir ${direction} ${ends} ${rest === '' ? '' : `${rest} `}action ${action} priority ${priority}`;
}
