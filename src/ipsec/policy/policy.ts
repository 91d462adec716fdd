/**
 * The policy: who talks to whom, and what of it is protected. Made from the configuration, this node's certificates and its peers, which are read
 * elsewhere; every contradiction is found here, all at once. Pure; knows neither files nor charon nor the guard's form.
 */
import { PosternError } from '../../base/error.ts';
import type { Certificate } from '../../certificate/parse.ts';
import { pemOf } from '../../certificate/pem.ts';
import type { IpsecConfig } from '../../config/ipsec-config.ts';
import type { AddressFamily } from '../desired.ts';
import { canonicalAddress, familyOf, holds, isHostAddress, type Network, parseNetwork } from './address.ts';
import { type Protection, readProtections, writeProtections } from './protection.ts';

export type Role = IpsecConfig['role'];
export type Addresses = Readonly<Partial<Record<AddressFamily, string>>>;

export interface Party {
  /** Host name: the IKE identity, and a name in its certificates. */
  readonly id: string;
  readonly addresses: Addresses;
}

export interface OwnParty extends Party {
  /** PEM. */
  readonly certificate: string;
  /** Empty on a front-end. */
  readonly protections: readonly Protection[];
}

export interface PeerParty extends Party {
  /** PEM, one for each key that may answer under the id. */
  readonly certificates: readonly string[];
  /** Of its charon, when it was told: the first number of its version. */
  readonly charon?: number;
}

/** One pair of identities: what the back-end of the two protects between them. */
export interface Link {
  readonly own: OwnParty;
  readonly peer: PeerParty;
  readonly protections: readonly Protection[];
}

export interface Policy {
  readonly role: Role;
  readonly stage: IpsecConfig['stage'];
  readonly own: readonly OwnParty[];
  readonly links: readonly Link[];
  readonly clearFrom: readonly Network[];
  readonly sshPorts: readonly number[];
  readonly singlePort: boolean;
  readonly proposals: IpsecConfig['proposals'];
  readonly recovery: IpsecConfig['recovery'];
}

/** A peer as it was imported or written in the configuration; several of one id are one peer with several keys. */
export interface PeerDescription {
  /** For messages: the file, or the place in the configuration. */
  readonly source: string;
  readonly id: string;
  readonly addresses: readonly string[];
  readonly certificates: readonly Certificate[];
  /** What the back-end protects; of no meaning on a back-end. */
  readonly protect: readonly string[];
  readonly singlePort?: boolean;
  readonly charon?: number;
}

export interface PolicyInput {
  readonly config: IpsecConfig;
  /** This node's certificate for each of its ids: the name and the virtual servers. */
  readonly certificates: ReadonlyMap<string, Certificate>;
  readonly peers: readonly PeerDescription[];
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Throws `config.invalid` naming every fault, one a line. `path` is only for the message. */
export function buildPolicy(input: PolicyInput, path: string): Policy {
  const faults: string[] = [];
  const builder = new Builder(input, (message) => faults.push(message));
  const policy = builder.build();
  if (faults.length === 0) return policy;
  throw new PosternError('config.invalid', `${path}: ${faults.join('\n  ')}`, {
    hint: 'nothing was changed; correct the policy and look at it with "postern ipsec plan"; docs/ipsec.md describes every key',
  });
}

/** Holds what the steps share while they look for faults. */
class Builder {
  readonly #input: PolicyInput;
  readonly #fault: (message: string) => void;
  readonly #addressOwner = new Map<string, string>();

  constructor(input: PolicyInput, fault: (message: string) => void) {
    this.#input = input;
    this.#fault = fault;
  }

  build(): Policy {
    const { config } = this.#input;
    this.#judgeRole();
    const own = this.#own();
    const peers = this.#peers();
    const links = own
      .flatMap((one) => peers.map((peer) => this.#link(one, peer)))
      .filter((link) => link !== undefined);
    const clearFrom = this.#clearFrom(peers);
    return {
      role: config.role,
      stage: config.stage,
      own,
      links,
      clearFrom,
      sshPorts: config.guard.ssh_ports,
      singlePort: config.single_port,
      proposals: config.proposals,
      recovery: config.recovery,
    };
  }

  #judgeRole(): void {
    const { config } = this.#input;
    if (config.role === 'back-end') {
      config.peer.forEach((peer, index) => {
        if (peer.protect !== undefined)
          this.#fault(
            `peer.${index}.protect: what is protected stands in the back-end's own "protect", not beside its peers`,
          );
      });
      return;
    }
    if (config.protect.length > 0)
      this.#fault('protect: on a front-end it stands beside each peer, or comes with an imported one');
    if (config.virtual_server.length > 0) this.#fault('virtual_server: only a back-end has any');
    if (config.guard.clear_from.length > 0)
      this.#fault('guard.clear_from: only a back-end has it; a front-end guards its way to back-ends alone');
  }

  #own(): OwnParty[] {
    const { config, certificates, now } = this.#input;
    const shared = this.#protections(config.protect, 'protect');
    const parties = [
      { id: config.name, addresses: config.addresses, protections: shared, at: 'name' },
      ...config.virtual_server.map((server, index) => ({
        id: server.name,
        addresses: server.addresses,
        protections:
          server.protect === undefined
            ? shared
            : this.#protections(server.protect, `virtual_server.${index}.protect`),
        at: `virtual_server.${index}`,
      })),
    ];
    const seen = new Set<string>();
    return parties.flatMap(({ id, addresses, protections, at }) => {
      if (seen.has(id)) this.#fault(`${at}: "${id}" is there twice`);
      seen.add(id);
      if (config.role === 'back-end' && protections.length === 0)
        this.#fault(`${at}: "${id}" protects nothing: name presets or ports in "protect"`);
      const certificate = certificates.get(id);
      const found = this.#addresses(addresses, at === 'name' ? 'addresses' : `${at}.addresses`, id);
      if (certificate === undefined) {
        this.#fault(`${at}: there is no certificate for "${id}" (postern ipsec peer export makes it)`);
        return [];
      }
      this.#judgeCertificate(certificate, id, at, now);
      return [{ id, addresses: found, protections, certificate: pemOf('CERTIFICATE', certificate.der) }];
    });
  }

