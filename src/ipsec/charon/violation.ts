/** What is not as it should be although nothing has failed: looked for in what charon and the kernel hold, and named. Pure. */
import type { ChildAssociation, IkeAssociation } from '../../vici/association.ts';
import { type LoadedConnection, type LoadedPolicy } from '../../vici/command.ts';
import type { PlainSection } from '../../vici/section.ts';
import {
  type DesiredChild,
  type DesiredConnection,
  type DesiredState,
  OUR_PREFIX,
  type Selector,
} from '../desired.ts';
import type { ActualState } from './actual.ts';
import { isUp } from './diff.ts';
import { readSelector, selects, type ServiceNames } from './selector-text.ts';

export type ViolationCode =
  /** charon falls back to tunnel mode silently. */
  | 'ipsec.tunnel-mode'
  | 'ipsec.selectors-narrowed'
  | 'ipsec.trap-missing'
  /** A connection would let somebody in without one of the pinned certificates. */
  | 'ipsec.unpinned'
  | 'ipsec.nat'
  /** We send and nothing comes back: something on the way drops ESP. */
  | 'ipsec.no-traffic'
  | 'ipsec.clear-text'
  /** Somebody else's connection has the same identities: INITIAL_CONTACT of one ends the other. */
  | 'ipsec.conflict';

export interface Violation {
  readonly code: ViolationCode;
  readonly connection: string;
  readonly child?: string;
  /** A sentence for people. */
  readonly text: string;
  /** What mends it. */
  readonly mend: string;
}

/** An association that sends for so long and gets nothing is one that does not work. */
const SILENT_AFTER_SECONDS = 10;
const SILENT_AFTER_PACKETS = 3;

/** `clearPackets`: clear text on protected ports that was seen lately, by whoever counts it. */
export function judge(
  desired: DesiredState,
  actual: ActualState,
  names: ServiceNames,
  clearPackets = 0,
): Violation[] {
  const associations = Map.groupBy(actual.associations, ({ connection }) => connection);
  const traps = new Map(actual.policies.map((policy) => [`${policy.connection}/${policy.child}`, policy]));
  return [
    ...desired.connections.flatMap((connection) => [
      ...connection.children.flatMap((child) => judgeTrap(connection, child, traps)),
      ...(associations.get(connection.name) ?? []).flatMap((association) =>
        judgeAssociation(connection, association, names),
      ),
    ]),
    ...judgeLoaded(desired, actual),
    ...judgeClearText(clearPackets),
  ];
}

function judgeTrap(
  { name }: DesiredConnection,
  child: DesiredChild,
  traps: ReadonlyMap<string, LoadedPolicy>,
): Violation[] {
  const trap = traps.get(`${name}/${child.name}`);
  const what = { code: 'ipsec.trap-missing', connection: name, child: child.name } as const;
  const mend =
    'postern ipsec status shows whether the daemon puts it back; the guard keeps clear text in meanwhile';
  if (trap === undefined)
    return [{ ...what, text: 'nothing in the kernel asks for protection of this traffic', mend }];
  if (trap.mode === 'TRANSPORT') return [];
  return [{ ...what, code: 'ipsec.tunnel-mode', text: `the trap asks for ${trap.mode} mode`, mend }];
}

function judgeAssociation(
  connection: DesiredConnection,
  association: IkeAssociation,
  names: ServiceNames,
): Violation[] {
  const found: Violation[] = [];
  if (association.nat && !connection.encapsulate)
    found.push({
      code: 'ipsec.nat',
      connection: connection.name,
      text: 'something between the two hosts rewrites addresses (NAT)',
      mend: 'transport mode needs the hosts to see the addresses of each other: let the firewall route instead of translate',
    });
  for (const child of association.children) {
    const wanted = connection.children.find(({ name }) => name === child.name);
    if (wanted !== undefined && isUp(child.state))
      found.push(...judgeChild(connection, wanted, child, names));
  }
  return found;
}

