/** The credential service of one edge over a store in memory, with hubs that issue to it. */
import { silentLog } from '../../src/base/log.ts';
import { createIdentity } from '../../src/certificate/identity.ts';
import { createSealingKeyPair } from '../../src/certificate/sealing.ts';
import type { HubObject, PushSession } from '../../src/credential/admission.ts';
import {
  type Arrival,
  type CredentialReport,
  createCredentialService,
} from '../../src/credential/credential-service.ts';
import type { CredentialState } from '../../src/credential/credential-state.ts';
import { type EdgePeer, type HubNode, issueCredential } from '../../src/credential/issue.ts';
import { DEFAULT_PASSWORD_POLICY } from '../../src/credential/password.ts';
import { FakeClock } from '../fakes/clock.ts';
import { fakeRandom } from '../fakes/random.ts';

export const DAY = 86_400_000;
export const START = Date.UTC(2026, 10, 2, 10);
export const random = fakeRandom('service');

/** A node `<name>.example` with its keys. */
export async function makeNode(name: string): Promise<HubNode> {
  return {
    name,
    fqdn: `${name}.example`,
    identity: await createIdentity(`${name}.example`, { clock: new FakeClock(START), random }),
    sealingKeys: [await createSealingKeyPair(random)],
  };
}

/** The node's object under cn=Hubs. */
export function objectOf(hub: HubNode, change: Partial<HubObject> = {}): HubObject {
  return {
    name: hub.name,
    fqdn: hub.fqdn,
    certificate: hub.identity.certificate.der,
    statements: [],
    ...change,
  };
}

export function peerOf(node: HubNode): EdgePeer {
  return {
    name: node.name,
    fqdn: node.fqdn,
    pin: node.identity.pin,
    sealingKey: node.sealingKeys[0].publicKey,
  };
}

/** A record of `from` for `to`, effective for 30 days. */
export async function issueTo(to: HubNode, from: HubNode, number = 0, effectiveAt = START): Promise<Buffer> {
  const window = { effectiveAt, expiresAt: effectiveAt + 30 * DAY };
  const issued = await issueCredential({
    hub: from,
    edge: peerOf(to),
    number,
    window,
    policy: DEFAULT_PASSWORD_POLICY,
    random,
  });
  return issued.recordForEdge;
}

export class MemoryStore {
  value: CredentialState = { accounts: [], hubs: {} };
  writes = 0;

  async update(change: (draft: CredentialState) => CredentialState): Promise<void> {
    await null;
    this.value = change({ ...this.value, accounts: [...this.value.accounts], hubs: { ...this.value.hubs } });
    this.writes++;
  }
}

export class CredentialSite {
  readonly store = new MemoryStore();
  readonly clock = new FakeClock(START);
  readonly #service;
  readonly #hub: HubNode;

  /** `hub` is the one that pushes unless told. */
  constructor(edge: HubNode, hub: HubNode) {
    this.#hub = hub;
    this.#service = createCredentialService({
      store: this.store,
      edge: () => ({ name: edge.name, fqdn: edge.fqdn, pins: [edge.identity.pin] }),
      sealingKeys: () => edge.sealingKeys,
      policy: DEFAULT_PASSWORD_POLICY,
      clock: this.clock,
      random,
      log: silentLog,
    });
  }

  arrive(
    change: Partial<Arrival>,
    by: HubNode = this.#hub,
    role: PushSession['role'] = 'bootstrap',
  ): Promise<CredentialReport> {
    const session = { role, peerPin: by.identity.pin };
    return this.#service.process({
      session,
      hubs: [objectOf(this.#hub)],
      records: [],
      addressKeys: [],
      ...change,
    });
  }

  accountNames(): string[] {
    return this.store.value.accounts.map((account) => account.name);
  }
}

export function reasons(report: CredentialReport): string[] {
  return report.refused.map(({ code, reason }) => `${code}: ${reason}`);
}
