/** The entries that every edge directory has, made when they are missing. */
import type { Directory } from '../../directory/directory.ts';
import type { AddRequest } from '../../ldap/message.ts';

export const EDGE_CONTEXTS: readonly string[] = [
  'cn=Configuration',
  'cn=Recipients',
  'cn=Accounts',
  'cn=Sync',
];

export async function ensureBaseEntries(directory: Directory, fqdn: string): Promise<void> {
  const wanted: AddRequest[] = [
    entry('cn=Configuration', 'posternEdge', { posternFqdn: fqdn }),
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
