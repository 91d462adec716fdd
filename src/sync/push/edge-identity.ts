/**
 * What a hub and an edge tell each other of their keys, over a connection: before a bind, when one of the two may not know the other's present key,
 * and within each session. Knows the wire; what becomes of it is the business of whoever hands `LinkIdentities` in.
 */
import { isPosternError } from '../../base/error.ts';
import type { Identity } from '../../certificate/identity.ts';
import { parseCertificate } from '../../certificate/parse.ts';
import { type Pin, pinBytes, pinFromBytes, type PinSet } from '../../certificate/pin.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';
import { decodeIdentities, encodeIdentities } from '../../ldap/identity-values.ts';
import { POSTERN_EXTENDED } from '../../ldap/postern-oid.ts';

export interface ToldIdentities {
  readonly statements: readonly Buffer[];
  readonly holds: readonly Pin[];
}

/** This hub's keys and one edge's, as the trust store has them. */
export interface LinkIdentities {
  /** What is told to the edge: this hub's own statements, and the pins by which it knows the edge. */
  told(): ToldIdentities;
  /** The present key of this hub is not its first one: an edge that was away, or was restored from a backup, is told before each bind. */
  readonly introduces: boolean;
  /**
   * Whoever answers with the key `shown` tells these statements: resolves to the pins that count now when the edge's own word leads from a pinned key to
   * that one, and to undefined when it does not. Durable.
   */
  follow(statements: readonly Buffer[], shown: Pin): Promise<PinSet | undefined>;
  /** In a session that the edge has accepted: it showed `shown`, this hub `own`. `heard`: undefined from an edge that tells nothing. */
  met(heard: ToldIdentities | undefined, shown: Pin, own: Pin): Promise<void>;
  /** The edge accepted none of the credentials under the key that was shown. */
  refused(): void;
}

/** For every edge of a hub. */
export interface HubIdentities {
  /** What this hub shows to it. */
  shown(edgeName: string): Identity;
  of(edgeName: string): LinkIdentities;
}

const WITHIN_MS = 5_000;

/** Undefined when the edge does not know the operation. Throws what a connection throws. */
export async function tellIdentities(
  client: LdapClient,
  { statements, holds }: ToldIdentities,
): Promise<ToldIdentities | undefined> {
  const request = encodeIdentities({ statements, holds: holds.map(pinBytes) });
  try {
    const sent = client.extended(POSTERN_EXTENDED.identities, request, { timeoutMs: WITHIN_MS });
    const heard = decodeIdentities((await sent.result).operation.value);
    return { statements: heard.statements, holds: heard.holds.map(pinFromBytes) };
  } catch (error) {
    if (isPosternError(error) && resultCodeOf(error) !== undefined) return undefined;
    throw error;
  }
}

/** In a session that the edge has accepted: both tell what they state, and which pins of the other they hold. */
export async function meetEdge(
  client: LdapClient,
  { identities, identity }: { readonly identities?: LinkIdentities | undefined; readonly identity: Identity },
): Promise<void> {
  const { peerCertificate } = client;
  if (identities === undefined || peerCertificate === undefined) return;
  const heard = await tellIdentities(client, identities.told());
  await identities.met(heard, parseCertificate(peerCertificate).pin, identity.pin);
}
