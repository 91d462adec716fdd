/**
 * A hub that lives through the life of its credentials at an edge step by step, so that each step can be made wrong on purpose.
 *
 *   const hub = await RenewalHub.join(site, 'hub1');
 *   const next = await hub.issue(1, window);
 *   await hub.push([next]);
 *   (await hub.bind(next)).outcome
 */
import { randomBytes } from 'node:crypto';
import { systemRandom } from '../../src/base/random.ts';
import type { Secret } from '../../src/base/secret.ts';
import type { Identity } from '../../src/certificate/identity.ts';
import { type HubNode, issueCredential } from '../../src/credential/issue.ts';
import { DEFAULT_PASSWORD_POLICY } from '../../src/credential/password.ts';
import { decodeCredentialRecord, openCredentialRecord } from '../../src/credential/record.ts';
import {
  bindVerdictOf,
  type BindVerdict,
  type Call,
  decodeInstallVerdict,
  encodeInstall,
  encodeRetire,
  INSTALL_EXPORTER,
  instanceControl,
  type InstallVerdict,
  type Retire,
} from '../../src/credential/renewal-messages.ts';
import { DEFAULT_LIFETIME_MS, firstWindow, type Window } from '../../src/credential/schedule.ts';
import type { LdapClient } from '../../src/ldap/client.ts';
import { POSTERN_EXTENDED } from '../../src/ldap/postern-oid.ts';
import { resultName } from '../../src/ldap/result-code.ts';
import { readSubscriptionFile } from '../../src/subscription/file-reader.ts';
import { type ImportPlan, prepareImport } from '../../src/subscription/import.ts';
import { newHubTrust } from '../../src/subscription/trust-state.ts';
import type { LinkedSite } from './linked-site.ts';
import { connectTo, makeHubNode, RogueHub, RogueSession } from './rogue-hub.ts';

export interface HubCredential extends Window {
  readonly userName: string;
  readonly number: number;
  readonly record: Buffer;
  readonly password: Secret;
}

export interface Bound {
  /** Name of the result. */
  readonly result: string;
  readonly verdict: BindVerdict['outcome'] | undefined;
  readonly highest: number | undefined;
  readonly diagnostic: string;
  /** Open when the bind has succeeded. */
  readonly client: LdapClient;
}

export class RenewalHub {
  readonly site: LinkedSite;
  readonly node: HubNode;
  readonly rogue: RogueHub;
  readonly plan: ImportPlan;
  /** May be set back and copied, as a restored snapshot does. */
  call: Call = { instance: randomBytes(16).toString('hex'), counter: 0 };

  private constructor(site: LinkedSite, node: HubNode, plan: ImportPlan) {
    this.site = site;
    this.node = node;
    this.plan = plan;
    this.rogue = new RogueHub(site, node, plan);
  }

  /** Imports a new subscription file and pushes itself with the bootstrap account; its first credential is `first()`. */
  static async join(site: LinkedSite, name: string, node?: HubNode): Promise<RenewalHub> {
    const hub = node ?? (await makeHubNode(name));
    const { identity, sealingKeys } = hub;
    const plan = await prepareImport({
      file: readSubscriptionFile(await site.file()),
      now: site.clock.now(),
      hub,
      site: 'site',
      trust: newHubTrust({
        identity: { keyFile: '/k', certificateFile: '/c', pin: identity.pin },
        sealingKeys: [...sealingKeys],
        sealingStatement: Buffer.alloc(1),
      }),
      edgesPresent: [],
      random: systemRandom,
    });
    const joined = new RenewalHub(site, hub, plan);
    using session = await joined.rogue.bindBootstrap();
    await session.transaction(joined.rogue.topology());
    await site.services.credentials.settled();
    return joined;
  }

