/** What the hub knows of its edges for status and lists, gathered from link, trust store, configuration directory and the edge itself. */
import type { EdgeSyncStatus, SubscriptionDocument } from '../../admin/documents.ts';
import { PosternError } from '../../base/error.ts';
import { formatFingerprint } from '../../certificate/pin.ts';
import type { LdapClient } from '../../ldap/client.ts';
import type { SubscribedEdge } from '../../subscription/trust-state.ts';
import type { Organisation } from '../../sync/organisation/organisation.ts';
import type { EdgeLink } from '../../sync/push/edge-link.ts';
import { askRemovals, GUARDED_KINDS } from '../../sync/push/edge-query.ts';
import type { Renewals } from '../../sync/renewal/renewals.ts';
import { currentCredential } from './credential-facts.ts';
import type { Links } from './links.ts';
import { type EdgeFacts, edgeSyncStatus } from './status.ts';

/** A count that doesn't come soon is left as it was: status has to answer when edges don't. */
const COUNT_WITHIN_MS = 2000;
/** Approving 100,000 removals takes its time. */
const DECIDE_WITHIN_MS = 10 * 60_000;

export interface EdgeRegisterOptions {
  readonly organisation: Organisation;
  readonly links: Links;
  readonly renewals: Renewals;
  readonly hubName: string;
}

export class EdgeRegister {
  readonly #options: EdgeRegisterOptions;
  readonly #pending = new Map<string, number>();

  constructor(options: EdgeRegisterOptions) {
    this.#options = options;
  }

  /** Facts of every subscribed edge; `ask`: with what the edges say now of removals that wait. */
  async facts(ask: boolean): Promise<EdgeFacts[]> {
    const { organisation, links, renewals } = this.#options;
    const edges = organisation.edges().sort((a, b) => (a.name < b.name ? -1 : 1));
    return Promise.all(
      edges.map(async (edge) => {
        const link = links.find(edge.name);
        if (ask && link !== undefined) await this.#count(link);
        return {
          edge,
          link: link?.status,
          credential: this.#credential(edge),
          credentialWarnings: renewals.find(edge.name)?.pair?.warnings ?? {},
          pendingRemovals: this.#pending.get(edge.name) ?? 0,
        };
      }),
    );
  }

  async statuses(chosen: readonly EdgeLink[], ask: boolean): Promise<EdgeSyncStatus[]> {
    const names = new Set(chosen.map((link) => link.name));
    const facts = await this.facts(ask);
    return facts.filter(({ edge }) => names.has(edge.name)).map(edgeSyncStatus);
  }

  subscription(edge: SubscribedEdge): SubscriptionDocument {
    const credential = this.#credential(edge);
    return {
      edge: edge.name,
      fqdn: edge.fqdn,
      port: edge.port,
      fingerprint: formatFingerprint(edge.pins.current),
      importedAt: edge.importedAt,
      phase: edge.establishedAt === undefined ? 'bootstrapping' : 'established',
      account: credential?.userName ?? '',
      expires: credential?.expiresAt ?? 0,
    };
  }

  /** Approves, rejects or reopens the removals that an edge holds back; returns how many. Throws `refused` when the edge isn't connected. */
  async decide(link: EdgeLink, action: 'approve' | 'reject' | 'reopen'): Promise<number> {
    const client = connected(link);
    let count = 0;
    for (const kind of GUARDED_KINDS) {
      const answer = await askRemovals(client, action, kind, DECIDE_WITHIN_MS);
      count += { approve: answer.approved, reject: answer.rejected, reopen: answer.pending }[action];
    }
    await this.#count(link);
    return count;
  }

  #credential({ name }: SubscribedEdge) {
    const { hubName, renewals } = this.#options;
    return currentCredential({ hub: hubName, edge: name, pair: renewals.find(name)?.pair });
  }

  async #count(link: EdgeLink): Promise<void> {
    const { client } = link;
    if (client === undefined) return;
    try {
      const answers = await Promise.all(
        GUARDED_KINDS.map((kind) => askRemovals(client, 'list', kind, COUNT_WITHIN_MS)),
      );
      this.#pending.set(
        link.name,
        answers.reduce((sum, { pending }) => sum + pending, 0),
      );
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
    }
  }
}

/** The connection that holds the lease. Throws `refused` when there is none. */
export function connected(link: EdgeLink): LdapClient {
  const { client, status } = link;
  if (client !== undefined) return client;
  throw new PosternError(
    'refused',
    `edge ${link.name} is not connected now${status.failureDetail === undefined ? '' : `: ${status.failureDetail}`}`,
    { hint: `postern sync run --edge ${link.name}`, fields: { edge: link.name } },
  );
}
