/** The hub daemon: wires trust store, configuration directory, source, mirror and the links to the edges. Nothing is decided here. */
import { join } from 'node:path';
import type { CertificateDocument } from '../admin/certificate-documents.ts';
import { createControlApp, serveControl } from '../admin/control-server.ts';
import type { Clock } from '../base/clock.ts';
import { PosternError } from '../base/error.ts';
import type { Lifecycle } from '../base/lifecycle.ts';
import { VERSION } from '../base/version.ts';
import { formatFingerprint } from '../certificate/pin.ts';
import { type HubConfig, renewalTimings } from '../config/hub-config.ts';
import type { HubNode } from '../credential/issue.ts';
import { writeHubPublic } from '../subscription/hub-public.ts';
import { openHubNode } from '../subscription/node.ts';
import type { HubTrustState } from '../subscription/trust-state.ts';
import { SourceFollower } from '../sync/follow.ts';
import { openMirror } from '../sync/mirror/open-mirror.ts';
import type { Mirror } from '../sync/mirror/mirror.ts';
import { siteDn } from '../subscription/topology-objects.ts';
import { Organisation } from '../sync/organisation/organisation.ts';
import { SiteMembers } from '../sync/organisation/site-members.ts';
import { CredentialRecords } from '../sync/renewal/credential-records.ts';
import { openPairStore } from '../sync/renewal/pair-store.ts';
import { Renewals } from '../sync/renewal/renewals.ts';
import { certificateRoutes } from './certificate-routes.ts';
import { certificateDocument, certificateWarnings, peerCertificate } from './certificate-view.ts';
import { configuredIdentity, rolloverOptions } from './configured-identity.ts';
import { directoryRoutes, noDirectoryHere } from './directory-routes.ts';
import { type DaemonParts, runDaemon } from './frame.ts';
import { openHubCertificates } from './hub/certificates.ts';
import { hubStoreFolder, openHubConfiguration } from './hub/configuration.ts';
import { credentialRoutes } from './hub/credential-routes.ts';
import { domainRoutes } from './hub/domain-routes.ts';
import { EdgeRegister } from './hub/edge-facts.ts';
import { Links } from './hub/links.ts';
import { memberRoutes } from './hub/member-routes.ts';
import { watchSite } from './hub/site-watch.ts';
import { openSource } from './hub/source.ts';
import { hubStatus, NO_SOURCE } from './hub/status.ts';
import { endSubscription, subscriptionRoutes } from './hub/subscription-routes.ts';
import { syncRoutes } from './hub/sync-routes.ts';
import { keepNurserySmall } from './nursery.ts';

/** Runs until `signal` aborts; throws when it cannot start, or when a store has failed. */
export function runHub(config: HubConfig, signal: AbortSignal): Promise<void> {
  keepNurserySmall();
  return runDaemon('hub', config, signal, (parts) => startHub(config, parts));
}