function judgeChild(
  connection: DesiredConnection,
  wanted: DesiredChild,
  child: ChildAssociation,
  names: ServiceNames,
): Violation[] {
  const where = { connection: connection.name, child: wanted.name };
  const found: Violation[] = [];
  if (child.mode !== 'TRANSPORT')
    found.push({
      ...where,
      code: 'ipsec.tunnel-mode',
      text: `the association is in ${child.mode} mode, transport mode was asked for`,
      mend: 'the peer does not offer transport mode: look at its policy (postern ipsec check there)',
    });
  const missing = [
    ...notSelected(wanted.localSelectors, child.localSelectors, names),
    ...notSelected(wanted.remoteSelectors, child.remoteSelectors, names),
  ];
  if (missing.length > 0)
    found.push({
      ...where,
      code: 'ipsec.selectors-narrowed',
      text: `the peer agreed to less than was asked for: not to ${missing.slice(0, 5).map(describeSelector).join(', ')}`,
      mend: "compare both sides' policies: postern ipsec peer export there, peer import here",
    });
  if (
    (child.installedSeconds ?? 0) >= SILENT_AFTER_SECONDS &&
    child.packetsOut >= SILENT_AFTER_PACKETS &&
    child.packetsIn === 0
  )
    found.push({
      ...where,
      code: 'ipsec.no-traffic',
      text: `${child.packetsOut} packets were sent through the association and none came back`,
      mend: 'a firewall between the two must let ESP (IP protocol 50) through both ways, or use single-port',
    });
  return found;
}

function notSelected(
  wanted: readonly Selector[],
  agreed: readonly string[],
  names: ServiceNames,
): Selector[] {
  const selectors = agreed.map((text) => readSelector(text, names));
  // A selector that cannot be read may be the one: nothing is said that is not certain.
  if (selectors.includes(undefined)) return [];
  return wanted.filter((one) => !selectors.some((outer) => outer !== undefined && selects(outer, one)));
}

function describeSelector({ address, protocol, ports: [first, last] }: Selector): string {
  const port =
    first === 0 && last === 65_535 ? '' : first === last ? ` port ${first}` : ` ports ${first}-${last}`;
  return `${address}${protocol === 0 ? '' : ` protocol ${protocol}`}${port}`;
}

/** Connections as charon has them: ours without their pins, and other people's that would answer to the same peer. */
function judgeLoaded(desired: DesiredState, { connections }: ActualState): Violation[] {
  if (connections === undefined) return [];
  const ours = new Map(desired.connections.map((connection) => [connection.name, connection]));
  const pairs = new Map(
    desired.connections.map((connection) => [
      `${connection.local.id} ${connection.remote.id}`,
      connection.name,
    ]),
  );
  return [...connections.values()].flatMap((loaded): Violation[] => {
    const wanted = ours.get(loaded.name);
    if (wanted !== undefined) return judgePins(wanted, loaded);
    const other = loaded.name.startsWith(OUR_PREFIX)
      ? undefined
      : pairs.get(`${idOf(loaded, 'local')} ${idOf(loaded, 'remote')}`);
    return other === undefined
      ? []
      : [
          {
            code: 'ipsec.conflict',
            connection: other,
            text: `the connection ${loaded.name} of somebody else has the same two identities: each destroys the other's associations`,
            mend: `remove ${loaded.name} from this charon, or leave the peer out of the policy`,
          },
        ];
  });
}

function judgePins({ name, remote }: DesiredConnection, loaded: LoadedConnection): Violation[] {
  const shown = section(loaded.settings, 'remote');
  const certificates = shown?.['certs'];
  if (Array.isArray(certificates) && certificates.length === remote.certificates.length && noAuthority(shown))
    return [];
  return [
    {
      code: 'ipsec.unpinned',
      connection: name,
      text: 'charon would accept other certificates for this peer than the pinned ones',
      mend: 'somebody loaded another connection under this name; the daemon replaces it',
    },
  ];
}

const noAuthority = (shown: PlainSection | undefined): boolean => {
  const authorities = shown?.['cacerts'];
  return !Array.isArray(authorities) || authorities.length === 0;
};

const idOf = (loaded: LoadedConnection, side: 'local' | 'remote'): string => {
  const id = section(loaded.settings, side)?.['id'];
  return typeof id === 'string' ? id : '';
};

/** The first round of authentication: `local-1`. */
function section(settings: PlainSection, side: 'local' | 'remote'): PlainSection | undefined {
  const rounds = Object.entries(settings).filter(([key]) => key.startsWith(`${side}-`));
  return rounds.map(([, value]) => value).find(isSection);
}

const isSection = (value: PlainSection[string] | undefined): value is PlainSection =>
  typeof value === 'object' && !Array.isArray(value);

function judgeClearText(packets: number): Violation[] {
  if (packets === 0) return [];
  return [
    {
      code: 'ipsec.clear-text',
      connection: '',
      text: `${packets} packets on protected ports came or would have gone in clear text`,
      mend: 'postern ipsec explain SRC DST PORT says why; postern ipsec proof shows what is on the wire',
    },
  ];
}
