/**
 * What somebody can do who has a copy of a daemon's data folder: its keys, its passwords, what it stores. The daemon may go on
 * running meanwhile; it is opened as a crashed one would be.
 *
 *   await using edge = await openEdgeCopy(site.edgeData, 'edge1.localhost');
 */
import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { systemFiles } from '../../src/base/files.ts';
import { Lifecycle } from '../../src/base/lifecycle.ts';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import type { Secret } from '../../src/base/secret.ts';
import { type HubNode, openOwnCredential, ownCredentials } from '../../src/credential/issue.ts';
import { DEFAULT_PASSWORD_POLICY } from '../../src/credential/password.ts';
import { embedded, openConfiguration } from '../../src/daemon/hub/configuration.ts';
import type { EdgeDescription } from '../../src/subscription/edge-subscription.ts';
import { type Node, openEdgeNode, openHubNode } from '../../src/subscription/node.ts';
import type { EdgeTrustState, HubTrustState } from '../../src/subscription/trust-state.ts';
import { Organisation } from '../../src/sync/organisation/organisation.ts';

const surroundings = { files: systemFiles, clock: systemClock, random: systemRandom, log: silentLog };

/** What is there at this moment; files that come and go meanwhile (a copy being replaced) are left out. */
async function copyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyFolder(source, target);
    else if (entry.isFile() && !entry.name.endsWith('.new'))
      await copyFile(source, target).catch((error: unknown) => {
        if ((error as { code?: string }).code !== 'ENOENT') throw error;
      });
  }
}

export interface EdgeCopy extends AsyncDisposable {
  readonly folder: string;
  readonly node: Node<EdgeTrustState>;
  /** As the edge's own daemon describes it in subscription files. */
  readonly edge: EdgeDescription;
}

export async function openEdgeCopy(data: string, fqdn: string, port: number): Promise<EdgeCopy> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-edge-copy-'));
  await using parts = new AsyncDisposableStack();
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  await copyFolder(join(data, 'trust'), join(folder, 'trust'));
  const node = await openEdgeNode({ ...surroundings, folder, fqdn });
  parts.defer(() => node.store.close());
  const edge: EdgeDescription = {
    name: fqdn.split('.')[0] ?? '',
    fqdn,
    port,
    identity: node.identity,
    sealingStatement: Buffer.from(node.store.value.sealingStatement),
    policy: DEFAULT_PASSWORD_POLICY,
    productVersion: 'Postern test',
  };
  const kept = parts.move();
  return { folder, node, edge, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

export interface HubCopy extends AsyncDisposable {
  readonly folder: string;
  readonly node: Node<HubTrustState>;
  readonly hub: HubNode;
  readonly organisation: Organisation;
}

export async function openHubCopy(data: string, name: string, fqdn: string): Promise<HubCopy> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-hub-copy-'));
  await using parts = new AsyncDisposableStack();
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  for (const part of ['trust', 'configuration']) await copyFolder(join(data, part), join(folder, part));
  const lifecycle = new Lifecycle(silentLog);
  parts.defer(() => lifecycle.stop());
  const node = await openHubNode({ ...surroundings, folder, fqdn });
  lifecycle.add('trust store', () => node.store.close());
  const onFatal = (error: Error): void => {
    throw error;
  };
  const { directory } = await openConfiguration({ ...surroundings, data: folder, onFatal }, lifecycle);
  const [first, ...rest] = node.store.value.sealingKeys;
  if (first === undefined) throw new Error('a node has a sealing key');
  const hub: HubNode = { name, fqdn: node.fqdn, identity: node.identity, sealingKeys: [first, ...rest] };
  const organisation = new Organisation({
    directory: embedded(directory),
    trust: node.store,
    hub,
    site: 'Default-Site',
  });
  const kept = parts.move();
  return { folder, node, hub, organisation, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** The accounts of that hub on an edge, with their passwords. */
export async function credentialsOf(
  { organisation, hub }: HubCopy,
  edge: string,
): Promise<Map<string, Secret>> {
  const { credentials } = ownCredentials((await organisation.own()).credentials, hub, edge);
  const opened = new Map<string, Secret>();
  for (const credential of credentials)
    opened.set(credential.userName, await openOwnCredential(credential, hub));
  return opened;
}
