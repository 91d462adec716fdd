/** The edge directory with everything that judges and computes inside it: lease, write policy, credential service, lookups. */
import { yieldToLoop } from '../../base/clock.ts';
import type { Identity } from '../../certificate/identity.ts';
import type { EdgeConfig } from '../../config/edge-config.ts';
import { PairKeeper } from '../../credential/pair-keeper.ts';
import { DEFAULT_TIMINGS } from '../../credential/schedule.ts';
import {
  Directory,
  type DirectoryHooks,
  refuse,
  type Session,
  type VirtualAttribute,
} from '../../directory/directory.ts';
import { openStore, type RecordStore } from '../../directory/store/store.ts';
import { POSTERN_CONTROL, POSTERN_EXTENDED } from '../../ldap/postern-oid.ts';
import type { EdgeDescription } from '../../subscription/edge-subscription.ts';
import type { Node } from '../../subscription/node.ts';
import { RolloverKeeper } from '../../subscription/rollover-keeper.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { ContentService } from '../../sync/edge/content-service.ts';
import { LeaseService } from '../../sync/edge/lease-service.ts';
import { RemovalService } from '../../sync/edge/removal-service.ts';
import { WritePolicy } from '../../sync/edge/write-policy.ts';
import { rolloverOptions } from '../configured-identity.ts';
import type { DaemonParts } from '../frame.ts';
import { readSchema } from '../schema-files.ts';
import { EDGE_ACCESS, ROLE } from './access.ts';
import { createAuthenticator, sessionAccount } from './authenticate.ts';
import { EDGE_CONTEXTS, edgeStoreFolder, ensureBaseEntries } from './base-entries.ts';
import { EdgeCertificates } from './certificates.ts';
import { credentialKeys, Credentials } from './credentials.ts';
import { isOver } from './expiry.ts';
import { forgetLoad } from './data.ts';
import { AddressKeys, Lookups } from './lookups.ts';
import { directoryIndex } from './recipient-index.ts';
import { Renewals } from './renewals.ts';
import { createSearchGate } from './search-gate.ts';

export interface EdgeServices {
  readonly directory: Directory;
  readonly store: RecordStore;
  readonly lease: LeaseService;
  readonly removals: RemovalService;
  readonly credentials: Credentials;
  readonly pairs: PairKeeper<EdgeTrustState>;
  readonly renewals: Renewals;
  readonly lookups: Lookups;
  readonly certificates: EdgeCertificates;
  /** Of this edge's own certificate. To be started when everything listens. */
  readonly rollover: RolloverKeeper<EdgeTrustState>;
  /** Called when another certificate is to be shown. */
  readonly onIdentity: (show: () => void) => void;
}

