/** What a policy would change: connections, what passes beside them, the guard, charon's settings; and whether the operator's own session is touched. Pure. */
import type { DesiredBypass, DesiredConnection } from '../desired.ts';
import type { GuardScope } from '../guard/scope.ts';
import { explain, type PolicyView, type Packet, formatSelector } from '../policy/explain.ts';
import { TCP } from '../policy/protection.ts';
import { type PolicyState, stateView } from '../state/policy-state.ts';

export interface Change {
  readonly what: 'connection' | 'bypass' | 'guard' | 'settings' | 'key';
  readonly name: string;
  readonly change: 'add' | 'change' | 'remove';
  /** One line each; of a change, what was and what will be. */
  readonly details: readonly string[];
}

/** The operator's connection to this host, seen from here. */
export interface OperatorFlow {
  readonly own: string;
  readonly ownPort: number;
  readonly peer: string;
  readonly peerPort: number;
}

export interface Plan {
  readonly changes: readonly Change[];
  /** What is done to the operator's session by the policy in force and by the planned one, when they differ. */
  readonly operator: { readonly touched: boolean; readonly because: string };
}

export function makePlan(
  former: PolicyState | undefined,
  next: PolicyState | undefined,
  operator: OperatorFlow | undefined,
): Plan {
  const changes = [
    ...compareLists('connection', former?.connections ?? [], next?.connections ?? [], describeConnection),
    ...compareLists('bypass', former?.bypasses ?? [], next?.bypasses ?? [], describeBypass),
    ...compareLists(
      'key',
      (former?.keys ?? []).map(({ keyId, file }) => ({ name: keyId, file })),
      (next?.keys ?? []).map(({ keyId, file }) => ({ name: keyId, file })),
      ({ file }) => [`private key ${file}`],
    ),
    ...compareOne('guard', former?.guard, next?.guard, describeGuard),
    ...compareOne(
      'settings',
      former?.settings,
      next?.settings,
      ({ retransmitTimeout, retransmitBase, retransmitTries }) => [
        `retransmission after ${retransmitTimeout} s, each ${retransmitBase} times the one before, ${retransmitTries} times`,
      ],
    ),
  ];
  return { changes, operator: touchesOperator(stateView(former), stateView(next), operator) };
}

function compareLists<T extends { readonly name: string }>(
  what: Change['what'],
  former: readonly T[],
  next: readonly T[],
  describe: (item: T) => string[],
): Change[] {
  const known = new Map(former.map((item) => [item.name, item]));
  const kept = new Set(next.map(({ name }) => name));
  return [
    ...next.flatMap((item): Change[] => {
      const old = known.get(item.name);
      if (old === undefined) return [{ what, name: item.name, change: 'add', details: describe(item) }];
      if (JSON.stringify(old) === JSON.stringify(item)) return [];
      return [
        { what, name: item.name, change: 'change', details: difference(describe(old), describe(item)) },
      ];
    }),
    ...former.flatMap((item): Change[] =>
      kept.has(item.name) ? [] : [{ what, name: item.name, change: 'remove', details: [] }],
    ),
  ];
}

function compareOne<T>(
  what: 'guard' | 'settings',
  former: T | undefined,
  next: T | undefined,
  describe: (item: T) => string[],
): Change[] {
  if (JSON.stringify(former) === JSON.stringify(next)) return [];
  const name = what;
  if (former === undefined)
    return next === undefined ? [] : [{ what, name, change: 'add', details: describe(next) }];
  if (next === undefined) return [{ what, name, change: 'remove', details: [] }];
  return [{ what, name, change: 'change', details: difference(describe(former), describe(next)) }];
}

function difference(former: readonly string[], next: readonly string[]): string[] {
  const gone = former.filter((line) => !next.includes(line)).map((line) => `was: ${line}`);
  const fresh = next.filter((line) => !former.includes(line)).map((line) => `now: ${line}`);
  // What is not described in words, such as another certificate of the same name.
  return gone.length + fresh.length === 0
    ? ['another certificate, lifetime or proposal']
    : [...gone, ...fresh];
}

