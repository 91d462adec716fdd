/**
 * The hubs of a site among each other: who is trusted, and what a hub that joins is handed by one that is there, so that nobody subscribes an
 * edge again. What stands in the configuration directory is claims; what counts is a pin that an administrator named, and statements that lead
 * from it. Decides and makes; writes nothing.
 */
import { isPosternError, PosternError } from '../base/error.ts';
import { endorsedMembers, type Removals } from '../certificate/chain.ts';
import { parseCertificate } from '../certificate/parse.ts';
import { followStatements, pinsOf } from '../certificate/peer-pins.ts';
import { formatFingerprint, type Pin, samePin } from '../certificate/pin.ts';
import { stateMembership, stateRemoval, verifyClaim } from '../certificate/statement.ts';
import { nameKey, sameFqdn, sameName } from '../credential/account-name.ts';
import { type HubNode, hubPins } from '../credential/issue.ts';
import type { SealingRecipient } from '../credential/record.ts';
import type { TopologyObject } from './topology-objects.ts';
import { findEdge, type HubTrustState, type PeerHub } from './trust-state.ts';

/** A hub's or an edge's object whose certificate can be read. */
export interface Claimant {
  readonly object: TopologyObject;
  readonly pin: Pin;
}

/** Objects without a usable certificate are passed over. */
export function claimants(objects: readonly TopologyObject[]): Claimant[] {
  return objects.flatMap((object) => {
    try {
      return [{ object, pin: parseCertificate(object.certificates[0] ?? Buffer.alloc(0)).pin }];
    } catch (error) {
      if (isPosternError(error)) return [];
      throw error;
    }
  });
}

/** A peer has two pins while it rolls over. */
export function pinsOfPeer({ pin, next }: Pick<PeerHub, 'pin' | 'next'>): Pin[] {
  return next === undefined ? [pin] : [pin, next];
}

/** The pins whose statements count at this hub. */
export function trustedPins(trust: Pick<HubTrustState, 'peers'>, self: HubNode): Pin[] {
  return [...hubPins(self), ...Object.values(trust.peers).flatMap(pinsOfPeer)];
}

/** Whom the trusted endorse, among those who show the endorsed key under the endorsed name. */
export function endorsed(
  role: 'hub' | 'edge',
  candidates: readonly Claimant[],
  roots: readonly Pin[],
  statements: readonly Uint8Array[],
  removals?: Removals,
): Claimant[] {
  const members = endorsedMembers(roots, statements, removals).filter((member) => member.role === role);
  return candidates.filter(({ object, pin }) =>
    members.some((member) => samePin(member.pin, pin) && sameFqdn(member.name, object.fqdn)),
  );
}

/** What a claimant can have sealed to itself: the key stated last. Throws `statement.invalid` when it states none. */
export function recipientOf({ object, pin }: Claimant): SealingRecipient & { readonly statedAt: number } {
  let latest: (SealingRecipient & { readonly statedAt: number }) | undefined;
  for (const statement of object.statements) {
    try {
      const { claim, issuedAt } = verifyClaim(statement, pin, 'sealingKey', object.fqdn);
      if (latest === undefined || issuedAt > latest.statedAt)
        latest = { pin, sealingKey: claim.publicKey, statedAt: issuedAt };
    } catch (error) {
      if (!isPosternError(error)) throw error;
    }
  }
  if (latest !== undefined) return latest;
  throw new PosternError('statement.invalid', `${object.name} states no sealing key`, {
    hint: 'is its daemon running with this configuration directory? it states the key when it starts',
  });
}

/** The hub with this key. Throws `not-found`, `pin.mismatch`. */
export function findHub(candidates: readonly Claimant[], name: string | undefined, pin: Pin): Claimant {
  const found =
    name === undefined
      ? candidates.find((one) => samePin(one.pin, pin))
      : candidates.find((one) => sameName(one.object.name, name));
  if (found === undefined) {
    throw new PosternError(
      'not-found',
      name === undefined
        ? 'no hub of this site has that fingerprint'
        : `there is no hub ${name} in this site`,
      { hint: '"postern hub list" shows those that are there; a hub appears when its daemon has started' },
    );
  }
  const alike = candidates.filter((one) => samePin(one.pin, pin));
  // A copy of its object under another name: which of the names is its own is not signed.
  if (name === undefined && alike.length > 1)
    throw new PosternError(
      'refused',
      `several hubs of this site show that key: ${alike.map((one) => one.object.name).join(', ')}`,
      { hint: 'somebody has copied an object: remove the wrong ones below cn=Hubs in the directory' },
    );
  if (samePin(found.pin, pin)) return found;
  throw new PosternError('pin.mismatch', `hub ${found.object.name} has another key than the one expected`, {
    hint: 'compare with what "postern hub list" says on that hub itself',
    fields: { expected: formatFingerprint(pin), found: formatFingerprint(found.pin) },
  });
}

