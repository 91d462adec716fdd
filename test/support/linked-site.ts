/**
 * A real edge and a hub's parts within one process: links to it can be made, watched and broken, and the edge's directory is at hand.
 *
 *   await using site = await LinkedSite.start();
 *   const link = site.link(); link.start();
 *   await site.feed(upsert(1, 'a@example.org'), complete(true));
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { systemFiles } from '../../src/base/files.ts';
import { Lifecycle } from '../../src/base/lifecycle.ts';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import { type EdgeConfig, edgeConfigSchema } from '../../src/config/edge-config.ts';
import type { HubNode } from '../../src/credential/issue.ts';
import { DEFAULT_PASSWORD_POLICY } from '../../src/credential/password.ts';
import { DEFAULT_TIMINGS } from '../../src/credential/schedule.ts';
import { startListeners } from '../../src/daemon/edge/listeners.ts';
import { type EdgeServices, openEdgeServices } from '../../src/daemon/edge/services.ts';
import type { DaemonParts } from '../../src/daemon/frame.ts';
import type { TrustStore } from '../../src/certificate/trust-store.ts';
import { embedded } from '../../src/daemon/hub/configuration.ts';
import type { Directory } from '../../src/directory/directory.ts';
import { createMemoryStore } from '../../src/directory/store/store.ts';
import { createSubscription, type EdgeDescription } from '../../src/subscription/edge-subscription.ts';
import type { EdgeTrustState } from '../../src/subscription/trust-state.ts';
import { readSubscriptionFile } from '../../src/subscription/file-reader.ts';
import { openEdgeNode, openHubNode } from '../../src/subscription/node.ts';
import type { Mirror } from '../../src/sync/mirror/mirror.ts';
import type { Pass } from '../../src/sync/mirror/pass.ts';
import { Organisation } from '../../src/sync/organisation/organisation.ts';
import { EdgeLink, type EdgeLinkOptions } from '../../src/sync/push/edge-link.ts';
import type { LinkStatus } from '../../src/sync/push/link-status.ts';
import { CredentialRecords } from '../../src/sync/renewal/credential-records.ts';
import { PairStore } from '../../src/sync/renewal/pair-store.ts';
import { Renewals } from '../../src/sync/renewal/renewals.ts';
import type { FeedEvent } from '../../src/sync/source/source.ts';
import { FakeFiles } from '../fakes/files.ts';
import { map, openTestMirror, packCookie } from './mirror.ts';
import { testDirectory } from './served-directory.ts';
import { freePorts } from './slapd.ts';

const NAME = 'edge1';

export class LinkedSite implements AsyncDisposable {
  readonly services: EdgeServices;
  readonly organisation: Organisation;
  readonly renewals: Renewals;
  readonly mirror: Mirror;
  readonly ldapsPort: number;
  /** The edge's. */
  readonly trust: TrustStore<EdgeTrustState>;
  readonly clock: Clock;
  /** Makes another subscription file. */
  readonly file: () => Promise<Buffer>;
  /** Names of entries that were written on the edge, in order; cn=Sync and cn=Accounts left out. */
  readonly written: string[] = [];
  readonly #lifecycle: Lifecycle;
  readonly #links: EdgeLink[] = [];
  #pass: Pass | undefined;

  private constructor(
    services: EdgeServices,
    { organisation, renewals }: HubParts,
    mirror: Mirror,
    lifecycle: Lifecycle,
    edge: Pick<LinkedSite, 'ldapsPort' | 'trust' | 'clock' | 'file'>,
  ) {
    this.services = services;
    this.organisation = organisation;
    this.renewals = renewals;
    this.mirror = mirror;
    this.ldapsPort = edge.ldapsPort;
    this.trust = edge.trust;
    this.clock = edge.clock;
    this.file = edge.file;
    this.#lifecycle = lifecycle;
    services.directory.onChange((changes) => {
      for (const { before, after } of changes) {
        const dn = (after ?? before)?.dn ?? '';
        if (!/cn=(Sync|Accounts)$/.test(dn)) this.written.push(dn);
      }
    });
  }

  get directory(): Directory {
    return this.services.directory;
  }

  /** An edge that listens, and a hub that has imported its file; no link yet. */
  static async start(
    edgeTable: Record<string, unknown> = {},
    clock: Clock = systemClock,
  ): Promise<LinkedSite> {
    const lifecycle = new Lifecycle(silentLog);
    const parts = partsOf(lifecycle, clock);
    const data = await mkdtemp(join(tmpdir(), 'postern-linked-'));
    lifecycle.add('folder', () => rm(data, { recursive: true, force: true }));
    const [port] = await freePorts();
    const config = edgeConfigSchema.parse({
      name: NAME,
      fqdn: `${NAME}.localhost`,
      data,
      listen: { ldaps: `127.0.0.1:${port}`, ldap: [], socketmap: [`unix:${data}/socketmap`] },
      ...edgeTable,
    });
    const { services, edge, trust } = await startEdge(config, parts);
    const hub = await makeHub(clock);
    lifecycle.add('renewals', () => hub.renewals.stop());
    const file = async (): Promise<Buffer> => {
      const around = { store: trust, edge, clock, random: systemRandom, log: silentLog };
      return (await createSubscription(around, {})).bytes;
    };
    await hub.organisation.importSubscription({
      file: readSubscriptionFile(await file()),
      now: clock.now(),
      random: systemRandom,
    });
    const mirror = openTestMirror(createMemoryStore());
    return new LinkedSite(services, hub, mirror, lifecycle, { ldapsPort: port, trust, clock, file });
  }

  /** A link of this hub; `change` for what is to be different. Stopped with the site. */
  link(change: Partial<EdgeLinkOptions> = {}): EdgeLink {
    const link = new EdgeLink({
      standsBy: () => false,
      name: NAME,
      hubName: 'hub1',
      target: () => this.organisation.target(NAME, this.clock.now()),
      open: (signal) => this.renewals.of(NAME).open(signal),
      onEstablished: () => this.organisation.established(NAME, this.clock.now()),
      mirror: this.mirror,
      lastConfirmed: () => undefined,
      clock: this.clock,
      random: systemRandom,
      log: silentLog,
      lockMs: 60_000,
      renewBelowMs: 40_000,
      confirmEveryMs: 60_000,
      ...change,
    });
    this.#links.push(link);
    return link;
  }

  /** Applies events as a feed would deliver them; the first call, and one after `reopen`, opens the feed. */
  async feed(...events: FeedEvent[]): Promise<void> {
    this.#pass ??= await this.mirror.begin({ map, packCookie });
    await this.#pass.apply(events);
    await this.mirror.flushed();
  }

  reopen(): void {
    this.#pass = undefined;
  }

  /** Canonical names of what stands under cn=Recipients. */
  recipients(): string[] {
    const { tree } = this.directory.database;
    const parent = this.directory.resolve('cn=Recipients');
    const names: string[] = [];
    for (let id = tree.firstChild(parent); id !== 0; id = tree.nextSibling(id))
      names.push(this.directory.database.dnText(id));
    return names.sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#links.map((link) => link.stop()));
    await this.#lifecycle.stop();
  }
}

