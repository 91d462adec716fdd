/**
 * Pushing what the configuration directory holds: topology with credentials, and accepted domains. Both are small, so they are
 * compared as a whole; the state that says so is written with the last of it. Knows no recipients.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
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

export interface ConfigurationPushOptions {
  readonly client: LdapClient;
  /** Of the same connection; shared with the push of recipients. */
  readonly writer: TransactionWriter;
  readonly epoch: number;
  readonly clock: Clock;
}

/** What an edge never shows, not even to the hub that wrote it: compared with what this connection has sent. */
const SEALED = ['posternCredential', 'posternSealedKey'];

/**
 * Writes in one transaction. The edge carries one out at a stroke, and answers nobody meanwhile: a thousand take it some tens of
 * milliseconds. What breaks off between two of them is found by comparing, next time.
 */
const MOST_WRITES = 1000;

const DOMAINS = 'cn=AcceptedDomains,cn=Configuration';

/** The bootstrap account may write topology only, and needs no lease for it. */
export async function installTopology(client: LdapClient, target: ConfigurationTarget): Promise<void> {
  const writer = new TransactionWriter(client);
  const puts = [...target.hubs, ...target.edges].map(
    ({ dn, attributes }): WriteOperation => ({ kind: 'put', dn, attributes }),
  );
  for (const part of parts(puts)) await writer.send(part);
  await writer.drained();
}

export class ConfigurationPush {
  readonly #options: ConfigurationPushOptions;
  /** Sealed values sent over this connection, by DN. */
  readonly #sent = new Map<string, string>();

  constructor(options: ConfigurationPushOptions) {
    this.#options = options;
  }

  /** Makes the edge's configuration equal to `target`; resolves when that is on the edge's disk. */
  async push(target: ConfigurationTarget): Promise<void> {
    const { client } = this.#options;
    const { hubs, edges, domains } = target;
    const count = hubs.length + edges.length;
    await this.#send([
      ...(await this.#plan('cn=Hubs,cn=Configuration', hubs)),
      ...(await this.#plan('cn=Edges,cn=Configuration', edges)),
      this.#state('topology', DigestSum.from(count, Buffer.alloc(32))),
    ]);
    for (const entry of edges) this.#sent.set(entry.dn, sealedText(entry));
    const present = await readSubtree(client, DOMAINS);
    const wanted = new Set(domains.map(({ dn }) => dn.toLowerCase()));
    // What the removal guard holds back has been removed already.
    const counted = present.filter((entry) => !isPending(entry) || wanted.has(entry.dn.toLowerCase()));
    await this.#send([
      ...planSubtree(counted, domains),
      this.#state('domains', domainDigest(domains, target.digestKey)),
    ]);
  }

  async #plan(base: string, desired: readonly DesiredEntry[]): Promise<WriteOperation[]> {
    const operations = planSubtree(await readSubtree(this.#options.client, base), desired, SEALED);
    const planned = new Set(operations.map(({ dn }) => dn));
    for (const entry of desired) {
      const sealed = sealedText(entry);
      if (planned.has(entry.dn) || sealed === '' || this.#sent.get(entry.dn) === sealed) continue;
      operations.push({ kind: 'put', dn: entry.dn, attributes: entry.attributes });
    }
    return operations;
  }

  /** These kinds have no position in a mirror: the configuration directory is their source, and it is at hand. */
  #state(kind: DataKind, digest: DigestSum): WriteOperation {
    const changes = edgeStateChanges({
      loadState: 'complete',
      position: { mirrorId: Buffer.alloc(16), sequence: 0, cookie: undefined },
      digest,
      epoch: this.#options.epoch,
      lastConfirmed: this.#options.clock.now(),
      plannedRemovals: 0,
    });
    return { kind: 'modify', dn: edgeStateDn(kind), changes };
  }

  /** In this order; resolves when the last of them is on the edge's disk, and with it all. */
  async #send(operations: readonly WriteOperation[]): Promise<void> {
    const { client, writer } = this.#options;
    const [last = [], ...before] = parts(operations).reverse();
    for (const part of before.reverse()) await writer.send(part);
    await new Promise<void>((resolve, reject) => {
      void client.closed.then(reject);
      writer.send(last, resolve).catch(reject);
    });
  }
}

function parts(operations: readonly WriteOperation[]): WriteOperation[][] {
  return Array.from({ length: Math.ceil(operations.length / MOST_WRITES) }, (_, at) =>
    operations.slice(at * MOST_WRITES, (at + 1) * MOST_WRITES),
  );
}

function isPending(entry: DesiredEntry): boolean {
  return entry.attributes.some(({ type }) => type.toLowerCase() === 'posternpendingdelete');
}

function sealedText(entry: DesiredEntry): string {
  return entry.attributes
    .filter(({ type }) => SEALED.includes(type))
    .map(({ type, values }) => `${type}=${values.map((value) => value.toString('base64')).join()}`)
    .join('\n');
}

/** What the edge computes of the domains it stores (`edge/content-service.ts`). */
export function domainDigest(domains: readonly DesiredEntry[], digestKey: Buffer): DigestSum {
  const digest = new DigestSum();
  for (const { dn, attributes } of domains) {
    const name = dn.slice('cn='.length, dn.indexOf(','));
    const id = createHash('sha256').update(name.toLowerCase()).digest().subarray(0, 16);
    digest.add(entryHash(digestKey, id, attributes));
  }
  return digest;
}
