/** The edge daemon: wires directory, trust store, credential service, lease, lookups and listeners. Nothing is decided here. */
import { join } from 'node:path';
import { createControlApp, serveControl } from '../admin/control-server.ts';
import type { EdgeStatus, KindStatus } from '../admin/documents.ts';
import { VERSION } from '../base/version.ts';
import { formatFingerprint } from '../certificate/pin.ts';
import type { EdgeConfig } from '../config/edge-config.ts';
import { DEFAULT_PASSWORD_POLICY } from '../credential/password.ts';
import { Directory, refuse, type Session } from '../directory/directory.ts';
import { openStore } from '../directory/store/store.ts';
import { POSTERN_CONTROL, POSTERN_EXTENDED } from '../ldap/postern-oid.ts';
import { dropExpired, type EdgeDescription, removedEdgeTrust } from '../subscription/edge-subscription.ts';
import { openEdgeNode } from '../subscription/node.ts';
import { answerContentDigest } from '../sync/edge/content-service.ts';
import { LeaseService } from '../sync/edge/lease-service.ts';
import { RemovalService } from '../sync/edge/removal-service.ts';
import { WritePolicy } from '../sync/edge/write-policy.ts';
import { directoryRoutes } from './directory-routes.ts';
import { type DaemonParts, foreignIdentity, runDaemon } from './frame.ts';
import { EDGE_ACCESS, ROLE } from './edge/access.ts';
import { createAuthenticator, sessionAccount } from './edge/authenticate.ts';
import { EDGE_CONTEXTS, ensureBaseEntries } from './edge/base-entries.ts';
import { edgeRoutes } from './edge/control.ts';
import { Credentials } from './edge/credentials.ts';
import { clearData, forgetLoad } from './edge/data.ts';
import { startListeners } from './edge/listeners.ts';
import { AddressKeys, Lookups } from './edge/lookups.ts';
import { directoryIndex } from './edge/recipient-index.ts';
import { createSearchGate } from './edge/search-gate.ts';
import { edgeStatus } from './edge/status.ts';

const EXPIRY_CHECK_MS = 30_000;
const DATA_KINDS = ['recipients', 'domains', 'topology'] as const;

/** Runs until `signal` aborts; throws when it cannot start, or when a store has failed. */
export function runEdge(config: EdgeConfig, signal: AbortSignal): Promise<void> {
  return runDaemon('edge', config, signal, (parts) => startEdge(config, parts));
}

