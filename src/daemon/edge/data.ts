/** Throwing data away: when a subscription ends, and when its hashes have become worthless. */
import type { Directory, Update } from '../../directory/directory.ts';

const SLICE = 1000;

/**
 * The stored hashes were made with another key and can match nothing any more: they go, and lookups answer "temporarily unable" until
 * the hub has loaded everything. Left where they are, the removal guard would take them for addresses that the source has lost.
 */
export async function forgetLoad(directory: Directory): Promise<void> {
  await directory.apply([stateNone('recipients')]);
  await deleteChildren(directory, 'cn=Recipients');
}

/** The data stay and answer, but no hub takes them for what it pushed last: it compares every entry first. */
export async function forgetPosition(directory: Directory): Promise<void> {
  const updates: Update[] = [];
  for (const kind of ['recipients', 'domains', 'topology']) {
    const dn = `cn=${kind},cn=Sync`;
    if (directory.resolve(dn) === 0) continue;
    const changes = ['posternCookie', 'posternContentDigest'].map((type) => ({
      kind: 'replace' as const,
      attribute: { type, values: [] },
    }));
    updates.push({ request: { op: 'modifyRequest', dn, changes } });
  }
  if (updates.length > 0) await directory.apply(updates);
}

/** Takes hubs, edges, and (unless kept) recipients and domains out. */
export async function clearData(directory: Directory, keepData: boolean): Promise<void> {
  if (!keepData)
    await directory.apply([stateNone('recipients'), stateNone('domains'), stateNone('topology')]);
  const containers = [
    'cn=Hubs,cn=Configuration',
    'cn=Edges,cn=Configuration',
    ...(keepData ? [] : ['cn=AcceptedDomains,cn=Configuration', 'cn=Recipients']),
  ];
  for (const container of containers) await deleteChildren(directory, container);
}

async function deleteChildren(directory: Directory, container: string): Promise<void> {
  const { tree } = directory.database;
  const parent = directory.resolve(container);
  for (;;) {
    const updates: Update[] = [];
    for (let id = tree.firstChild(parent); id !== 0 && updates.length < SLICE; id = tree.nextSibling(id)) {
      updates.push({ request: { op: 'deleteRequest', dn: directory.database.dnText(id) } });
    }
    if (updates.length === 0) return;
    await directory.apply(updates);
  }
}

function stateNone(kind: string): Update {
  const clear = [
    'posternCookie',
    'posternContentDigest',
    'posternEntryCount',
    'posternLastConfirmed',
    'posternSyncEpoch',
    'posternMappingVersion',
  ];
  return {
    request: {
      op: 'modifyRequest',
      dn: `cn=${kind},cn=Sync`,
      changes: [
        { kind: 'replace', attribute: { type: 'posternLoadState', values: [Buffer.from('none')] } },
        ...clear.map((type) => ({ kind: 'replace' as const, attribute: { type, values: [] } })),
      ],
    },
  };
}
