/** Hands what hubs pushed to the credential service, in order, and shows the accounts (never their passwords) under cn=Accounts. */
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { accountObject } from '../../credential/account-object.ts';
import { type CredentialReport, createCredentialService } from '../../credential/credential-service.ts';
import type { HubObject } from '../../credential/admission.ts';
import type { Directory, Session, Update } from '../../directory/directory.ts';
import type { EdgeDescription } from '../../subscription/edge-subscription.ts';
import {
  EDGE_DIRECTORY_EDGES,
  EDGE_DIRECTORY_HUBS,
  readTopologyObject,
  type TopologyObject,
} from '../../subscription/topology-objects.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { ROLE } from './access.ts';
import { sessionAccount } from './authenticate.ts';

export interface CredentialsOptions {
  readonly directory: () => Directory;
  readonly trust: TrustStore<EdgeTrustState>;
  readonly edge: EdgeDescription;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** A new address key makes the stored hashes worthless. */
  readonly onNewAddressKey: () => Promise<void>;
}

export class Credentials {
  readonly #options: CredentialsOptions;
  readonly #service: ReturnType<typeof createCredentialService<EdgeTrustState>>;
  #pending: Promise<void> = Promise.resolve();

  constructor(options: CredentialsOptions) {
    this.#options = options;
    const { trust, edge, clock, random, log } = options;
    this.#service = createCredentialService<EdgeTrustState>({
      store: trust,
      edge: () => ({ name: edge.name, fqdn: edge.fqdn, pins: [edge.identity.pin] }),
      sealingKeys: () =>
        trust.value.sealingKeys.map(({ publicKey, privateKey }) => ({
          publicKey: Buffer.from(publicKey),
          privateKey,
        })),
      policy: edge.policy,
      clock,
      random,
      log,
    });
  }

  /** Resolves when everything that had arrived at this moment has been dealt with. */
  settled(): Promise<void> {
    return this.#pending;
  }

  /** Called when a session is about to write below cn=Hubs or cn=Edges: what it wrote is looked at as soon as it is there. */
  expect(session: Session): void {
    const { directory, log } = this.#options;
    this.#pending = this.#pending
      .then(() => directory().apply([]))
      .then(() => this.#process(session))
      .catch((error: unknown) => log.error('looking at new credentials failed', { error }));
  }

  /** True for updates that the credential service has to look at. */
  concern(updates: readonly Update[]): boolean {
    return updates.some(({ request }) => /cn=(hubs|edges)\s*,\s*cn=configuration\s*$/i.test(request.dn));
  }

  async #process(session: Session): Promise<void> {
    const account = sessionAccount(session);
    const { role } = session.identity;
    if (account === undefined || (role !== ROLE.bootstrap && role !== ROLE.hub)) return;
    const { edge, trust } = this.#options;
    const hubs = this.#objects(EDGE_DIRECTORY_HUBS).flatMap(
      ({ name, fqdn, certificates, statements }): HubObject[] => {
        const [certificate] = certificates;
        return certificate === undefined ? [] : [{ name, fqdn, certificate, statements }];
      },
    );
    const own = this.#objects(EDGE_DIRECTORY_EDGES).find(
      (object) => object.name.toLowerCase() === edge.name.toLowerCase(),
    );
    const hadKey = trust.value.addressKey !== undefined;
    const report: CredentialReport = await this.#service.process({
      session: { role, peerPin: account.pin },
      hubs,
      records: own?.credentials ?? [],
      addressKeys: own?.sealedKeys ?? [],
    });
    if (report.addressKey !== undefined && hadKey) await this.#options.onNewAddressKey();
    if (report.installed.length > 0) await this.showAccounts();
  }

  #objects(container: string): TopologyObject[] {
    const directory = this.#options.directory();
    const { tree } = directory.database;
    const objects: TopologyObject[] = [];
    for (let id = tree.firstChild(directory.resolve(container)); id !== 0; id = tree.nextSibling(id)) {
      const object = readTopologyObject(directory.readEntry(id)?.attributes() ?? []);
      if (object !== undefined) objects.push(object);
    }
    return objects;
  }

  /** Makes cn=Accounts say what the trust store holds. */
  async showAccounts(): Promise<void> {
    const directory = this.#options.directory();
    const { tree } = directory.database;
    const updates: Update[] = [];
    for (let id = tree.firstChild(directory.resolve('cn=Accounts')); id !== 0; id = tree.nextSibling(id)) {
      updates.push({ request: { op: 'deleteRequest', dn: directory.database.dnText(id) } });
    }
    updates.push(
      ...this.#options.trust.value.accounts.map((account) => ({ request: accountObject(account) })),
    );
    await directory.apply(updates);
  }
}
