/** The status document of the IPsec daemon, and its warnings. Pure. */
import { DOCUMENT_VERSION, type Warning } from '../../admin/documents.ts';
import type {
  IpsecChildStatus,
  IpsecGuardStatus,
  IpsecPeerStatus,
  IpsecStatus,
  SettingCheck,
} from '../../admin/ipsec-documents.ts';
import { isUp } from '../../ipsec/charon/diff.ts';
import type { ReconcilerStatus } from '../../ipsec/charon/reconciler.ts';
import type { Violation } from '../../ipsec/charon/violation.ts';
import type { DesiredConnection } from '../../ipsec/desired.ts';
import type { IkeAssociation } from '../../vici/association.ts';

export interface IpsecFacts {
  readonly now: number;
  readonly startedAt: number;
  readonly connections: readonly DesiredConnection[];
  readonly policy: IpsecStatus['policy'];
  /** Why the policy in force cannot be read or its keys not be loaded. */
  readonly policyFault: string | undefined;
  readonly guard: IpsecGuardStatus;
  readonly charon: ReconcilerStatus;
  readonly settings: readonly SettingCheck[];
  readonly settingsFault: string | undefined;
  readonly memoryBytes: number;
}

export function ipsecStatus(facts: IpsecFacts): IpsecStatus {
  const { charon } = facts;
  const associations = Map.groupBy(charon.associations, ({ connection }) => connection);
  const missing = new Set(
    charon.violations.flatMap(({ code, child }) => (code === 'ipsec.trap-missing' ? [child] : [])),
  );
  return {
    version: DOCUMENT_VERSION,
    role: 'ipsec',
    now: facts.now,
    startedAt: facts.startedAt,
    charon: {
      ...(charon.charon === undefined ? {} : { version: charon.charon.version }),
      ...(charon.away === undefined ? {} : { away: charon.away }),
    },
    policy: facts.policy,
    guard: facts.guard,
    lastLook: charon.lastLook,
    peers: facts.connections.map((connection) =>
      peerStatus(
        connection,
        associations.get(connection.name) ?? [],
        charon.troubles.get(connection.name),
        (child) => !charon.isKnown || missing.has(child),
      ),
    ),
    settings: facts.settings,
    memoryBytes: facts.memoryBytes,
    warnings: warnings(facts),
  };
}

function peerStatus(
  connection: DesiredConnection,
  associations: readonly IkeAssociation[],
  trouble: { readonly reason: string | undefined; readonly failures: number } | undefined,
  isMissing: (child: string) => boolean,
): IpsecPeerStatus {
  const established = associations.find(({ establishedSeconds }) => establishedSeconds !== undefined);
  const children = connection.children.map(({ name }) => childStatus(name, associations, isMissing(name)));
  const isConnecting = associations.some(({ state }) => state === 'CONNECTING' || state === 'CREATED');
  const failing = trouble !== undefined && (trouble.reason !== undefined || trouble.failures > 1);
  const { id: localId, addresses: locals } = connection.local;
  const { id: remoteId, addresses: remotes } = connection.remote;
  return {
    connection: connection.name,
    family: connection.family,
    local: { id: localId, address: locals[0] ?? '' },
    remote: { id: remoteId, address: remotes[0] ?? '' },
    state: children.some(({ state }) => state === 'up')
      ? 'up'
      : failing
        ? 'failing'
        : isConnecting
          ? 'connecting'
          : 'waiting',
    ...(established?.establishedSeconds === undefined
      ? {}
      : { establishedSeconds: established.establishedSeconds, algorithms: established.algorithms }),
    children,
    consecutiveFailures: trouble?.failures ?? 0,
    ...(trouble?.reason === undefined ? {} : { failureDetail: trouble.reason }),
  };
}