async function startHub(config: HubConfig, parts: DaemonParts): Promise<void> {
  const { files, clock, random, log, lifecycle, signal, onFatal } = parts;
  const startedAt = clock.now();
  const configured = configuredIdentity(config.identity, { files, clock, role: 'hub', fqdn: config.fqdn });
  const node = await openHubNode({
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
  const hub: HubNode = {
    name: config.name,
    fqdn: node.fqdn,
    get identity() {
      return node.identity;
    },
    get formerPins() {
      const { formerIdentity } = trust.value;
      return formerIdentity === undefined ? [] : [formerIdentity.pin];
    },
    get sealingKeys() {
      return sealingKeys(trust.value);
    },
  };
  // Judged before anything else is begun: a wrong [source] is said at once.
  const source = config.source === undefined ? undefined : await openSource(config.source, clock);
  const configuration = await openHubConfiguration(
    { shared: config.configuration, data: config.data, files, clock, random, log, onFatal },
    lifecycle,
  );
  const { identities, rollover } = openHubCertificates({
    config,
    node,
    hub,
    configured,
    directory: configuration.face,
    base: configuration.base,
    parts,
    organisation: () => organisation,
    links: () => links,
  });
  const pairs = await openPairStore({
    folder: join(config.data, 'pairs'),
    files,
    clock,
    random,
    log: log.child('credentials'),
    onFatal,
  });
  lifecycle.add('pairs', () => pairs[Symbol.asyncDispose]());
  const place = {
    directory: configuration.face,
    base: configuration.base,
    trust,
    hub,
    site: config.site,
    lastNumber: (edge: string) => pairs.lastNumber(edge),
  };
  const organisation: Organisation = new Organisation({ ...place, identities });
  await organisation.ensure();
  const members = new SiteMembers({
    ...place,
    organisation,
    shared: configuration.shared !== undefined,
    lifetimeMs: config.credentials.lifetime,
    random,
    log: log.child('site'),
  });

  let mirror: Mirror | undefined;
  let follower: SourceFollower | undefined;
  if (source !== undefined) {
    const folder = join(config.data, 'mirror');
    mirror = await openMirror({ folder, files, clock, random, log: log.child('mirror'), onFatal });
    const opened = mirror;
    lifecycle.add('mirror', () => opened.close());
    follower = new SourceFollower({
      ...source,
      mirror,
      clock,
      random,
      log: log.child('source'),
      pollEveryMs: config.schedule.recipients,
      onConfirmed: () => links.confirm(),
    });
    const started = follower;
    lifecycle.add('source', () => started.stop());
  }
  const renewals = new Renewals({
    hub,
    edge: (name) => organisation.edge(name),
    address: (name) => organisation.address(name),
    store: pairs,
    records: new CredentialRecords({ ...place, clock, random }),
    timings: renewalTimings(config.credentials),
    clock,
    random,
    log: log.child('credentials'),
    onPublished: (edge) => links.find(edge)?.pokeConfiguration(),
    onSwitched: (edge) => links.find(edge)?.restart(),
  });
  lifecycle.add('renewals', () => renewals.stop());
  const links: Links = new Links({
    organisation,
    renewals,
    hubName: config.name,
    mirror,
    // Whoever has no source could only keep those away that have one.
    standsBy: () => source === undefined && Object.keys(trust.value.peers).length > 0,
    lastConfirmed: () => follower?.lastConfirmed,
    lockMs: config.lease.lock,
    renewBelowMs: config.lease.renew_below,
    confirmEveryMs: config.schedule.recipients,
    clock,
    random,
    log,
  });
  lifecycle.add('links', () => links.stopAll());
  const register = new EdgeRegister({ organisation, links, renewals, hubName: config.name });

  const certificates = (): CertificateDocument =>
    certificateDocument({
      role: 'hub',
      name: config.name,
      node,
      keeper: rollover,
      timings: rolloverOptions(config.rollover).timings,
      configured: configured !== undefined,
      peers: organisation.edges().map((edge) => peerCertificate('edge', edge)),
      unproved: members.unproved.map(({ pin, ...rest }) => ({
        ...rest,
        fingerprint: formatFingerprint(pin),
      })),
      now: clock.now(),
    });
  const app = createControlApp(log);
  certificateRoutes(app, { role: 'hub', fqdn: hub.fqdn, keeper: rollover, document: certificates, clock });
  app.get('/v1/status', async (context) => {
    const [edges, domains] = [await register.facts(true), await organisation.domains()];
    return context.json(
      hubStatus({
        name: config.name,
        fqdn: hub.fqdn,
        site: config.site,
        now: clock.now(),
        startedAt,
        fingerprint: formatFingerprint(hub.identity.pin),
        source: follower?.status ?? NO_SOURCE,
        edges,
        domains: domains.length,
        memoryBytes: process.memoryUsage.rss(),
        certificateWarnings: certificateWarnings(certificates()),
        repairedCopies: trust.repaired.length,
      }),
    );
  });
  app.get('/v1/key', (context) => {
    const sealingStatement = Buffer.from(trust.value.sealingStatement);
    const { name, fqdn, identity } = hub;
    return context.json({ text: writeHubPublic({ name, fqdn, identity, sealingStatement }) });
  });
  const lifetimeMs = config.credentials.lifetime;
  const common = { organisation, links, renewals, register, clock, log, signal };
  subscriptionRoutes(app, { ...common, trust, hub, random, lifetimeMs });
  credentialRoutes(app, { ...common, hubName: config.name });
  memberRoutes(app, { members, links, renewals, clock });
  domainRoutes(app, common);
  syncRoutes(app, { ...common, follower, mirror });
  if (configuration.embedded === undefined) noDirectoryHere(app, config.configuration?.url ?? '');
  else
    directoryRoutes(app, {
      role: 'hub',
      name: config.name,
      ...configuration.embedded,
      folder: hubStoreFolder(config.data),
      files,
      ownEntries: [],
    });

  follower?.start();
  renewals.start();
  for (const { name } of organisation.edges()) {
    const phase = pairs.get(name)?.pair.phase;
    if (phase !== 'leaving' && phase !== 'ended') links.start(name);
    else
      void endSubscription(name, { organisation, renewals, trust }).catch((error: unknown) =>
        log.warn('a subscription that was removed is not quite gone: remove it again', { edge: name, error }),
      );
  }
  rollover.start();
  comparePeriodically(
    links,
    clock,
    Math.min(config.schedule.configuration, config.schedule.topology),
    lifecycle,
  );
  if (configuration.shared !== undefined)
    watchSite(
      {
        directory: configuration.shared,
        site: siteDn(config.site, configuration.base),
        members,
        links,
        everyMs: config.schedule.site,
        clock,
        log: log.child('site'),
        signal,
      },
      lifecycle,
    );
  const control = await serveControl(app, join(config.data, 'control.sock'));
  lifecycle.add('control socket', () => control.stop());
  log.info('hub is running', {
    hub: config.name,
    version: VERSION,
    edges: organisation.edges().length,
    recipients: mirror?.size,
    source: source?.feed.identity.instance ?? 'none',
    fingerprint: formatFingerprint(hub.identity.pin),
  });
}

/** Topology and domains are pushed when they change; now and then they are compared all the same. */
function comparePeriodically(links: Links, clock: Clock, everyMs: number, lifecycle: Lifecycle): void {
  const compare = (): void => {
    links.poke();
    timer = clock.after('hub.configuration', everyMs, compare, { background: true });
  };
  let timer = clock.after('hub.configuration', everyMs, compare, { background: true });
  lifecycle.add('schedule', () => timer.cancel());
}

function sealingKeys({ sealingKeys: [newest, ...older] }: HubTrustState): HubNode['sealingKeys'] {
  if (newest === undefined) throw new PosternError('internal', 'this hub has no sealing key');
  return [newest, ...older];
}