async function startEdge(config: EdgeConfig, parts: DaemonParts): Promise<void> {
  const { files, clock, random, log, lifecycle, onFatal } = parts;
  const startedAt = clock.now();
  const foreign = foreignIdentity(config.identity);
  const node = await openEdgeNode({
    files,
    clock,
    random,
    log,
    folder: config.data,
    fqdn: config.fqdn,
    foreign,
  });
  const trust = node.store;
  lifecycle.add('trust store', () => trust.close());
  const policy = {
    ...DEFAULT_PASSWORD_POLICY,
    shortest: config.password_policy.minimum_length,
    longest: config.password_policy.maximum_length,
  };
  const { listen } = config;
  const edge: EdgeDescription = {
    name: config.name,
    fqdn: node.fqdn,
    port: listen.advertised_port ?? (listen.ldaps.kind === 'tcp' ? listen.ldaps.port : undefined),
    identity: node.identity,
    get sealingStatement() {
      return Buffer.from(trust.value.sealingStatement);
    },
    policy,
    productVersion: `Postern ${VERSION}`,
  };

  const store = await openStore({
    folder: join(config.data, 'directory'),
    files,
    clock,
    random,
    log: log.child('store'),
    onFatal,
  });
  lifecycle.add('store', () => store.close());
  const keys = new AddressKeys(trust);
  const lease = new LeaseService({ trust, clock, random, log: log.child('lease') });
  const current = (): Directory => directory;
  const removals = new RemovalService({ directory: current, trust, clock });
  const writePolicy = new WritePolicy({
    directory: current,
    lease,
    trust,
    clock,
    log: log.child('guard'),
    limits: { most: config.removal_guard.most, share: config.removal_guard.percent / 100 },
    onPending: (kind, delta) => removals.adjust(kind, delta),
  });
  const credentials = new Credentials({
    directory: current,
    trust,
    edge,
    clock,
    random,
    log: log.child('credentials'),
    onNewAddressKey: () => forgetLoad(directory),
  });
  const authenticate = createAuthenticator({
    directory: current,
    trust,
    edge,
    files,
    clock,
    random,
    log: log.child('bind'),
    credentialsSettled: () => credentials.settled(),
    onAccountsChanged: () => void credentials.showAccounts(),
  });
  const onlyHubs = (session: Session): string => {
    const account = sessionAccount(session);
    if (session.identity.role !== ROLE.hub || account === undefined)
      return refuse('insufficientAccessRights', 'for hubs only');
    return account.hub;
  };
  const directory: Directory = new Directory({
    store,
    clock,
    random,
    log: log.child('directory'),
    contexts: EDGE_CONTEXTS,
    indexes: ['posternAddress'],
    access: EDGE_ACCESS,
    addressHasher: (assertion) => keys.hasher?.hashAssertion(assertion),
    virtualAttributes: [
      { attribute: 'posternResult', subtree: 'cn=Recipients', compute: () => [OK] },
      {
        attribute: 'posternLeaseState',
        subtree: 'cn=Sync',
        compute: () => [Buffer.from(lease.status.state)],
      },
      {
        attribute: 'posternLeaseHolder',
        subtree: 'cn=Sync',
        compute: () => (lease.status.holder === '' ? [] : [Buffer.from(lease.status.holder)]),
      },
      {
        attribute: 'posternLeaseEpoch',
        subtree: 'cn=Sync',
        compute: () => [Buffer.from(String(lease.status.epoch))],
      },
    ],
    hooks: {
      authenticate,
      controls: [POSTERN_CONTROL.idempotent],
      beforeCommit: (session, updates, inTransaction) => {
        if (session.identity.role !== 'system' && credentials.concern(updates)) credentials.expect(session);
        return writePolicy.judge(session, updates, inTransaction);
      },
      extended: {
        [POSTERN_EXTENDED.lease]: ({ value }, session) => lease.handle(value, session, onlyHubs(session)),
        [POSTERN_EXTENDED.contentDigest]: ({ value }, session) => {
          onlyHubs(session);
          return answerContentDigest(directory, keys.digestKey, value);
        },
        [POSTERN_EXTENDED.removals]: ({ value }, session) => {
          onlyHubs(session);
          if (!lease.holds(session))
            refuse('unwillingToPerform', 'lease.lost: this connection does not hold the lease');
          return removals.handle(value);
        },
      },
      searchGate: createSearchGate(current, () => lookups),
    },
  });
  lifecycle.add('directory', () => directory.close());
  await ensureBaseEntries(directory, edge.fqdn);
  await credentials.showAccounts();

  const lookups = new Lookups({
    index: directoryIndex(directory),
    keys,
    clock,
    defaultMaxAgeMs: config.lookup.max_age,
  });
  const connections = await startListeners(
    { config, directory, identity: node.identity, tables: lookups.tables(), clock, log },
    lifecycle,
  );

  const status = async (): Promise<EdgeStatus> => {
    const { accounts, hubs, subscription } = trust.value;
    return edgeStatus({
      name: edge.name,
      fqdn: edge.fqdn,
      now: clock.now(),
      startedAt,
      fingerprint: formatFingerprint(node.identity.pin),
      certificate: node.identity.certificate,
      subscribed: Object.keys(hubs).length > 0,
      kinds: await kindStatuses(directory, removals),
      lease: lease.status,
      accounts,
      lookups: lookups.counts,
      connections: connections(),
      memoryBytes: process.memoryUsage.rss(),
      maxAgeMs: config.lookup.max_age,
      leftoverFile: await leftoverFile(subscription?.expiresAt, subscription?.path),
    });
  };
  const leftoverFile = async (
    expiresAt: number | undefined,
    path: string | undefined,
  ): Promise<string | undefined> =>
    path !== undefined && expiresAt !== undefined && clock.now() >= expiresAt && (await files.exists(path))
      ? path
      : undefined;

  const app = createControlApp(log);
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
      await credentials.showAccounts();
      return keepData
        ? 'Its data stay and are answered from until they are too old. Remove it on the hub, too.'
        : 'Its data are gone. Remove it on the hub, too.';
    },
  });
  directoryRoutes(app, 'edge', directory, store);
  const control = await serveControl(app, join(config.data, 'control.sock'));
  lifecycle.add('control socket', () => control.stop());

  const expire = (): void => {
    dropExpired({ store: trust, clock, edge })
      .then((dropped) => (dropped ? credentials.showAccounts() : undefined))
      .catch((error: unknown) => log.error('dropping expired accounts failed', { error }));
    directory.terminate((session) => isOver(session));
    timer = clock.after('edge.expiry', EXPIRY_CHECK_MS, expire, { background: true });
  };
  // Expiry, revocation and the end of a pin end sessions that exist already.
  const isOver = (session: Session): boolean => {
    const name = sessionAccount(session)?.account;
    if (name === undefined) return false;
    const account = trust.value.accounts.find((one) => one.name === name);
    return (
      account === undefined || account.state === 'suspended' || clock.now() >= account.expiresAt + 10 * 60_000
    );
  };
  let timer = clock.after('edge.expiry', EXPIRY_CHECK_MS, expire, { background: true });
  lifecycle.add('expiry', () => timer.cancel());

  log.info('edge is running', {
    edge: edge.name,
    version: VERSION,
    entries: directory.database.size,
    fingerprint: formatFingerprint(node.identity.pin),
  });
}

const OK = Buffer.from('OK');

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
      lastConfirmed: load.lastConfirmedMs,
    });
  }
  return statuses;
}
