/**
 * A site of many hubs and edges within one process, out of the daemons' own parts: all hubs and edges stand in one configuration directory with real
 * sealed and signed records, and every hub knows every edge; some of the edges are alive, listen, and are talked to over pinned TLS by all hubs.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock as clock } from '../../src/base/clock.ts';
import { systemFiles } from '../../src/base/files.ts';
import { Lifecycle } from '../../src/base/lifecycle.ts';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom as random } from '../../src/base/random.ts';
import { edgeConfigSchema } from '../../src/config/edge-config.ts';
import { createAddressKey, createAddressKeyRecord } from '../../src/credential/address-key.ts';
import { type HubNode, issueCredential } from '../../src/credential/issue.ts';
import { DEFAULT_PASSWORD_POLICY } from '../../src/credential/password.ts';
import type { SealingRecipient } from '../../src/credential/record.ts';
import { DEFAULT_TIMINGS, firstWindow } from '../../src/credential/schedule.ts';
import { startListeners } from '../../src/daemon/edge/listeners.ts';
import { openEdgeServices } from '../../src/daemon/edge/services.ts';
import { embedded } from '../../src/daemon/hub/configuration.ts';
import { openStore } from '../../src/directory/store/store.ts';
import { recipientOf } from '../../src/subscription/membership.ts';
import { openEdgeNode, openHubNode } from '../../src/subscription/node.ts';
import { addTopologyObject, edgeDn, hubDn, siteContainers } from '../../src/subscription/topology-objects.ts';
import type { HubTrustState, PeerHub, SubscribedEdge } from '../../src/subscription/trust-state.ts';
import type { TrustStore } from '../../src/certificate/trust-store.ts';
import { Organisation } from '../../src/sync/organisation/organisation.ts';
import { EdgeLink } from '../../src/sync/push/edge-link.ts';
import { CredentialRecords } from '../../src/sync/renewal/credential-records.ts';
import { PairStore } from '../../src/sync/renewal/pair-store.ts';
import { Renewals } from '../../src/sync/renewal/renewals.ts';
import { FakeFiles } from '../../test/fakes/files.ts';
import { testDirectory } from '../../test/support/served-directory.ts';
import { freePorts } from '../../test/support/slapd.ts';

const SITE = 'Default-Site';

interface Hub {
  readonly node: HubNode;
  readonly trust: TrustStore<HubTrustState>;
  readonly recipient: SealingRecipient;
  readonly organisation: Organisation;
  readonly renewals: Renewals;
}

interface Edge {
  readonly name: string;
  readonly subscribed: SubscribedEdge;
  readonly statement: Buffer;
  /** Admits hubs, and begins to listen. */
  readonly live: ((hubs: readonly Hub[]) => Promise<void>) | undefined;
}

export interface FleetSize {
  readonly hubs: number;
  readonly edges: number;
  readonly live: number;
}

export class Fleet implements AsyncDisposable {
  readonly hubs: readonly Hub[];
  /** Names of edges that answer. */
  readonly live: readonly string[];
  /** Of the first hub, which holds the leases. */
  readonly links: readonly EdgeLink[];
  readonly #lifecycle: Lifecycle;

  private constructor(
    hubs: readonly Hub[],
    live: readonly string[],
    links: readonly EdgeLink[],
    lifecycle: Lifecycle,
  ) {
    this.hubs = hubs;
    this.live = live;
    this.links = links;
    this.#lifecycle = lifecycle;
  }

