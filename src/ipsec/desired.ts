/**
 * What charon should hold on our behalf, as plain data: the seam between the policy's compiler, which makes it, and the reconciler
 * (`charon/`), which brings it about. Knows neither policies nor vici.
 */
import type { Secret } from '../base/secret.ts';

/** All that is ours on a charon bears this prefix; whatever does not is somebody else's and stays untouched. */
export const OUR_PREFIX = 'postern-';

export interface DesiredState {
  readonly connections: readonly DesiredConnection[];
  /** The private keys of all `local.certificate`s. */
  readonly keys: readonly DesiredKey[];
  /** What passes in clear although a child's selectors would cover it: only of a policy that protects everything. */
  readonly bypasses: readonly DesiredBypass[];
  readonly settings: DesiredSettings;
}

export interface DesiredKey {
  /** Hexadecimal SHA-1 of the subjectPublicKey, as charon names keys: `keyIdOfCertificate`. */
  readonly keyId: string;
  /** PKCS #8 or SEC 1, PEM. */
  readonly privateKey: Secret;
}

export type AddressFamily = 'ipv4' | 'ipv6';

/**
 * Exactly one for an own id, a peer's id and a family: of two with the same ids, the INITIAL_CONTACT of one destroys the other's
 * IKE_SA. IKEv2 only, `mobike = no`, `unique = replace`, public key authentication on both sides: these are not choices.
 */
export interface DesiredConnection {
  /** Begins with `OUR_PREFIX`; at most 100 characters out of a-z, 0-9, `.`, `_` and `-`. Stays the same when the connection changes. */
  readonly name: string;
  readonly family: AddressFamily;
  readonly local: DesiredLocal;
  readonly remote: DesiredRemote;
  /** strongSwan's notation: `aes256gcm16-prfsha384-ecp384`; the best first. */
  readonly ikeProposals: readonly string[];
  readonly ikeRekeySeconds: number;
  /** 0: dead peers are found only by traffic of our own making. */
  readonly dpdSeconds: number;
  /** UDP encapsulation even without a NAT in between (`single-port`). */
  readonly encapsulate: boolean;
  /** At least one; the first is brought up before the others are begun. */
  readonly children: readonly DesiredChild[];
}

export interface DesiredLocal {
  /** As in the certificate's subjectAltName: a host name or an address. */
  readonly id: string;
  /** Addresses without a prefix length; never `%any`. */
  readonly addresses: readonly string[];
  /** 500, or 4500 for `single-port`. */
  readonly port: number;
  /** PEM. */
  readonly certificate: string;
}

export interface DesiredRemote {
  readonly id: string;
  readonly addresses: readonly string[];
  readonly port: number;
  /** Pinned certificates, PEM, one for each key the peer may use: at least one. No other certificate gets in. */
  readonly certificates: readonly string[];
}

export interface DesiredChild {
  /** Begins with `OUR_PREFIX`; unique within all connections. */
  readonly name: string;
  readonly localSelectors: readonly Selector[];
  readonly remoteSelectors: readonly Selector[];
  readonly espProposals: readonly string[];
  readonly rekeySeconds: number;
  /** Hard end of an association that could not be renewed. */
  readonly lifeSeconds: number;
  /** What is done when the connection is loaded: `trap` waits for traffic, `start` also brings the child up at once. */
  readonly startAction: 'trap' | 'start';
  /** When the peer is found dead, and when it closes the child. */
  readonly dpdAction: 'clear' | 'trap' | 'start';
  readonly closeAction: 'none' | 'trap' | 'start';
}

/** A policy of mode `pass`, installed at once (`start_action = trap`), in a connection of its own that has this name. */
export interface DesiredBypass {
  /** Begins with `OUR_PREFIX`; the name of its only child too. */
  readonly name: string;
  readonly family: AddressFamily;
  readonly localSelectors: readonly Selector[];
  readonly remoteSelectors: readonly Selector[];
}

/** Transport mode: an address is one host. Ports are a range that the kernel can hold (aligned block), or all. */
export interface Selector {
  readonly address: string;
  /** IP protocol number: 6 TCP, 17 UDP, 58 ICMPv6; 0 for all. */
  readonly protocol: number;
  /** First and last; [0, 65535] for all. Of ICMP: type times 256 plus code. */
  readonly ports: readonly [number, number];
}

/** Settings of charon that hold for all its connections, also other people's: never changed without consent. */
export interface DesiredSettings {
  /** Seconds until the first retransmission, the growth, and how many: how long a silent peer keeps us waiting. */
  readonly retransmitTimeout: number;
  readonly retransmitBase: number;
  readonly retransmitTries: number;
}