export function withPeer(
  trust: HubTrustState,
  { object, pin }: Claimant,
  admittedBy: PeerHub['admittedBy'],
  now: number,
): HubTrustState {
  const peer: PeerHub = { name: object.name, fqdn: object.fqdn, pin, admittedAt: now, admittedBy };
  return { ...trust, peers: { ...trust.peers, [nameKey(object.name)]: peer } };
}

/**
 * Peers as their own statements have them: two pins from an announcement until the object shows the new key. Returns `trust` itself when nothing is
 * new.
 */
export function withFollowedPeers<T extends Pick<HubTrustState, 'peers'>>(
  trust: T,
  objects: readonly TopologyObject[],
): T {
  const changed = Object.entries(trust.peers).flatMap(([key, peer]): [string, PeerHub][] => {
    const object = objects.find((one) => sameName(one.name, peer.name));
    if (object === undefined) return [];
    const { pin: current, next, statedAt } = peer;
    const { pins } = followStatements({ current, next, statedAt }, peer.fqdn, object.statements);
    const shown = claimants([object])[0]?.pin;
    const { pin: _pin, next: _next, statedAt: _statedAt, ...rest } = peer;
    if (pins.next !== undefined && shown === pins.next)
      return [[key, { ...rest, pin: pins.next, former: pins.current }]];
    if (pins.current === current && pins.next === next) return [];
    return [[key, { ...rest, pin: pins.current, next: pins.next, statedAt: pins.statedAt }]];
  });
  return changed.length === 0
    ? trust
    : { ...trust, peers: { ...trust.peers, ...Object.fromEntries(changed) } };
}

/** Objects of nodes that are known under another key than the one they show. */
export function unprovedObjects(
  trust: Pick<HubTrustState, 'peers' | 'edges'>,
  hubs: readonly TopologyObject[],
  edges: readonly TopologyObject[],
): { readonly role: 'edge' | 'hub'; readonly name: string; readonly pin: Pin }[] {
  const of = (role: 'edge' | 'hub', objects: readonly TopologyObject[]) =>
    claimants(objects).flatMap(({ object: { name }, pin }) => {
      const key = nameKey(name);
      const peer = role === 'hub' && Object.hasOwn(trust.peers, key) ? trust.peers[key] : undefined;
      const edge = role === 'edge' ? findEdge(trust, name) : undefined;
      const known =
        peer !== undefined
          ? [...pinsOfPeer(peer), peer.former]
          : edge !== undefined
            ? [...pinsOf(edge.pins), edge.pins.former]
            : [pin];
      return known.includes(pin) ? [] : [{ role, name, pin }];
    });
  return [...of('hub', hubs), ...of('edge', edges)];
}

/** Without the peers that a trusted hub has removed since they were admitted. */
export function withoutPeers(trust: HubTrustState, removals: Removals): HubTrustState {
  const peers = Object.entries(trust.peers).filter(([, peer]) =>
    pinsOfPeer(peer).every((pin) => (removals.get(pin) ?? -1) <= peer.admittedAt),
  );
  return {
    ...trust,
    peers: Object.fromEntries(peers),
    removedHubs: Object.fromEntries(removals),
  };
}

/** "This key is a hub (an edge) of ours." */
export function endorsement(
  self: HubNode,
  role: 'hub' | 'edge',
  member: { readonly fqdn: string; readonly pin: Pin },
  now: number,
): Buffer {
  return stateMembership(self.identity, { pin: member.pin, role }, { subject: member.fqdn, issuedAt: now });
}

/** A hub keeps as many of its own removals: edges and hubs that heard of them remember them. */
const MOST_REMOVAL_STATEMENTS = 64;

/** This hub has removed another: it counts from here on, whether the directory takes the statement or loses it. */
export function withRemoval(trust: HubTrustState, pin: Pin, at: number, statement: Buffer): HubTrustState {
  const removals = new Map(Object.entries(trust.removedHubs) as [Pin, number][]).set(pin, at);
  return {
    ...withoutPeers(trust, removals),
    removalStatements: [...trust.removalStatements, statement].slice(-MOST_REMOVAL_STATEMENTS),
  };
}

/** A moment that is later than the removal of this key, if it was ever removed, whose clock may have been ahead. */
export function afterRemoval(trust: Pick<HubTrustState, 'removedHubs'>, pin: Pin, now: number): number {
  return Object.hasOwn(trust.removedHubs, pin) ? Math.max(now, (trust.removedHubs[pin] ?? 0) + 1) : now;
}

/** "What was said of this key before does not count any more." */
export function removal(
  self: HubNode,
  member: { readonly fqdn: string; readonly pin: Pin },
  now: number,
): Buffer {
  return stateRemoval(self.identity, member.pin, { subject: member.fqdn, issuedAt: now });
}
