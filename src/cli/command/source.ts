/** `postern source check`: what the source would give, before anything of it is sent. */
import { buildCommand, buildRouteMap, numberParser } from '@stricli/core';
import type { SourceReport } from '../../daemon/source-check.ts';
import { type Context, guarded, hubConfig, print } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { common, commonAliases, type CommonFlags } from '../flags.ts';
import { createProgress } from '../progress.ts';
import { formatCount, formatFields, printable } from '../table.ts';

interface Flags extends CommonFlags {
  readonly samples: number;
}

const check = buildCommand({
  docs: {
    brief: 'Read the source once and say what it would give: rights, counts, samples, conflicts',
    fullDescription:
      'Sends nothing anywhere and needs no daemon. Exit code 3: a right is missing, or two entries claim one address.',
  },
  parameters: {
    flags: {
      ...common,
      samples: {
        kind: 'parsed',
        parse: numberParser,
        default: '5',
        placeholder: 'N',
        brief: 'How many of each are named',
      },
    },
    aliases: commonAliases,
  },
  func(this: Context, flags: Flags) {
    return guarded(this, async () => {
      const config = hubConfig(this, flags.config);
      const { checkConfiguredSource } = await import('../../daemon/source-check.ts');
      const progress = createProgress(this.process.stderr, 'reading');
      const report = await checkConfiguredSource(config, {
        samples: Math.max(0, Math.trunc(flags.samples)),
        signal: this.signal,
        onProgress: (entries) => progress.update(entries, undefined),
      }).finally(() => progress.end());
      print(this, flags.json, report, () => reportText(report));
      return isGood(report) ? EXIT.ok : EXIT.degraded;
    });
  },
});

function isGood(report: SourceReport): boolean {
  return (
    report.recipients > 0 && report.claimedTwice.count === 0 && report.rights.every(({ granted }) => granted)
  );
}

export function reportText(report: SourceReport): string {
  const kinds = Object.entries(report.kinds)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${formatCount(count)} ${kind}`)
    .join(', ');
  const parts = [
    formatFields([
      ['source', `${report.kind} ${printable(report.instance)}`],
      ['base', report.base === '' ? undefined : printable(report.base)],
      ['entries', formatCount(report.entries)],
      ['recipients', `${formatCount(report.recipients)}${kinds === '' ? '' : ` (${kinds})`}`],
      ['addresses', formatCount(report.addresses)],
      ['no addresses', report.dropped === 0 ? undefined : `${formatCount(report.dropped)} values, not used`],
    ]),
    ...section('rights', report.rights.map(rightText)),
    ...section(
      'samples',
      report.samples.map(
        ({ dn, kind, addresses }) => `${printable(dn)}: ${kind}, ${printable(addresses.join(' '))}`,
      ),
    ),
    ...section(
      'left out',
      report.leftOut.flatMap(({ reason, count, samples }) => [
        `${formatCount(count)} ${REASONS[reason] ?? reason}`,
        ...samples.map((dn) => `  ${printable(dn)}`),
      ]),
    ),
    ...section(
      `claimed twice: ${formatCount(report.claimedTwice.count)} addresses`,
      report.claimedTwice.samples.map(
        ({ address, entries }) => `${printable(address)}: ${printable(entries.join('; '))}`,
      ),
    ),
  ];
  if (report.recipients === 0)
    parts.push(
      'There is no recipient: check source.base, source.filter and source.mapping, and what the account may read.',
    );
  return parts.join('\n\n');
}

const REASONS: Readonly<Record<string, string>> = {
  'no-address': 'have no address',
  'left-out':
    'are left out by a rule of the mapping (source.override.leave_out, require), or refuse outside senders',
  disabled: 'are disabled',
};

function rightText({ name, granted, matter, hint }: SourceReport['rights'][number]): string {
  if (granted) return `yes  ${name}`;
  return [
    `NO   ${name}`,
    `     without it: ${matter}`,
    ...(hint === undefined ? [] : [`     to grant it: ${hint}`]),
  ].join('\n');
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0
    ? []
    : [`${title}\n${lines.map((line) => `  ${line.replaceAll('\n', '\n  ')}`).join('\n')}`];
}

export const sourceRoutes = buildRouteMap({
  docs: { brief: 'The directory that recipients are read from' },
  routes: { check },
});