function describeConnection(connection: DesiredConnection): string[] {
  const { local, remote } = connection;
  const keys = remote.certificates.length === 1 ? 'one key' : `${remote.certificates.length} keys`;
  return [
    `${local.id} (${local.addresses.join(', ')}) with ${remote.id} (${remote.addresses.join(', ')}; ${keys} pinned)`,
    ...connection.children.map(
      (child) =>
        `${child.name}: ${child.localSelectors.map(formatSelector).join(', ')} with ${child.remoteSelectors.map(formatSelector).join(', ')}`,
    ),
    `dead peers are looked for every ${connection.dpdSeconds} s; IKE on UDP port ${local.port}${connection.encapsulate ? ', ESP within UDP' : ''}`,
  ];
}

function describeBypass({ localSelectors, remoteSelectors }: DesiredBypass): string[] {
  return [
    `in clear: ${localSelectors.map(formatSelector).join(', ')} with ${remoteSelectors.map(formatSelector).join(', ')}`,
  ];
}

function describeGuard({ mechanism, scope }: PolicyState['guard']): string[] {
  const how = scope.drops ? 'dropped' : 'counted';
  const list = (ports: PolicyState['guard']['scope']['anybody']): string =>
    ports
      .map(
        ({ protocol, first, last }) =>
          `${protocol === TCP ? 'tcp' : 'udp'}/${first === last ? first : `${first}-${last}`}`,
      )
      .join(', ');
  return [
    `as ${mechanism === 'xfrm' ? 'XFRM policies' : mechanism === 'nft' ? 'an nft table' : 'nothing'}`,
    ...scope.towards.map(({ peers, ports }) => `clear text ${how} with ${peers.join(', ')}: ${list(ports)}`),
    ...scope.everything.map(
      (peer) => `clear text ${how} with ${peer}: everything but management, VRRP and neighbour discovery`,
    ),
    ...(scope.anybody.length === 0
      ? []
      : [`clear text ${how} with anybody: ${list(scope.anybody)} of this host`]),
    ...(scope.clearFrom.length === 0 ? [] : [`clear text passes from ${scope.clearFrom.join(', ')}`]),
  ];
}

function touchesOperator(
  former: PolicyView,
  next: PolicyView,
  flow: OperatorFlow | undefined,
): Plan['operator'] {
  const port = next.guard.drops
    ? next.guard.sshPorts.find(
        (one) => guards(next.guard, one) && !(former.guard.drops && guards(former.guard, one)),
      )
    : undefined;
  if (port !== undefined)
    return { touched: true, because: `port ${port}, by which this host is managed, will be protected` };
  if (flow === undefined)
    return {
      touched: false,
      because: 'this is no session over the network, and no port of management is touched',
    };
  const packets = (view: PolicyView): [PolicyView, Packet][] => {
    const here = { ...view, own: [...view.own, flow.own] };
    const incoming = {
      source: flow.peer,
      destination: flow.own,
      protocol: TCP,
      sourcePort: flow.peerPort,
      destinationPort: flow.ownPort,
    };
    const outgoing = {
      source: flow.own,
      destination: flow.peer,
      protocol: TCP,
      sourcePort: flow.ownPort,
      destinationPort: flow.peerPort,
    };
    return [
      [here, incoming],
      [here, outgoing],
    ];
  };
  const before = packets(former).map(([view, packet]) => explain(view, packet));
  const after = packets(next).map(([view, packet]) => explain(view, packet));
  const session = `your session (${flow.peer} to port ${flow.ownPort} of ${flow.own})`;
  for (const [index, verdict] of after.entries()) {
    const [was, is] = [fate(before[index]?.outcome), fate(verdict.outcome)];
    if (was !== is)
      return { touched: true, because: `${session} was ${was} and will be ${is}: ${verdict.because}` };
  }
  return { touched: false, because: `${session} stays ${fate(after[0]?.outcome)}` };
}

function fate(outcome: string | undefined): 'protected' | 'dropped' | 'in clear' {
  return outcome === 'protected' || outcome === 'dropped' ? outcome : 'in clear';
}

function guards({ service, towards, anybody }: GuardScope, port: number): boolean {
  const lists = [anybody, ...(service === 'own' ? towards.map(({ ports }) => ports) : [])];
  return lists.some((ports) =>
    ports.some(({ protocol, first, last }) => protocol === TCP && first <= port && port <= last),
  );
}
