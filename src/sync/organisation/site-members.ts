/**
 * Several hubs in one site: a hub that joins is endorsed by one that is there and handed the address keys; then each hub makes its own account on
 * every edge that a trusted hub endorses. All by way of the configuration directory, which is transport and no authority.
 */
import { isPosternError, PosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { type Removals, removalsBy } from '../../certificate/chain.ts';
import { formatFingerprint, type Pin, samePin } from '../../certificate/pin.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { nameKey, sameFqdn, sameName } from '../../credential/account-name.ts';
import {
  createAddressKeyRecord,
  decodeAddressKeyRecord,
  openAddressKeyRecord,
  verifyAddressKeyRecord,
} from '../../credential/address-key.ts';
import { type HubNode, issueCredential } from '../../credential/issue.ts';
import { DEFAULT_PASSWORD_POLICY } from '../../credential/password.ts';
import { decodeCredentialRecord, type SealingRecipient } from '../../credential/record.ts';
import { CLOCK_TOLERANCE_MS, firstWindow } from '../../credential/schedule.ts';
import type { Attribute, ModifyRequest } from '../../ldap/message.ts';
import {
  type Claimant,
  claimants,
  endorsed,
  endorsement,
  findHub,
  recipientOf,
  removal,
  trustedPins,
  withoutPeers,
  withPeer,
} from '../../subscription/membership.ts';
import { edgeDn, hubDn, type TopologyObject } from '../../subscription/topology-objects.ts';
import { findEdge, type HubTrustState, type SubscribedEdge } from '../../subscription/trust-state.ts';
import type { ConfigurationChange, ConfigurationDirectory } from './configuration-directory.ts';
import type { Organisation } from './organisation.ts';

export interface SiteMembersOptions {
  readonly organisation: Organisation;
  readonly directory: ConfigurationDirectory;
  /** False: the directory is this hub's own, and nobody can join. */
  readonly shared: boolean;
  readonly trust: TrustStore<HubTrustState>;
  readonly hub: HubNode;
  readonly site: string;
  readonly base: string;
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
}

interface AddressKeyHere {
  readonly edgeFqdn: string;
  readonly keyId: string;
  readonly createdAt: number;
}

export class SiteMembers {
  readonly #options: SiteMembersOptions;

  constructor(options: SiteMembersOptions) {
    this.#options = options;
  }

  async hubs(): Promise<SiteHub[]> {
    const { organisation, trust, hub } = this.#options;
    const found = claimants(await organisation.topology('Hubs'));
    return found.map(({ object, pin }) => {
      const peer = Object.values(trust.value.peers).find((one) => samePin(one.pin, pin));
      const self = samePin(pin, hub.identity.pin);
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
    this.#requireShared();
    const found = findHub(this.#others(await organisation.topology('Hubs')), undefined, pin);
    await trust.update((draft) => withPeer(draft, found, 'administrator', now));
    log.info('joined the site of a hub', { hub: found.object.name, fingerprint: formatFingerprint(pin) });
    return this.#describe(found, 'administrator');
  }

  /** The administrator of this hub lets another in: endorses it to every edge, and hands it what it needs to push to them. */
  async approve(name: string, pin: Pin, now: number): Promise<SiteHub> {
    const { organisation, directory, trust, hub, site, base, log } = this.#options;
    this.#requireShared();
    const found = findHub(this.#others(await organisation.topology('Hubs')), name, pin);
    const recipient = recipientOf(found);
    const own = hubDn(found.object.name, site, base);
    const changes: ModifyRequest[] = [];
    // Approved before: said once is enough.
    const mine = [hub.identity.pin];
    if (endorsed('hub', [found], mine, found.object.statements).length === 0) {
      const statement = endorsement(hub, 'hub', { fqdn: found.object.fqdn, pin }, now);
      changes.push(adding(own, 'posternStatement', [statement]));
    }
    const keys = await this.#resealKeys(recipient, keyIds(found.object.sealedKeys));
    if (keys.length > 0) changes.push(adding(own, 'posternSealedKey', keys));
    for (const edge of claimants(await organisation.topology('Edges'))) {
      if (findEdge(trust.value, edge.object.name) === undefined) continue;
      if (endorsed('edge', [edge], mine, edge.object.statements).length > 0) continue;
      const statement = endorsement(hub, 'edge', { fqdn: edge.object.fqdn, pin: edge.pin }, now);
      changes.push(adding(edgeDn(edge.object.name, site, base), 'posternStatement', [statement]));
    }
    await trust.update((draft) => withPeer(draft, found, 'administrator', now));
    if (changes.length > 0) await directory.apply(changes);
    log.info('hub approved', { hub: found.object.name, fingerprint: formatFingerprint(pin) });
    return this.#describe(found, 'administrator');
  }

  /**
   * Takes a hub out of the site, alive or dead: states so, signed, which every edge and hub that reads it acts on; and clears away what it had.
   * Its accounts are gone from the edges with the next push.
   */
  async remove(name: string, now: number): Promise<SiteHub> {
    const { organisation, directory, hub, site, base, log } = this.#options;
    this.#requireShared();
    const found = this.#others(await organisation.topology('Hubs')).find((one) =>
      sameName(one.object.name, name),
    );
    if (found === undefined)
      throw new PosternError('not-found', `there is no other hub ${name} in this site`, {
        hint: '"postern hub list" shows those that are there',
      });
    const { object, pin } = found;
    const changes: ConfigurationChange[] = [
      adding(hubDn(hub.name, site, base), 'posternStatement', [
        removal(hub, { fqdn: object.fqdn, pin }, now),
      ]),
    ];
    for (const edge of await organisation.topology('Edges')) {
      const its = edge.credentials.filter((bytes) => isOfHub(bytes, object.name));
      if (its.length > 0)
        changes.push({
          op: 'modifyRequest',
          dn: edgeDn(edge.name, site, base),
          changes: [{ kind: 'delete', attribute: { type: 'posternCredential', values: its } }],
        });
    }
    changes.push({ op: 'deleteRequest', dn: hubDn(object.name, site, base) });
    await directory.apply(changes);
    await this.#hearRemovals(now);
    log.warn('hub removed from the site', { hub: object.name, fingerprint: formatFingerprint(pin) });
    return this.#describe(found, 'unknown');
  }

  /** What trusted hubs have taken back. Kept here, since a statement may be taken away again. */
  async #hearRemovals(now: number): Promise<Removals> {
    const { organisation, trust, hub } = this.#options;
    const statements = (await organisation.topology('Hubs')).flatMap((object) => object.statements);
    const before = Object.entries(trust.value.removedHubs) as [Pin, number][];
    const heard = new Map(removalsBy(trustedPins(trust.value, hub), statements, before));
    // Of this very hub nobody else decides here; and a date in the future would never be overtaken.
    heard.delete(hub.identity.pin);
    for (const [pin, at] of heard) if (at > now + CLOCK_TOLERANCE_MS) heard.delete(pin);
    if (heard.size !== before.length || before.some(([pin, at]) => heard.get(pin) !== at))
      await trust.update((draft) => withoutPeers(draft, heard));
    return heard;
  }

  /**
   * Takes on what trusted hubs have endorsed since: other hubs, and edges, each of which gets an account of this hub; and lets go of edges whose
   * subscription was ended at another hub. What cannot be taken on is said in the log and tried again the next time.
   */
  async adopt(now: number): Promise<Adoption> {
    const { organisation, trust, hub, log } = this.#options;
    if (!this.#options.shared || Object.keys(trust.value.peers).length === 0)
      return { adopted: [], gone: [] };
    const [hubs, edges] = [await organisation.topology('Hubs'), await organisation.topology('Edges')];
    const statements = [...hubs, ...edges].flatMap((object) => object.statements);
    const removals = await this.#hearRemovals(now);
    const roots = trustedPins(trust.value, hub);
    for (const found of endorsed('hub', this.#others(hubs), roots, statements, removals)) {
      if (Object.hasOwn(trust.value.peers, nameKey(found.object.name))) continue;
      await trust.update((draft) => withPeer(draft, found, 'endorsed', now));
      log.info('another hub of the site is trusted', { hub: found.object.name });
    }
    const adopted: SubscribedEdge[] = [];
    for (const found of endorsed('edge', claimants(edges), trustedPins(trust.value, hub), statements)) {
      if (findEdge(trust.value, found.object.name) !== undefined) continue;
      try {
        const edge = await this.#adoptEdge(found, now);
        if (edge !== undefined) adopted.push(edge);
      } catch (error) {
        if (!isPosternError(error)) throw error;
        log.warn('an edge of the site cannot be taken on yet', { edge: found.object.name, error });
      }
    }
    return { adopted, gone: await this.#letGo(edges) };
  }

  /** Only edges that came by another hub: what was imported here is ended here. */
  async #letGo(present: readonly TopologyObject[]): Promise<SubscribedEdge[]> {
    const { organisation, trust, log } = this.#options;
    const gone = organisation
      .edges()
      .filter(
        (edge) => edge.subscriptionId === '' && !present.some((object) => sameName(object.name, edge.name)),
      );
    for (const { name, accountNumber } of gone) {
      const key = nameKey(name);
      await trust.update(({ edges: { [key]: _gone, ...edges }, ...draft }) => ({
        ...draft,
        edges,
        retiredNumbers: { ...draft.retiredNumbers, [key]: accountNumber },
      }));
      log.info('the subscription of an edge was ended at another hub', { edge: name });
    }
    return gone;
  }

  /** Undefined: the key of its addresses has not been handed to this hub yet. */
  async #adoptEdge(found: Claimant, now: number): Promise<SubscribedEdge | undefined> {
    const { directory, trust, hub, site, base, lifetimeMs, random, log } = this.#options;
    const { object, pin } = found;
    const recipient = recipientOf(found);
    const key = (await this.#keys()).find((one) => sameFqdn(one.edgeFqdn, object.fqdn));
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
    const edge: SubscribedEdge = {
      name: object.name,
      fqdn: object.fqdn,
      port: object.port ?? 50636,
      pins: { current: pin },
      certificate: Buffer.from(object.certificates[0] ?? []),
      sealingKey: Buffer.from(recipient.sealingKey),
      sealingKeyStatedAt: recipient.statedAt,
      subscriptionId: '',
      importedAt: now,
      addressKeyId: key.keyId,
      accountNumber: number,
      passwordPolicy: DEFAULT_PASSWORD_POLICY,
    };
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

  /** Address keys that a trusted hub has sealed to this one. */
  async #keys(): Promise<AddressKeyHere[]> {
    const { organisation, trust, hub } = this.#options;
    const roots = trustedPins(trust.value, hub);
    return (await organisation.own()).sealedKeys.flatMap((bytes) => {
      try {
        const record = decodeAddressKeyRecord(bytes);
        verifyAddressKeyRecord(record, roots);
        return samePin(record.sealedTo, hub.identity.pin) ? [record] : [];
      } catch (error) {
        if (isPosternError(error)) return [];
        throw error;
      }
    });
  }

  /** The address keys of the edges of this hub that another does not have yet, sealed to it. */
  async #resealKeys(recipient: SealingRecipient, has: ReadonlySet<string>): Promise<Buffer[]> {
    const { organisation, trust, hub } = this.#options;
    const roots = trustedPins(trust.value, hub);
    const wanted = new Set(organisation.edges().map((edge) => edge.addressKeyId));
    for (const keyId of has) wanted.delete(keyId);
    const sealed: Buffer[] = [];
    for (const bytes of (await organisation.own()).sealedKeys) {
      const record = decodeAddressKeyRecord(bytes);
      if (!wanted.delete(record.keyId)) continue;
      verifyAddressKeyRecord(record, roots);
      const opened = await openAddressKeyRecord(record, hub.sealingKeys);
      const named = { fqdn: record.edgeFqdn, createdAt: record.createdAt };
      sealed.push(await createAddressKeyRecord(opened, named, recipient, hub.identity));
      opened.key.erase();
    }
    return sealed;
  }

  #others(objects: Parameters<typeof claimants>[0]): Claimant[] {
    return claimants(objects).filter(({ pin }) => !samePin(pin, this.#options.hub.identity.pin));
  }

  #describe({ object, pin }: Claimant, standing: SiteHub['standing']): SiteHub {
    return { name: object.name, fqdn: object.fqdn, pin, standing };
  }

  #requireShared(): void {
    if (this.#options.shared) return;
    throw new PosternError(
      'refused',
      'this hub has a configuration directory of its own: no other hub sees it',
      {
        hint: 'name an LDAP server that both hubs use in the table [configuration] of hub.toml (docs/configuration-directory.md)',
      },
    );
  }
}

function isOfHub(record: Uint8Array, hubName: string): boolean {
  try {
    const { account } = decodeCredentialRecord(record);
    return account.kind === 'esra' && sameName(account.hub, hubName);
  } catch (error) {
    if (isPosternError(error)) return false;
    throw error;
  }
}

function keyIds(records: readonly Uint8Array[]): Set<string> {
  const ids = new Set<string>();
  for (const bytes of records) {
    try {
      ids.add(decodeAddressKeyRecord(bytes).keyId);
    } catch (error) {
      if (!isPosternError(error)) throw error;
    }
  }
  return ids;
}

function adding(dn: string, type: string, values: readonly Buffer[]): ModifyRequest {
  const attribute: Attribute = { type, values: [...values] };
  return { op: 'modifyRequest', dn, changes: [{ kind: 'add', attribute }] };
}
