/**
 * An edge and a hub that know each other, as far as their certificates go: the very parts of the daemons that judge and decide, on disks that can fail,
 * and `contact`, which is what a link does with them over a connection.
 */
import { silentLog } from '../../src/base/log.ts';
import { pinsOf } from '../../src/certificate/peer-pins.ts';
import { pinFromBytes } from '../../src/certificate/pin.ts';
import { STEADY } from '../../src/certificate/rollover/rollover.ts';
import { hasPin } from '../../src/credential/bind.ts';
import { EdgeCertificates } from '../../src/daemon/edge/certificates.ts';
import { EdgeIdentities } from '../../src/daemon/hub/edge-identities.ts';
import { Session } from '../../src/directory/session.ts';
import { decodeIdentities, encodeIdentities } from '../../src/ldap/identity-values.ts';
import { type Node, openEdgeNode, openHubNode } from '../../src/subscription/node.ts';
import { RolloverKeeper } from '../../src/subscription/rollover-keeper.ts';
import type { EdgeTrustState, HubTrustState } from '../../src/subscription/trust-state.ts';
import type { ToldIdentities } from '../../src/sync/push/edge-identity.ts';
import type { FakeClock } from '../fakes/clock.ts';
import { FakeFiles } from '../fakes/files.ts';
import { fakeRandom } from '../fakes/random.ts';

const DAY_MS = 86_400_000;
export const OVERLAP_MS = 14 * DAY_MS;
const TIMINGS = { renewBeforeMs: 30 * DAY_MS, overlapMs: OVERLAP_MS };
const FAR = 100_000 * DAY_MS;

interface Played<T extends HubTrustState | EdgeTrustState> {
  files: FakeFiles;
  node: Node<T>;
  keeper: RolloverKeeper<T>;
}

export type Side = 'edge' | 'hub';

export class RolloverPair {
  readonly clock: FakeClock;
  readonly #random = fakeRandom('rollover');
  edge!: Played<EdgeTrustState> & { certificates: EdgeCertificates };
  hub!: Played<HubTrustState> & { identities: EdgeIdentities };

  private constructor(clock: FakeClock) {
    this.clock = clock;
  }

  static async make(clock: FakeClock): Promise<RolloverPair> {
    const pair = new RolloverPair(clock);
    await pair.start('edge', new FakeFiles());
    await pair.start('hub', new FakeFiles());
    const { edge, hub } = pair;
    await edge.node.store.update((draft) => ({
      ...draft,
      hubs: {
        hub1: {
          name: 'hub1',
          fqdn: hub.node.fqdn,
          pins: { current: hub.node.identity.pin },
          certificate: hub.node.identity.certificate.der,
          admittedAt: 0,
          admittedBy: 'bootstrap',
        },
      },
      accounts: [
        {
          name: 'ESRA.edge1.hub1.0',
          kind: 'esra',
          hub: 'hub1',
          password: { salt: '', digest: '' },
          state: 'active',
          effectiveAt: 0,
          expiresAt: FAR,
        },
      ],
    }));
    await hub.node.store.update((draft) => ({
      ...draft,
      edges: {
        edge1: {
          name: 'edge1',
          fqdn: edge.node.fqdn,
          port: 50636,
          pins: { current: edge.node.identity.pin },
          certificate: edge.node.identity.certificate.der,
          sealingKey: edge.node.store.value.sealingKeys[0]?.publicKey ?? Buffer.alloc(0),
          sealingKeyStatedAt: 0,
          subscriptionId: 'x',
          importedAt: 0,
          establishedAt: 0,
          addressKeyId: '',
          accountNumber: 0,
          passwordPolicy: { shortest: 1, longest: 128, upper: 0, lower: 0, digit: 0, symbol: 0 },
        },
      },
    }));
    return pair;
  }

