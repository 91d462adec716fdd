/**
 * The organisation as a hub sees it: site, hubs, edges, domains in the configuration directory, joined with what this hub
 * alone knows (its trust store). Makes the targets that the links to the edges work from.
 */
import { isPosternError, PosternError } from '../../base/error.ts';
import type { Secret } from '../../base/secret.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { sameName } from '../../credential/account-name.ts';
import type { AddressKeyRecord } from '../../credential/address-key.ts';
import {
  credentialsToTry,
  type HubNode,
  hubPins,
  openOwnCredential,
  ownCredentials,
} from '../../credential/issue.ts';
import { createAddressHasher } from '../../directory/address/hasher.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';
import type { AddRequest } from '../../ldap/message.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import {
  establishedChanges,
  type ImportOptions,
  type PeerRecipient,
  prepareImport,
  prepareRemoval,
  withEstablished,
} from '../../subscription/import.ts';
import { claimants, pinsOfPeer, recipientOf, trustedPins } from '../../subscription/membership.ts';
import {
  edgeDn,
  edgeForEdge,
  hubDn,
  hubForEdge,
  readTopologyObject,
  siteContainers,
  siteDn,
  type TopologyObject,
  WHO_IT_IS,
} from '../../subscription/topology-objects.ts';
import { findEdge, type HubTrustState, type SubscribedEdge } from '../../subscription/trust-state.ts';
import { deriveDigestKey } from '../content-digest.ts';
import type { HubIdentities } from '../push/edge-identity.ts';
import type { EdgeTarget } from '../push/edge-link.ts';
import type { BootstrapCredential, EdgeSessionOptions } from '../push/edge-session.ts';
import type { DesiredEntry } from '../push/subtree-push.ts';
import type { ConfigurationDirectory } from './configuration-directory.ts';
import { type AcceptedDomain, domainEntry, readDomain } from './domain.ts';
import { ownObjectChange } from './own-object.ts';
import { openKey, usableKeys } from './site-keys.ts';
import { vouchedEdges, vouchedHubs } from './vouched.ts';

export interface OrganisationOptions {
  readonly directory: ConfigurationDirectory;
  readonly trust: TrustStore<HubTrustState>;
  readonly hub: HubNode;
  readonly site: string;
  /** Suffix below which the site stands; empty in the embedded directory. */
  readonly base?: string;
  /** Last account number of the pair with an edge, where more is known than in the trust store. */
  readonly lastNumber?: (edgeName: string) => number | undefined;
  /** Keys that are shown to edges, and that they tell; without it nothing rolls over. */
  readonly identities?: HubIdentities;
}

const EDGE_DOMAINS = 'cn=AcceptedDomains,cn=Configuration';

export class Organisation {
  readonly #options: OrganisationOptions;
  /** Sealed to this hub, by id. */
  readonly #keyRecords = new Map<string, AddressKeyRecord[]>();

  constructor(options: OrganisationOptions) {
    this.#options = options;
  }

  /** Makes the site and this hub's own object where they are missing, and renews what the object says of this hub. */
  async ensure(): Promise<void> {
    const { directory, hub, site, base, trust } = this.#options;
    for (const container of siteContainers(site, base)) {
      if ((await directory.read(container.dn)) === undefined) await addIfMissing(directory, container);
    }
    const dn = hubDn(hub.name, site, base);
    const change = ownObjectChange(dn, (await directory.read(dn))?.attributes, hub, trust.value);
    if (change !== undefined) await directory.apply([change]);
  }

  // --- domains ---

  async domains(): Promise<AcceptedDomain[]> {
    const entries = await this.#options.directory.list(this.#domainsDn());
    return entries
      .flatMap((entry) => readDomain(entry.attributes) ?? [])
      .sort((a, b) => (a.domain < b.domain ? -1 : 1));
  }

