/** Addresses and names of the lab, and the bridge that joins its hosts. */
import type { Host } from './host.ts';

/** Last part of the IPv4 and of the IPv6 address. */
const HOSTS = { front: 1, back1: 11, back2: 12, client: 50, rogue: 66 } as const;
const VIRTUAL = 10;
const OBSERVER = 9;

export type HostName = keyof typeof HOSTS;

export function isHostName(name: string): name is HostName {
  return Object.hasOwn(HOSTS, name);
}

const v4 = (last: number): string => `10.77.0.${last}`;
const v6 = (last: number): string => `fd77::${last}`;

/** FRONT, FRONT6, BACK1..., VIP, VIP6: what the commands and files of a scenario may name. */
export function addressVariables(): Record<string, string> {
  const named = [...Object.entries(HOSTS), ['vip', VIRTUAL], ['observer', OBSERVER]] as [string, number][];
  return Object.fromEntries(
    named.flatMap(([name, last]) => [
      [name.toUpperCase(), v4(last)],
      [`${name.toUpperCase()}6`, v6(last)],
    ]),
  );
}

/** Addresses whose services are protected: those of the back-end's nodes and the virtual one. */
export const BACK_END_ADDRESSES: readonly string[] = [HOSTS.back1, HOSTS.back2, VIRTUAL].flatMap((last) => [
  v4(last),
  v6(last),
]);

export function hostsFile(): string {
  const names = [...Object.entries(HOSTS), ['back', VIRTUAL]] as [string, number][];
  const lines = names.flatMap(([name, last]) =>
    [v4(last), v6(last)].map((address) => `${address} ${name}.lab.example`),
  );
  return ['127.0.0.1 localhost', '::1 localhost', ...lines, ''].join('\n');
}

/** Once a guest. */
export async function makeBridge(observer: Host): Promise<void> {
  await must(observer, [
    `ip -batch - <<'END'`,
    'link add br0 type bridge forward_delay 0 mcast_snooping 0',
    // A port that is always there: without any, nothing goes over a bridge, not even what shows that the capture works.
    'link add port0 type dummy',
    'link set port0 master br0 up',
    `address add ${v4(OBSERVER)}/24 dev br0`,
    `address add ${v6(OBSERVER)}/64 dev br0 nodad`,
    'link set br0 up',
    'END',
  ]);
}

/** Joins hosts to the bridge, each with its own addresses; the one that is named has the virtual ones too. */
export async function joinHosts(
  observer: Host,
  hosts: readonly { host: Host; name: HostName; hasVirtual: boolean }[],
): Promise<void> {
  await must(observer, [
    `ip -batch - <<'END'`,
    ...hosts.flatMap(({ host, name }) => [
      `link add v-${name} type veth peer name eth0 netns ${host.pid}`,
      `link set v-${name} master br0 up`,
    ]),
    'END',
  ]);
  await Promise.all(
    hosts.map(({ host, name, hasVirtual }) =>
      must(host, [
        `ip -batch - <<'END'`,
        'link set lo up',
        `address add ${v4(HOSTS[name])}/24 dev eth0`,
        `address add ${v6(HOSTS[name])}/64 dev eth0 nodad`,
        ...(hasVirtual
          ? [`address add ${v4(VIRTUAL)}/32 dev eth0`, `address add ${v6(VIRTUAL)}/128 dev eth0 nodad`]
          : []),
        'link set eth0 up',
        'END',
      ]),
    ),
  );
}

/** The namespace of a host that is gone may stay for minutes, while the kernel has answers to send: its cable goes at once. */
export async function leaveBridge(observer: Host, names: readonly string[]): Promise<void> {
  await observer.run(`for name in ${names.join(' ')}; do ip link delete v-$name; done 2>/dev/null`);
}

async function must(host: Host, lines: readonly string[]): Promise<void> {
  const { status, output } = await host.run(lines.join('\n'));
  if (status !== 0) throw new Error(`${host.name}: ${output}`);
}
