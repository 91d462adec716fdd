/**
 * Several hubs in one site: a hub that joins is endorsed by one that is there and handed the address keys; then each hub makes its own account on
 * every edge that a trusted hub endorses. All by way of the configuration directory, which is transport and no authority.
 */
import { isPosternError, PosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { type Removals, removalsBy } from '../../certificate/chain.ts';
import { pinsOf } from '../../certificate/peer-pins.ts';
import { formatFingerprint, type Pin } from '../../certificate/pin.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { nameKey, sameFqdn, sameName } from '../../credential/account-name.ts';
import type { AddressKeyRecord } from '../../credential/address-key.ts';
import { type HubNode, hubPins, issueCredential } from '../../credential/issue.ts';
import { DEFAULT_PASSWORD_POLICY } from '../../credential/password.ts';
import { CLOCK_TOLERANCE_MS, firstWindow } from '../../credential/schedule.ts';
import type { ModifyRequest } from '../../ldap/message.ts';
import { prepareRemoval } from '../../subscription/import.ts';
import {
  afterRemoval,
  type Claimant,
  claimants,
  endorsed,
  endorsement,
  findHub,
  pinsOfPeer,
  recipientOf,
  removal,
  trustedPins,
  unprovedObjects,
  withFollowedPeers,
  withoutPeers,
  withPeer,
  withRemoval,
} from '../../subscription/membership.ts';
import { edgeDn, hubDn, type TopologyObject, WHO_IT_IS } from '../../subscription/topology-objects.ts';
import { findEdge, type HubTrustState, type SubscribedEdge } from '../../subscription/trust-state.ts';
import type { ConfigurationChange, ConfigurationDirectory } from './configuration-directory.ts';
import { departed, forgetSite, sayGoodbye } from './departure.ts';
import { adding, requireShared, takenOn, withoutHub } from './member-changes.ts';
import type { Organisation } from './organisation.ts';
import { keepKeys, keysAfterRemoval } from './own-keys.ts';
import { resealKeys, usableKeys } from './site-keys.ts';

export interface SiteMembersOptions {
  readonly organisation: Organisation;
  readonly directory: ConfigurationDirectory;
  /** False: the directory is this hub's own, and nobody can join. */
  readonly shared: boolean;
  readonly trust: TrustStore<HubTrustState>;
  readonly hub: HubNode;
  readonly site: string;
  readonly base: string;
  /** Last account number of the pair with an edge, where more is known than in the trust store. */
  readonly lastNumber?: (edgeName: string) => number | undefined;
  readonly lifetimeMs: number;
  readonly random: Random;
  readonly log: Log;
}

export interface SiteHub {
  readonly name: string;
  readonly fqdn: string;
  readonly pin: Pin;
  /** `unknown`: nobody whom this hub trusts has endorsed it. */
  readonly standing: 'this hub' | 'administrator' | 'endorsed' | 'unknown';
}

export interface Adoption {
  readonly adopted: readonly SubscribedEdge[];
  readonly gone: readonly SubscribedEdge[];
  /** False: the directory failed on the way, and it has to be looked at again even if nothing changes there. */
  readonly complete: boolean;
}

/** Credentials grow with the number of pairs, and nobody is judged by them. */
const WITH_KEYS = [...WHO_IT_IS, 'posternSealedKey'];

export class SiteMembers {
  readonly #options: SiteMembersOptions;
  /** Looks one after the other: two at once would give one account number to two accounts. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Ids of the keys that are there in a record of this hub's own. */
  readonly #kept = new Set<string>();
  /** Objects that show a key which the node they are about has not announced, as they were seen last. */
  unproved: ReturnType<typeof unprovedObjects> = [];

  constructor(options: SiteMembersOptions) {
    this.#options = options;
  }

  async hubs(): Promise<SiteHub[]> {
    const { organisation, trust, hub } = this.#options;
    const found = claimants(await organisation.topology('Hubs'));
    return found.map(({ object, pin }) => {
      const peer = Object.values(trust.value.peers).find((one) => pinsOfPeer(one).includes(pin));
      const self = hubPins(hub).includes(pin);
      return {
        name: object.name,
        fqdn: object.fqdn,
        pin,
        standing: self ? 'this hub' : (peer?.admittedBy ?? 'unknown'),
      };
    });
  }

  /** The administrator of this hub names a hub that is there: from now on its word counts here. */
  async join(pin: Pin, now: number): Promise<SiteHub> {
    const { organisation, trust, log } = this.#options;
    requireShared(this.#options.shared);
    const found = findHub(this.#others(await organisation.topology('Hubs')), undefined, pin);
    const at = afterRemoval(trust.value, pin, now);
    await trust.update((draft) => withPeer(draft, found, 'administrator', at));
    log.info('joined the site of a hub', { hub: found.object.name, fingerprint: formatFingerprint(pin) });
    return this.#describe(found, 'administrator');
  }

  /** The administrator of this hub lets another in: endorses it to every edge, and hands it what it needs to push to them. */
  async approve(name: string, pin: Pin, now: number): Promise<SiteHub> {
    const { organisation, directory, trust, hub, site, base, log } = this.#options;
    requireShared(this.#options.shared);
    const removals = await this.#hearRemovals(now);
    const found = findHub(this.#others(await organisation.topology('Hubs')), name, pin);
    const at = afterRemoval(trust.value, pin, now);
    const own = hubDn(found.object.name, site, base);
    const changes: ModifyRequest[] = [];
    // Approved before, and not removed since: said once is enough.
    const mine = hubPins(hub);
    if (endorsed('hub', [found], mine, found.object.statements, removals).length === 0) {
      const statement = endorsement(hub, 'hub', { fqdn: found.object.fqdn, pin }, at);
      changes.push(adding(own, 'posternStatement', [statement]));
    }
    const keys = await this.#keysFor(found, organisation.edges());
    if (keys.length > 0) changes.push(adding(own, 'posternSealedKey', keys));
    for (const edge of claimants(await organisation.topology('Edges'))) {
      if (findEdge(trust.value, edge.object.name) === undefined) continue;
      if (endorsed('edge', [edge], mine, edge.object.statements).length > 0) continue;
      const statement = endorsement(hub, 'edge', { fqdn: edge.object.fqdn, pin: edge.pin }, now);
      changes.push(adding(edgeDn(edge.object.name, site, base), 'posternStatement', [statement]));
    }
    await trust.update((draft) => withPeer(draft, found, 'administrator', at));
    if (changes.length > 0) await directory.apply(changes);
    log.info('hub approved', { hub: found.object.name, fingerprint: formatFingerprint(pin) });
    return this.#describe(found, 'administrator');
  }

  /**
   * Takes a hub out of the site, alive or dead: states so, signed, which every edge and hub that reads it acts on; and clears away what it had.
   * Its accounts are gone from the edges with the next push. A hub that this one trusts is removed by the key it is trusted by, whatever its
   * object shows now, and also when it has taken its object away.
   */
  async remove(name: string, now: number): Promise<SiteHub> {
    const { organisation, directory, trust, hub, site, base, log } = this.#options;
    requireShared(this.#options.shared);
    const objects = await organisation.topology('Hubs');
    const key = nameKey(name);
    const peer = Object.hasOwn(trust.value.peers, key) ? trust.value.peers[key] : undefined;
    const claimed = this.#others(objects).find((one) => sameName(one.object.name, name));
    const target = peer ?? (claimed && { ...claimed.object, pin: claimed.pin });
    if (target === undefined || key === nameKey(hub.name))
      throw new PosternError('not-found', `there is no other hub ${name} in this site`, {
        hint: '"postern hub list" shows those that are there',
      });
    const trusted = Object.values(trust.value.peers).find((one) => pinsOfPeer(one).includes(target.pin));
    if (peer === undefined && trusted !== undefined)
      throw new PosternError('refused', `the object of hub ${name} shows the key of hub ${trusted.name}`, {
        hint: `to remove that hub: postern hub remove ${trusted.name}; else delete cn=${name} in the directory`,
      });
    // By a clock that was ahead it may have been let in later than now.
    const at = Math.max(now, (peer?.admittedAt ?? 0) + 1);
    const removals = (peer === undefined ? [target.pin] : pinsOfPeer(peer)).map((pin) => ({
      pin,
      statement: removal(hub, { fqdn: target.fqdn, pin }, at),
    }));
    const own = objects.find((object) => sameName(object.name, hub.name));
    const given = usableKeys(own?.sealedKeys ?? [], trustedPins(trust.value, hub), hubPins(hub));
    // First of all here: from now on it is not believed, and every push says so.
    for (const { pin, statement } of removals)
      await trust.update((draft) => withRemoval(draft, pin, at, statement));
    const said = removals.map(({ statement }) => statement);
    const changes: ConfigurationChange[] = [adding(hubDn(hub.name, site, base), 'posternStatement', said)];
    const edges = await organisation.topology('Edges');
    changes.push(...(await keysAfterRemoval(given, own, edges, this.#options)));
    for (const edge of edges)
      changes.push(...withoutHub(edgeDn(edge.name, site, base), edge.credentials, target.name));
    if (objects.some((object) => sameName(object.name, target.name)))
      changes.push({ op: 'deleteRequest', dn: hubDn(target.name, site, base) });
    await directory.apply(changes);
    const { fqdn, pin } = target;
    log.warn('hub removed from the site', { hub: target.name, fingerprint: formatFingerprint(pin) });
    return { name: target.name, fqdn, pin, standing: 'unknown' };
  }

  /** This hub leaves: `tell` ends its accounts on the edges that it reaches; the other hubs see to the rest. */
  async leave(now: number, tell: (edges: readonly string[]) => Promise<void>): Promise<void> {
    requireShared(this.#options.shared);
    await sayGoodbye(this.#options, now);
    await tell(this.#options.organisation.edges().map(({ name }) => name));
    await forgetSite(this.#options);
    this.#options.log.warn('this hub has left the site');
  }

  /** What trusted hubs have taken back. Kept here, since a statement may be taken away again. */
  async #hearRemovals(now: number): Promise<Removals> {
    const { organisation, trust, hub } = this.#options;
    const objects = await organisation.topology('Hubs', WHO_IT_IS);
    // First what they say of themselves: a hub that has rolled over is who it was.
    if (withFollowedPeers(trust.value, objects) !== trust.value)
      await trust.update((draft) => withFollowedPeers(draft, objects));
    const statements = objects.flatMap((object) => object.statements);
    const before = Object.entries(trust.value.removedHubs) as [Pin, number][];
    const heard = new Map(removalsBy(trustedPins(trust.value, hub), statements, before));
    // Of this very hub nobody else decides here; and a date in the future would never be overtaken.
    for (const pin of hubPins(hub)) heard.delete(pin);
    for (const [pin, at] of heard) if (at > now + CLOCK_TOLERANCE_MS) heard.delete(pin);
    if (heard.size !== before.length || before.some(([pin, at]) => heard.get(pin) !== at))
      await trust.update((draft) => withoutPeers(draft, heard));
    return heard;
  }

  /**
   * Takes on what trusted hubs have endorsed since: other hubs, and edges, each of which gets an account of this hub; and lets go of edges whose
   * subscription was ended at another hub. What cannot be taken on is said in the log and tried again the next time.
   */
  adopt(now: number): Promise<Adoption> {
    const adoption = this.#turn.then(() => this.#adopt(now));
    this.#turn = adoption.catch(() => undefined);
    return adoption;
  }

  async #adopt(now: number): Promise<Adoption> {
    const { organisation, trust, hub, log } = this.#options;
    if (!this.#options.shared || Object.keys(trust.value.peers).length === 0)
      return { adopted: [], gone: [], complete: true };
    const [hubs, edges] = [
      await organisation.topology('Hubs', WITH_KEYS),
      await organisation.topology('Edges', WITH_KEYS),
    ];
    const own = hubs.find((object) => sameName(object.name, hub.name));
    // A server that shows only a part (restored, being loaded, another access list) is no reason to let anything go.
    if (own === undefined)
      throw new PosternError('not-found', "this hub's own object is not in the configuration directory", {
        hint: 'is the directory whole, and may this hub read all of it? starting the hub again makes its object anew',
      });
    const statements = [...hubs, ...edges].flatMap((object) => object.statements);
    const ids = organisation.edges().map(({ addressKeyId }) => addressKeyId);
    await keepKeys(own, ids, this.#kept, this.#options);
    const removals = await this.#hearRemovals(now);
    for (const { object } of departed(this.#others(hubs), removals, trust.value)) {
      log.info('a hub says that it has left the site', { hub: object.name });
      await this.remove(object.name, now);
    }
    this.unproved = unprovedObjects(trust.value, hubs, edges);
    const roots = trustedPins(trust.value, hub);
    for (const found of endorsed('hub', this.#others(hubs), roots, statements, removals)) {
      // One name a key: a copy of its object under another name is no other hub.
      const { peers } = trust.value;
      if (Object.hasOwn(peers, nameKey(found.object.name))) continue;
      if (Object.values(peers).some((one) => pinsOfPeer(one).includes(found.pin))) continue;
      const at = afterRemoval(trust.value, found.pin, now);
      await trust.update((draft) => withPeer(draft, found, 'endorsed', at));
      log.info('another hub of the site is trusted', { hub: found.object.name });
    }
    await this.#handOver(hubs);
    const keys = usableKeys(own.sealedKeys, trustedPins(trust.value, hub), hubPins(hub));
    const gone = await this.#letGo(claimants(edges), keys);
    const adopted: SubscribedEdge[] = [];
    let complete = true;
    for (const found of endorsed('edge', claimants(edges), trustedPins(trust.value, hub), statements)) {
      const same = organisation.edges().some((edge) => pinsOf(edge.pins).includes(found.pin));
      if (same || findEdge(trust.value, found.object.name) !== undefined) continue;
      try {
        const edge = await this.#adoptEdge(found, keys, now);
        if (edge !== undefined) adopted.push(edge);
      } catch (error) {
        if (!isPosternError(error)) throw error;
        complete &&= isPosternError(error, 'statement.invalid', 'seal.open-failed');
        log.warn('an edge of the site cannot be taken on yet', { edge: found.object.name, error });
      }
    }
    return { adopted, gone, complete };
  }

  /** The keys of edges that were subscribed here, for hubs that were not known yet when that was done. */
  async #handOver(hubs: readonly TopologyObject[]): Promise<void> {
    const { organisation, directory, trust, site, base, log } = this.#options;
    const imported = organisation.edges().filter((edge) => edge.subscriptionId !== '');
    for (const found of this.#others(hubs)) {
      const { name } = found.object;
      const peer = Object.values(trust.value.peers).find((one) => pinsOfPeer(one).includes(found.pin));
      if (peer === undefined || !sameName(peer.name, name)) continue;
      try {
        const keys = await this.#keysFor(found, imported);
        if (keys.length > 0)
          await directory.apply([adding(hubDn(name, site, base), 'posternSealedKey', keys)]);
      } catch (error) {
        if (!isPosternError(error, 'statement.invalid', 'seal.open-failed')) throw error;
        log.debug('a hub cannot be handed keys yet', { hub: name, error });
      }
    }
  }

  /** Address keys that a hub does not have yet, sealed to it. */
  async #keysFor(found: Claimant, edges: readonly SubscribedEdge[]): Promise<Buffer[]> {
    const { organisation, trust, hub } = this.#options;
    const roots = trustedPins(trust.value, hub);
    const wanted = new Set(edges.map((edge) => edge.addressKeyId));
    for (const { keyId } of usableKeys(found.object.sealedKeys, [...roots, found.pin], found.pin))
      wanted.delete(keyId);
    if (wanted.size === 0) return [];
    const own = usableKeys((await organisation.own()).sealedKeys, roots, hubPins(hub));
    return resealKeys(own, wanted, recipientOf(found), hub);
  }

  /**
   * Edges whose subscription was ended at another hub, or made anew there, which gives them another key. Only edges that came by another hub:
   * what was imported here is ended here. Keys stay where they are: a server that shows an older copy must not cost them.
   */
  async #letGo(present: readonly Claimant[], keys: readonly AddressKeyRecord[]): Promise<SubscribedEdge[]> {
    const { organisation, directory, trust, hub, site, base, log, lastNumber } = this.#options;
    const gone = organisation.edges().filter(({ subscriptionId, name, addressKeyId }) => {
      if (subscriptionId !== '') return false;
      const found = present.find(({ object }) => sameName(object.name, name));
      if (found === undefined) return true;
      const [used, newest] = [keys.find(({ keyId }) => keyId === addressKeyId), this.#keyOf(found, keys)];
      return newest !== undefined && used !== undefined && newest.createdAt > used.createdAt;
    });
    for (const { name } of gone) {
      const facts = { edgePresent: false, lastNumber: lastNumber?.(name), hub: hub.name, site, base };
      const { credentials } = await organisation.own();
      const plan = prepareRemoval(name, {
        ...facts,
        trust: trust.value,
        own: { credentials, sealedKeys: [] },
      });
      if (plan.changes.length > 0) await directory.apply(plan.changes);
      await trust.update(plan.trust);
      log.info('the subscription of an edge was ended at another hub', { edge: name });
    }
    return gone;
  }

  /** The key that the edge itself was handed last, among those that this hub was handed: earlier ones may be left from earlier subscriptions. */
  #keyOf({ object, pin }: Claimant, keys: readonly AddressKeyRecord[]): AddressKeyRecord | undefined {
    const { trust, hub } = this.#options;
    const [newest] = usableKeys(object.sealedKeys, trustedPins(trust.value, hub), pin);
    return keys.find(({ keyId, edgeFqdn }) => keyId === newest?.keyId && sameFqdn(edgeFqdn, object.fqdn));
  }

  /** Undefined: the key of its addresses has not been handed to this hub yet. */
  async #adoptEdge(
    found: Claimant,
    keys: readonly AddressKeyRecord[],
    now: number,
  ): Promise<SubscribedEdge | undefined> {
    const { directory, trust, hub, site, base, lifetimeMs, random, log } = this.#options;
    const { object } = found;
    const recipient = recipientOf(found);
    const key = this.#keyOf(found, keys);
    if (key === undefined) return undefined;
    const id = nameKey(object.name);
    const retired = Object.hasOwn(trust.value.retiredNumbers, id)
      ? trust.value.retiredNumbers[id]
      : undefined;
    const number = retired === undefined ? 0 : retired + 1;
    const issued = await issueCredential({
      hub,
      edge: { name: object.name, fqdn: object.fqdn, ...recipient },
      number,
      window: firstWindow(now, lifetimeMs),
      policy: DEFAULT_PASSWORD_POLICY,
      random,
    });
    const edge = takenOn(found, recipient, { number, keyId: key.keyId, now });
    // A number whose account may have been written somewhere is never used again.
    await trust.update((draft) => ({
      ...draft,
      retiredNumbers: { ...draft.retiredNumbers, [id]: number },
    }));
    await directory.apply([
      adding(edgeDn(object.name, site, base), 'posternCredential', [issued.recordForEdge]),
      adding(hubDn(hub.name, site, base), 'posternCredential', [issued.recordForHub]),
    ]);
    await trust.update((draft) => ({ ...draft, edges: { ...draft.edges, [id]: edge } }));
    log.info('edge taken on', { edge: edge.name, account: issued.userName });
    return edge;
  }

  #others(objects: Parameters<typeof claimants>[0]): Claimant[] {
    const own = hubPins(this.#options.hub);
    return claimants(objects).filter(({ pin }) => !own.includes(pin));
  }

  #describe({ object, pin }: Claimant, standing: SiteHub['standing']): SiteHub {
    return { name: object.name, fqdn: object.fqdn, pin, standing };
  }
}
