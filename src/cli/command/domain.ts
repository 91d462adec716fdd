/** `postern domain add|list|remove`: the accepted domains of the organisation, kept on the hub. */
import { buildCommand, buildRouteMap } from '@stricli/core';
import type { DomainDocument } from '../../admin/documents.ts';
import { type Context, guarded, hubDaemon, print } from '../context.ts';
import { argument, common, commonAliases, type CommonFlags } from '../flags.ts';
import { formatTable, printable } from '../table.ts';

const KINDS = ['authoritative', 'internalRelay', 'externalRelay'] as const;

interface AddFlags extends CommonFlags {
  readonly kind?: (typeof KINDS)[number];
  readonly catchAll?: boolean;
  readonly recipientDelimiter?: string;
  readonly maxAge?: string;
}

const add = buildCommand({
  docs: { brief: 'Add an accepted domain, or change what is named of one' },
  parameters: {
    flags: {
      ...common,
      kind: {
        kind: 'enum',
        values: KINDS,
        optional: true,
        brief: 'authoritative (unless told) refuses unknown recipients; the relay kinds accept them',
      },
      catchAll: { kind: 'boolean', optional: true, brief: 'Every address of the domain exists' },
      recipientDelimiter: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'Characters that start an extension, for example +; an empty text for none',
      },
      maxAge: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'How long unconfirmed data may say "unknown" (default 21d)',
      },
    },
    aliases: commonAliases,
    positional: argument('DOMAIN', 'Domain name; Unicode or xn--'),
  },
  func(this: Context, flags: AddFlags, domain: string) {
    return guarded(this, async () => {
      const body = {
        domain,
        ...(flags.kind === undefined ? {} : { kind: flags.kind }),
        ...(flags.catchAll === undefined ? {} : { catchAll: flags.catchAll }),
        ...(flags.recipientDelimiter === undefined ? {} : { recipientDelimiter: flags.recipientDelimiter }),
        ...(flags.maxAge === undefined ? {} : { maxAge: flags.maxAge }),
      };
      const document = await hubDaemon(this, flags.config).call<DomainDocument>('POST', '/v1/domains', body);
      print(this, flags.json, document, () => describeDomain(document));
    });
  },
});

function describeDomain({ domain, kind, catchAll, recipientDelimiter, maxAge }: DomainDocument): string {
  const more = [
    ...(catchAll ? ['every address exists'] : []),
    recipientDelimiter === '' ? 'no recipient delimiter' : `recipient delimiter ${recipientDelimiter}`,
    ...(maxAge === 'default' ? [] : [`max age ${maxAge}`]),
  ];
  return `${printable(domain)} is ${kind} (${more.join(', ')}); every subscribed edge learns it at once`;
}

const list = buildCommand({
  docs: { brief: 'List the accepted domains' },
  parameters: { flags: common, aliases: commonAliases },
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      const documents = await hubDaemon(this, flags.config).call<DomainDocument[]>('GET', '/v1/domains');
      print(this, flags.json, documents, () =>
        documents.length === 0
          ? 'no accepted domains; add one with "postern domain add DOMAIN"'
          : formatTable(
              ['domain', 'kind', 'catch-all', 'delimiter', 'max age'],
              documents.map((d) => [
                printable(d.domain),
                d.kind,
                d.catchAll ? 'yes' : 'no',
                d.recipientDelimiter || '-',
                d.maxAge,
              ]),
            ),
      );
    });
  },
});

const remove = buildCommand({
  docs: { brief: 'Remove an accepted domain; edges keep answering for it until "postern sync approve"' },
  parameters: { flags: common, aliases: commonAliases, positional: argument('DOMAIN', 'Domain name') },
  func(this: Context, flags: CommonFlags, domain: string) {
    return guarded(this, async () => {
      const document = await hubDaemon(this, flags.config).call<{ domain: string }>(
        'DELETE',
        `/v1/domains/${encodeURIComponent(domain)}`,
      );
      print(
        this,
        flags.json,
        document,
        () => `${printable(document.domain)} removed here; on the edges it waits for "postern sync approve"`,
      );
    });
  },
});

export const domainRoutes = buildRouteMap({
  docs: { brief: 'Accepted domains' },
  routes: { add, list, remove },
});
