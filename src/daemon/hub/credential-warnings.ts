/** What the status of a hub says about its credentials on one edge. A root cause hides what follows from it. Pure. */
import type { Severity, Warning } from '../../admin/documents.ts';
import { formatDuration } from '../../base/duration.ts';
import type { HubPair, HubWarning } from '../../credential/lifecycle/hub-pair.ts';

export interface CredentialFacts {
  readonly edge: string;
  readonly warnings: HubPair['warnings'];
  /** End of the credential in use, or of the latest; undefined when there is none. */
  readonly expiresAt: number | undefined;
  /** The edge does not answer at all: said elsewhere, and reason enough for the rest. */
  readonly unreachable: boolean;
  readonly now: number;
}

/** Each explains why no session, and no successor, comes about: the first that is there is said, and what follows from it is not. */
const ROOTS = [
  'credential.two-instances',
  'credential.not-admitted',
  'credential.recovery-exhausted',
  'clock.skew',
  'credential.recovery-waits',
] as const satisfies readonly HubWarning[];
type Root = (typeof ROOTS)[number];

const SEVERITY: Readonly<Record<Root, Severity>> = {
  'credential.two-instances': 'critical',
  'credential.not-admitted': 'critical',
  'credential.recovery-exhausted': 'critical',
  'clock.skew': 'warning',
  'credential.recovery-waits': 'warning',
};

export function rootOf(warnings: HubPair['warnings']): Root | undefined {
  return ROOTS.find((code) => warnings[code] !== undefined);
}

export function credentialWarnings(facts: CredentialFacts): Warning[] {
  const { edge, warnings, expiresAt, unreachable, now } = facts;
  const said: Warning[] = [];
  const root = rootOf(warnings);
  if (root !== undefined)
    said.push({
      code: root,
      severity: SEVERITY[root],
      text: `edge ${edge}: ${warnings[root] ?? ''}`,
      mend: mendOf(root, edge),
    });
  else if (!unreachable) said.push(...consequences(edge, warnings['credential.unconfirmed'], expiresAt, now));
  for (const code of ['credential.restored', 'credential.recovered'] as const)
    if (warnings[code] !== undefined)
      said.push({
        code,
        severity: 'warning',
        text: `edge ${edge}: ${warnings[code]}`,
        mend: 'nothing has to be done; the warning ends with the next ordinary renewal (at once: postern credential rotate --now)',
      });
  return said;
}

function consequences(
  edge: string,
  unconfirmed: string | undefined,
  expiresAt: number | undefined,
  now: number,
): Warning[] {
  const mend = `look what "postern credential timeline ${edge}" shows, then: postern sync run --edge ${edge}`;
  if (expiresAt !== undefined && expiresAt <= now)
    return [
      {
        code: 'credential.expired',
        severity: 'critical',
        text: `edge ${edge}: the account of this hub expired ${formatDuration(now - expiresAt)} ago, and no other one is accepted`,
        mend,
      },
    ];
  if (unconfirmed === undefined) return [];
  const until =
    expiresAt === undefined ? '' : `; the old account works for ${formatDuration(expiresAt - now)} more`;
  return [
    {
      code: 'credential.unconfirmed',
      severity: 'warning',
      text: `edge ${edge}: the next account is due, and the edge has not accepted it yet: ${unconfirmed}${until}`,
      mend,
    },
  ];
}

function mendOf(root: Root, edge: string): string {
  switch (root) {
    case 'credential.two-instances':
      return `two copies of this hub are running: switch one off for good; then on ${edge}: postern credential resolve`;
    case 'credential.not-admitted':
      return `if that was not meant: postern subscription remove ${edge}, and subscribe it again; another hub of the site lets this one in again by postern hub approve`;
    case 'credential.recovery-exhausted':
      return `find out why it keeps losing its credentials; then on ${edge}: postern subscription recover --allow`;
    case 'clock.skew':
      return `set the clock that is wrong, here or on ${edge} (timedatectl); nothing is renewed meanwhile`;
    case 'credential.recovery-waits':
      return 'nothing has to be done: it is tried again within minutes';
  }
}
