/** The hub's state as a document, with what is wrong and how to mend it. Pure: facts in, plain data out. */
import type { EdgeSyncStatus, HubStatus, SourceStatus, Warning } from '../../admin/documents.ts';
import { formatAge } from '../../base/duration.ts';
import type { HubPair } from '../../credential/lifecycle/hub-pair.ts';
import type { SubscribedEdge } from '../../subscription/trust-state.ts';
import type { LinkStatus } from '../../sync/push/link-status.ts';
import { credentialWarnings, rootOf } from './credential-warnings.ts';

export interface EdgeFacts {
  readonly edge: Pick<SubscribedEdge, 'name' | 'fqdn' | 'port'>;
  /** Undefined while the link is being ended. */
  readonly link: LinkStatus | undefined;
  readonly credential: { readonly userName: string; readonly expiresAt: number } | undefined;
  readonly credentialWarnings: HubPair['warnings'];
  readonly pendingRemovals: number;
}

export type HubFacts = Omit<HubStatus, 'version' | 'role' | 'edges' | 'warnings'> & {
  readonly edges: readonly EdgeFacts[];
  /** Of this hub's certificate and the edges'. */
  readonly certificateWarnings: readonly Warning[];
  /** Damaged copies of the trust store that were written again at the start. */
  readonly repairedCopies: number;
};

export const NO_SOURCE: SourceStatus = {
  kind: 'none',
  instance: '',
  state: 'none',
  entries: 0,
  recipients: 0,
  leftOut: 0,
  leftOutBy: { 'no-address': 0, 'left-out': 0, disabled: 0 },
  droppedAddresses: 0,
  lastChange: undefined,
  lastConfirmed: undefined,
  failure: undefined,
};

/** After so long without the source, edges will answer "temporarily unable" before anybody looks again. */
const SOURCE_CRITICAL_MS = 24 * 3_600_000;
const EDGE_CRITICAL_MS = 3_600_000;
/** A shorter one fails for a moment only: a restart, for example. */
const FAILURES_WORTH_A_WARNING = 3;

export function hubStatus(facts: HubFacts): HubStatus {
  const { edges, certificateWarnings, repairedCopies, ...rest } = facts;
  const statuses = edges.map(edgeSyncStatus);
  return {
    version: 1,
    role: 'hub',
    ...rest,
    edges: statuses,
    warnings: [
      ...sourceWarnings(rest.source, rest.now),
      ...edges.flatMap((edge, i) => edgeWarnings(edge, statuses[i] as EdgeSyncStatus, facts)),
      ...certificateWarnings,
      ...trustWarnings(repairedCopies),
    ],
  };
}

export function edgeSyncStatus(facts: EdgeFacts): EdgeSyncStatus {
  const { edge, link, credential, pendingRemovals } = facts;
  return {
    edge: edge.name,
    address: `${edge.fqdn}:${edge.port}`,
    state: link?.state ?? 'NotStarted',
    holdsLease: link?.holdsLease ?? false,
    lastAttempt: link?.lastAttempt,
    lastSuccess: link?.lastSuccess,
    consecutiveFailures: link?.consecutiveFailures ?? 0,
    failureDetail: link?.failureDetail,
    pushed: link?.progress.pushed ?? 0,
    total: link?.progress.total,
    pendingRemovals,
    credential: credential?.userName ?? link?.credential ?? '',
    credentialExpires: credential?.expiresAt ?? 0,
  };
}

function sourceWarnings(source: SourceStatus, now: number): Warning[] {
  if (source.state !== 'failed') return [];
  const { lastConfirmed } = source;
  const since = lastConfirmed === undefined ? 'never' : formatAge(lastConfirmed, now);
  const alreadySaid = `the source ${source.instance} cannot be read: `;
  const critical = lastConfirmed !== undefined && now - lastConfirmed > SOURCE_CRITICAL_MS;
  return [
    {
      code: 'source.failed',
      severity: critical ? 'critical' : 'warning',
      text: `the source ${source.instance} cannot be read (last confirmed: ${since})${source.failure === undefined ? '' : `: ${source.failure.replace(alreadySaid, '')}`}`,
      mend: 'mend the source, or correct [source] in hub.toml and restart; then: postern sync run',
    },
  ];
}

function edgeWarnings(facts: EdgeFacts, status: EdgeSyncStatus, hub: HubFacts): Warning[] {
  const { edge, pendingRemovals } = status;
  const { now } = hub;
  const warnings: Warning[] = [];
  const failing = status.state === 'Expired' || status.consecutiveFailures >= FAILURES_WORTH_A_WARNING;
  const root = rootOf(facts.credentialWarnings);
  if (failing && !(status.state === 'Expired' && root !== undefined)) {
    const silentMs = now - (status.lastSuccess ?? hub.startedAt);
    const since = status.lastSuccess === undefined ? 'never' : formatAge(status.lastSuccess, now);
    warnings.push({
      code: 'edge.failing',
      severity: status.state === 'Expired' || silentMs > EDGE_CRITICAL_MS ? 'critical' : 'warning',
      text: `edge ${edge} does not synchronise (${status.consecutiveFailures} failures, last success: ${since}): ${status.failureDetail ?? status.state}`,
      mend:
        status.state === 'Expired'
          ? `postern subscription remove ${edge}, then make a new file on the edge and import it`
          : `check that ${status.address} answers from here, then: postern sync run --edge ${edge}`,
    });
  }
  if (pendingRemovals > 0) {
    warnings.push({
      code: 'removals.pending',
      severity: 'warning',
      text: `edge ${edge} holds back removals (${pendingRemovals}): more recipients than usual, or a domain; they go on answering`,
      mend: `postern sync approve --edge ${edge}, or postern sync reject --edge ${edge}`,
    });
  }
  warnings.push(
    ...credentialWarnings({
      edge,
      warnings: facts.credentialWarnings,
      expiresAt: facts.credential?.expiresAt,
      unreachable: failing,
      now,
    }),
  );
  return warnings;
}

function trustWarnings(repairedCopies: number): Warning[] {
  if (repairedCopies === 0) return [];
  return [
    {
      code: 'trust.repaired',
      severity: 'warning',
      text: `${repairedCopies} damaged copy of the trust store was written again from the other one at the start`,
      mend: 'check the disk; the warning ends with the next start',
    },
  ];
}
