/** What the demo measured, as `--json` prints it. Shapes and their making; pure. */
import type { EdgeStatus, HubStatus, VerifyDocument } from '../../admin/documents.ts';
import type { ChangeFigure } from './changes.ts';
import { type Answered, median } from './questions.ts';

/** As in benchmark reports. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

export interface Bulk {
  readonly asked: number;
  readonly socketmapMs: number;
  readonly ldapMs: number;
}

/** Milliseconds; counts. */
export interface DemoReport {
  readonly version: 1;
  readonly recipients: number;
  readonly addresses: number;
  /** From the first recipient pushed until the edge may say "unknown". */
  readonly loadMs: number;
  readonly questions: readonly Answered[];
  readonly bulk: { readonly known: Bulk; readonly unknown: Bulk };
  readonly changes: readonly ChangeFigure[];
  readonly verify: readonly VerifyDocument[];
  readonly status: { readonly edge: EdgeStatus; readonly hub: HubStatus };
  readonly durationMs: number;
  readonly figures: readonly Figure[];
}

export function completeReport(found: Omit<DemoReport, 'version' | 'figures'>): DemoReport {
  const times = (front: 'socketmap' | 'ldap'): number[] =>
    found.questions.flatMap((answered) => answered[front]?.ms ?? []);
  const perSecond = (count: number, ms: number): number => Math.round((count / Math.max(ms, 0.001)) * 1000);
  const { known, unknown } = found.bulk;
  const figures: Figure[] = [
    { name: 'first-load-ms', value: round(found.loadMs), unit: 'ms' },
    { name: 'first-load-rate', value: perSecond(found.recipients, found.loadMs), unit: 'recipients/s' },
    { name: 'socketmap-answer-median-ms', value: round(median(times('socketmap'))), unit: 'ms' },
    { name: 'ldap-answer-median-ms', value: round(median(times('ldap'))), unit: 'ms' },
    {
      name: 'socketmap-rate',
      value: perSecond(known.asked + unknown.asked, known.socketmapMs + unknown.socketmapMs),
      unit: 'answers/s',
    },
    {
      name: 'ldap-rate',
      value: perSecond(known.asked + unknown.asked, known.ldapMs + unknown.ldapMs),
      unit: 'answers/s',
    },
    ...found.changes.map(({ id, medianMs }) => ({
      name: `change-${id}-median-ms`,
      value: round(medianMs),
      unit: 'ms',
    })),
    {
      name: 'change-to-answer-median-ms',
      value: round(median(found.changes.map((change) => change.medianMs))),
      unit: 'ms',
    },
    { name: 'edge-rss-mib', value: Math.round(found.status.edge.memoryBytes / 2 ** 20), unit: 'MiB' },
    { name: 'hub-rss-mib', value: Math.round(found.status.hub.memoryBytes / 2 ** 20), unit: 'MiB' },
  ];
  return { version: 1, ...found, figures };
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