export async function openEdgeServices(
  config: EdgeConfig,
  edge: EdgeDescription,
  node: Node<EdgeTrustState>,
  parts: DaemonParts,
  configured?: () => Promise<Identity>,
): Promise<EdgeServices> {
  const trust = node.store;
  const { files, clock, random, log, lifecycle, onFatal } = parts;
  const schema = await readSchema(files, config.directory.schema);
  const folder = edgeStoreFolder(config.data);
  const store = await openStore({ folder, files, clock, random, log: log.child('store'), onFatal });
  lifecycle.add('store', () => store.close());
  const keys = new AddressKeys(trust);
  const lease = new LeaseService({ trust, clock, random, log: log.child('lease') });
  // The services are handed to the directory and the directory to them: none looks at it before it is there.
  const current = (): Directory => directory;
  const content = new ContentService({ directory: current, digestKey: () => keys.digestKey });
  const removals = new RemovalService({ directory: current, trust, clock });
  const policy = new WritePolicy({
    directory: current,
    lease,
    trust,
    clock,
    log: log.child('guard'),
    limits: { most: config.removal_guard.most, share: config.removal_guard.percent / 100 },
    onPending: (kind, delta) => removals.adjust(kind, delta),
  });
  const { most, quiet } = config.recovery;
  const timings = { ...DEFAULT_TIMINGS, recoveries: most, recoveryQuietMs: quiet };
  const recordKeys = credentialKeys(node, edge, random);
  const show = (): void => {
    credentials.showAccounts().catch((error: unknown) => log.error('showing the accounts failed', { error }));
  };
  const pairs = new PairKeeper<EdgeTrustState>({
    store: trust,
    clock,
    timings,
    log: log.child('pairs'),
    // The answer goes out first: it may be one to a session that ends now.
    onChanged: () => void yieldToLoop().then(show),
  });
  const credentials = new Credentials({
    directory: current,
    trust,
    keys: recordKeys,
    timings,
    clock,
    log: log.child('credentials'),
    onNewAddressKey: async () => {
      await forgetLoad(directory);
      removals.forget();
    },
    onAccountsChanged: () => void directory.terminate((session) => isOver(session, { trust, clock })),
  });
  const renewals = new Renewals({
    trust,
    pairs,
    keys: recordKeys,
    credentialsSettled: () => credentials.settled(),
    clock,
    log: log.child('pairs'),
  });
  const certificates: EdgeCertificates = new EdgeCertificates({
    node,
    keeper: () => rollover,
    overlapMs: config.rollover.overlap,
    clock,
    log: log.child('certificates'),
  });
  const listening: (() => void)[] = [];
  const rollover = new RolloverKeeper<EdgeTrustState>({
    node,
    folder: config.data,
    ...rolloverOptions(config.rollover),
    files,
    clock,
    random,
    log: log.child('certificates'),
    facts: () => certificates.facts(),
    configured,
    care: () => certificates.settle(),
    onChange: (what) => {
      if (what === 'announced') return;
      for (const show of listening) show();
      const stated = ensureBaseEntries(directory, edge);
      stated.catch((error: unknown) => log.error('what this edge states could not be written', { error }));
      if (what === 'switched')
        // Each comes back at once, and proves by that that it knows the new key. The answer to whoever caused this goes out first.
        void yieldToLoop().then(() => directory.terminate(({ connection }) => connection.kind === 'tls'));
    },
  });
  lifecycle.add('certificates', () => rollover.stop());
  const hooks: DirectoryHooks = {
    authenticate: createAuthenticator({
      directory: current,
      trust,
      pairs,
      edge,
      files,
      clock,
      random,
      log: log.child('bind'),
      credentialsSettled: () => credentials.settled(),
      onAccountsChanged: show,
      onBound: (hub, pin) => certificates.bound(hub, pin),
    }),
    controls: [POSTERN_CONTROL.idempotent, POSTERN_CONTROL.instance],
    beforeCommit: (session, updates, inTransaction) => {
      if (session.identity.role !== 'system' && credentials.concern(updates)) credentials.expect(session);
      return policy.judge(session, updates, inTransaction);
    },
    extended: {
      [POSTERN_EXTENDED.lease]: ({ value }, session) => lease.handle(value, session, hubOf(session)),
      [POSTERN_EXTENDED.contentDigest]: ({ value }, session) => {
        hubOf(session);
        return content.handle(value, session);
      },
      [POSTERN_EXTENDED.removals]: ({ value }, session) => {
        hubOf(session);
        if (!lease.holds(session))
          refuse('unwillingToPerform', 'lease.lost: this connection does not hold the lease');
        return removals.handle(value);
      },
      [POSTERN_EXTENDED.installCredential]: ({ value }, session) => renewals.install(value, session),
      [POSTERN_EXTENDED.identities]: ({ value }, session) => certificates.handle(value, session),
      [POSTERN_EXTENDED.retireCredential]: ({ value }, session) => renewals.retire(value, session),
    },
    searchGate: createSearchGate(current, () => lookups),
  };
  const directory: Directory = new Directory({
    store,
    clock,
    random,
    log: log.child('directory'),
    contexts: EDGE_CONTEXTS,
    indexes: ['posternAddress'],
    schema,
    access: EDGE_ACCESS,
    addressHasher: (assertion) => keys.hasher?.hashAssertion(assertion),
    virtualAttributes: virtualAttributes(lease),
    hooks,
  });
  const lookups = new Lookups({
    index: directoryIndex(directory),
    keys,
    clock,
    defaultMaxAgeMs: config.lookup.max_age,
  });
  lifecycle.add('directory', () => directory.close());
  await ensureBaseEntries(directory, edge);
  await pairs.start();
  await credentials.showAccounts();
  return {
    directory,
    store,
    lease,
    removals,
    credentials,
    pairs,
    renewals,
    lookups,
    certificates,
    rollover,
    onIdentity: (show) => void listening.push(show),
  };
}

/** Values that are computed when they are read. */
function virtualAttributes(lease: LeaseService): VirtualAttribute[] {
  const ok = [Buffer.from('OK')];
  const ofLease = (attribute: string, value: () => string): VirtualAttribute => ({
    attribute,
    subtree: 'cn=Sync',
    compute: () => (value() === '' ? [] : [Buffer.from(value())]),
  });
  return [
    { attribute: 'posternResult', subtree: 'cn=Recipients', compute: () => ok },
    ofLease('posternLeaseState', () => lease.status.state),
    ofLease('posternLeaseHolder', () => lease.status.holder),
    ofLease('posternLeaseEpoch', () => String(lease.status.epoch)),
  ];
}

/** The hub that a session stands for; refuses everybody else. */
function hubOf(session: Session): string {
  const account = sessionAccount(session);
  if (session.identity.role !== ROLE.hub || account === undefined)
    return refuse('insufficientAccessRights', 'for hubs only');
  return account.hub;
}
