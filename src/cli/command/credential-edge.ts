/** What `postern credential` and `postern subscription recover` do on an edge. */
import { buildCommand } from '@stricli/core';
import type { EdgeCredentialsDocument, EdgeHubCredentials } from '../../admin/documents.ts';
import { formatAge } from '../../base/duration.ts';
import { PosternError } from '../../base/error.ts';
import { type Context, edgeDaemon, guarded, print } from '../context.ts';
import { common, commonAliases, type CommonFlags } from '../flags.ts';
import { formatTable, printable } from '../table.ts';

const optionalHub = {
  kind: 'tuple',
  parameters: [
    {
      parse: String,
      placeholder: 'HUB',
      brief: 'Name of the hub, where more than one is meant',
      optional: true,
    },
  ],
} as const;

interface Noted {
  readonly note: string;
}

/** `credential list`: accounts of every hub, their windows, when each hub was heard, recoveries left. */
export async function listOnEdge(context: Context, flags: CommonFlags): Promise<void> {
  const daemon = edgeDaemon(context, flags.config);
  const document = await daemon.call<EdgeCredentialsDocument>('GET', '/v1/credentials');
  print(context, flags.json, document, () => describeEdgeCredentials(document));
}

/** `credential revoke ACCOUNT|HUB`. */
export async function revokeOnEdge(context: Context, flags: CommonFlags, name: string): Promise<void> {
  const daemon = edgeDaemon(context, flags.config);
  const document = await daemon.call<Noted & { revoked: string }>('POST', '/v1/credentials/revoke', { name });
  print(context, flags.json, document, () => `${document.revoked} revoked: ${document.note}`);
}

export function describeEdgeCredentials({ edge, hubs, now }: EdgeCredentialsDocument): string {
  if (hubs.length === 0) return `edge ${edge} has no hub, and no replication account`;
  return hubs.map((hub) => describeHub(hub, now)).join('\n\n');
}

function describeHub(hub: EdgeHubCredentials, now: number): string {
  const heard = hub.lastHeard === undefined ? 'not heard yet' : `heard ${formatAge(hub.lastHeard, now)}`;
  const allowed = hub.recoveryAllowed ? ' (one by permission)' : '';
  const head = `hub ${printable(hub.hub)}: ${hub.state}; ${heard}; recoveries left: ${hub.recoveriesLeft}${allowed}`;
  const rows = hub.accounts.map((account) => [
    printable(account.name),
    account.state,
    account.proved ? 'yes' : 'not yet',
    minute(account.effective),
    `${minute(account.expires)} (${formatAge(account.expires, now)})`,
    account.by === 'push' ? 'push' : 'request of the hub',
  ]);
  return rows.length === 0
    ? `${head}\nno account`
    : `${head}\n${formatTable(['account', 'state', 'proved', 'effective (UTC)', 'expires (UTC)', 'came by'], rows)}`;
}

function minute(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
}

export const resolveCommand = buildCommand({
  docs: {
    brief: 'On the edge: let a hub in again of which two copies were alive',
    fullDescription:
      'Switch one of the two copies off for good first: the one that calls next is the one that counts, and gets fresh keys.',
  },
  parameters: { flags: common, aliases: commonAliases, positional: optionalHub },
  func(this: Context, flags: CommonFlags, hub?: string) {
    return guarded(this, async () => {
      const body = hub === undefined ? {} : { hub };
      const daemon = edgeDaemon(this, flags.config);
      const document = await daemon.call<Noted & { hub: string }>('POST', '/v1/credentials/resolve', body);
      print(this, flags.json, document, () => `hub ${document.hub}: ${document.note}`);
    });
  },
});

export const recoverCommand = buildCommand({
  docs: {
    brief: 'On the edge: allow one more recovery to a hub that has had too many',
    fullDescription:
      'A hub that was away for longer than its credentials live recovers by its pinned key, a few times in a row without anybody. When it has used these up, the administrator decides.',
  },
  parameters: {
    flags: {
      ...common,
      allow: { kind: 'boolean', default: false, brief: 'Allow the next recovery; needed' },
    },
    aliases: commonAliases,
    positional: optionalHub,
  },
  func(this: Context, flags: CommonFlags & { readonly allow: boolean }, hub?: string) {
    return guarded(this, async () => {
      if (!flags.allow)
        throw new PosternError('usage', 'hubs recover by themselves; this command allows one more recovery', {
          hint: `postern subscription recover --allow${hub === undefined ? '' : ` ${hub}`}`,
        });
      const body = hub === undefined ? {} : { hub };
      const daemon = edgeDaemon(this, flags.config);
      const document = await daemon.call<Noted & { hub: string }>('POST', '/v1/subscription/recover', body);
      print(this, flags.json, document, () => `hub ${document.hub}: ${document.note}`);
    });
  },
});
