/**
 * Pushing what the configuration directory holds: topology with credentials, and accepted domains. Both are small, so they
 * are compared as a whole. Knows no recipients.
 */
import { createHash } from 'node:crypto';
import type { LdapClient } from '../../ldap/client.ts';
import { DigestSum, entryHash } from '../content-digest.ts';
import { type DataKind, edgeStateChanges, edgeStateDn } from './edge-state.ts';
import { type DesiredEntry, planSubtree, readSubtree } from './subtree-push.ts';
import { TransactionWriter, type WriteOperation } from './transaction-writer.ts';

export interface ConfigurationTarget {
  readonly digestKey: Buffer;
  readonly hubs: readonly DesiredEntry[];
  readonly edges: readonly DesiredEntry[];
  readonly domains: readonly DesiredEntry[];
}

/** The bootstrap account may write topology only, and needs no lease for it. */
export async function installTopology(client: LdapClient, target: ConfigurationTarget): Promise<void> {
  const writer = new TransactionWriter(client);
  await writer.send(
    [...target.hubs, ...target.edges].map(({ dn, attributes }) => ({ kind: 'put', dn, attributes })),
  );
  await writer.drained();
}

/** Topology and domains: small, so compared as a whole; written with their state in one transaction each. */
export async function pushConfiguration(
  client: LdapClient,
  writer: TransactionWriter,
  target: ConfigurationTarget,
  facts: StateFacts,
): Promise<void> {
  const topology = [
    ...planSubtree(await readSubtree(client, 'cn=Hubs,cn=Configuration'), target.hubs),
    ...planSubtree(await readSubtree(client, 'cn=Edges,cn=Configuration'), target.edges),
  ];
  await writer.send([
    ...topology,
    stateOperation('topology', new DigestSum(), target.hubs.length + target.edges.length, facts),
  ]);
  const digest = new DigestSum();
  for (const { dn, attributes } of target.domains) {
    const id = createHash('sha256')
      .update(dn.slice(3, dn.indexOf(',')))
      .digest()
      .subarray(0, 16);
    digest.add(entryHash(target.digestKey, id, attributes));
  }
  const domains = planSubtree(
    await readSubtree(client, 'cn=AcceptedDomains,cn=Configuration'),
    target.domains,
  );
  await writer.send([...domains, stateOperation('domains', digest, target.domains.length, facts)]);
}

interface StateFacts {
  readonly epoch: number;
  readonly now: number;
}

/** These kinds have no position in a mirror: the configuration directory is their source, and it is at hand. */
function stateOperation(kind: DataKind, digest: DigestSum, count: number, facts: StateFacts): WriteOperation {
  const sum = kind === 'topology' ? DigestSum.from(count, digest.toBytes()) : digest;
  const changes = edgeStateChanges({
    loadState: 'complete',
    position: { mirrorId: Buffer.alloc(16), sequence: 0, cookie: undefined },
    digest: sum,
    epoch: facts.epoch,
    lastConfirmed: facts.now,
    plannedRemovals: 0,
  });
  return { kind: 'modify', dn: edgeStateDn(kind), changes };
}
