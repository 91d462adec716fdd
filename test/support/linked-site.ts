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
import { DEFAULT_PASSWORD_POLICY } from '../../src/credential/password.ts';
import { startListeners } from '../../src/daemon/edge/listeners.ts';
import { type EdgeServices, openEdgeServices } from '../../src/daemon/edge/services.ts';
import type { DaemonParts } from '../../src/daemon/frame.ts';
import type { TrustStore } from '../../src/certificate/trust-store.ts';
import { embedded } from '../../src/daemon/hub/configuration.ts';
import type { Directory } from '../../src/directory/directory.ts';
import { createMemoryStore } from '../../src/directory/store/store.ts';
import { createSubscription, type EdgeDescription } from '../../src/subscription/edge-subscription.ts';
import type { EdgeTrustState } from '../../src/subscription/trust-state.ts';
import { openEdgeNode } from '../../src/subscription/node.ts';
import type { Mirror } from '../../src/sync/mirror/mirror.ts';
import type { Pass } from '../../src/sync/mirror/pass.ts';
import type { ConfigurationDirectory } from '../../src/sync/organisation/configuration-directory.ts';
import type { Organisation } from '../../src/sync/organisation/organisation.ts';
import type { EdgeLink, EdgeLinkOptions } from '../../src/sync/push/edge-link.ts';
import type { LinkStatus } from '../../src/sync/push/link-status.ts';
import type { FeedEvent } from '../../src/sync/source/source.ts';
import { LivingHub } from './living-hub.ts';
import { map, openTestMirror, packCookie } from './mirror.ts';
import { testDirectory } from './served-directory.ts';
import { freePorts } from './slapd.ts';

const NAME = 'edge1';

export class LinkedSite implements AsyncDisposable {
  readonly services: EdgeServices;
  readonly hub: LivingHub;
  /** The configuration directory of the hub, and of others that are to share it. */
  readonly configuration: ConfigurationDirectory;
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
  #pass: Pass | undefined;

  private constructor(
    services: EdgeServices,
    hub: LivingHub,
    mirror: Mirror,
    lifecycle: Lifecycle,
    edge: Pick<LinkedSite, 'ldapsPort' | 'trust' | 'clock' | 'file' | 'configuration'>,
  ) {
    this.services = services;
    this.hub = hub;
    this.configuration = edge.configuration;
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

  get organisation(): Organisation {
    return this.hub.organisation;
  }

  get directory(): Directory {
    return this.services.directory;
  }

  /** An edge that listens, and a hub that has imported its file; no link yet. */
  static async start(
    edgeTable: Record<string, unknown> = {},
    clock: Clock = systemClock,
    hubClock: Clock = clock,
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
    const context = { contexts: ['cn=Postern'], access: { rules: [], secrets: [] } };
    const configuration = embedded(testDirectory(context));
    const hub = await LivingHub.make('hub1', { directory: configuration, clock: hubClock });
    lifecycle.add('hub', () => hub[Symbol.asyncDispose]());
    const file = async (): Promise<Buffer> => {
      const around = { store: trust, edge, clock, random: systemRandom, log: silentLog };
      return (await createSubscription(around, {})).bytes;
    };
    await hub.import(await file());
    const mirror = openTestMirror(createMemoryStore());
    const around = { ldapsPort: port, trust, clock, file, configuration };
    return new LinkedSite(services, hub, mirror, lifecycle, around);
  }

  /** A link of this hub; `change` for what is to be different. Stopped with the site. */
  link(change: Partial<EdgeLinkOptions> = {}): EdgeLink {
    return this.hub.link({ mirror: this.mirror, ...change });
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