  /** Adds a domain, or replaces what is said of it. */
  async putDomain(domain: AcceptedDomain): Promise<void> {
    const { directory } = this.#options;
    const entry = domainEntry(domain, this.#domainsDn());
    const present = (await directory.read(entry.dn)) !== undefined;
    await directory.apply(present ? [{ op: 'deleteRequest', dn: entry.dn }, entry] : [entry]);
  }

  async removeDomain(domain: string): Promise<void> {
    const { directory } = this.#options;
    const dn = `cn=${domain},${this.#domainsDn()}`;
    if ((await directory.read(dn)) === undefined) {
      throw new PosternError('not-found', `${domain} is no accepted domain`, {
        hint: '"postern domain list" shows those that are',
      });
    }
    await directory.apply([{ op: 'deleteRequest', dn }]);
  }

  // --- edges ---

  /** Throws `subscription.unknown`. */
  edge(name: string): SubscribedEdge {
    return requireEdge(this.#options.trust.value, name);
  }

  edges(): SubscribedEdge[] {
    return Object.values(this.#options.trust.value.edges);
  }

  async edgeNames(): Promise<string[]> {
    const objects = await this.topology('Edges', WHO_IT_IS);
    return objects.map((edge) => edge.name);
  }

  /** Prepares and writes an import: trust first, so that a crash leaves an edge that `remove` ends. */
  async importSubscription(
    options: Omit<ImportOptions, 'hub' | 'site' | 'trust' | 'edgesPresent' | 'peers'>,
  ) {
    const { directory, hub, site, base, trust } = this.#options;
    const plan = await prepareImport({
      ...options,
      hub,
      site,
      base,
      peers: await this.#peerRecipients(),
      trust: trust.value,
      edgesPresent: await this.edgeNames(),
    });
    await trust.update(plan.trust);
    try {
      await directory.apply(plan.changes);
    } catch (error) {
      await trust.update(plan.undo);
      throw error;
    }
    return plan;
  }

  /** The other hubs of the site: each will push to a new edge one day. */
  async #peerRecipients(): Promise<PeerRecipient[]> {
    const { trust } = this.#options;
    const peers = Object.values(trust.value.peers);
    if (peers.length === 0) return [];
    return claimants(await this.topology('Hubs')).flatMap((found) => {
      const { name } = found.object;
      if (!peers.some((peer) => pinsOfPeer(peer).includes(found.pin) && sameName(peer.name, name))) return [];
      try {
        return [{ name, recipient: recipientOf(found) }];
      } catch (error) {
        // It is handed the key when it states where to seal it to.
        if (isPosternError(error, 'statement.invalid')) return [];
        throw error;
      }
    });
  }

  /** Throws `refused` for an edge whose subscription another hub has made. */
  checkRemoval(edgeName: string): void {
    if (findEdge(this.#options.trust.value, edgeName)?.subscriptionId === '')
      throw new PosternError('refused', `edge ${edgeName} was subscribed at another hub of the site`, {
        hint: 'remove the subscription there: this hub lets go of it by itself',
      });
  }

  async removeSubscription(edgeName: string): Promise<void> {
    const { directory, hub, site, base, trust, lastNumber } = this.#options;
    this.checkRemoval(edgeName);
    const own = await this.own();
    const present = await this.edgeNames();
    const plan = prepareRemoval(edgeName, {
      trust: trust.value,
      edgePresent: present.some((name) => name.toLowerCase() === edgeName.toLowerCase()),
      lastNumber: lastNumber?.(edgeName),
      own,
      hub: hub.name,
      site,
      base,
    });
    if (plan.changes.length > 0) await directory.apply(plan.changes);
    await trust.update(plan.trust);
  }

  /** The edge has accepted an ESRA: forgets the bootstrap credential. */
  async established(edgeName: string, now: number): Promise<void> {
    const { directory, hub, site, base, trust } = this.#options;
    if (findEdge(trust.value, edgeName)?.establishedAt !== undefined) return;
    const changes = establishedChanges(edgeName, await this.own(), { hub: hub.name, site, base });
    if (changes.length > 0) await directory.apply(changes);
    await trust.update((draft) => withEstablished(draft, edgeName, now));
  }

  /** Everything that a link needs to work on one edge. Throws `subscription.unknown`, `seal.open-failed`. */
  async target(edgeName: string, now: number): Promise<EdgeTarget> {
    const { hub, trust } = this.#options;
    const edge = requireEdge(trust.value, edgeName);
    const key = await this.#addressKey(edge);
    const hasher = createAddressHasher(key);
    const digestKey = deriveDigestKey(key.reveal());
    key.erase();
    const established = edge.establishedAt !== undefined;
    // Of other edges nothing: what goes to an edge must not grow with their number.
    const [object, hubs, domains] = [
      await this.#edgeObject(edge.name),
      await this.topology('Hubs', WHO_IT_IS),
      await this.domains(),
    ];
    return {
      awaited: !established && edge.subscriptionId === '',
      address: addressOf(edge, object, this.#options),
      bootstrap: established ? undefined : bootstrapOf(edge, await this.own(), hub, now),
      hash: (address) => hasher.hash(address),
      digestKey,
      hubs: vouchedHubs(hubs, trust.value, hub).map((one) => desired(hubForEdge(one))),
      edges: vouchedEdges(object === undefined ? [] : [object], trust.value, hub).map((one) =>
        desired(edgeForEdge(one)),
      ),
      domains: domains.map((domain) => desired(domainEntry(domain, EDGE_DOMAINS))),
    };
  }

  /** Where an edge is, and by which key it is known. Throws `subscription.unknown`. */
  async address(edgeName: string): Promise<EdgeAddress> {
    const edge = requireEdge(this.#options.trust.value, edgeName);
    const object = edge.subscriptionId === '' ? await this.#edgeObject(edge.name) : undefined;
    return addressOf(edge, object, this.#options);
  }

  async #edgeObject(name: string): Promise<TopologyObject | undefined> {
    const { directory, site, base } = this.#options;
    const entry = await directory.read(edgeDn(name, site, base));
    return entry === undefined ? undefined : readTopologyObject(entry.attributes);
  }

  async #addressKey(edge: SubscribedEdge): Promise<Secret> {
    const { hub } = this.#options;
    // Its id says which key it is: a record that was found once is that of the key, until it was sealed again after a rollover.
    const id = edge.addressKeyId;
    const known = this.#keyRecords.get(id) ?? [];
    const opened = (await openKey(known, id, hub)) ?? (await openKey(await this.#lookForKey(id), id, hub));
    if (opened !== undefined) return opened.key;
    this.#keyRecords.delete(edge.addressKeyId);
    throw new PosternError(
      'credential.invalid',
      `the address key of edge ${edge.name} is missing in the configuration directory`,
      {
        hint: 'restore the configuration directory from its backup, or remove the subscription and make a new one',
      },
    );
  }

  /** Among the keys of all edges, so of the others no signature is looked at. */
  async #lookForKey(keyId: string): Promise<AddressKeyRecord[]> {
    const { hub, trust } = this.#options;
    const roots = trustedPins(trust.value, hub);
    const records = usableKeys((await this.own()).sealedKeys, roots, hubPins(hub), new Set([keyId]));
    if (records.length > 0) this.#keyRecords.set(keyId, records);
    return records;
  }

  /** This hub's own object. */
  async own(): Promise<TopologyObject> {
    const { directory, hub, site, base } = this.#options;
    const entry = await directory.read(hubDn(hub.name, site, base));
    const object = entry === undefined ? undefined : readTopologyObject(entry.attributes);
    if (object === undefined)
      throw new PosternError('internal', `this hub's own object is missing in the configuration directory`);
    return object;
  }

  /** Hubs or edges of the site, as their objects say. */
  async topology(container: 'Hubs' | 'Edges', attributes?: readonly string[]): Promise<TopologyObject[]> {
    const { directory, site, base } = this.#options;
    const entries = await directory.list(`cn=${container},${siteDn(site, base)}`, attributes);
    return entries.flatMap((entry) => readTopologyObject(entry.attributes) ?? []);
  }

  #domainsDn(): string {
    const { site, base } = this.#options;
    return `cn=AcceptedDomains,${siteDn(site, base)}`;
  }
}

export type EdgeAddress = Omit<EdgeSessionOptions, 'clock' | 'signal'>;

function requireEdge(trust: HubTrustState, name: string): SubscribedEdge {
  const edge = findEdge(trust, name);
  if (edge !== undefined) return edge;
  throw new PosternError('subscription.unknown', `no edge ${name} is subscribed`);
}

function addressOf(
  edge: SubscribedEdge,
  object: TopologyObject | undefined,
  { hub, identities }: Pick<OrganisationOptions, 'hub' | 'identities'>,
): EdgeAddress {
  const { name, fqdn, pins } = edge;
  return {
    name,
    host: fqdn,
    port: portOf(edge, object),
    pins,
    identity: identities?.shown(name) ?? hub.identity,
    identities: identities?.of(name),
  };
}

function bootstrapOf(
  edge: SubscribedEdge,
  own: TopologyObject,
  hub: HubNode,
  now: number,
): BootstrapCredential | undefined {
  const usable = credentialsToTry(ownCredentials(own.credentials, hub, edge.name), now);
  const credential = usable.find(({ kind }) => kind === 'bootstrap');
  return credential && { userName: credential.userName, open: () => openOwnCredential(credential, hub) };
}

/** Of an edge that came by another hub only the directory knows it, and may be put right there; the key is the edge's in any case. */
function portOf(edge: SubscribedEdge, object: TopologyObject | undefined): number {
  return edge.subscriptionId === '' ? (object?.port ?? edge.port) : edge.port;
}

/** Another hub may make the same container at the same time. */
async function addIfMissing(directory: ConfigurationDirectory, container: AddRequest): Promise<void> {
  try {
    await directory.apply([container]);
  } catch (error) {
    if (resultCodeOf(error) !== RESULT_CODE.entryAlreadyExists) throw error;
  }
}

function desired(request: {
  readonly dn: string;
  readonly attributes: DesiredEntry['attributes'];
}): DesiredEntry {
  return { dn: request.dn, attributes: request.attributes };
}