/** While new keys are made there are two associations of a child: the newer one tells. */
function childStatus(
  name: string,
  associations: readonly IkeAssociation[],
  missing: boolean,
): IpsecChildStatus {
  const up = associations
    .flatMap(({ children }) => children.filter((child) => child.name === name && isUp(child.state)))
    .toSorted((a, b) => b.id - a.id)[0];
  if (up === undefined)
    return {
      name,
      state: missing ? 'missing' : 'waiting',
      bytesIn: 0,
      bytesOut: 0,
      packetsIn: 0,
      packetsOut: 0,
    };
  const { mode, algorithms, bytesIn, bytesOut, packetsIn, packetsOut, installedSeconds } = up;
  return {
    name,
    state: 'up',
    mode,
    algorithms,
    bytesIn,
    bytesOut,
    packetsIn,
    packetsOut,
    ...(installedSeconds === undefined ? {} : { installedSeconds }),
  };
}

/** What says that traffic is not protected as it should be. */
const CRITICAL = new Set<Violation['code']>(['ipsec.unpinned', 'ipsec.clear-text', 'ipsec.tunnel-mode']);
/** Of one kind, so many are named one by one. */
const MOST_OF_A_KIND = 20;

function warnings({ charon, guard, policyFault, settings, settingsFault, policy }: IpsecFacts): Warning[] {
  const found: Warning[] = [];
  if (policyFault !== undefined)
    found.push({
      code: 'ipsec.failing',
      severity: 'critical',
      text: `the policy in force cannot be used: ${policyFault}`,
      mend: 'postern ipsec apply',
    });
  if (guard.state === 'missing' || guard.state === 'altered' || guard.state === 'failed')
    found.push({
      code: 'ipsec.guard',
      severity: 'critical',
      text: `the guard is ${guard.state}${guard.detail === undefined ? '' : `: ${guard.detail}`}`,
      mend: 'postern ipsec check',
    });
  if (charon.away !== undefined)
    // Its consequences (no associations, no traps) would say the same again.
    return [
      ...found,
      {
        code: 'ipsec.charon-away',
        severity: 'critical',
        text: charon.away,
        mend: 'systemctl restart strongswan',
      },
    ];
  for (const { what, error } of charon.failures.slice(0, MOST_OF_A_KIND))
    found.push({
      code: 'ipsec.failing',
      severity: 'critical',
      text: `could not ${what}: ${error}`,
      mend: 'journalctl -u strongswan',
    });
  for (const violation of mostOfEach(charon.violations))
    found.push({
      code: violation.code,
      severity: CRITICAL.has(violation.code) ? 'critical' : 'warning',
      text:
        violation.connection === ''
          ? violation.text
          : `${violation.child ?? violation.connection}: ${violation.text}`,
      mend: violation.mend,
    });
  for (const [connection, { reason }] of [...charon.troubles].slice(0, MOST_OF_A_KIND))
    if (reason !== undefined)
      found.push({
        code: 'ipsec.peer-down',
        severity: 'warning',
        text: `${connection}: ${reason}`,
        mend: 'postern ipsec check, here and on the peer',
      });
  const wrong = settings.filter(({ ok }) => !ok);
  if (policy.origin !== 'none' && wrong.length > 0)
    found.push({
      code: 'ipsec.settings',
      severity: 'warning',
      text: `recovery takes longer than the policy says: ${wrong.map(({ name, found: is, wanted }) => `${name} is ${is} instead of ${wanted}`).join(', ')}`,
      mend: 'run the daemon with --manage-strongswan-conf, or set them by hand (they hold for every connection of this charon)',
    });
  if (settingsFault !== undefined)
    found.push({
      code: 'ipsec.settings',
      severity: 'warning',
      text: settingsFault,
      mend: 'postern ipsec run --manage-strongswan-conf',
    });
  return found;
}

function mostOfEach(violations: readonly Violation[]): Violation[] {
  return [...Map.groupBy(violations, ({ code }) => code).values()].flatMap((list) =>
    list.slice(0, MOST_OF_A_KIND),
  );
}
