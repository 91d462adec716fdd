/** The edge daemon: wires identity, services, listeners and control socket. Nothing is decided here. */
import { join } from 'node:path';
import { createControlApp, serveControl } from '../admin/control-server.ts';
import type { CertificateDocument } from '../admin/certificate-documents.ts';
import type { EdgeStatus, KindStatus } from '../admin/documents.ts';
import { VERSION } from '../base/version.ts';
import { formatFingerprint } from '../certificate/pin.ts';
import type { EdgeConfig } from '../config/edge-config.ts';
import { DEFAULT_PASSWORD_POLICY } from '../credential/password.ts';
import type { Directory } from '../directory/directory.ts';
import { type EdgeDescription, removedEdgeTrust } from '../subscription/edge-subscription.ts';
import { type Node, openEdgeNode } from '../subscription/node.ts';
import type { EdgeTrustState } from '../subscription/trust-state.ts';
import type { RemovalService } from '../sync/edge/removal-service.ts';
import { certificateRoutes } from './certificate-routes.ts';
import { certificateDocument, certificateWarnings, peerCertificate } from './certificate-view.ts';
import { configuredIdentity, rolloverOptions } from './configured-identity.ts';
import { directoryRoutes } from './directory-routes.ts';
import { ROLE } from './edge/access.ts';
import { EDGE_OWN_ENTRIES, edgeStoreFolder } from './edge/base-entries.ts';
import { edgeRoutes } from './edge/control.ts';
import { credentialRoutes } from './edge/credential-routes.ts';
import { clearData } from './edge/data.ts';
import { watchExpiry } from './edge/expiry.ts';
import { startListeners } from './edge/listeners.ts';
import { directoryIndex } from './edge/recipient-index.ts';
import { pairWarnings } from './edge/pair-status.ts';
import { openEdgeServices } from './edge/services.ts';
import { edgeStatus } from './edge/status.ts';
import { type DaemonParts, runDaemon } from './frame.ts';
import { keepNurserySmall } from './nursery.ts';

const DATA_KINDS = ['recipients', 'domains', 'topology'] as const;

/** Runs until `signal` aborts; throws when it cannot start, or when a store has failed. */
export function runEdge(config: EdgeConfig, signal: AbortSignal): Promise<void> {
  keepNurserySmall();
  return runDaemon('edge', config, signal, (parts) => startEdge(config, parts));
}