/** Resolves when the status of a link fits. */
export function linkIs(link: EdgeLink, fits: (status: LinkStatus) => boolean): Promise<LinkStatus> {
  return new Promise((resolve) => {
    const look = (status: LinkStatus): void => {
      if (!fits(status)) return;
      unwatch();
      resolve(status);
    };
    const unwatch = link.watch(look);
    look(link.status);
  });
}

function partsOf(lifecycle: Lifecycle, clock: Clock): DaemonParts {
  return {
    files: systemFiles,
    clock,
    random: systemRandom,
    log: silentLog,
    lifecycle,
    signal: new AbortController().signal,
    onFatal: (error) => {
      throw error;
    },
  };
}

async function startEdge(config: EdgeConfig, parts: DaemonParts) {
  const { files, clock, random, log, lifecycle } = parts;
  const node = await openEdgeNode({ files, clock, random, log, folder: config.data, fqdn: config.fqdn });
  const trust = node.store;
  lifecycle.add('trust store', () => trust.close());
  const edge: EdgeDescription = {
    name: config.name,
    fqdn: node.fqdn,
    port: config.listen.ldaps.kind === 'tcp' ? config.listen.ldaps.port : undefined,
    identity: node.identity,
    sealingStatement: Buffer.from(trust.value.sealingStatement),
    policy: DEFAULT_PASSWORD_POLICY,
    productVersion: 'Postern test',
  };
  const services = await openEdgeServices(config, edge, node, parts);
  const { lookups } = services;
  await startListeners(
    { config, ...services, identity: () => node.identity, tables: lookups.tables(), clock, log },
    lifecycle,
  );
  return { services, edge, trust };
}

interface HubParts {
  readonly organisation: Organisation;
  readonly renewals: Renewals;
}

async function makeHub(clock: Clock): Promise<HubParts> {
  const node = await openHubNode({
    files: new FakeFiles(),
    clock,
    random: systemRandom,
    log: silentLog,
    folder: '/var/lib/hub1',
    fqdn: 'hub1.localhost',
  });
  const [first, ...rest] = node.store.value.sealingKeys;
  if (first === undefined) throw new Error('a node has a sealing key');
  const hub: HubNode = {
    name: 'hub1',
    fqdn: node.fqdn,
    identity: node.identity,
    sealingKeys: [first, ...rest],
  };
  const directory = testDirectory({
    contexts: ['cn=Postern'],
    access: { rules: [], secrets: [] },
  });
  const place = { directory: embedded(directory), trust: node.store, hub, site: 'Default-Site', base: '' };
  const organisation = new Organisation(place);
  await organisation.ensure();
  const surroundings = { clock, random: systemRandom };
  const renewals = new Renewals({
    ...surroundings,
    hub,
    edge: (name) => organisation.edge(name),
    address: (name) => organisation.address(name),
    store: new PairStore(createMemoryStore(), silentLog),
    records: new CredentialRecords({ ...place, ...surroundings }),
    timings: DEFAULT_TIMINGS,
    log: silentLog,
    onPublished: () => undefined,
    onSwitched: () => undefined,
  });
  return { organisation, renewals };
}
