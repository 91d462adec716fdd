/** Status documents as text for a tired administrator: state first, warnings last, ages in words. Pure. */
import type { DaemonStatus, EdgeStatus, EdgeSyncStatus, HubStatus, Warning } from '../admin/documents.ts';
import { formatAge, formatDuration } from '../base/duration.ts';
import { formatCount, formatFields, formatTable, printable } from './table.ts';

export function formatStatus(status: DaemonStatus): string {
  return status.role === 'edge' ? formatEdge(status) : formatHub(status);
}

function formatEdge(status: EdgeStatus): string {
  const { now, lookups } = status;
  const fields = formatFields([
    [
      'edge',
      `${status.name} (${status.fqdn}), up ${formatDuration(now - status.startedAt)}, ${megabytes(status.memoryBytes)}`,
    ],
    ['fingerprint', status.fingerprint],
    ['subscribed', status.subscribed ? 'yes' : 'no'],
    [
      'lease',
      status.lease.state === 'free'
        ? 'free'
        : `${status.lease.state} by ${status.lease.holder}, epoch ${status.lease.epoch}, ${formatDuration(status.lease.remainingMs)} left`,
    ],
    [
      'lookups',
      `${formatCount(lookups.known)} known, ${formatCount(lookups.unknown)} unknown, ${formatCount(lookups.temporary)} temporarily unable, ${formatCount(lookups.notOurs)} not ours`,
    ],
  ]);
  const kinds = formatTable(
    ['data', 'state', 'entries', 'pending removals', 'last confirmed'],
    status.kinds.map((kind) => [
      kind.kind,
      kind.loadState,
      formatCount(kind.entries),
      kind.keptRemovals > 0
        ? `${kind.pendingRemovals} (${kind.keptRemovals} rejected)`
        : String(kind.pendingRemovals),
      kind.lastConfirmed === undefined ? 'never' : formatAge(kind.lastConfirmed, now),
    ]),
  );
  const accounts =
    status.accounts.length === 0
      ? 'no accounts'
      : formatTable(
          ['account', 'state', 'effective', 'expires'],
          status.accounts.map((account) => [
            account.name,
            account.state,
            formatAge(account.effective, now),
            formatAge(account.expires, now),
          ]),
        );
  return [fields, kinds, accounts, formatWarnings(status.warnings)].join('\n\n');
}

function formatHub(status: HubStatus): string {
  const { now, source } = status;
  const fields = formatFields([
    [
      'hub',
      `${status.name} (${status.fqdn}), site ${status.site}, up ${formatDuration(now - status.startedAt)}, ${megabytes(status.memoryBytes)}`,
    ],
    ['fingerprint', status.fingerprint],
    [
      'source',
      source.state === 'none'
        ? 'none configured'
        : `${source.kind} ${printable(source.instance)}: ${source.state}`,
    ],
    ['recipients', recipientsText(source)],
    ['confirmed', source.lastConfirmed === undefined ? 'never' : formatAge(source.lastConfirmed, now)],
    ['domains', String(status.domains)],
  ]);
  const edges = status.edges.length === 0 ? 'no edge is subscribed' : formatEdgeTable(status.edges, now);
  return [fields, edges, formatWarnings(status.warnings)].join('\n\n');
}

/** What became of the source's entries; who they are, the source can be asked. */
function recipientsText({
  recipients,
  entries,
  leftOut,
  leftOutBy,
  droppedAddresses,
}: HubStatus['source']): string {
  const why = Object.entries(leftOutBy)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${formatCount(count)} ${LEFT_OUT[reason as keyof typeof LEFT_OUT]}`);
  return [
    `${formatCount(recipients)} of ${formatCount(entries)} entries`,
    ...(leftOut === 0 ? [] : [`${formatCount(leftOut)} left out (${why.join(', ')})`]),
    ...(droppedAddresses === 0
      ? []
      : [`${formatCount(droppedAddresses)} values that are no address dropped`]),
    ...(leftOut + droppedAddresses === 0 ? [] : ['which ones: postern source check']),
  ].join('; ');
}

const LEFT_OUT = {
  'no-address': 'without an address',
  'left-out': 'by a rule of the mapping',
  disabled: 'disabled',
} as const;

export function formatEdgeTable(edges: readonly EdgeSyncStatus[], now: number): string {
  const table = formatTable(
    ['edge', 'sync status', 'lease', 'last success', 'failures', 'recipients', 'pending removals'],
    edges.map((edge) => [
      edge.edge,
      edge.state,
      edge.holdsLease ? 'held' : '-',
      edge.lastSuccess === undefined ? 'never' : formatAge(edge.lastSuccess, now),
      String(edge.consecutiveFailures),
      progressOf(edge),
      String(edge.pendingRemovals),
    ]),
  );
  const failures = edges
    .filter((edge) => edge.failureDetail !== undefined)
    .map((edge) => `${edge.edge}: ${printable(edge.failureDetail ?? '')}`);
  return [table, ...failures].join('\n');
}

/** How many recipients the edge has; during a load, of how many. One that was in step when the hub started got none, and has them all. */
function progressOf({ pushed, total, state }: EdgeSyncStatus): string {
  // Not asked yet, or not to be reached: nothing is known of what it has.
  if (total === undefined) return pushed === 0 ? '-' : formatCount(pushed);
  return state === 'Synchronized' || pushed >= total
    ? formatCount(total)
    : `${formatCount(pushed)}/${formatCount(total)}`;
}

export function formatWarnings(warnings: readonly Warning[]): string {
  if (warnings.length === 0) return 'health: ok';
  return warnings
    .map(
      (warning) =>
        `${warning.severity}: ${printable(warning.text)} [${warning.code}]${warning.mend === undefined ? '' : `\n  mend: ${warning.mend}`}`,
    )
    .join('\n');
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}
