/**
 * What of the configuration directory goes to an edge: who could write to it has put there what he liked, so only objects of nodes that this hub
 * knows go on, and of their values only those that a trusted key has signed. Pure. The edge judges again.
 */
import { isPosternError } from '../../base/error.ts';
import { pinsOf } from '../../certificate/peer-pins.ts';
import { type Pin, samePin } from '../../certificate/pin.ts';
import { claimedIssuer, verifyStatement } from '../../certificate/statement.ts';
import { nameKey, sameName } from '../../credential/account-name.ts';
import { decodeAddressKeyRecord, verifyAddressKeyRecord } from '../../credential/address-key.ts';
import type { HubNode } from '../../credential/issue.ts';
import { decodeCredentialRecord, verifyCredentialRecord } from '../../credential/record.ts';
import { claimants, pinsOfPeer, trustedPins } from '../../subscription/membership.ts';
import type { TopologyObject } from '../../subscription/topology-objects.ts';
import { findEdge, type HubTrustState } from '../../subscription/trust-state.ts';

/** Statements of one object that an edge looks at (`credential/admission.ts`). */
const MOST_STATEMENTS = 16;
/** Of those, removals by this hub: the latest ones. Edges remember them. */
const MOST_REMOVALS = 6;
/** And its own successors: edges hear of all of them by word of mouth. */
const MOST_SUCCESSIONS = 4;
/** Values of an attribute that are looked at, each of which may cost a verification. */
const MOST_VALUES = 1024;

/** This hub and those it trusts. */
export function vouchedHubs(
  objects: readonly TopologyObject[],
  trust: HubTrustState,
  hub: HubNode,
): TopologyObject[] {
  const roots = trustedPins(trust, hub);
  const { removalStatements, peers } = trust;
  const others = claimants(objects).flatMap(({ object, pin }): TopologyObject[] => {
    if (sameName(object.name, hub.name)) return [];
    const peer = Object.hasOwn(peers, nameKey(object.name)) ? peers[nameKey(object.name)] : undefined;
    if (peer === undefined || !pinsOfPeer(peer).some((one) => samePin(one, pin))) return [];
    return [{ ...object, statements: signed(object.statements, roots).slice(0, MOST_STATEMENTS) }];
  });
  return [ownObject(), ...others];

  /** From what this hub knows itself: nobody takes its word away on the way. */
  function ownObject(): TopologyObject {
    const own = objects.find((object) => sameName(object.name, hub.name));
    const { sealingStatement, successions } = trust;
    const first = [
      sealingStatement,
      ...successions.slice(-MOST_SUCCESSIONS),
      ...removalStatements.slice(-MOST_REMOVALS),
    ];
    const rest = signed(own?.statements ?? [], roots).filter(
      (bytes) =>
        ![sealingStatement, ...successions, ...removalStatements].some((known) => bytes.equals(known)),
    );
    return {
      name: hub.name,
      fqdn: hub.fqdn,
      port: undefined,
      certificates: [hub.identity.certificate.der],
      statements: [...first.map((bytes) => Buffer.from(bytes)), ...rest].slice(0, MOST_STATEMENTS),
      credentials: [],
      sealedKeys: [],
    };
  }
}

/** The edges that this hub knows, as it knows them. */
export function vouchedEdges(
  objects: readonly TopologyObject[],
  trust: HubTrustState,
  hub: HubNode,
): TopologyObject[] {
  const roots = trustedPins(trust, hub);
  return objects.flatMap((object) => {
    const edge = findEdge(trust, object.name);
    if (edge === undefined) return [];
    const statements = signed(object.statements, [...pinsOf(edge.pins), ...roots]);
    return [
      {
        name: object.name,
        fqdn: edge.fqdn,
        port: edge.port,
        certificates: [Buffer.from(edge.certificate)],
        statements: statements.slice(0, MOST_STATEMENTS),
        credentials: object.credentials.slice(0, MOST_VALUES).filter((bytes) => isIssuedBy(bytes, roots)),
        sealedKeys: object.sealedKeys.slice(0, MOST_VALUES).filter((bytes) => isKeyBy(bytes, roots)),
      },
    ];
  });
}

function signed(statements: readonly Buffer[], issuers: readonly Pin[]): Buffer[] {
  return statements.slice(0, MOST_VALUES).filter((bytes) =>
    holds(() => {
      const issuer = claimedIssuer(bytes);
      if (!issuers.some((pin) => samePin(pin, issuer))) return false;
      verifyStatement(bytes, issuer);
      return true;
    }),
  );
}

function isIssuedBy(bytes: Buffer, issuers: readonly Pin[]): boolean {
  return holds(() => {
    verifyCredentialRecord(decodeCredentialRecord(bytes), issuers);
    return true;
  });
}

function isKeyBy(bytes: Buffer, issuers: readonly Pin[]): boolean {
  return holds(() => {
    verifyAddressKeyRecord(decodeAddressKeyRecord(bytes), issuers);
    return true;
  });
}

function holds(test: () => boolean): boolean {
  try {
    return test();
  } catch (error) {
    if (isPosternError(error)) return false;
    throw error;
  }
}
