/**
 * After a rollover: what this hub has sealed and signed is sealed and signed again, under the keys that count now, its own and those of the nodes it is
 * for; so that the former keys can go. Each entry changes at a stroke, what cannot be opened or proved is left as it is, and nothing is
 * done twice: killed anywhere, the next look finds what is left.
 */
import { isPosternError } from '../../base/error.ts';
import { parseCertificate } from '../../certificate/parse.ts';
import { shownPin } from '../../certificate/peer-pins.ts';
import { type Pin, samePin } from '../../certificate/pin.ts';
import { sealedTo, sealingKeyId } from '../../certificate/sealing.ts';
import {
  claimedIssuer,
  stateMembership,
  stateRemoval,
  verifyStatement,
} from '../../certificate/statement.ts';
import { nameKey } from '../../credential/account-name.ts';
import {
  createAddressKeyRecord,
  decodeAddressKeyRecord,
  openAddressKeyRecord,
  verifyAddressKeyRecord,
} from '../../credential/address-key.ts';
import { asRecipient, type HubNode, hubPins } from '../../credential/issue.ts';
import {
  createCredentialRecord,
  decodeCredentialRecord,
  openCredentialRecord,
  type SealingRecipient,
  verifyCredentialRecord,
} from '../../credential/record.ts';
import type { SealedRecord } from '../../credential/sealed-record.ts';
import type { ModifyRequest } from '../../ldap/message.ts';
import { pinsOfPeer, recipientOf, trustedPins } from '../../subscription/membership.ts';
import { edgeDn, hubDn, type TopologyObject } from '../../subscription/topology-objects.ts';
import { findEdge, type HubTrustState } from '../../subscription/trust-state.ts';

export interface ResealFacts {
  readonly hubs: readonly TopologyObject[];
  readonly edges: readonly TopologyObject[];
  readonly trust: HubTrustState;
  readonly hub: HubNode;
  readonly site: string;
  readonly base: string;
}

/** Old value -> new value, of one attribute. */
type Swap = readonly [Buffer | undefined, Buffer];

/** What has to be written; nothing when all is under the present keys. */
export async function resealChanges(facts: ResealFacts): Promise<ModifyRequest[]> {
  const { hubs, edges, trust, hub, site, base } = facts;
  const own = hubs.find((object) => nameKey(object.name) === nameKey(hub.name));
  if (own === undefined) return [];
  const roots = trustedPins(trust, hub);
  const mine = hubPins(hub);
  const context: Context = { own, hub, roots, mine };
  const changes: ModifyRequest[] = [];
  const swap = (dn: string, swaps: Readonly<Record<string, readonly Swap[]>>): void => {
    const change = (
      kind: 'delete' | 'add',
      type: string,
      values: readonly Buffer[],
    ): ModifyRequest['changes'] => (values.length === 0 ? [] : [{ kind, attribute: { type, values } }]);
    const parts = Object.entries(swaps).flatMap(([type, values]): ModifyRequest['changes'] => {
      const before = values.flatMap(([old]) => old ?? []);
      const after = values.map(([, next]) => next);
      return [...change('delete', type, before), ...change('add', type, after)];
    });
    if (parts.length > 0) changes.push({ op: 'modifyRequest', dn, changes: parts });
  };
  const self = asRecipient(hub);
  swap(hubDn(hub.name, site, base), {
    posternCredential: await swaps(own.credentials, (bytes) => credential(bytes, self, context)),
    posternSealedKey: await swaps(own.sealedKeys, (bytes) => addressKey(bytes, self, context)),
    posternStatement: await swaps(own.statements, (bytes) => statement(bytes, undefined, context)),
  });
  for (const object of hubs) {
    const peer = trust.peers[nameKey(object.name)];
    if (peer === undefined) continue;
    const pin = pinsOfPeer(peer).find((one) => one === pinOf(object)) ?? peer.pin;
    const recipient = unlessInvalid(() => recipientOf({ object, pin }));
    const about = { fqdn: peer.fqdn, pin, earlier: [peer.pin, peer.former] };
    swap(hubDn(object.name, site, base), {
      posternSealedKey:
        recipient === undefined
          ? []
          : await swaps(object.sealedKeys, (bytes) => handedKey(bytes, recipient, context)),
      posternStatement: await swaps(object.statements, (bytes) => statement(bytes, about, context)),
    });
  }
  for (const object of edges) {
    const edge = findEdge(trust, object.name);
    if (edge === undefined) continue;
    const pin = shownPin(edge.pins);
    const recipient = { pin, sealingKey: Buffer.from(edge.sealingKey) };
    const shown = pinOf(object);
    const old = object.certificates[0];
    const earlier = [edge.pins.current, edge.pins.former];
    const stale = shown !== pin && earlier.includes(shown);
    const about = { fqdn: edge.fqdn, pin, earlier };
    const told = (edge.statements ?? []).filter(
      (one) => !object.statements.some((bytes) => bytes.equals(one)),
    );
    swap(edgeDn(object.name, site, base), {
      posternCredential: await swaps(object.credentials, (bytes) => credential(bytes, recipient, context)),
      posternSealedKey: await swaps(object.sealedKeys, (bytes) => addressKey(bytes, recipient, context)),
      posternStatement: [
        ...(await swaps(object.statements, (bytes) => statement(bytes, about, context))),
        ...told.map((bytes): Swap => [undefined, Buffer.from(bytes)]),
      ],
      posternCertificate: stale ? [[old, Buffer.from(edge.certificate)]] : [],
    });
  }
  return changes;
}

