/**
 * The parts of a hub that look after its credentials, within one process: real records, real sessions to a real edge. Its disk is in memory, can be
 * copied, and outlives it.
 *
 *   const hub = await LivingHub.make('hub1', { directory, clock });
 *   await hub.import(await site.file()); hub.start();
 *   clock.shift(12 * HOUR); await hub.look();
 */
import { join } from 'node:path';
import type { Clock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import type { HubNode } from '../../src/credential/issue.ts';
import type { HubPair } from '../../src/credential/lifecycle/hub-pair.ts';
import { DEFAULT_TIMINGS, type RenewalTimings } from '../../src/credential/schedule.ts';
import { createMemoryStore, type RecordStore } from '../../src/directory/store/store.ts';
import { readSubscriptionFile } from '../../src/subscription/file-reader.ts';
import { type Node, openHubNode } from '../../src/subscription/node.ts';
import type { HubTrustState } from '../../src/subscription/trust-state.ts';
import type { ConfigurationDirectory } from '../../src/sync/organisation/configuration-directory.ts';
import { Organisation } from '../../src/sync/organisation/organisation.ts';
import { SiteMembers } from '../../src/sync/organisation/site-members.ts';
import { EdgeLink, type EdgeLinkOptions } from '../../src/sync/push/edge-link.ts';
import { CredentialRecords } from '../../src/sync/renewal/credential-records.ts';
import { PairStore } from '../../src/sync/renewal/pair-store.ts';
import { Renewals } from '../../src/sync/renewal/renewals.ts';
import { FakeFiles } from '../fakes/files.ts';

const EDGE = 'edge1';
const SITE = 'Default-Site';

export interface LivingHubOptions {
  readonly directory: ConfigurationDirectory;
  readonly clock: Clock;
  readonly timings?: RenewalTimings;
  /** What was on the disk of the one before: it is this one again. */
  readonly disk?: HubDisk;
  /** In front of whatever reaches the disk or the edge. */
  readonly before?: (what: string) => void;
}

export interface HubDisk {
  readonly node: Node<HubTrustState>;
  readonly pairs: RecordStore;
}

export class LivingHub implements AsyncDisposable {
  readonly name: string;
  readonly hub: HubNode;
  readonly disk: HubDisk;
  readonly organisation: Organisation;
  readonly members: SiteMembers;
  readonly records: CredentialRecords;
  readonly renewals: Renewals;
  readonly #clock: Clock;
  readonly #links: EdgeLink[] = [];

  private constructor(name: string, hub: HubNode, disk: HubDisk, options: LivingHubOptions) {
    const { clock, before = () => undefined } = options;
    this.name = name;
    this.hub = hub;
    this.disk = disk;
    this.#clock = clock;
    const store = new PairStore(disk.pairs, silentLog);
    const directory = watched(options.directory, before);
    const lastNumber = (edge: string): number | undefined => store.lastNumber(edge);
    const place = { directory, trust: disk.node.store, hub, site: SITE, base: '', lastNumber };
    const surroundings = { clock, random: systemRandom, log: silentLog };
    this.organisation = new Organisation(place);
    this.members = new SiteMembers({
      ...place,
      ...surroundings,
      organisation: this.organisation,
      shared: true,
      lifetimeMs: DEFAULT_TIMINGS.lifetimeMs,
    });
    this.records = new CredentialRecords({ ...place, ...surroundings });
    const put = store.put.bind(store);
    store.put = async (stored) => {
      before('the state is written');
      await put(stored);
      before('the state is on the disk');
    };
    this.renewals = new Renewals({
      ...surroundings,
      hub,
      store,
      records: this.records,
      timings: options.timings ?? DEFAULT_TIMINGS,
      edge: (edge) => this.organisation.edge(edge),
      address: (edge) => {
        before('the edge is called');
        return this.organisation.address(edge);
      },
      onPublished: () => this.#links.forEach((link) => link.pokeConfiguration()),
      onSwitched: () => this.#links.forEach((link) => link.restart()),
    });
  }

  static async make(name: string, options: LivingHubOptions): Promise<LivingHub> {
    const surroundings = { clock: options.clock, random: systemRandom, log: silentLog };
    const place = { files: new FakeFiles(), folder: join('/var/lib', name), fqdn: `${name}.localhost` };
    const disk = options.disk ?? {
      node: await openHubNode({ ...surroundings, ...place }),
      pairs: createMemoryStore(),
    };
    const { node } = disk;
    const [first, ...rest] = node.store.value.sealingKeys;
    if (first === undefined) throw new Error('a node has a sealing key');
    const hub: HubNode = { name, fqdn: node.fqdn, identity: node.identity, sealingKeys: [first, ...rest] };
    const living = new LivingHub(name, hub, disk, options);
    await living.organisation.ensure();
    return living;
  }

  async import(file: Uint8Array): Promise<void> {
    await this.organisation.importSubscription({
      file: readSubscriptionFile(file),
      now: this.#clock.now(),
      random: systemRandom,
    });
  }

  /** Each trusts the other by an administrator's word; this one is there already. */
  async admit(other: LivingHub): Promise<void> {
    await other.members.join(this.hub.identity.pin, this.#clock.now());
    await this.members.approve(other.name, other.hub.identity.pin, this.#clock.now());
    await other.members.adopt(this.#clock.now());
  }

  /** A link to the edge; `change` for what is to be different. Stopped with the hub. */
  link(change: Partial<EdgeLinkOptions> = {}): EdgeLink {
    const clock = this.#clock;
    const link = new EdgeLink({
      standsBy: () => false,
      name: EDGE,
      hubName: this.name,
      target: () => this.organisation.target(EDGE, clock.now()),
      open: (signal) => this.renewals.of(EDGE).open(signal),
      onEstablished: () => this.organisation.established(EDGE, clock.now()),
      mirror: undefined,
      lastConfirmed: () => undefined,
      clock,
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

  /** One cycle of the pair, as at the moment that it has asked for. */
  look(): Promise<void> {
    return this.renewals.of(EDGE).look(this.renewals.signal);
  }

  get pair(): HubPair {
    const { pair } = this.renewals.of(EDGE);
    if (pair === undefined) throw new Error('the pair was not looked at yet');
    return pair;
  }

  get warnings(): string[] {
    return Object.keys(this.pair.warnings).sort();
  }

  /** The disk as it is now: a backup, or what another copy of this hub starts from. */
  copyDisk(): HubDisk {
    const pairs = createMemoryStore();
    const batch = pairs.begin();
    this.disk.pairs.scan((_id, buffer, start, end) => batch.add(Buffer.from(buffer.subarray(start, end))));
    void batch.commit();
    return { node: this.disk.node, pairs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#links.map((link) => link.stop()));
    await this.renewals.stop();
  }
}

function watched(directory: ConfigurationDirectory, before: (what: string) => void): ConfigurationDirectory {
  return {
    read: (dn) => directory.read(dn),
    list: (dn, attributes) => directory.list(dn, attributes),
    async apply(changes) {
      before('the configuration directory is written');
      await directory.apply(changes);
      before('the configuration directory is on the disk');
    },
  };
}
