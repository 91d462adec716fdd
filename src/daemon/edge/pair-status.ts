/** What the edge's pairs look like to an administrator: the document of `credential list`, and what is wrong with them. Pure. */
import {
  DOCUMENT_VERSION,
  type EdgeCredentialsDocument,
  type EdgeHubCredentials,
  type Warning,
} from '../../admin/documents.ts';
import { formatAge } from '../../base/duration.ts';
import type { CredentialState } from '../../credential/credential-state.ts';
import { accountsOf, pairOf, storedPair } from '../../credential/edge-pairs.ts';
import type { EdgePair } from '../../credential/lifecycle/edge-pair.ts';
import type { RenewalTimings } from '../../credential/schedule.ts';
import { accountStatus } from './status.ts';

export function credentialsDocument(
  edge: string,
  state: CredentialState,
  timings: RenewalTimings,
  now: number,
  lastHeard: (hub: string) => number | undefined,
): EdgeCredentialsDocument {
  const hubs = Object.values(state.hubs).map(({ name }): EdgeHubCredentials => {
    const pair = pairOf(state, name);
    const heard = lastHeard(name);
    return {
      hub: name,
      state: pair.phase === 'active' && pair.needsFresh ? 'fresh keys due' : pair.phase,
      ...(heard === undefined ? {} : { lastHeard: heard }),
      recoveriesLeft: left(pair, timings),
      recoveryAllowed: pair.allowed,
      accounts: accountsOf(state.accounts, name).map((account) => ({
        ...accountStatus(account, now),
        by: account.by === 'request' ? 'request' : 'push',
        proved: account.proved ?? true,
      })),
    };
  });
  return { version: DOCUMENT_VERSION, role: 'edge', edge, now, hubs };
}

export function pairWarnings(state: CredentialState, timings: RenewalTimings, now: number): Warning[] {
  return Object.values(state.hubs).flatMap(({ name }): Warning[] => {
    const pair = pairOf(state, name);
    const warnings: Warning[] = [];
    if (pair.phase === 'suspended')
      warnings.push({
        code: 'credential.two-instances',
        severity: 'critical',
        text: `two copies of hub ${name} are alive: neither gets in until one is switched off`,
        mend: `switch one of them off for good, then: postern credential resolve ${name}`,
      });
    if (pair.phase !== 'active') return warnings;
    if (pair.recoveries > 0 && left(pair, timings) === 0)
      warnings.push({
        code: 'credential.recovery-exhausted',
        severity: pair.accounts.some((one) => now < one.expiresAt) ? 'warning' : 'critical',
        text: `hub ${name} recovered ${pair.recoveries} times in a row, and gets no further recovery until it has renewed its credentials in the ordinary way`,
        mend: `find out why it was away so often; if all is well: postern subscription recover --allow ${name}`,
      });
    else if (pair.recoveries > 0)
      warnings.push({
        code: 'credential.recovered',
        severity: 'warning',
        text: `hub ${name} had no credential left that this edge accepts and recovered by its pinned key; recoveries left: ${left(pair, timings)}`,
      });
    const restoredAt = storedPair(state, name)?.restoredAt;
    if (restoredAt !== undefined)
      warnings.push({
        code: 'credential.restored',
        severity: 'warning',
        text: `hub ${name} runs on a restored backup (found ${formatAge(restoredAt, now)}); it ${pair.needsFresh ? 'has to hand over' : 'has got'} fresh keys`,
      });
    return warnings;
  });
}

function left(pair: EdgePair, timings: RenewalTimings): number {
  return Math.max(0, timings.recoveries - pair.recoveries) + (pair.allowed ? 1 : 0);
}