  /** A process begins, on what is on its disk. */
  async start(side: Side, files: FakeFiles): Promise<void> {
    const { clock } = this;
    const around = { files, clock, random: this.#random, log: silentLog };
    const common = {
      ...around,
      folder: '/data',
      timings: TIMINGS,
      validDays: 3650,
      onChange: () => undefined,
    };
    if (side === 'edge') {
      const node = await openEdgeNode({ ...around, folder: '/data', fqdn: 'edge1.example' });
      const certificates: EdgeCertificates = new EdgeCertificates({
        node,
        keeper: () => keeper,
        overlapMs: OVERLAP_MS,
        clock,
        log: silentLog,
      });
      const keeper: RolloverKeeper<EdgeTrustState> = new RolloverKeeper({
        ...common,
        node,
        facts: () => certificates.facts(),
        care: () => certificates.settle(),
      });
      this.edge = { files, node, keeper, certificates };
    } else {
      const node = await openHubNode({ ...around, folder: '/data', fqdn: 'hub1.example' });
      const identities: EdgeIdentities = new EdgeIdentities({
        node,
        keeper: () => keeper,
        overlapMs: OVERLAP_MS,
        clock,
        log: silentLog,
        onChanged: () => undefined,
      });
      const keeper: RolloverKeeper<HubTrustState> = new RolloverKeeper({
        ...common,
        node,
        facts: () => ({ peers: Object.keys(node.store.value.edges), resealed: true }),
        care: () => identities.settle(),
      });
      this.hub = { files, node, keeper, identities };
    }
  }

  /** Killed, and started again: what was not on the disk is gone. */
  async kill(side: Side): Promise<void> {
    const { files, keeper } = this[side];
    files.powerOffAtStep(files.steps);
    const survived = files.powerLoss({ unsynced: 'random', seed: String(this.clock.now()) });
    await keeper.stop();
    await this.start(side, survived);
  }

  /** A copy of the disk as it is now. */
  backup(side: Side): FakeFiles {
    return this[side].files.survivor({ unsynced: 'dropped' });
  }

  async restore(side: Side, backup: FakeFiles): Promise<void> {
    await this[side].keeper.stop();
    await this.start(side, backup);
  }

  /** One session: undefined when each accepted the other, else who did not. */
  async contact(): Promise<string | undefined> {
    const link = this.hub.identities.of('edge1');
    const shown = this.edge.node.identity.pin;
    const known = this.hub.node.store.value.edges['edge1'];
    if (known === undefined) return 'the hub has lost its edge';
    if (!pinsOf(known.pins).includes(shown)) {
      const heard = await this.#told({ statements: [], holds: [] });
      if ((await link.follow(heard.statements, shown)) === undefined)
        return 'the hub does not accept the edge';
    }
    const own = this.hub.identities.shown('edge1').pin;
    if (link.introduces) await this.#told(link.told());
    const admitted = this.edge.node.store.value.hubs['hub1'];
    if (admitted === undefined || !hasPin(admitted, own)) {
      link.refused();
      return 'the edge does not accept the hub';
    }
    this.edge.certificates.bound('hub1', own);
    await link.met(await this.#told(link.told()), shown, own);
    await this.edge.keeper.cycle();
    await this.hub.keeper.cycle();
    return undefined;
  }

  async #told({ statements, holds }: ToldIdentities): Promise<ToldIdentities> {
    const { certificate } = this.hub.identities.shown('edge1');
    const session = new Session({ kind: 'tls', peerCertificate: certificate.der });
    const request = encodeIdentities({ statements, holds: holds.map((pin) => Buffer.from(pin, 'base64')) });
    const answer = decodeIdentities((await this.edge.certificates.handle(request, session)).value);
    return { statements: answer.statements, holds: answer.holds.map(pinFromBytes) };
  }

  /** Both have one key, which the other one has pinned, and no other. */
  settled(): boolean {
    const { hub, edge } = this;
    const hubPins = edge.node.store.value.hubs['hub1']?.pins;
    const edgePins = hub.node.store.value.edges['edge1']?.pins;
    return (
      [hub, edge].every(
        ({ node }) =>
          node.store.value.rollover.phase === STEADY.phase &&
          node.identities.former === undefined &&
          node.identities.next === undefined &&
          node.store.value.sealingKeys.length === 1,
      ) &&
      hubPins?.current === hub.node.identity.pin &&
      hubPins.next === undefined &&
      edgePins?.current === edge.node.identity.pin &&
      edgePins.next === undefined
    );
  }
}
