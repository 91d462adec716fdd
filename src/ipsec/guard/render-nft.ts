/**
 * The guard as an nftables table of its own (`inet postern_ipsec`). Pure. What is inside ESP, in either direction, is accepted first; then a rule drops
 * what the scope names. Outgoing packets are judged in postrouting: in the output hook the first packet of a connection, which a trap holds until the
 * association is there, would be dropped instead.
 */
import { NEIGHBOUR_DISCOVERY } from '../policy/compile.ts';
import { familyOf } from '../policy/address.ts';
import { type Ports, TCP, UDP } from '../policy/protection.ts';
import { FIRST_EPHEMERAL, type GuardScope, IKE_PORTS } from './scope.ts';

export const GUARD_TABLE = 'postern_ipsec';

/** Named counters of the table: clear packets that came in and that were about to leave, and errors that would have quoted decrypted ones. */
export const GUARD_COUNTERS = ['clear_in', 'clear_out', 'quoted_out'] as const;

type Direction = 'in' | 'out';

/** For `nft -f`: replaces the table, whole or not at all. */
export function renderNft(scope: GuardScope): string {
  return [
    `table inet ${GUARD_TABLE}`,
    `delete table inet ${GUARD_TABLE}`,
    `table inet ${GUARD_TABLE} {`,
    ...GUARD_COUNTERS.map((name) => `\tcounter ${name} { }`),
    ...chain('input', 'type filter hook input priority filter - 10; policy accept;', [
      'meta ipsec exists accept',
      'iif "lo" accept',
      `udp dport { ${IKE_PORTS.join(', ')} } accept`,
      ...rules(scope, 'in'),
    ]),
    ...chain('postrouting', 'type filter hook postrouting priority srcnat - 10; policy accept;', [
      'rt ipsec exists accept',
      'oif "lo" accept',
      `udp sport { ${IKE_PORTS.join(', ')} } accept`,
      ...rules(scope, 'out'),
    ]),
    '}',
    '',
  ].join('\n');
}

/** For `nft -f`: takes the table away; no error when there is none. */
export const REMOVE_NFT = `table inet ${GUARD_TABLE}\ndelete table inet ${GUARD_TABLE}\n`;

function chain(name: string, head: string, lines: readonly string[]): string[] {
  return [`\tchain ${name} {`, `\t\t${head}`, ...lines.map((line) => `\t\t${line}`), '\t}'];
}

function rules(scope: GuardScope, direction: Direction): string[] {
  const end = endOf(scope, direction);
  return [
    ...everythingRules(scope, direction, end),
    ...scope.towards.flatMap(({ peers, ports }) =>
      byFamily(peers).flatMap(({ address, family }) => {
        const peer = `${address(direction)} `;
        return [
          ...portRules(ports, (match) => `${peer}${match(portWord(scope, direction))} ${end}`),
          ...(direction === 'out' ? quoteRules(scope, family, peer, ports) : []),
        ];
      }),
    ),
    ...(scope.anybody.length === 0 ? [] : anybodyRules(scope, direction, end)),
  ];
}

function endOf(scope: GuardScope, direction: Direction): string {
  return `counter name "clear_${direction}"${scope.drops ? ' drop' : ''}`;
}

function everythingRules(scope: GuardScope, direction: Direction, end: string): string[] {
  const neighbours = `icmpv6 type { ${NEIGHBOUR_DISCOVERY.join(', ')} } accept`;
  return byFamily(scope.everything).flatMap(({ address, family }) => {
    const peer = address(direction);
    const ssh = scope.sshPorts.join(', ');
    return [
      `${peer} meta l4proto { esp, vrrp } accept`,
      ...(family === 'ipv6' ? [`${peer} ${neighbours}`] : []),
      ...(ssh === '' ? [] : [`${peer} tcp dport { ${ssh} } accept`, `${peer} tcp sport { ${ssh} } accept`]),
      `${peer} ${end}`,
    ];
  });
}

