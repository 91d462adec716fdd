/** `postern sync run|status|verify|approve|reject`: the push to the edges, seen and driven from the hub. */
import { buildCommand, buildRouteMap } from '@stricli/core';
import type { EdgeSyncStatus, HubStatus, VerifyDocument } from '../../admin/documents.ts';
import { type Context, guarded, hubDaemon, print } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { common, commonAliases, type CommonFlags } from '../flags.ts';
import { createProgress } from '../progress.ts';
import { formatEdgeTable } from '../status-text.ts';
import { formatCount, printable } from '../table.ts';

const edgeFlag = {
  kind: 'parsed',
  parse: String,
  optional: true,
  placeholder: 'EDGE',
  brief: 'Only this edge',
} as const;

interface EdgeFlags extends CommonFlags {
  readonly edge?: string;
}

const run = buildCommand({
  docs: { brief: 'Synchronise now, and wait until it is done' },
  parameters: {
    flags: {
      ...common,
      edge: edgeFlag,
      full: { kind: 'boolean', default: false, brief: 'Reread the source and compare every entry' },
    },
    aliases: commonAliases,
  },
  func(this: Context, flags: EdgeFlags & { full: boolean }) {
    return guarded(this, async () => {
      const daemon = hubDaemon(this, flags.config);
      const progress = createProgress(this.process.stderr, 'synchronising');
      let last: EdgeSyncStatus[] = [];
      await daemon.stream(
        'POST',
        '/v1/sync/run',
        { full: flags.full, ...(flags.edge === undefined ? {} : { edge: flags.edge }) },
        (line) => {
          last = JSON.parse(line) as EdgeSyncStatus[];
          const total = last.every((edge) => edge.total !== undefined)
            ? last.reduce((sum, edge) => sum + (edge.total ?? 0), 0)
            : undefined;
          progress.update(
            last.reduce((sum, edge) => sum + edge.pushed, 0),
            total,
          );
        },
      );
      progress.end();
      print(this, flags.json, last, () =>
        last.length === 0 ? 'no edge is subscribed' : formatEdgeTable(last, this.clock.now()),
      );
      if (last.length === 0) return EXIT.notFound;
      return last.every((edge) => edge.state === 'Synchronized') ? EXIT.ok : EXIT.failed;
    });
  },
});

const status = buildCommand({
  docs: { brief: 'Show each edge: state, lease, last attempt and success' },
  parameters: { flags: common, aliases: commonAliases },
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      const { edges } = await hubDaemon(this, flags.config).call<HubStatus>('GET', '/v1/status');
      print(this, flags.json, edges, () =>
        edges.length === 0 ? 'no edge is subscribed' : formatEdgeTable(edges, this.clock.now()),
      );
      return edges.every((edge) => edge.state === 'Synchronized') ? EXIT.ok : EXIT.degraded;
    });
  },
});

const verify = buildCommand({
  docs: { brief: 'Prove that the edges hold what they should, by content' },
  parameters: {
    flags: {
      ...common,
      edge: edgeFlag,
      source: { kind: 'boolean', default: false, brief: 'Reread the source first' },
      maxReport: { kind: 'parsed', parse: Number, default: '1000', brief: 'Most differences to name' },
    },
    aliases: commonAliases,
    positional: {
      kind: 'tuple',
      parameters: [{ parse: String, placeholder: 'ADDRESS', brief: 'Only this recipient', optional: true }],
    },
  },
  func(this: Context, flags: EdgeFlags & { source: boolean; maxReport: number }, address?: string) {
    return guarded(this, async () => {
      const body = {
        source: flags.source,
        maxReport: flags.maxReport,
        ...(flags.edge === undefined ? {} : { edge: flags.edge }),
        ...(address === undefined ? {} : { address }),
      };
      const results = await hubDaemon(this, flags.config).call<VerifyDocument[]>(
        'POST',
        '/v1/sync/verify',
        body,
      );
      print(this, flags.json, results, () =>
        results.length === 0 ? 'no edge is subscribed' : results.map(formatVerify).join('\n'),
      );
      if (results.length === 0) return EXIT.notFound;
      return results.every((result) => result.equal) ? EXIT.ok : EXIT.failed;
    });
  },
});

function formatVerify(result: VerifyDocument): string {
  const head = `${result.edge}: ${result.equal ? 'equal' : 'NOT equal'} (proved: ${result.level}; ${formatCount(result.edgeCount)} entries there, ${formatCount(result.hubCount)} here)`;
  const lines = result.differences.map((d) =>
    `  ${d.what.padEnd(10)}  ${d.guid}  ${(d.addresses ?? []).map(printable).join(' ')}`.trimEnd(),
  );
  const more = result.differenceCount - result.differences.length;
  return [
    head,
    `  ${printable(result.detail)}`,
    ...lines,
    ...(more > 0 ? [`  and ${formatCount(more)} more`] : []),
  ].join('\n');
}

function removals(action: 'approve' | 'reject' | 'reopen', brief: string, done: string) {
  return buildCommand({
    docs: { brief },
    parameters: { flags: { ...common, edge: edgeFlag }, aliases: commonAliases },
    func(this: Context, flags: EdgeFlags) {
      return guarded(this, async () => {
        const results = await hubDaemon(this, flags.config).call<{ edge: string; count: number }[]>(
          'POST',
          `/v1/sync/${action}`,
          flags.edge === undefined ? {} : { edge: flags.edge },
        );
        print(
          this,
          flags.json,
          results,
          () =>
            results.map((r) => `${r.edge}: ${formatCount(r.count)} removals ${done}`).join('\n') ||
            'no edge is subscribed',
        );
        return results.length === 0 ? EXIT.notFound : EXIT.ok;
      });
    },
  });
}

export const syncRoutes = buildRouteMap({
  docs: { brief: 'The push to the edges' },
  routes: {
    run,
    status,
    verify,
    approve: removals('approve', 'Carry out the removals that the removal guard holds back', 'carried out'),
    reject: removals(
      'reject',
      'Keep the recipients whose removal the guard holds back, and compare with the source again',
      'rejected; these recipients go on answering',
    ),
    reopen: removals(
      'reopen',
      'Put rejected removals back on the list, so that they can be approved',
      'wait for "postern sync approve" again',
    ),
  },
});