/** This hub's own removals, signed by its present key; the same array when they are. */
export function resignedRemovals(removals: readonly Buffer[], hub: HubNode): readonly Buffer[] {
  const signed = removals.map((bytes) => {
    const issuer = claimedIssuer(bytes);
    if (samePin(issuer, hub.identity.pin)) return bytes;
    const { claim, subject, issuedAt } = verifyStatement(bytes, issuer);
    if (claim.kind !== 'removal') return bytes;
    return stateRemoval(hub.identity, claim.pin, { subject, issuedAt });
  });
  return signed.every((bytes, at) => bytes === removals[at]) ? removals : signed;
}

interface Context {
  readonly own: TopologyObject;
  readonly hub: HubNode;
  readonly roots: readonly Pin[];
  readonly mine: readonly Pin[];
}

async function swaps(
  values: readonly Buffer[],
  renew: (bytes: Buffer) => Promise<Buffer | undefined> | Buffer | undefined,
): Promise<Swap[]> {
  const found: Swap[] = [];
  for (const bytes of values) {
    try {
      const renewed = await renew(bytes);
      if (renewed !== undefined) found.push([bytes, renewed]);
    } catch (error) {
      // Somebody else's, or worth nothing: it stays as it is.
      if (!isPosternError(error)) throw error;
    }
  }
  return found;
}

/** Issued by the present key, for the pin that the recipient shows, sealed to the key that it states. */
function isPresent(
  record: { readonly issuer: Pin; readonly sealedTo: Pin; readonly sealedRecord: SealedRecord },
  recipient: SealingRecipient,
  hub: HubNode,
): boolean {
  return (
    samePin(record.issuer, hub.identity.pin) &&
    samePin(record.sealedTo, recipient.pin) &&
    sealedTo(record.sealedRecord.sealed)?.equals(sealingKeyId(recipient.sealingKey)) === true
  );
}

async function credential(
  bytes: Buffer,
  recipient: SealingRecipient,
  { own, hub, roots, mine }: Context,
): Promise<Buffer | undefined> {
  const record = decodeCredentialRecord(bytes);
  const self = samePin(recipient.pin, hub.identity.pin);
  if (
    self ? !roots.includes(record.issuer) || !mine.includes(record.sealedTo) : !mine.includes(record.issuer)
  )
    return undefined;
  // What another hub has sealed to this one, the bootstrap account, keeps its signature until it has to be sealed again.
  const signer = mine.includes(record.issuer) ? record.issuer : hub.identity.pin;
  if (isPresent({ ...record, issuer: signer }, recipient, hub)) return undefined;
  verifyCredentialRecord(record, record.issuer);
  const source = self ? record : ownRecord(own.credentials, record.userName, hub);
  if (source === undefined) return undefined;
  const password = await openCredentialRecord(source, hub.sealingKeys);
  try {
    return await createCredentialRecord(record, password, recipient, hub.identity);
  } finally {
    password.erase();
  }
}

