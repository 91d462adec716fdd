/** `postern credential list|timeline|rotate|revoke|resolve`: the accounts that hubs have on edges, on either side. */
import { buildCommand, buildRouteMap } from '@stricli/core';
import type { CredentialsDocument, RotationDocument } from '../../admin/documents.ts';
import { formatAge } from '../../base/duration.ts';
import { type Context, configuredDaemons, guarded, hubDaemon, print } from '../context.ts';
import { drawTimeline, LEGEND } from '../credential-timeline.ts';
import { EXIT } from '../exit-code.ts';
import { argument, common, commonAliases, type CommonFlags } from '../flags.ts';
import { formatTable } from '../table.ts';
import { listOnEdge, resolveCommand, revokeOnEdge } from './credential-edge.ts';

const edgeArgument = {
  kind: 'tuple',
  parameters: [{ parse: String, placeholder: 'EDGE', brief: 'One edge only', optional: true }],
} as const;

function hubCredentials(
  context: Context,
  config: string | undefined,
  edge: string | undefined,
): Promise<CredentialsDocument> {
  const path = `/v1/credentials${edge === undefined ? '' : `?edge=${encodeURIComponent(edge)}`}`;
  return hubDaemon(context, config).call<CredentialsDocument>('GET', path);
}

const list = buildCommand({
  docs: {
    brief: 'The accounts of hubs on edges, and how far their renewal is',
    fullDescription:
      'On a hub: its own accounts on every edge, or on EDGE. On an edge: those of all hubs, when each hub was heard, and recoveries left.',
  },
  parameters: { flags: common, aliases: commonAliases, positional: edgeArgument },
  func(this: Context, flags: CommonFlags, edge?: string) {
    return guarded(this, async () => {
      for (const { role, path } of configuredDaemons(this, flags.config)) {
        if (role === 'edge') await listOnEdge(this, { ...flags, config: path });
        else {
          const document = await hubCredentials(this, path, edge);
          print(this, flags.json, document, () => formatList(document));
        }
      }
    });
  },
});

function formatList({ pairs, now }: CredentialsDocument): string {
  const rows = pairs.flatMap((pair) =>
    pair.credentials
      .filter(({ state }) => state !== 'over')
      .map((one) => [
        one.account,
        pair.state === 'active' ? one.state : pair.state,
        formatAge(one.effective, now),
        formatAge(one.expires, now),
        one.confirmed === undefined ? 'no' : formatAge(one.confirmed, now),
      ]),
  );
  const said = pairs.flatMap(({ edge, warnings }) =>
    warnings.map(({ code, text }) => `${edge}: ${text} [${code}]`),
  );
  const table =
    rows.length === 0
      ? 'no credentials'
      : formatTable(['account', 'state', 'effective', 'expires', 'confirmed'], rows);
  return [table, ...said].join('\n');
}

const timeline = buildCommand({
  docs: {
    brief: 'On the hub: draw its accounts over time, one lane each, with what comes next',
    fullDescription: `What the marks mean: ${LEGEND}`,
  },
  parameters: { flags: common, aliases: commonAliases, positional: edgeArgument },
  func(this: Context, flags: CommonFlags, edge?: string) {
    return guarded(this, async () => {
      const document = await hubCredentials(this, flags.config, edge);
      const columns = this.process.stdout.columns ?? 80;
      print(this, flags.json, document, () => {
        const { hub, pairs, now } = document;
        const drawn = pairs.map((pair) => drawTimeline(hub, pair, now, columns));
        return [...drawn, pairs.length === 0 ? 'no edge is subscribed' : LEGEND].join('\n\n');
      });
    });
  },
});

interface RotateFlags extends CommonFlags {
  readonly now: boolean;
}

const rotate = buildCommand({
  docs: {
    brief: 'On the hub: renew its accounts ahead of time',
    fullDescription:
      'Makes the next account now; it is used after the usual lead. With --now the present one is replaced at once: a fresh account is made, proved by a bind, used, and all others are deleted. Renewals go on by themselves without this command.',
  },
  parameters: {
    flags: {
      ...common,
      now: {
        kind: 'boolean',
        default: false,
        brief: 'Replace the accounts at once, and delete the old ones',
      },
    },
    aliases: commonAliases,
    positional: edgeArgument,
  },
  func(this: Context, flags: RotateFlags, edge?: string) {
    return guarded(this, async () => {
      const rotated = await hubDaemon(this, flags.config).call<RotationDocument[]>(
        'POST',
        '/v1/credentials/rotate',
        { now: flags.now, ...(edge === undefined ? {} : { edge }) },
      );
      print(
        this,
        flags.json,
        rotated,
        () => rotated.map(formatOutcome).join('\n') || 'no edge is subscribed',
      );
      if (rotated.some(({ outcome }) => outcome === 'refused')) return EXIT.refused;
      return rotated.some(({ outcome }) => outcome === 'under way') ? EXIT.degraded : EXIT.ok;
    });
  },
});

const revoke = buildCommand({
  docs: {
    brief: 'Delete one account; on an edge also: shut a hub out, by its name',
    fullDescription:
      'On a hub: one of its own accounts; another one is made when it was the last. On an edge: any account, which never comes back (its hub makes another one by itself); or a hub, which loses all its accounts and gets in again only by a new subscription file.',
  },
  parameters: {
    flags: common,
    aliases: commonAliases,
    positional: argument('ACCOUNT', 'Its name, such as ESRA.edge1.hub1.3; on an edge also the name of a hub'),
  },
  func(this: Context, flags: CommonFlags, name: string) {
    return guarded(this, async () => {
      const [daemon] = configuredDaemons(this, flags.config);
      if (daemon?.role === 'edge') return revokeOnEdge(this, { ...flags, config: daemon.path }, name);
      const hub = hubDaemon(this, flags.config);
      const revoked = await hub.call<RotationDocument>('POST', '/v1/credentials/revoke', { name });
      print(this, flags.json, revoked, () => formatOutcome(revoked));
      return revoked.outcome === 'under way' ? EXIT.degraded : EXIT.ok;
    });
  },
});

function formatOutcome({ edge, outcome, credentials: all, warnings, state }: RotationDocument): string {
  const used = all.find((one) => one.state === 'in use');
  switch (outcome) {
    case 'done':
      return `${edge}: done${used === undefined ? '' : `; ${used.account} is in use`}`;
    case 'under way':
      return `${edge}: under way, and goes on by itself; see: postern credential timeline ${edge}`;
    case 'nothing to do':
      return `${edge}: the next account is under way already; to replace all at once: postern credential rotate --now ${edge}`;
    case 'refused':
      return `${edge}: not now: ${warnings[0]?.text ?? `the pair is ${state}`}`;
  }
}

export const credentialRoutes = buildRouteMap({
  docs: { brief: 'The accounts of hubs on edges, and their renewal' },
  routes: { list, timeline, rotate, revoke, resolve: resolveCommand },
});