  static async build(size: FleetSize): Promise<Fleet> {
    const lifecycle = new Lifecycle(silentLog);
    const folder = await mkdtemp(join(tmpdir(), 'fleet-'));
    lifecycle.add('folder', () => rm(folder, { recursive: true, force: true }));
    const directory = embedded(
      testDirectory({ contexts: ['cn=Postern'], access: { rules: [], secrets: [] } }),
    );
    for (const container of siteContainers(SITE, '')) await directory.apply([container]);
    const links: EdgeLink[] = [];
    const poke = (edge: string): void => links.find(({ name }) => name === edge)?.pokeConfiguration();
    const hubs: Hub[] = [];
    for (let number = 1; number <= size.hubs; number++)
      hubs.push(await makeHub(`hub${number}`, folder, directory, poke, lifecycle));
    const edges: Edge[] = [];
    for (let number = 1; number <= size.edges; number++)
      edges.push(await makeEdge(`edge${number}`, folder, number <= size.live, lifecycle));

    const ofHub = hubs.map((): Buffer[] => []);
    const keys: Buffer[] = [];
    const window = firstWindow(clock.now());
    for (const { name, subscribed, statement } of edges) {
      const { fqdn, pins, sealingKey } = subscribed;
      const recipient = { name, fqdn, pin: pins.current, sealingKey };
      const credentials: Buffer[] = [];
      for (const [index, { node }] of hubs.entries()) {
        const issued = await issueCredential({
          hub: node,
          edge: recipient,
          number: 0,
          window,
          policy: DEFAULT_PASSWORD_POLICY,
          random,
        });
        credentials.push(issued.recordForEdge);
        ofHub[index]?.push(issued.recordForHub);
      }
      const key = createAddressKey(random);
      const named = { fqdn, createdAt: clock.now() };
      const [{ node, recipient: first }] = hubs as [Hub];
      keys.push(await createAddressKeyRecord(key, named, first, node.identity));
      (subscribed as { addressKeyId: string }).addressKeyId = key.id;
      await directory.apply([
        addTopologyObject(edgeDn(name, SITE), 'posternEdgeServer', {
          name,
          fqdn,
          port: subscribed.port,
          certificates: [subscribed.certificate],
          statements: [statement],
          credentials,
          sealedKeys: [await createAddressKeyRecord(key, named, recipient, node.identity)],
        }),
      ]);
    }
    for (const [index, { node, trust }] of hubs.entries()) {
      await directory.apply([
        addTopologyObject(hubDn(node.name, SITE), 'posternHub', {
          name: node.name,
          fqdn: node.fqdn,
          certificates: [node.identity.certificate.der],
          statements: [Buffer.from(trust.value.sealingStatement)],
          credentials: ofHub[index] ?? [],
          sealedKeys: index === 0 ? keys : [],
        }),
      ]);
      await trust.update((draft) => ({
        ...draft,
        edges: Object.fromEntries(edges.map(({ name, subscribed }) => [name, subscribed])),
        peers: Object.fromEntries(hubs.filter((one) => one.node !== node).map(asPeer)),
      }));
    }
    for (const edge of edges) await edge.live?.(hubs);
    const live = edges.filter((edge) => edge.live !== undefined).map(({ name }) => name);
    const [holder] = hubs as [Hub];
    links.push(...live.map((name) => linkOf(holder, name)));
    lifecycle.add('links', async () => void (await Promise.all(links.map((link) => link.stop()))));
    return new Fleet(hubs, live, links, lifecycle);
  }

  /** The holder brings every credential to the edges that are alive, and each hub binds with its own. */
  async start(): Promise<void> {
    for (const link of this.links) link.start();
    await this.settled();
    for (const { renewals } of this.hubs) {
      for (const name of this.live) await renewals.of(name).look(renewals.signal);
      renewals.start();
    }
  }

