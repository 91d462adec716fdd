/**
 * Policy -> what charon should hold. Pure. One connection for each pair of identities and family; presets are its children; ranges are split into
 * blocks that a selector of the kernel can hold.
 */
import { createHash } from 'node:crypto';
import type { IpsecConfig } from '../../config/ipsec-config.ts';
import {
  type AddressFamily,
  type DesiredBypass,
  type DesiredChild,
  type DesiredConnection,
  type DesiredSettings,
  type DesiredState,
  OUR_PREFIX,
  type Selector,
} from '../desired.ts';
import type { Link, Policy } from './policy.ts';
import { alignedBlocks, type Protection, TCP } from './protection.ts';

/** What follows from the policy alone; keys are added where they are read. */
export type CompiledState = Omit<DesiredState, 'keys'>;

/** Both curves are of the strength of the cipher; one round trip more for whoever chose another group. */
const MODERN = {
  ike: ['aes256gcm16-prfsha384-ecp384', 'aes256gcm16-prfsha256-curve25519', 'aes128gcm16-prfsha256-ecp256'],
  esp: ['aes256gcm16-ecp384', 'aes256gcm16-curve25519', 'aes128gcm16-ecp256'],
} as const;
/** RFC 9370: ML-KEM beside the curve, so that what is recorded today stays closed to a quantum computer. */
const HYBRID = {
  ike: 'aes256gcm16-prfsha384-ecp384-ke1_mlkem768',
  esp: 'aes256gcm16-ecp384-ke1_mlkem768',
} as const;
/** For peers that are older or another vendor's. No SHA-1, no group below 2048 bits. */
const COMPAT = {
  ike: ['aes256-sha256-modp2048', 'aes128-sha256-modp2048'],
  esp: ['aes256-sha256-modp2048', 'aes128-sha256-modp2048'],
} as const;
/** The first charon that has ML-KEM. */
const FIRST_HYBRID = 6;

const HOUR = 3600;
const IKE_REKEY_SECONDS = 4 * HOUR;
const CHILD_REKEY_SECONDS = HOUR;
/** Ten percent of time to renew before the hard end. */
const CHILD_LIFE_SECONDS = CHILD_REKEY_SECONDS + 360;

/** A traffic selector payload holds 255 (RFC 7296 §3.13); the packet that springs a trap adds its own, and fewer make smaller messages. */
const MOST_SELECTORS = 100;
const ALL_PORTS = [0, 65_535] as const;

export const RECOVERY: Readonly<Record<IpsecConfig['recovery'], { dpdSeconds: number } & DesiredSettings>> = {
  fast: { dpdSeconds: 1, retransmitTimeout: 0.5, retransmitBase: 1, retransmitTries: 2 },
  balanced: { dpdSeconds: 2, retransmitTimeout: 0.5, retransmitBase: 1.4, retransmitTries: 4 },
  patient: { dpdSeconds: 30, retransmitTimeout: 4, retransmitBase: 1.8, retransmitTries: 5 },
};

/** `charon`: the first number of the version of this host's charon, when it is known. */
export function compile(policy: Policy, charon?: number): CompiledState {
  const { dpdSeconds: _, ...settings } = RECOVERY[policy.recovery];
  if (policy.stage === 'observe') return { connections: [], bypasses: [], settings };
  const pairs = policy.links.flatMap((link) => familiesOf(link).map((family) => ({ link, family })));
  return {
    connections: pairs.map(({ link, family }) => connectionOf(policy, link, family, charon)),
    bypasses: pairs.flatMap(({ link, family }) =>
      link.protections.some(({ everything }) => everything) ? bypassesOf(policy, link, family) : [],
    ),
    settings,
  };
}

export function familiesOf({ own, peer }: Link): AddressFamily[] {
  return (['ipv4', 'ipv6'] as const).filter(
    (family) => own.addresses[family] !== undefined && peer.addresses[family] !== undefined,
  );
}

/** The two addresses of a link. */
export function endsOf({ own, peer }: Link, family: AddressFamily): { own: string; peer: string } {
  return { own: own.addresses[family] ?? '', peer: peer.addresses[family] ?? '' };
}

/** Readable, and never the same for two pairs: what does not fit gives way to a digest. */
export function connectionName({ own, peer }: Link, family: AddressFamily): string {
  const tail = family === 'ipv4' ? '-v4' : '-v6';
  const name = `${OUR_PREFIX}${own.id}_${peer.id}${tail}`;
  if (name.length <= 80) return name;
  const digest = createHash('sha256').update(`${own.id} ${peer.id}`).digest('hex').slice(0, 20);
  return `${OUR_PREFIX}${own.id.slice(0, 20)}_${peer.id.slice(0, 20)}_${digest}${tail}`;
}

