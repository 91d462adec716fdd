/** From what was counted to what is proved. Pure. A proof needs a positive control: without ESP, the absence of clear text says nothing. */
import { formatDuration } from '../../base/duration.ts';
import type { GuardState } from '../guard/guard.ts';
import type { ClearFinding, Tally } from './tally.ts';

export interface ProofFacts {
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
  readonly tally: Tally;
  /** Packets that the capture lost. */
  readonly lost: number;
  /** Why the capture ended before its time. */
  readonly cut: string | undefined;
  readonly guard: {
    readonly state: GuardState | 'none';
    readonly drops: boolean;
    readonly counted: Readonly<Record<string, number>>;
  };
}

export interface ProofReport extends ProofFacts {
  readonly version: 1;
  /** `proved`: no clear text, and ESP. `violated`: clear text. `nothing`: neither. */
  readonly verdict: 'proved' | 'violated' | 'nothing';
  readonly because: readonly string[];
}

export function proofReport(facts: ProofFacts): ProofReport {
  const { tally, lost, cut, guard } = facts;
  const clear = tally.clear.map(
    (one) =>
      `${one.packets} packets in clear ${one.direction === 'out' ? 'to' : 'from'} ${one.peer}, ${describePort(one)}`,
  );
  if (clear.length > 0) return { version: 1, ...facts, verdict: 'violated', because: clear };
  const missing = [
    ...(tally.esp.in + tally.esp.out === 0
      ? ['there was no ESP at all: without traffic nothing is proved']
      : []),
    ...(lost > 0 ? [`the capture lost ${lost} packets, and any of them may have been in clear`] : []),
    ...(tally.unknownFragments > 0
      ? [`${tally.unknownFragments} fragments belong to datagrams whose beginning was not seen`]
      : []),
    ...(cut === undefined ? [] : [`the capture was cut: ${cut}`]),
  ];
  if (missing.length > 0) return { version: 1, ...facts, verdict: 'nothing', because: missing };
  const ends =
    guard.state === 'ok' && guard.drops
      ? 'the guard stands'
      : 'the guard does not drop, so only this time is proved';
  return {
    version: 1,
    ...facts,
    verdict: 'proved',
    because: [
      `no packet in clear on the protected ports, ${tally.esp.in} packets of ESP in and ${tally.esp.out} out; ${ends}`,
    ],
  };
}

export function formatProof(report: ProofReport): string {
  const { tally, guard } = report;
  const heading = { proved: 'PROVED', violated: 'VIOLATED', nothing: 'PROVES NOTHING' }[report.verdict];
  return [
    `${heading} (${formatDuration(report.to - report.from)} from ${new Date(report.from).toISOString()})`,
    ...report.because.map((line) => `  ${line}`),
    `packets       ${tally.packets} seen, ${report.lost} lost`,
    `ESP           ${tally.esp.in} in, ${tally.esp.out} out`,
    `key exchange  ${tally.keyExchange}`,
    `clear text    ${sum(tally.clear)} between this host and its peers, ${sum(tally.strangers)} from strangers`,
    `guard         ${guard.state}${Object.entries(guard.counted)
      .map(([name, count]) => `, ${name} +${count}`)
      .join('')}`,
  ].join('\n');
}

function sum(findings: readonly ClearFinding[]): number {
  return findings.reduce((total, { packets }) => total + packets, 0);
}

function describePort({ protocol, port }: ClearFinding): string {
  const name = { 6: 'tcp', 17: 'udp', 1: 'icmp' }[protocol] ?? `protocol ${protocol}`;
  return port === 0 ? name : `${name}/${port}`;
}
