/** Hands what hubs pushed to the credential service, in order, and shows the accounts (never their passwords) under cn=Accounts. */
import type { Clock } from '../../base/clock.ts';
import { isPosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { sameName } from '../../credential/account-name.ts';
import { accountObject } from '../../credential/account-object.ts';
import {
  type CredentialReport,
  createCredentialService,
  type EdgeNames,
} from '../../credential/credential-service.ts';
import type { RecordKeys } from '../../credential/judge-record.ts';
import type { RenewalTimings } from '../../credential/schedule.ts';
import type { HubObject } from '../../credential/admission.ts';
import type { Directory, Session, Update } from '../../directory/directory.ts';
import type { EdgeDescription } from '../../subscription/edge-subscription.ts';
import {
  EDGE_DIRECTORY_EDGES,
  EDGE_DIRECTORY_HUBS,
  readTopologyObject,
  type TopologyObject,
} from '../../subscription/topology-objects.ts';
import { type Node, ownPins } from '../../subscription/node.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { ROLE } from './access.ts';
import { accountDn, isGood, type SessionAccount, sessionAccount } from './authenticate.ts';

/** What it takes to judge and open a record that is for this edge. */
export interface CredentialKeys extends RecordKeys {
  readonly edge: () => EdgeNames;
}

export function credentialKeys(
  { store: trust, identities }: Node<EdgeTrustState>,
  edge: EdgeDescription,
  random: Random,
): CredentialKeys {
  return {
    edge: () => ({ name: edge.name, fqdn: edge.fqdn, pins: ownPins(identities) }),
    sealingKeys: () =>
      trust.value.sealingKeys.map(({ publicKey, privateKey }) => ({
        publicKey: Buffer.from(publicKey),
        privateKey,
      })),
    policy: edge.policy,
    random,
  };
}

export interface CredentialsOptions {
  readonly directory: () => Directory;
  readonly trust: TrustStore<EdgeTrustState>;
  readonly keys: CredentialKeys;
  readonly timings: RenewalTimings;
  readonly clock: Clock;
  readonly log: Log;
  /** A new address key makes the stored hashes worthless. */
  readonly onNewAddressKey: () => Promise<void>;
  /** Accounts were installed or replaced: sessions of those that are gone have to end. */
  readonly onAccountsChanged: () => void;
}

export class Credentials {
  readonly #options: CredentialsOptions;
  readonly #service: ReturnType<typeof createCredentialService<EdgeTrustState>>;
  #pending: Promise<void> = Promise.resolve();
  /** Whose writes a look is queued for that has not begun. */
  readonly #expected = new Set<string>();

  constructor(options: CredentialsOptions) {
    this.#options = options;
    const { trust, keys, timings, clock, log } = options;
    this.#service = createCredentialService<EdgeTrustState>({ store: trust, ...keys, timings, clock, log });
  }

  /** Resolves when everything that had arrived at this moment has been dealt with. */
  settled(): Promise<void> {
    return this.#pending;
  }

  /** Called when a session is about to write below cn=Hubs or cn=Edges: what it wrote is looked at as soon as it is there. */
  expect(session: Session): void {
    const { directory, log } = this.#options;
    // Who it is now counts, not who it may be by then.
    const account = sessionAccount(session);
    const { role } = session.identity;
    if (account === undefined || (role !== ROLE.bootstrap && role !== ROLE.hub)) return;
    // One look serves everything that was written before it begins.
    const key = `${role} ${account.account} ${account.pin}`;
    if (this.#expected.has(key)) return;
    this.#expected.add(key);
    this.#pending = this.#pending
      .then(() => {
        this.#expected.delete(key);
        // Behind every change that was judged before.
        return directory().apply([]);
      })
      .then(() => this.#process(account, role))
      .catch((error: unknown) => {
        if (isPosternError(error, 'refused')) log.warn('new credentials were not taken', { error });
        else log.error('looking at new credentials failed', { error });
      });
  }

  /** True for updates that the credential service has to look at. */
  concern(updates: readonly Update[]): boolean {
    return updates.some(({ request }) => /cn=(hubs|edges)\s*,\s*cn=configuration\s*$/i.test(request.dn));
  }

  async #process(account: SessionAccount, role: 'bootstrap' | 'hub'): Promise<void> {
    const { keys, trust } = this.#options;
    const hubs = this.#objects(EDGE_DIRECTORY_HUBS).flatMap(
      ({ name, fqdn, certificates, statements, modifier }): HubObject[] => {
        const [certificate] = certificates;
        if (certificate === undefined) return [];
        return [{ name, fqdn, certificate, statements, byPusher: modifier === accountDn(account.account) }];
      },
    );
    const own = this.#objects(EDGE_DIRECTORY_EDGES).find((object) => sameName(object.name, keys.edge().name));
    const hadKey = trust.value.addressKey !== undefined;
    const report: CredentialReport = await this.#service.process({
      session: { role, peerPin: account.pin },
      stillGood: (state) => isGood(state, account),
      hubs,
      records: own?.credentials ?? [],
      addressKeys: own?.sealedKeys ?? [],
    });
    if (report.addressKey !== undefined && hadKey) await this.#options.onNewAddressKey();
    if (report.admitted.length + report.removed.length + report.installed.length > 0)
      await this.showAccounts();
  }

  #objects(container: string): (TopologyObject & { readonly modifier: string })[] {
    const directory = this.#options.directory();
    const { tree } = directory.database;
    const objects: (TopologyObject & { readonly modifier: string })[] = [];
    for (let id = tree.firstChild(directory.resolve(container)); id !== 0; id = tree.nextSibling(id)) {
      const entry = directory.readEntry(id);
      const object = entry === undefined ? undefined : readTopologyObject(entry.attributes());
      if (entry !== undefined && object !== undefined) objects.push({ ...object, modifier: entry.modifier });
    }
    return objects;
  }

  /** Accounts have changed: ends the sessions of those that are gone, and makes cn=Accounts say what the trust store holds. */
  async showAccounts(): Promise<void> {
    this.#options.onAccountsChanged();
    const directory = this.#options.directory();
    const { tree } = directory.database;
    const updates: Update[] = [];
    for (let id = tree.firstChild(directory.resolve('cn=Accounts')); id !== 0; id = tree.nextSibling(id)) {
      updates.push({
        request: { op: 'deleteRequest', dn: directory.database.dnText(id) },
        idempotent: true,
      });
    }
    // Idempotent, since another such change may stand in the queue before this one.
    updates.push(
      ...this.#options.trust.value.accounts.map((account) => ({
        request: accountObject(account),
        idempotent: true,
      })),
    );
    await directory.apply(updates);
  }
}