  /** What is to be pushed is pushed. */
  async settled(): Promise<void> {
    await Promise.all(
      this.links.map(
        (link) =>
          new Promise<void>((resolve) => {
            const look = (): void => {
              if (!link.status.holdsLease || link.status.configurationDue) return;
              unwatch();
              resolve();
            };
            const unwatch = link.watch(look);
            look();
          }),
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lifecycle.stop();
  }
}

async function makeHub(
  name: string,
  parent: string,
  directory: ReturnType<typeof embedded>,
  poke: (edge: string) => void,
  lifecycle: Lifecycle,
): Promise<Hub> {
  const opened = await openHubNode({
    files: new FakeFiles(),
    clock,
    random,
    log: silentLog,
    folder: `/var/lib/${name}`,
    fqdn: `${name}.localhost`,
  });
  const { store: trust, fqdn, identity } = opened;
  const [first, ...rest] = trust.value.sealingKeys;
  if (first === undefined) throw new Error('a node has a sealing key');
  const node: HubNode = { name, fqdn, identity, sealingKeys: [first, ...rest] };
  const place = { directory, trust, hub: node, site: SITE, base: '' };
  const organisation = new Organisation(place);
  const folder = join(parent, name);
  await mkdir(folder, { recursive: true });
  const store = await openStore({ folder, files: systemFiles, clock, random, log: silentLog, onFatal });
  const pairs = new PairStore(store, silentLog);
  lifecycle.add('pairs', () => pairs[Symbol.asyncDispose]());
  const renewals = new Renewals({
    hub: node,
    edge: (edge) => organisation.edge(edge),
    address: (edge) => organisation.address(edge),
    store: pairs,
    records: new CredentialRecords({ ...place, clock, random }),
    timings: DEFAULT_TIMINGS,
    clock,
    random,
    log: silentLog,
    onPublished: poke,
    onSwitched: () => undefined,
  });
  lifecycle.add('renewals', () => renewals.stop());
  const claimant = asClaimant(name, fqdn, identity.certificate.der, trust.value.sealingStatement);
  return {
    node,
    trust,
    recipient: recipientOf({ object: claimant, pin: identity.pin }),
    organisation,
    renewals,
  };
}

async function makeEdge(name: string, parent: string, lives: boolean, lifecycle: Lifecycle): Promise<Edge> {
  const fqdn = `${name}.localhost`;
  const data = join(parent, name);
  const files = lives ? systemFiles : new FakeFiles();
  if (lives) await mkdir(data, { recursive: true });
  const node = await openEdgeNode({ files, clock, random, log: silentLog, folder: data, fqdn });
  const { store: trust, identity } = node;
  const [port] = lives ? await freePorts() : [50_636];
  const statement = Buffer.from(trust.value.sealingStatement);
  const claimant = asClaimant(name, fqdn, identity.certificate.der, statement);
  const { sealingKey, statedAt } = recipientOf({ object: claimant, pin: identity.pin });
  const subscribed: SubscribedEdge = {
    name,
    fqdn,
    port,
    pins: { current: identity.pin },
    certificate: identity.certificate.der,
    sealingKey: Buffer.from(sealingKey),
    sealingKeyStatedAt: statedAt,
    subscriptionId: name,
    importedAt: clock.now(),
    establishedAt: clock.now(),
    addressKeyId: '',
    accountNumber: 0,
    passwordPolicy: DEFAULT_PASSWORD_POLICY,
  };
  if (!lives) return { name, subscribed, statement, live: undefined };
  lifecycle.add('trust store', () => trust.close());
  const live = async (hubs: readonly Hub[]): Promise<void> => {
    await trust.update((draft) => ({
      ...draft,
      hubs: Object.fromEntries(
        hubs.map(({ node: { name: hub, fqdn: hubFqdn, identity: its } }) => [
          hub,
          {
            name: hub,
            fqdn: hubFqdn,
            pins: { current: its.pin },
            certificate: its.certificate.der,
            admittedAt: clock.now(),
            admittedBy: 'bootstrap' as const,
          },
        ]),
      ),
    }));
    const config = edgeConfigSchema.parse({
      name,
      fqdn,
      data,
      listen: { ldaps: `127.0.0.1:${port}`, ldap: [], socketmap: [`unix:${data}/socketmap`] },
    });
    const edge = {
      name,
      fqdn,
      port,
      identity,
      sealingStatement: statement,
      policy: DEFAULT_PASSWORD_POLICY,
      productVersion: 'Postern bench',
    };
    const signal = new AbortController().signal;
    const parts = { files: systemFiles, clock, random, log: silentLog, lifecycle, signal, onFatal };
    const services = await openEdgeServices(config, edge, node, parts);
    const tables = services.lookups.tables();
    const listeners = { config, ...services, identity: () => node.identity, tables, clock, log: silentLog };
    await startListeners(listeners, lifecycle);
  };
  return { name, subscribed, statement, live };
}

function linkOf({ organisation, renewals, node }: Hub, name: string): EdgeLink {
  return new EdgeLink({
    name,
    hubName: node.name,
    target: () => organisation.target(name, clock.now()),
    open: (signal) => renewals.of(name).open(signal),
    onEstablished: () => Promise.resolve(),
    mirror: undefined,
    standsBy: () => false,
    lastConfirmed: () => undefined,
    clock,
    random,
    log: silentLog,
    lockMs: 360_000,
    renewBelowMs: 240_000,
    confirmEveryMs: 300_000,
  });
}

function asClaimant(name: string, fqdn: string, certificate: Uint8Array, statement: Uint8Array) {
  return {
    name,
    fqdn,
    port: undefined,
    certificates: [Buffer.from(certificate)],
    statements: [Buffer.from(statement)],
    credentials: [],
    sealedKeys: [],
  };
}

function asPeer({ node: { name, fqdn, identity } }: Hub): [string, PeerHub] {
  const peer = {
    name,
    fqdn,
    pin: identity.pin,
    admittedAt: clock.now(),
    admittedBy: 'administrator' as const,
  };
  return [name, peer];
}

function onFatal(error: Error): never {
  throw error;
}