async function startEdge(config: EdgeConfig, parts: DaemonParts): Promise<void> {
  const { files, clock, random, log, lifecycle } = parts;
  const startedAt = clock.now();
  const configured = configuredIdentity(config.identity, { files, clock, role: 'edge', fqdn: config.fqdn });
  const node = await openEdgeNode({
    files,
    clock,
    random,
    log,
    folder: config.data,
    fqdn: config.fqdn,
    validDays: rolloverOptions(config.rollover).validDays,
    foreign: configured,
  });
  const trust = node.store;
  lifecycle.add('trust store', () => trust.close());
  const edge = describeEdge(config, node);
  const services = await openEdgeServices(config, edge, node, parts, configured);
  const { directory, store, lease, removals, credentials, pairs, lookups, rollover } = services;
  const connections = await startListeners(
    { config, ...services, identity: () => node.identity, tables: lookups.tables(), clock, log },
    lifecycle,
  );

  const status = async (): Promise<EdgeStatus> => {
    const { accounts, hubs, subscription, leftFile } = trust.value;
    return edgeStatus({
      name: edge.name,
      fqdn: edge.fqdn,
      now: clock.now(),
      startedAt,
      fingerprint: formatFingerprint(node.identity.pin),
      subscribed: Object.keys(hubs).length > 0,
      kinds: await kindStatuses(directory, removals),
      lease: lease.status,
      accounts,
      certificateWarnings: certificateWarnings(certificates()),
      pairWarnings: pairWarnings(trust.value, pairs.timings, clock.now()),
      lookups: lookups.counts,
      connections: connections(),
      memoryBytes: process.memoryUsage.rss(),
      maxAgeMs: config.lookup.max_age,
      storeFull: directory.stats.store.full,
      leftoverFile:
        (await leftoverFile(subscription?.expiresAt, subscription?.path)) ??
        (leftFile !== undefined && (await files.exists(leftFile)) ? leftFile : undefined),
    });
  };
  const leftoverFile = async (
    expiresAt: number | undefined,
    path: string | undefined,
  ): Promise<string | undefined> =>
    path !== undefined && expiresAt !== undefined && clock.now() >= expiresAt && (await files.exists(path))
      ? path
      : undefined;

  const certificates = (): CertificateDocument =>
    certificateDocument({
      role: 'edge',
      name: edge.name,
      node,
      keeper: rollover,
      timings: rolloverOptions(config.rollover).timings,
      configured: configured !== undefined,
      peers: Object.values(trust.value.hubs).map((hub) => peerCertificate('hub', hub)),
      now: clock.now(),
    });

  const app = createControlApp(log);
  certificateRoutes(app, { role: 'edge', fqdn: edge.fqdn, keeper: rollover, document: certificates, clock });
  edgeRoutes(app, {
    trust,
    edge,
    lookups,
    status,
    clock,
    random,
    log,
    onAccountsChanged: () => credentials.showAccounts(),
    remove: async (keepData) => {
      await trust.update((draft) => removedEdgeTrust(draft, edge.name, { keepData }, clock.now()));
      lease.reset(trust.value.lease.epoch);
      directory.terminate((session) => session.identity.role !== ROLE.localReader);
      await clearData(directory, keepData);
      removals.forget();
      await credentials.showAccounts();
      return keepData
        ? 'Its data stay and are answered from until they are too old. Remove it on the hub, too.'
        : 'Its data are gone. Remove it on the hub, too.';
    },
  });
  const onAccountsChanged = (): Promise<void> => credentials.showAccounts();
  credentialRoutes(app, { trust, pairs, edgeName: edge.name, clock, log, onAccountsChanged });
  directoryRoutes(app, {
    role: 'edge',
    name: edge.name,
    directory,
    store,
    folder: edgeStoreFolder(config.data),
    files,
    ownEntries: EDGE_OWN_ENTRIES,
    addressKeyId: () => trust.value.addressKey?.id,
  });
  const control = await serveControl(app, join(config.data, 'control.sock'));
  lifecycle.add('control socket', () => control.stop());

  const onDropped = (): Promise<void> => credentials.showAccounts();
  rollover.start();
  lifecycle.add('expiry', watchExpiry({ trust, pairs, edge, directory, clock, log, onDropped }));
  log.info('edge is running', {
    edge: edge.name,
    version: VERSION,
    entries: directory.database.size,
    fingerprint: formatFingerprint(node.identity.pin),
  });
}

function describeEdge(
  { name, listen, password_policy }: EdgeConfig,
  node: Node<EdgeTrustState>,
): EdgeDescription {
  return {
    name,
    fqdn: node.fqdn,
    port: listen.advertised_port ?? (listen.ldaps.kind === 'tcp' ? listen.ldaps.port : undefined),
    get identity() {
      return node.identity;
    },
    get sealingStatement() {
      return Buffer.from(node.store.value.sealingStatement);
    },
    policy: {
      ...DEFAULT_PASSWORD_POLICY,
      shortest: password_policy.minimum_length,
      longest: password_policy.maximum_length,
    },
    productVersion: `Postern ${VERSION}`,
  };
}

async function kindStatuses(directory: Directory, removals: RemovalService): Promise<KindStatus[]> {
  const index = directoryIndex(directory);
  const bases = {
    recipients: 'cn=Recipients',
    domains: 'cn=AcceptedDomains,cn=Configuration',
    topology: 'cn=Hubs,cn=Configuration',
  } as const;
  const statuses: KindStatus[] = [];
  for (const kind of DATA_KINDS) {
    const load = index.status(kind);
    statuses.push({
      kind,
      loadState: load.loadState,
      entries: directory.database.tree.childCount(directory.resolve(bases[kind])),
      pendingRemovals: kind === 'topology' ? 0 : await removals.pending(kind),
      keptRemovals: kind === 'topology' ? 0 : await removals.kept(kind),
      lastConfirmed: load.lastConfirmedMs,
    });
  }
  return statuses;
}
