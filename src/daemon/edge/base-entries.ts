/** The entries that every edge directory has: made when they are missing, and what this edge says of itself kept true. */
import { join } from 'node:path';
import type { Directory } from '../../directory/directory.ts';
import type { AddRequest, ModifyRequest } from '../../ldap/message.ts';

export const EDGE_CONTEXTS: readonly string[] = [
  'cn=Configuration',
  'cn=Recipients',
  'cn=Accounts',
  'cn=Sync',
];

export interface OwnFacts {
  readonly fqdn: string;
  /** Public, and signed by this edge's key: a hub that imports an unsigned subscription file reads it here. */
  readonly sealingStatement: Buffer;
}

const SELF = 'cn=Configuration';

/** Written by the daemon itself: accounts are shown there, and what was synchronised is known by it. */
export const EDGE_OWN_ENTRIES: readonly string[] = ['cn=Accounts', 'cn=Sync'];

export const edgeStoreFolder = (data: string): string => join(data, 'directory');

export async function ensureBaseEntries(directory: Directory, self: OwnFacts): Promise<void> {
  const wanted: AddRequest[] = [
    entry(SELF, 'posternEdge'),
    ...['Hubs', 'Edges', 'AcceptedDomains'].map((name) =>
      entry(`cn=${name},cn=Configuration`, 'posternContainer'),
    ),
    entry('cn=Recipients', 'posternContainer'),
    entry('cn=Accounts', 'posternContainer'),
    entry('cn=Sync', 'posternLease'),
    ...['recipients', 'domains', 'topology'].map((name) =>
      entry(`cn=${name},cn=Sync`, 'posternSyncState', { posternLoadState: 'none' }),
    ),
  ];
  const missing = wanted.filter((request) => directory.readEntry(request.dn) === undefined);
  if (missing.length > 0) await directory.apply(missing.map((request) => ({ request })));
  await directory.apply([{ request: ownFacts(self) }]);
}

function ownFacts({ fqdn, sealingStatement }: OwnFacts): ModifyRequest {
  const replace = (type: string, value: Buffer): ModifyRequest['changes'][number] => ({
    kind: 'replace',
    attribute: { type, values: [value] },
  });
  return {
    op: 'modifyRequest',
    dn: SELF,
    changes: [replace('posternFqdn', Buffer.from(fqdn)), replace('posternStatement', sealingStatement)],
  };
}

function entry(
  dn: string,
  objectClass: string,
  attributes: Readonly<Record<string, string>> = {},
): AddRequest {
  const cn = dn.slice(3).split(',')[0] ?? '';
  return {
    op: 'addRequest',
    dn,
    attributes: Object.entries({ objectClass, cn, ...attributes }).map(([type, value]) => ({
      type,
      values: [Buffer.from(value)],
    })),
  };
}
