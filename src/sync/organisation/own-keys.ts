/**
 * Address keys of edges must not go with the trust in the hub that handed them over: each hub keeps its own in records that it has signed itself, and
 * when a hub is removed, the edges are given records by one that stays, so that hubs which join later find them.
 */
import type { Pin } from '../../certificate/pin.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import type { AddressKeyRecord } from '../../credential/address-key.ts';
import { asRecipient, type HubNode, hubPins } from '../../credential/issue.ts';
import type { ModifyRequest } from '../../ldap/message.ts';
import { trustedPins } from '../../subscription/membership.ts';
import { edgeDn, hubDn, type TopologyObject } from '../../subscription/topology-objects.ts';
import { findEdge, type HubTrustState } from '../../subscription/trust-state.ts';
import type { ConfigurationDirectory } from './configuration-directory.ts';
import { adding } from './member-changes.ts';
import { resealKeys, usableKeys } from './site-keys.ts';

interface Place {
  readonly directory: ConfigurationDirectory;
  readonly trust: TrustStore<HubTrustState>;
  readonly hub: HubNode;
  readonly site: string;
  readonly base: string;
}

/** `kept` remembers those that were found in a record of this hub's own, so that each is verified once. */
export async function keepKeys(
  own: TopologyObject,
  ids: readonly string[],
  kept: Set<string>,
  { directory, trust, hub, site, base }: Place,
): Promise<void> {
  const wanted = new Set(ids.filter((id) => !kept.has(id)));
  if (wanted.size === 0) return;
  for (const { keyId } of usableKeys(own.sealedKeys, [hub.identity.pin], hubPins(hub), wanted)) {
    kept.add(keyId);
    wanted.delete(keyId);
  }
  const given = usableKeys(own.sealedKeys, trustedPins(trust.value, hub), hubPins(hub), wanted);
  const keys = await resealKeys(given, wanted, asRecipient(hub), hub);
  if (keys.length > 0) await directory.apply([adding(hubDn(hub.name, site, base), 'posternSealedKey', keys)]);
}

/** What takes the place of records of a hub that is trusted no more; `given`: what this hub had before that. */
export async function keysAfterRemoval(
  given: readonly AddressKeyRecord[],
  own: TopologyObject | undefined,
  edges: readonly TopologyObject[],
  { trust, hub, site, base }: Place,
): Promise<ModifyRequest[]> {
  const roots = trustedPins(trust.value, hub);
  const usable = (records: readonly Buffer[], sealedTo: Pin | readonly Pin[]): ReadonlySet<string> =>
    new Set(usableKeys(records, roots, sealedTo).map(({ keyId }) => keyId));
  const changes: ModifyRequest[] = [];
  const mine = usable(own?.sealedKeys ?? [], hubPins(hub));
  const lost = new Set(given.map(({ keyId }) => keyId).filter((keyId) => !mine.has(keyId)));
  const kept = await resealKeys(given, lost, asRecipient(hub), hub);
  if (kept.length > 0) changes.push(adding(hubDn(hub.name, site, base), 'posternSealedKey', kept));
  for (const object of edges) {
    const edge = findEdge(trust.value, object.name);
    if (edge === undefined || usable(object.sealedKeys, edge.pins.current).has(edge.addressKeyId)) continue;
    const recipient = { pin: edge.pins.current, sealingKey: edge.sealingKey };
    const keys = await resealKeys(given, new Set([edge.addressKeyId]), recipient, hub);
    if (keys.length > 0) changes.push(adding(edgeDn(object.name, site, base), 'posternSealedKey', keys));
  }
  return changes;
}