function connectionOf(
  policy: Policy,
  link: Link,
  family: AddressFamily,
  charon: number | undefined,
): DesiredConnection {
  const ends = endsOf(link, family);
  const port = policy.singlePort ? 4500 : 500;
  const proposals = proposalsOf(policy, link, charon);
  const name = connectionName(link, family);
  return {
    name,
    family,
    local: { id: link.own.id, addresses: [ends.own], port, certificate: link.own.certificate },
    remote: { id: link.peer.id, addresses: [ends.peer], port, certificates: link.peer.certificates },
    ikeProposals: proposals.ike,
    ikeRekeySeconds: IKE_REKEY_SECONDS,
    dpdSeconds: RECOVERY[policy.recovery].dpdSeconds,
    encapsulate: policy.singlePort,
    children: link.protections.flatMap((protection) =>
      childrenOf(policy, protection, ends).map(({ local, remote }, index) => ({
        ...CHILD,
        name: `${name}-${protection.name}${index === 0 ? '' : `-${index + 1}`}`,
        localSelectors: local,
        remoteSelectors: remote,
        espProposals: proposals.esp,
      })),
    ),
  };
}

/** Traps on both sides, and back to the trap whatever ends an association: never to clear text. */
const CHILD = {
  rekeySeconds: CHILD_REKEY_SECONDS,
  lifeSeconds: CHILD_LIFE_SECONDS,
  startAction: 'trap',
  dpdAction: 'trap',
  closeAction: 'trap',
} as const satisfies Partial<DesiredChild>;

function proposalsOf(
  policy: Policy,
  link: Link,
  charon: number | undefined,
): { ike: string[]; esp: string[] } {
  const hybrid = (charon ?? 0) >= FIRST_HYBRID && (link.peer.charon ?? 0) >= FIRST_HYBRID;
  const compat = policy.proposals === 'compat';
  return {
    ike: [...(hybrid ? [HYBRID.ike] : []), ...MODERN.ike, ...(compat ? COMPAT.ike : [])],
    esp: [...(hybrid ? [HYBRID.esp] : []), ...MODERN.esp, ...(compat ? COMPAT.esp : [])],
  };
}

interface SelectorPair {
  readonly local: readonly Selector[];
  readonly remote: readonly Selector[];
}

/** The service's ports are at the back-end; the other end uses any. */
function childrenOf(
  policy: Policy,
  protection: Protection,
  ends: { own: string; peer: string },
): SelectorPair[] {
  if (protection.everything)
    return [
      {
        local: [{ address: ends.own, protocol: 0, ports: ALL_PORTS }],
        remote: [{ address: ends.peer, protocol: 0, ports: ALL_PORTS }],
      },
    ];
  const [server, client] = policy.role === 'front-end' ? [ends.peer, ends.own] : [ends.own, ends.peer];
  const blocks = protection.ports.flatMap(({ protocol, first, last }) =>
    alignedBlocks(first, last).map((ports): Selector => ({ address: server, protocol, ports })),
  );
  const pairs: SelectorPair[] = [];
  for (let at = 0; at < blocks.length; at += MOST_SELECTORS) {
    const service = blocks.slice(at, at + MOST_SELECTORS);
    const protocols = [...new Set(service.map(({ protocol }) => protocol))];
    const any = protocols.map((protocol): Selector => ({ address: client, protocol, ports: ALL_PORTS }));
    pairs.push(
      policy.role === 'front-end' ? { local: any, remote: service } : { local: service, remote: any },
    );
  }
  return pairs;
}

export const VRRP = 112;
export const ICMPV6 = 58;
/** Router and neighbour solicitation and advertisement, redirect (RFC 4861): without them IPv6 finds no neighbour to negotiate with. */
export const NEIGHBOUR_DISCOVERY = [133, 134, 135, 136, 137] as const;

/** What "everything" leaves alone between two addresses. */
function bypassesOf(policy: Policy, link: Link, family: AddressFamily): DesiredBypass[] {
  const ends = endsOf(link, family);
  const name = `${connectionName(link, family)}-clear`;
  const pass = (
    what: string,
    protocol: number,
    local: readonly [number, number],
    remote: readonly [number, number],
  ): DesiredBypass => ({
    name: `${name}-${what}`,
    family,
    localSelectors: [{ address: ends.own, protocol, ports: local }],
    remoteSelectors: [{ address: ends.peer, protocol, ports: remote }],
  });
  return [
    ...policy.sshPorts.flatMap((port) => [
      pass(`ssh-${port}-in`, TCP, [port, port], ALL_PORTS),
      pass(`ssh-${port}-out`, TCP, ALL_PORTS, [port, port]),
    ]),
    pass('vrrp', VRRP, ALL_PORTS, ALL_PORTS),
    ...(family === 'ipv6'
      ? NEIGHBOUR_DISCOVERY.map((type) =>
          pass(`nd-${type}`, ICMPV6, [type * 256, type * 256], [type * 256, type * 256]),
        )
      : []),
  ];
}
