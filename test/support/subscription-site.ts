/** One edge and one hub with everything in memory, for tests of subscription and credentials: no network, no directory, a clock that is set. */
import { silentLog } from '../../src/base/log.ts';
import type { HubNode } from '../../src/credential/issue.ts';
import { DEFAULT_PASSWORD_POLICY } from '../../src/credential/password.ts';
import type { EdgeDescription, EdgeSubscriptionDeps } from '../../src/subscription/edge-subscription.ts';
import { type HubPublic, readHubPublic, writeHubPublic } from '../../src/subscription/hub-public.ts';
import { type Node, openEdgeNode, openHubNode } from '../../src/subscription/node.ts';
import type { EdgeTrustState, HubTrustState } from '../../src/subscription/trust-state.ts';
import { FakeClock } from '../fakes/clock.ts';
import { FakeFiles } from '../fakes/files.ts';
import { fakeRandom } from '../fakes/random.ts';
import { SITE_START } from './subscription-file.ts';

export interface TestEdge {
  readonly node: Node<EdgeTrustState>;
  readonly edge: EdgeDescription;
  readonly deps: EdgeSubscriptionDeps & { readonly files: FakeFiles };
  readonly clock: FakeClock;
}

export interface TestHub {
  readonly node: Node<HubTrustState>;
  readonly hub: HubNode;
  readonly clock: FakeClock;
  readonly public: HubPublic;
  readonly publicText: string;
}

const random = fakeRandom('site');

export async function makeEdge(name = 'edge1', fqdn = `${name}.perimeter.example`): Promise<TestEdge> {
  const clock = new FakeClock(SITE_START);
  const files = new FakeFiles();
  const node = await openEdgeNode({ files, clock, random, log: silentLog, folder: `/var/lib/${name}`, fqdn });
  const edge: EdgeDescription = {
    name,
    fqdn: node.fqdn,
    identity: node.identity,
    sealingStatement: node.store.value.sealingStatement,
    policy: DEFAULT_PASSWORD_POLICY,
    productVersion: 'Postern test',
  };
  return { node, edge, clock, deps: { store: node.store, edge, clock, random, log: silentLog, files } };
}

export async function makeHub(name = 'hub1', fqdn = `${name}.corp.example`): Promise<TestHub> {
  const clock = new FakeClock(SITE_START);
  const node = await openHubNode({
    files: new FakeFiles(),
    clock,
    random,
    log: silentLog,
    folder: `/var/lib/${name}`,
    fqdn,
  });
  const [first, ...rest] = node.store.value.sealingKeys;
  if (first === undefined) throw new Error('a node has a sealing key');
  const hub: HubNode = { name, fqdn: node.fqdn, identity: node.identity, sealingKeys: [first, ...rest] };
  const publicText = writeHubPublic({
    name,
    fqdn: node.fqdn,
    identity: node.identity,
    sealingStatement: node.store.value.sealingStatement,
  });
  return { node, hub, clock, publicText, public: readHubPublic(Buffer.from(publicText)) };
}

export { random as siteRandom };