  /** The credential that the import made. */
  async first(): Promise<HubCredential> {
    const { userName, password } = await this.rogue.password('esra');
    const record = this.rogue.edgeObject.attributes.find(({ type }) => type === 'posternCredential')
      ?.values[0];
    if (record === undefined) throw new Error('no record in the import');
    const { effectiveAt, expiresAt } = decodeCredentialRecord(record);
    return { userName, number: 0, record, password, effectiveAt, expiresAt };
  }

  async issue(
    number: number,
    window: Window = firstWindow(this.site.clock.now(), DEFAULT_LIFETIME_MS),
    by: HubNode = this.node,
  ): Promise<HubCredential> {
    const { edge } = this.plan;
    const issued = await issueCredential({
      hub: by,
      edge: { name: edge.name, fqdn: edge.fqdn, pin: edge.pins.current, sealingKey: edge.sealingKey },
      number,
      window,
      policy: DEFAULT_PASSWORD_POLICY,
      random: systemRandom,
    });
    const password = await openCredentialRecord(decodeCredentialRecord(issued.recordForHub), by.sealingKeys);
    return { userName: issued.userName, number, ...window, record: issued.recordForEdge, password };
  }

  /** Brings records to the edge as a push does, in a session that has bound with `as`. */
  async push(as: HubCredential, records: readonly HubCredential[]): Promise<void> {
    const { client } = await this.bind(as);
    using session = new RogueSession(client);
    await session.lease();
    const [, edge] = this.rogue.topology();
    if (edge === undefined || !('put' in edge)) throw new Error('the topology ends with the edge');
    const posternCredential = records.map(({ record }) => record);
    await session.transaction([{ ...edge, attributes: { ...edge.attributes, posternCredential } }]);
    await this.site.services.credentials.settled();
    await session.lease({ action: 'release', ...(session.leaseId && { leaseId: session.leaseId }) });
  }

  connect(node: HubNode = this.node): Promise<LdapClient> {
    return connectTo(this.site.ldapsPort, node);
  }

  /** Counts the call, and binds on a connection of its own, or on `client`. */
  async bind(
    credential: Pick<HubCredential, 'userName' | 'password'>,
    { call = this.count(), client, as }: { call?: Call; client?: LdapClient; as?: HubNode } = {},
  ): Promise<Bound> {
    const connection = client ?? (await this.connect(as));
    const { operation, controls } = await connection.bind(
      `cn=${credential.userName},cn=Accounts`,
      credential.password,
      { controls: [instanceControl(call)], accept: [49, 53] },
    );
    const { code, diagnostic } = operation.result;
    if (code !== 0 && client === undefined) connection.destroy();
    const verdict = bindVerdictOf(controls);
    return {
      result: resultName(code),
      verdict: verdict?.outcome,
      highest: verdict?.highest,
      diagnostic,
      client: connection,
    };
  }

  count(): Call {
    this.call = { ...this.call, counter: this.call.counter + 1 };
    return this.call;
  }

  /** The value of a request on this connection, signed by `by`. */
  installRequest(
    client: LdapClient,
    { record }: Pick<HubCredential, 'record'>,
    by: Identity = this.node.identity,
    call: Call = this.count(),
  ): Buffer {
    const exporter = client.exportKeyingMaterial(INSTALL_EXPORTER.length, INSTALL_EXPORTER.label);
    return encodeInstall({ ...call, record }, exporter ?? Buffer.alloc(INSTALL_EXPORTER.length), by);
  }

  async install(client: LdapClient, credential: Pick<HubCredential, 'record'>): Promise<InstallVerdict> {
    const { operation } = await client.extended(
      POSTERN_EXTENDED.installCredential,
      this.installRequest(client, credential),
    ).result;
    return decodeInstallVerdict(operation.value);
  }

  /** Hands a record over on a connection that has not bound. */
  async recover(credential: Pick<HubCredential, 'record'>): Promise<InstallVerdict> {
    await using client = await this.connect();
    return await this.install(client, credential);
  }

  async retire(client: LdapClient, what: Retire): Promise<void> {
    await client.extended(POSTERN_EXTENDED.retireCredential, encodeRetire(what)).result;
  }
}
