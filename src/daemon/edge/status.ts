/** What `postern status` says of an edge, and what is wrong with it. */
import type { AccountStatus, EdgeStatus, KindStatus, Warning, WarningCode } from '../../admin/documents.ts';
import { DOCUMENT_VERSION } from '../../admin/documents.ts';
import { formatAge, formatDuration } from '../../base/duration.ts';
import type { Account } from '../../credential/account.ts';

export interface EdgeFacts {
  readonly name: string;
  readonly fqdn: string;
  readonly now: number;
  readonly startedAt: number;
  readonly fingerprint: string;
  readonly subscribed: boolean;
  readonly kinds: readonly KindStatus[];
  readonly lease: EdgeStatus['lease'];
  readonly accounts: readonly Account[];
  /** What is wrong with the pairs of this edge and its hubs. */
  readonly pairWarnings: readonly Warning[];
  readonly certificateWarnings: readonly Warning[];
  readonly lookups: EdgeStatus['lookups'];
  readonly connections: number;
  readonly memoryBytes: number;
  readonly maxAgeMs: number;
  /** No space on the disk: changes are refused. */
  readonly storeFull: boolean;
  /** Path of a used or expired subscription file that could not be deleted here. */
  readonly leftoverFile: string | undefined;
}

export function edgeStatus(facts: EdgeFacts): EdgeStatus {
  const {
    pairWarnings: _pairWarnings,
    certificateWarnings: _certificateWarnings,
    accounts,
    maxAgeMs: _maxAgeMs,
    storeFull: _storeFull,
    leftoverFile: _file,
    ...rest
  } = facts;
  return {
    version: DOCUMENT_VERSION,
    role: 'edge',
    ...rest,
    accounts: accounts.map((account) => accountStatus(account, facts.now)),
    warnings: edgeWarnings(facts),
  };
}

export function accountStatus(account: Account, now: number): AccountStatus {
  const state =
    account.state === 'suspended'
      ? 'suspended'
      : now >= account.expiresAt
        ? 'expired'
        : now < account.effectiveAt
          ? 'not yet effective'
          : 'active';
  return {
    name: account.name,
    kind: account.kind,
    effective: account.effectiveAt,
    expires: account.expiresAt,
    state,
  };
}

/** Pure: facts in, warnings out, the gravest first. */
export function edgeWarnings(facts: EdgeFacts): Warning[] {
  const { now, kinds, accounts, maxAgeMs } = facts;
  const warnings: Warning[] = [];
  const warn = (severity: Warning['severity'], code: WarningCode, text: string, mend?: string): void =>
    void warnings.push({ code, severity, text, ...(mend === undefined ? {} : { mend }) });
  if (facts.storeFull)
    warn(
      'critical',
      'store.full',
      'no space is left on the disk: every change is refused; searches and lookups go on, and nothing is lost',
      'free space on the disk of the data folder: changes are taken again by themselves',
    );
  if (!facts.subscribed) {
    warn(
      'warning',
      'edge.not-subscribed',
      'no hub is subscribed: every recipient of ours is answered "temporarily unable"',
      'postern subscription create FILE, then import the file on a hub',
    );
    return warnings;
  }
  const recipients = kinds.find((kind) => kind.kind === 'recipients');
  if (recipients?.loadState !== 'complete')
    warn(
      'warning',
      'recipients.loading',
      'the first load is not complete: unknown recipients are answered "temporarily unable"',
      'on the hub: postern sync status',
    );
  else if (recipients.lastConfirmed === undefined || now - recipients.lastConfirmed > maxAgeMs) {
    warn(
      'critical',
      'recipients.stale',
      `the source has not confirmed the recipients for more than ${formatDuration(maxAgeMs)}: unknown recipients are answered "temporarily unable"`,
      'on the hub: postern status',
    );
  } else if (now - recipients.lastConfirmed > maxAgeMs / 3) {
    warn(
      'warning',
      'recipients.aging',
      `the source last confirmed the recipients ${formatAge(recipients.lastConfirmed, now)}`,
      'on the hub: postern status',
    );
  }
  for (const kind of kinds) {
    if (kind.pendingRemovals > 0)
      warn(
        'warning',
        'removals.pending',
        `removals of ${kind.kind} are held back by the removal guard: ${kind.pendingRemovals}; they go on answering`,
        'on the hub: postern sync approve, or postern sync reject',
      );
  }
  const esras = accounts.filter((account) => account.kind === 'esra');
  if (esras.length > 0 && esras.every((account) => now >= account.expiresAt)) {
    warn(
      'critical',
      'credential.expired',
      'every replication account has expired: no hub synchronises; each comes back by itself as soon as it can reach this edge',
      'on the hub: postern status',
    );
  }
  warnings.push(...facts.pairWarnings);
  if (facts.leftoverFile !== undefined)
    warn(
      'warning',
      'subscription.file-left',
      `a used subscription file may still be at ${facts.leftoverFile}`,
      `delete it: rm ${facts.leftoverFile}`,
    );
  warnings.push(...facts.certificateWarnings);
  return warnings.sort((a, b) => (a.severity === b.severity ? 0 : a.severity === 'critical' ? -1 : 1));
}
