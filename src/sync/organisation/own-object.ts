/** What a hub's own object says of it: made once, and kept true over changes of its name and its keys. Pure. */
import { isPosternError } from '../../base/error.ts';
import { claimedIssuer, verifyStatement } from '../../certificate/statement.ts';
import type { HubNode } from '../../credential/issue.ts';
import type { AddRequest, Attribute, ModifyRequest } from '../../ldap/message.ts';
import { addTopologyObject, readTopologyObject } from '../../subscription/topology-objects.ts';
import type { HubTrustState } from '../../subscription/trust-state.ts';

/** Undefined when `present`, the attributes that stand there, say it already. */
export function ownObjectChange(
  dn: string,
  present: readonly Attribute[] | undefined,
  hub: HubNode,
  { sealingStatement, successions }: Pick<HubTrustState, 'sealingStatement' | 'successions'>,
): AddRequest | ModifyRequest | undefined {
  const own = {
    name: hub.name,
    fqdn: hub.fqdn,
    certificates: [hub.identity.certificate.der],
    statements: [sealingStatement, ...successions].map((bytes) => Buffer.from(bytes)),
  };
  if (present === undefined) return addTopologyObject(dn, 'posternHub', own);
  const there = readTopologyObject(present);
  const statements = [...own.statements, ...(there?.statements ?? []).filter(isAboutOthers)];
  if (
    there?.fqdn === own.fqdn &&
    sameValues(there.certificates, own.certificates) &&
    sameValues(there.statements, statements)
  )
    return undefined;
  const replace = (type: string, values: readonly Buffer[]): ModifyRequest['changes'][number] => ({
    kind: 'replace',
    attribute: { type, values },
  });
  return {
    op: 'modifyRequest',
    dn,
    changes: [
      replace('posternFqdn', [Buffer.from(own.fqdn)]),
      replace('posternCertificate', own.certificates),
      replace('posternStatement', statements),
    ],
  };
}

/** What other hubs state of this one stays, and what it states of others: its word about itself is in the trust store. */
function isAboutOthers(bytes: Buffer): boolean {
  try {
    const { kind } = verifyStatement(bytes, claimedIssuer(bytes)).claim;
    return kind === 'membership' || kind === 'removal';
  } catch (error) {
    if (isPosternError(error)) return false;
    throw error;
  }
}

/** As sets: a directory keeps no order. */
function sameValues(a: readonly Buffer[], b: readonly Buffer[]): boolean {
  return a.length === b.length && a.every((value) => b.some((other) => other.equals(value)));
}
