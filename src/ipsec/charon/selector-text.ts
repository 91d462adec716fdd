/** Selectors as charon reads and writes them: `192.0.2.1/32[tcp/110]`. charon writes names of /etc/services where there are any, so reading needs those. */
import { canonicalAddress, familyOf } from '../policy/address.ts';
import type { Selector } from '../desired.ts';

const ALL_PORTS = 65_535;

const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  esp: 50,
  ah: 51,
  'ipv6-icmp': 58,
  icmpv6: 58,
  vrrp: 112,
  sctp: 132,
};

/** Ports by `name/protocol`. */
export type ServiceNames = ReadonlyMap<string, number>;

/** The text of /etc/services: `pop3  110/tcp  pop-3`. Lines that are something else are passed over. */
export function readServiceNames(text: string): ServiceNames {
  const names = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name, number, ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    const match = /^(\d{1,5})\/(\w+)$/.exec(number ?? '');
    if (name === undefined || match === null) continue;
    for (const each of [name, ...aliases]) {
      const key = `${each}/${match[2] ?? ''}`;
      if (!names.has(key)) names.set(key, Number(match[1]));
    }
  }
  return names;
}

/** For load-conn. */
export function writeSelector({ address, protocol, ports: [first, last] }: Selector): string {
  const host = `${address}/${familyOf(address) === 'ipv4' ? 32 : 128}`;
  const all = first === 0 && last === ALL_PORTS;
  if (protocol === 0 && all) return host;
  const range = all ? '' : first === last ? `/${first}` : `/${first}-${last}`;
  return `${host}[${protocol === 0 ? '' : protocol}${range}]`;
}

/** What charon says that it has. Undefined for what no selector of ours could be: networks, ranges of addresses, unknown names. */
export function readSelector(text: string, names: ServiceNames): Selector | undefined {
  const match = /^([\da-fA-F:.]+)\/(\d{1,3})(?:\[([\w.+-]+)(?:\/([\w.+()-]+))?\])?$/.exec(text);
  const address = canonicalAddress(match?.[1] ?? '');
  if (match === null || address === undefined) return undefined;
  if (Number(match[2]) !== (familyOf(address) === 'ipv4' ? 32 : 128)) return undefined;
  const [, , , protocolText, portText] = match;
  const protocol = protocolText === undefined ? 0 : numberOrName(protocolText, PROTOCOLS[protocolText]);
  if (protocol === undefined) return undefined;
  const ports =
    portText === undefined
      ? ([0, ALL_PORTS] as const)
      : readPorts(portText, protocol, protocolText ?? '', names);
  return ports === undefined ? undefined : { address, protocol, ports };
}

function readPorts(
  text: string,
  protocol: number,
  protocolName: string,
  names: ServiceNames,
): readonly [number, number] | undefined {
  const range = /^(\d{1,5})-(\d{1,5})$/.exec(text);
  if (range !== null) return [Number(range[1]), Number(range[2])];
  const icmp = protocol === 1 || protocol === 58 ? /^(\d{1,3})(?:\((\d{1,3})\))?$/.exec(text) : null;
  if (icmp !== null) {
    const value = Number(icmp[1]) * 256 + Number(icmp[2] ?? 0);
    return [value, value];
  }
  const port = numberOrName(text, names.get(`${text}/${protocolName}`));
  return port === undefined ? undefined : [port, port];
}

const numberOrName = (text: string, named: number | undefined): number | undefined =>
  /^\d{1,5}$/.test(text) ? Number(text) : named;

/** Whether all that `inner` selects is selected by `outer` as well. */
export function selects(outer: Selector, inner: Selector): boolean {
  return (
    outer.address === inner.address &&
    (outer.protocol === 0 || outer.protocol === inner.protocol) &&
    outer.ports[0] <= inner.ports[0] &&
    outer.ports[1] >= inner.ports[1]
  );
}