  #peers(): (PeerParty & { readonly protections: readonly Protection[] })[] {
    const { config, peers, now } = this.#input;
    const merged = new Map<
      string,
      { first: PeerDescription; addresses: Addresses; certificates: Certificate[] }
    >();
    for (const peer of peers) {
      for (const certificate of peer.certificates)
        this.#judgeCertificate(certificate, peer.id, peer.source, now);
      if (peer.singlePort !== undefined && peer.singlePort !== config.single_port)
        this.#fault(
          `${peer.source}: "${peer.id}" has single_port = ${String(peer.singlePort)}, and this node ${String(config.single_port)}: both sides must have the same`,
        );
      const known = merged.get(peer.id);
      if (known === undefined) {
        const addresses = this.#addresses(peer.addresses, `${peer.source}: addresses`, peer.id);
        merged.set(peer.id, { first: peer, addresses, certificates: [...peer.certificates] });
        continue;
      }
      if (!sameSet(known.first.addresses, peer.addresses))
        this.#fault(`${peer.source}: "${peer.id}" has other addresses than in ${known.first.source}`);
      if (!sameSet(known.first.protect, peer.protect))
        this.#fault(
          `${peer.source}: "${peer.id}" protects something else than in ${known.first.source}: nodes of one virtual server must protect the same`,
        );
      for (const one of peer.certificates)
        if (!known.certificates.some((other) => other.der.equals(one.der))) known.certificates.push(one);
    }
    return [...merged].flatMap(([id, { first, addresses, certificates }]) => {
      if (certificates.length === 0) {
        this.#fault(`${first.source}: no certificate of "${id}"`);
        return [];
      }
      const protections =
        config.role === 'front-end' ? this.#protections(first.protect, `${first.source}: protect`) : [];
      if (config.role === 'front-end' && protections.length === 0)
        this.#fault(`${first.source}: "${id}" protects nothing: name presets or ports in "protect"`);
      const charon = first.charon === undefined ? {} : { charon: first.charon };
      const pems = certificates.map(({ der }) => pemOf('CERTIFICATE', der));
      return [{ id, addresses, certificates: pems, protections, ...charon }];
    });
  }

  #link(own: OwnParty, peer: PeerParty & { readonly protections: readonly Protection[] }): Link | undefined {
    const { protections: theirs, ...party } = peer;
    const families = (['ipv4', 'ipv6'] as const).filter(
      (one) => own.addresses[one] !== undefined && peer.addresses[one] !== undefined,
    );
    if (families.length === 0) {
      this.#fault(`"${own.id}" and "${peer.id}" have no address of the same family`);
      return undefined;
    }
    return {
      own,
      peer: party,
      protections: this.#input.config.role === 'front-end' ? theirs : own.protections,
    };
  }

  #clearFrom(peers: readonly Party[]): Network[] {
    return this.#input.config.guard.clear_from.flatMap((text, index) => {
      const network = parseNetwork(text);
      if (network === undefined) {
        this.#fault(
          `guard.clear_from.${index}: "${text.slice(0, 50)}" is no network (write 192.0.2.0/24 or 2001:db8::/32, other bits zero)`,
        );
        return [];
      }
      for (const { id, addresses } of peers)
        for (const address of Object.values(addresses))
          if (holds(network, address))
            this.#fault(
              `guard.clear_from.${index}: ${network.text} holds ${address} of the peer "${id}", which would then pass in clear`,
            );
      return [network];
    });
  }

  #addresses(texts: readonly string[], at: string, id: string): Addresses {
    const found: Partial<Record<AddressFamily, string>> = {};
    for (const text of texts) {
      const address = canonicalAddress(text);
      if (address === undefined || !isHostAddress(address)) {
        this.#fault(`${at}: "${text.slice(0, 50)}" is no address that a host can have towards peers`);
        continue;
      }
      const family = familyOf(address);
      if (found[family] !== undefined)
        this.#fault(
          `${at}: two ${family === 'ipv4' ? 'IPv4' : 'IPv6'} addresses for "${id}": an identity has one of each family; give the other address a name of its own`,
        );
      const owner = this.#addressOwner.get(address);
      if (owner !== undefined && owner !== id) this.#fault(`${at}: ${address} belongs to "${owner}" already`);
      this.#addressOwner.set(address, id);
      found[family] = address;
    }
    return found;
  }

  #protections(texts: readonly string[], at: string): Protection[] {
    return readProtections(texts, (index, message) => this.#fault(`${at}.${index}: ${message}`));
  }

  #judgeCertificate(certificate: Certificate, id: string, at: string, now: number): void {
    if (!certificate.names.includes(id))
      this.#fault(
        `${at}: the certificate is for ${certificate.names.join(', ') || 'nobody'}, not for "${id}"`,
      );
    // charon refuses an expired one even where it is pinned.
    if (certificate.notAfter <= now)
      this.#fault(
        `${at}: the certificate of "${id}" expired on ${new Date(certificate.notAfter).toISOString().slice(0, 10)}`,
      );
  }
}

function sameSet(one: readonly string[], two: readonly string[]): boolean {
  return one.length === two.length && one.every((item) => two.includes(item));
}

/** What a link protects, in the policy's words. */
export function describeProtections(protections: readonly Protection[]): string {
  return writeProtections(protections).join(', ');
}
