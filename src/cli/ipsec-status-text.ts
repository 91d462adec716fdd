/** The status of the IPsec daemon as text: what protects, what does not, and the warnings last. Pure. */
import type { IpsecGuardStatus, IpsecPeerStatus, IpsecStatus } from '../admin/ipsec-documents.ts';
import { formatAge, formatDuration } from '../base/duration.ts';
import { formatWarnings } from './status-text.ts';
import { formatBytes, formatCount, formatFields, formatTable, printable } from './table.ts';

/** Peers that are listed one by one; those that are not up come first. */
const MOST_LISTED = 50;

const ORDER: Readonly<Record<IpsecPeerStatus['state'], number>> = {
  failing: 0,
  connecting: 1,
  waiting: 2,
  up: 3,
};

export function formatIpsecStatus(status: IpsecStatus): string {
  const { now, charon, policy, peers } = status;
  const counts = Map.groupBy(peers, ({ state }) => state);
  const fields = formatFields([
    ['ipsec', `up ${formatDuration(now - status.startedAt)}, ${formatBytes(status.memoryBytes)}`],
    [
      'charon',
      charon.away === undefined ? `strongSwan ${printable(charon.version ?? '(not asked yet)')}` : 'away',
    ],
    ['policy', policyText(policy)],
    ['guard', guardText(status.guard)],
    [
      'peers',
      peers.length === 0
        ? 'none'
        : (['up', 'connecting', 'waiting', 'failing'] as const)
            .flatMap((state) =>
              counts.has(state) ? [`${formatCount(counts.get(state)?.length ?? 0)} ${state}`] : [],
            )
            .join(', '),
    ],
    ['last look', status.lastLook === undefined ? 'never' : formatAge(status.lastLook, now)],
  ]);
  const listed = peers.toSorted((a, b) => ORDER[a.state] - ORDER[b.state]).slice(0, MOST_LISTED);
  const table = formatTable(
    ['peer', 'address', 'state', 'since', 'protected', 'in', 'out'],
    listed.flatMap((peer) =>
      peer.children.map((child, index) => [
        index === 0 ? printable(peer.remote.id) : '',
        index === 0 ? peer.remote.address : '',
        index === 0 ? peer.state : '',
        index === 0 && peer.establishedSeconds !== undefined
          ? formatDuration(peer.establishedSeconds * 1000)
          : '',
        `${child.name.slice(peer.connection.length + 1) || child.name}: ${child.state}`,
        child.state === 'up' ? formatBytes(child.bytesIn) : '',
        child.state === 'up' ? formatBytes(child.bytesOut) : '',
      ]),
    ),
  );
  const more = peers.length - listed.length;
  return [
    fields,
    ...(peers.length === 0 ? [] : [table]),
    ...(more > 0 ? [`and ${formatCount(more)} more (--json has all)`] : []),
    formatWarnings(status.warnings),
  ].join('\n\n');
}

function policyText({ origin, id }: IpsecStatus['policy']): string {
  if (origin === 'none') return 'none in force (postern ipsec apply)';
  const name = id === undefined ? '' : ` (${id.slice(0, 8)})`;
  return origin === 'trial' ? `on trial, not confirmed${name}: postern ipsec confirm` : `confirmed${name}`;
}

function guardText({ state, mended, counters }: IpsecGuardStatus): string {
  if (state === 'none') return 'none';
  const packets = Object.values(counters).reduce((sum, count) => sum + count, 0);
  return [
    state,
    ...(mended > 0 ? [`put back ${mended} ${mended === 1 ? 'time' : 'times'}`] : []),
    `${formatCount(packets)} packets in clear text met`,
  ].join(', ');
}