/** A back-end towards everybody who is no peer. */
function anybodyRules(scope: GuardScope, direction: Direction, end: string): string[] {
  const word = portWord(scope, direction);
  const clear = byFamily(scope.clearFrom).map(({ address }) => `${address(direction)} accept`);
  const tcp = (keep: (one: Ports) => boolean): Ports[] =>
    scope.anybody.filter((one) => one.protocol === TCP && keep(one));
  const split = tcp(() => true).flatMap(splitAtEphemeral);
  const low = split.filter(({ first }) => first < FIRST_EPHEMERAL);
  const high = split.filter(({ first }) => first >= FIRST_EPHEMERAL);
  const udp = scope.anybody.filter(({ protocol }) => protocol === UDP);
  return [
    ...clear,
    ...portRules([...low, ...udp], (match) => `${match(word)} ${end}`),
    ...(direction === 'in'
      ? portRules(high, (match) => `${match(word)} tcp flags & (syn | ack) == syn ${end}`)
      : []),
  ];
}

export function splitAtEphemeral(ports: Ports): Ports[] {
  if (ports.first >= FIRST_EPHEMERAL || ports.last < FIRST_EPHEMERAL) return [ports];
  return [
    { ...ports, last: FIRST_EPHEMERAL - 1 },
    { ...ports, first: FIRST_EPHEMERAL },
  ];
}

/** Whose port is the service's. */
function portWord(scope: GuardScope, direction: Direction): 'sport' | 'dport' {
  return (scope.service === 'own') === (direction === 'in') ? 'dport' : 'sport';
}

function portRules(ports: readonly Ports[], rule: (match: (word: string) => string) => string): string[] {
  return ([TCP, UDP] as const).flatMap((protocol) => {
    const list = portList(ports.filter((one) => one.protocol === protocol));
    return list === '' ? [] : [rule((word) => `${protocol === TCP ? 'tcp' : 'udp'} ${word} { ${list} }`)];
  });
}

function portList(ports: readonly Ports[]): string {
  return ports.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(', ');
}

/**
 * An ICMP error quotes the packet it is about, so an error about a decrypted packet would carry some of it in clear. Errors about protected ports
 * stay here; "fragmentation needed" and "packet too big" of hosts as well, which ESP does not need from its end points. RFC 792; RFC 4443 §3.
 */
function quoteRules(
  scope: GuardScope,
  family: 'ipv4' | 'ipv6',
  peer: string,
  ports: readonly Ports[],
): string[] {
  const [kind, plain, next, port] =
    family === 'ipv4'
      ? // Behind 8 octets of ICMP: version 4 and a header without options, its protocol, and behind its 20 octets the ports.
        [
          'icmp type { destination-unreachable, time-exceeded, parameter-problem }',
          '@th,64,8 0x45 ',
          136,
          224,
        ]
      : [
          'icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }',
          '',
          112,
          384,
        ];
  // What came from the peer is quoted: the service's port is its source on a front-end and its destination on a back-end.
  const at = Number(port) + (scope.service === 'own' ? 16 : 0);
  return ([TCP, UDP] as const).flatMap((protocol) => {
    const list = portList(ports.filter((one) => one.protocol === protocol));
    if (list === '') return [];
    const drop = scope.drops ? ' drop' : '';
    return [
      `${peer}${kind} ${plain}@th,${next},8 ${protocol} @th,${at},16 { ${list} } counter name "quoted_out"${drop}`,
    ];
  });
}

interface AddressGroup {
  readonly family: 'ipv4' | 'ipv6';
  readonly address: (direction: Direction) => string;
}

/** Addresses or networks in sets, those of each family apart. */
function byFamily(texts: readonly string[]): AddressGroup[] {
  return (['ipv4', 'ipv6'] as const).flatMap((family) => {
    const list = texts.filter((text) => familyOf(text) === family);
    if (list.length === 0) return [];
    const word = family === 'ipv4' ? 'ip' : 'ip6';
    return [
      {
        family,
        address: (direction: Direction) =>
          `${word} ${direction === 'in' ? 'saddr' : 'daddr'} { ${list.join(', ')} }`,
      },
    ];
  });
}
