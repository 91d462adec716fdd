/** Runs tcpdump for a while and tallies what it writes. Needs the right to capture. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Clock } from '../../base/clock.ts';
import { describeError, PosternError } from '../../base/error.ts';
import type { GuardScope } from '../guard/scope.ts';
import { isKnownLink, readPacket } from './packet.ts';
import { PcapReader } from './pcap.ts';
import { type Tally, Tallying } from './tally.ts';

export interface CaptureOptions {
  readonly scope: GuardScope;
  readonly own: readonly string[];
  readonly seconds: number;
  /** `any` unless told. */
  readonly device?: string;
  readonly clock: Clock;
  /** Ends the capture before its time. */
  readonly signal?: AbortSignal;
  /** The capture has begun: what is sent from now on is seen. */
  readonly onBegin?: () => void;
  /** Before the program's name: how to get into a namespace. */
  readonly enter?: readonly string[];
}

export interface Captured {
  readonly tally: Tally;
  readonly lost: number;
  readonly cut: string | undefined;
}

/** Link, IP with options, and ports; a chain of IPv6 extension headers too. */
const SNAP_BYTES = 256;
const SETTLE_MS = 200;

/** Throws `refused` when nothing can be captured. */
export async function capture(options: CaptureOptions): Promise<Captured> {
  const tallying = new Tallying(options.scope, options.own);
  const reader = new PcapReader();
  const args = [
    '-i',
    options.device ?? 'any',
    '-n',
    '-U',
    '--immediate-mode',
    '-s',
    String(SNAP_BYTES),
    '-B',
    '16384',
    '-w',
    '-',
    ...captureFilter(options.scope),
  ];
  const [program = 'tcpdump', ...rest] = [...(options.enter ?? []), 'tcpdump', ...args];
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let fault: unknown;
  let begun: (() => void) | undefined;
  const listening = new Promise<void>((resolve) => {
    begun = resolve;
  });
  child.stderr.on('data', (data: Buffer) => {
    said = `${said}${data.toString('utf8')}`.slice(-4096);
    if (/listening on/.test(said)) begun?.();
  });
  child.stdout.on('data', (data: Buffer) => {
    try {
      for (const { link, at, bytes } of reader.push(data)) {
        if (!isKnownLink(link))
          throw new PosternError('internal', `link type ${link} of the capture is unknown`);
        const packet = readPacket(bytes, link);
        if (packet !== undefined) tallying.count(packet, at);
      }
    } catch (error) {
      fault ??= error;
      child.kill('SIGINT');
    }
  });
  const ended = once(child, 'close').then(
    () => undefined,
    (error: unknown) => {
      fault ??= error;
    },
  );
  let early = true;
  await Promise.race([listening, ended]);
  if (/listening on/.test(said)) {
    options.onBegin?.();
    await Promise.race([
      options.clock.sleep('proof', options.seconds * 1000, options.signal).then(
        () => {
          early = false;
        },
        () => undefined,
      ),
      ended,
    ]);
    // What is on its way from the kernel to us shall arrive: a signal makes tcpdump drop it.
    await Promise.race([options.clock.sleep('proof.settle', SETTLE_MS), ended]);
    child.kill('SIGINT');
  }
  await ended;
  if (!/listening on/.test(said))
    throw new PosternError(
      'refused',
      `nothing can be captured: ${said.split('\n')[0] || describeError(fault)}`,
      {
        hint: 'install tcpdump, and run as root',
      },
    );
  return {
    tally: tallying.result,
    lost: lostPackets(said),
    cut: fault === undefined ? (early ? 'it was stopped' : undefined) : describeError(fault),
  };
}

/** "12 packets dropped by kernel", and by interface. */
function lostPackets(said: string): number {
  return [...said.matchAll(/(\d+) packets? dropped by (?:kernel|interface)/g)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
}

/** Everything with the peers; on a back-end also its protected ports with anybody, and the later parts of datagrams. */
function captureFilter(scope: GuardScope): string[] {
  const peers = [...new Set([...scope.everything, ...scope.towards.flatMap(({ peers: some }) => some)])];
  const ports = scope.anybody.map(
    ({ protocol, first, last }) => `${protocol === 6 ? 'tcp' : 'udp'} portrange ${first}-${last}`,
  );
  const fragments = ports.length === 0 ? [] : ['(ip[6:2] & 0x1fff != 0)', '(ip6[6] == 44)'];
  // Too long a filter is worse than a capture of everything.
  if (peers.length + ports.length > 200) return ['ip or ip6'];
  return [[...peers.map((peer) => `host ${peer}`), ...ports, ...fragments].join(' or ') || 'ip or ip6'];
}