function ownRecord(records: readonly Buffer[], userName: string, hub: HubNode) {
  const mine = hubPins(hub);
  return records
    .flatMap((bytes) => unlessInvalid(() => decodeCredentialRecord(bytes)) ?? [])
    .find(
      (record) =>
        record.userName === userName &&
        mine.includes(record.issuer) &&
        mine.includes(record.sealedTo) &&
        unlessInvalid(() => (verifyCredentialRecord(record, mine), true)) === true,
    );
}

/** Of this hub itself, or of an edge. */
async function addressKey(
  bytes: Buffer,
  recipient: SealingRecipient,
  context: Context,
): Promise<Buffer | undefined> {
  const { hub, roots, mine } = context;
  const record = decodeAddressKeyRecord(bytes);
  const self = samePin(recipient.pin, hub.identity.pin);
  if (!self) return handedKey(bytes, recipient, context);
  if (!roots.includes(record.issuer) || !mine.includes(record.sealedTo)) return undefined;
  const signer = mine.includes(record.issuer) ? record.issuer : hub.identity.pin;
  if (isPresent({ ...record, issuer: signer }, recipient, hub)) return undefined;
  verifyAddressKeyRecord(record, roots);
  const key = await openAddressKeyRecord(record, hub.sealingKeys);
  try {
    const named = { fqdn: record.edgeFqdn, createdAt: record.createdAt };
    return await createAddressKeyRecord(key, named, recipient, hub.identity);
  } finally {
    key.key.erase();
  }
}

/** What this hub has handed to another node: opened from its own copy. */
async function handedKey(
  bytes: Buffer,
  recipient: SealingRecipient,
  { own, hub, roots, mine }: Context,
): Promise<Buffer | undefined> {
  const record = decodeAddressKeyRecord(bytes);
  if (!mine.includes(record.issuer) || isPresent(record, recipient, hub)) return undefined;
  for (const candidate of own.sealedKeys) {
    const copy = unlessInvalid(() => decodeAddressKeyRecord(candidate));
    if (copy === undefined || copy.keyId !== record.keyId || !mine.includes(copy.sealedTo)) continue;
    verifyAddressKeyRecord(copy, roots);
    const key = await openAddressKeyRecord(copy, hub.sealingKeys);
    try {
      const named = { fqdn: record.edgeFqdn, createdAt: record.createdAt };
      return await createAddressKeyRecord(key, named, recipient, hub.identity);
    } finally {
      key.key.erase();
    }
  }
  return undefined;
}

/**
 * A word of this hub about others, given again by its present key: at the same time as before, so that a removal that came later still counts; and an
 * endorsement of the key that the subject had before is given for the one that follows it.
 */
function statement(
  bytes: Buffer,
  about:
    | { readonly fqdn: string; readonly pin: Pin; readonly earlier: readonly (Pin | undefined)[] }
    | undefined,
  { hub, mine }: Context,
): Buffer | undefined {
  const issuer = claimedIssuer(bytes);
  if (!mine.includes(issuer)) return undefined;
  const { claim, subject, issuedAt } = verifyStatement(bytes, issuer);
  const byFormer = !samePin(issuer, hub.identity.pin);
  if (claim.kind === 'removal')
    return byFormer ? stateRemoval(hub.identity, claim.pin, { subject, issuedAt }) : undefined;
  if (claim.kind !== 'membership') return undefined;
  const followed = about !== undefined && subject === about.fqdn && about.earlier.includes(claim.pin);
  const pin = followed ? about.pin : claim.pin;
  if (!byFormer && pin === claim.pin) return undefined;
  return stateMembership(hub.identity, { pin, role: claim.role }, { subject, issuedAt });
}

function pinOf(object: TopologyObject): Pin | undefined {
  return unlessInvalid(() => parseCertificate(object.certificates[0] ?? Buffer.alloc(0)).pin);
}

function unlessInvalid<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isPosternError(error)) return undefined;
    throw error;
  }
}
