/** Small subtrees (topology, accepted domains) are compared as a whole and made equal: read, plan (pure), write. */
import type { LdapClient } from '../../ldap/client.ts';
import type { Attribute } from '../../ldap/message.ts';
import type { WriteOperation } from './transaction-writer.ts';

export interface DesiredEntry {
  readonly dn: string;
  readonly attributes: readonly Attribute[];
}

const NO_SUCH_OBJECT = 32;

/** The entries directly below `base`; none when it does not exist. */
export async function readSubtree(client: LdapClient, base: string): Promise<DesiredEntry[]> {
  const entries: DesiredEntry[] = [];
  for await (const { operation } of client.search(
    { base, scope: 'one', attributes: ['*'] },
    { accept: [NO_SUCH_OBJECT] },
  )) {
    if (operation.op !== 'searchResultEntry') continue;
    const attributes = operation.attributes.map(({ type, values }) => ({
      type,
      values: values.map((value) => Buffer.from(value)),
    }));
    entries.push({ dn: operation.dn, attributes });
  }
  return entries;
}

/**
 * What has to be written so that `existing` becomes `desired`. Attributes in `ignored` (marks that the edge itself sets,
 * attributes that another hub owns) do not count when entries are compared.
 */
export function planSubtree(
  existing: readonly DesiredEntry[],
  desired: readonly DesiredEntry[],
  ignored: readonly string[] = [],
): WriteOperation[] {
  const ignore = new Set(ignored.map((type) => type.toLowerCase()));
  const there = new Map(existing.map((entry) => [canonicalDn(entry.dn), entry]));
  const operations: WriteOperation[] = [];
  for (const entry of desired) {
    const old = there.get(canonicalDn(entry.dn));
    there.delete(canonicalDn(entry.dn));
    if (old === undefined || content(old, ignore) !== content(entry, ignore)) {
      operations.push({ kind: 'put', dn: entry.dn, attributes: entry.attributes });
    }
  }
  for (const { dn } of there.values()) operations.push({ kind: 'remove', dn });
  return operations;
}

/** Names in these subtrees are server and domain names: ASCII, without escapes, one value an RDN. */
function canonicalDn(dn: string): string {
  return dn.toLowerCase().replaceAll(/\s*,\s*/g, ',');
}

function content(entry: DesiredEntry, ignore: ReadonlySet<string>): string {
  const lines = entry.attributes
    .filter(
      ({ type, values }) =>
        values.length > 0 && !ignore.has(type.toLowerCase()) && type.toLowerCase() !== 'cn',
    )
    .map(
      ({ type, values }) =>
        `${type.toLowerCase()}=${values
          .map((value) =>
            type.toLowerCase() === 'objectclass' ? value.toString().toLowerCase() : value.toString('base64'),
          )
          .sort()
          .join(',')}`,
    );
  return lines.sort().join('\n');
}
