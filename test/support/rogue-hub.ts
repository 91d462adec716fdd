/**
 * An attacker against a real edge daemon: strangers without credentials, holders of a subscription file, and hubs whose key the attacker owns.
 * Everything is done with the product's own client, one request at a time, so that each can be made wrong on purpose.
 *
 *   await using site = await AttackedEdge.start();
 *   const rogue = await site.hub('hub1');
 *   const session = await rogue.bindEsra();
 *   await session.transaction([{ put: 'cn=...', attributes: {...} }]);
 */
import { randomBytes } from 'node:crypto';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { systemClock } from '../../src/base/clock.ts';
import { isPosternError } from '../../src/base/error.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Secret } from '../../src/base/secret.ts';
import { createIdentity, tlsCredentials } from '../../src/certificate/identity.ts';
import { createSealingKeyPair } from '../../src/certificate/sealing.ts';
import { decodeAddressKeyRecord, openAddressKeyRecord } from '../../src/credential/address-key.ts';
import type { HubNode } from '../../src/credential/issue.ts';
import { instanceControl } from '../../src/credential/renewal-messages.ts';
import { decodeCredentialRecord, openCredentialRecord } from '../../src/credential/record.ts';
import { type AddressHasher, createAddressHasher } from '../../src/directory/address/hasher.ts';
import { connectLdap, type LdapClient } from '../../src/ldap/client.ts';
import { resultCodeOf } from '../../src/ldap/client-error.ts';
import { CONTROL, EXTENDED } from '../../src/ldap/control.ts';
import { encodeEndTransactionRequest } from '../../src/ldap/extended-values.ts';
import type { AddRequest, Attribute, Control, Modification } from '../../src/ldap/message.ts';
import {
  decodeLeaseResponse,
  encodeLeaseRequest,
  type LeaseRequest,
  type LeaseResponse,
} from '../../src/ldap/postern-extended.ts';
import { POSTERN_CONTROL, POSTERN_EXTENDED } from '../../src/ldap/postern-oid.ts';
import { readSubscriptionFile } from '../../src/subscription/file-reader.ts';
import { type ImportPlan, prepareImport } from '../../src/subscription/import.ts';
import {
  addTopologyObject,
  EDGE_DIRECTORY_EDGES,
  EDGE_DIRECTORY_HUBS,
} from '../../src/subscription/topology-objects.ts';
import { newHubTrust } from '../../src/subscription/trust-state.ts';
import { Deployment, type DeploymentOptions } from './deployment.ts';

export const IDEMPOTENT: Control = { oid: POSTERN_CONTROL.idempotent, critical: true };
/** What `code` returns for a connection that ended instead of an answer. */
export const CLOSED = -1;

type Values = Readonly<Record<string, readonly (string | Buffer)[]>>;

export type Write =
  | {
      readonly put: string;
      readonly attributes: Values;
      readonly plain?: true;
      readonly controls?: readonly Control[];
    }
  | { readonly remove: string; readonly controls?: readonly Control[] }
  | {
      readonly modify: string;
      readonly changes: readonly Modification[];
      readonly controls?: readonly Control[];
    };

export function attributesOf(values: Values): Attribute[] {
  return Object.entries(values).map(([type, list]) => ({
    type,
    values: list.map((value) => Buffer.from(value)),
  }));
}

export function replaceWith(type: string, ...values: (string | Buffer)[]): Modification {
  return { kind: 'replace', attribute: { type, values: values.map((value) => Buffer.from(value)) } };
}

/** Result code of a request: 0 for success, `CLOSED` when the connection ended. */
export async function code(result: Promise<unknown>): Promise<number> {
  try {
    await result;
    return 0;
  } catch (error) {
    const found = resultCodeOf(error);
    if (found !== undefined) return found;
    if (isPosternError(error, 'ldap.closed', 'ldap.timeout', 'connect.failed', 'tls.failed')) return CLOSED;
    throw error;
  }
}

export class AttackedEdge implements AsyncDisposable {
  readonly site: Deployment;

  private constructor(site: Deployment) {
    this.site = site;
  }

  static async start(edge: DeploymentOptions['edge'] = {}): Promise<AttackedEdge> {
    const site = await Deployment.create({ edge: { log: { level: 'debug' }, ...edge } });
    await site.startEdge();
    return new AttackedEdge(site);
  }

  get daemon() {
    const daemon = this.site.edgeDaemon;
    if (daemon === undefined) throw new Error('the edge is not running');
    return daemon;
  }

  /** A new subscription file. */
  async file(): Promise<Buffer> {
    const { text } = await this.daemon.control.call<{ text: string }>('POST', '/v1/subscription', {});
    return Buffer.from(text);
  }

  /** A hub that has imported a new file (or `file`), and has installed nothing yet. */
  async importer(name: string, file?: Buffer): Promise<RogueHub> {
    const node = await makeHubNode(name);
    return this.importAs(node, file);
  }

  async importAs(node: HubNode, file?: Buffer): Promise<RogueHub> {
    const plan = await prepareImport({
      file: readSubscriptionFile(file ?? (await this.file())),
      now: Date.now(),
      hub: node,
      site: 'site',
      trust: newHubTrust({
        identity: { keyFile: '/k', certificateFile: '/c', pin: node.identity.pin },
        sealingKeys: [...node.sealingKeys].map(({ publicKey, privateKey }) => ({ publicKey, privateKey })),
        sealingStatement: Buffer.alloc(1),
      }),
      edgesPresent: [],
      random: systemRandom,
    });
    return new RogueHub(this.site, node, plan);
  }

  /** A hub as good as any: imported, installed, its ESRA proved. */
  async hub(name: string): Promise<RogueHub> {
    const hub = await this.importer(name);
    const bootstrap = await hub.bindBootstrap();
    await bootstrap.transaction(hub.topology());
    bootstrap.client.destroy();
    (await hub.bindEsra()).client.destroy();
    return hub;
  }

  /** A connection to 50636 that has not bound; `node`: whose certificate it shows. */
  connect(node?: HubNode): Promise<LdapClient> {
    return connectTo(this.site.ldapsPort, node);
  }

  /** A connection of the mail server. */
  local(): Promise<LdapClient> {
    return connectLdap({ target: `ldap://127.0.0.1:${this.site.ldapPort}`, clock: systemClock });
  }

  async rssMib(): Promise<number> {
    const status = await this.daemon.control.call<{ memoryBytes: number }>('GET', '/v1/status');
    return status.memoryBytes / 2 ** 20;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.site[Symbol.asyncDispose]();
  }
}

export async function makeHubNode(name: string): Promise<HubNode> {
  const fqdn = `${name}.localhost`;
  return {
    name,
    fqdn,
    identity: await createIdentity(fqdn, { clock: systemClock, random: systemRandom }),
    sealingKeys: [await createSealingKeyPair(systemRandom)],
  };
}

export function connectTo(port: number, node: HubNode | undefined): Promise<LdapClient> {
  const credentials = node === undefined ? undefined : tlsCredentials(node.identity);
  return connectLdap({
    target: { kind: 'tcp', host: '127.0.0.1', port, tls: true },
    clock: systemClock,
    operationTimeoutMs: 60_000,
    tls: {
      trust: { kind: 'pinned', verifyPeer: () => undefined },
      ...(credentials === undefined
        ? {}
        : { certificate: credentials.cert, key: credentials.key.toString('utf8') }),
    },
  });
}

/** A TLS socket to 50636 for bytes of any kind. */
export function tlsSocket(port: number, options: object = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      socket.off('error', reject).on('error', () => undefined);
      resolve(socket);
    });
  });
}

export class RogueHub {
  readonly #site: Pick<Deployment, 'ldapsPort'>;
  readonly #instance = randomBytes(16).toString('hex');
  #calls = 0;
  readonly node: HubNode;
  readonly plan: ImportPlan;

  constructor(site: Pick<Deployment, 'ldapsPort'>, node: HubNode, plan: ImportPlan) {
    this.#site = site;
    this.node = node;
    this.plan = plan;
  }

  /** The edge's object as the importing hub made it: credential records and keys sealed to the edge. */
  get edgeObject(): AddRequest {
    const [object] = this.plan.changes;
    if (object?.op !== 'addRequest') throw new Error('an import begins with the object of the edge');
    return object;
  }

  /** What an honest hub installs with the bootstrap account. */
  topology(): Write[] {
    const { name, fqdn, identity } = this.node;
    const hub = addTopologyObject(`cn=${name},${EDGE_DIRECTORY_HUBS}`, 'posternHub', {
      name,
      fqdn,
      certificates: [identity.certificate.der],
    });
    return [asPut(hub), asPut(this.edgeObject, `cn=${this.plan.edge.name},${EDGE_DIRECTORY_EDGES}`)];
  }

  /** From this hub's own object: the record of the given kind that is sealed to it. */
  async password(kind: 'bootstrap' | 'esra'): Promise<{ userName: string; password: Secret }> {
    for (const bytes of this.#own('posternCredential')) {
      const record = decodeCredentialRecord(bytes);
      if (record.account.kind === kind)
        return {
          userName: record.userName,
          password: await openCredentialRecord(record, this.node.sealingKeys),
        };
    }
    throw new Error(`no ${kind} record`);
  }

  async hasher(): Promise<AddressHasher> {
    const [bytes] = this.#own('posternSealedKey');
    const { key } = await openAddressKeyRecord(
      decodeAddressKeyRecord(bytes ?? Buffer.alloc(0)),
      this.node.sealingKeys,
    );
    return createAddressHasher(key);
  }

  #own(type: string): readonly Buffer[] {
    const [, own] = this.plan.changes;
    if (own?.op !== 'modifyRequest') return [];
    return own.changes
      .filter((one) => one.attribute.type === type)
      .flatMap((one) => [...one.attribute.values]);
  }

  bindBootstrap(as: HubNode | undefined = this.node): Promise<RogueSession> {
    return this.#bind('bootstrap', as);
  }

  bindEsra(as: HubNode | undefined = this.node): Promise<RogueSession> {
    return this.#bind('esra', as);
  }

  async #bind(kind: 'bootstrap' | 'esra', as: HubNode | undefined): Promise<RogueSession> {
    const { userName, password } = await this.password(kind);
    const client = await connectTo(this.#site.ldapsPort, as);
    try {
      const call = instanceControl({ instance: this.#instance, counter: ++this.#calls });
      await client.bind(`cn=${userName},cn=Accounts`, password, { controls: [call] });
    } catch (error) {
      client.destroy();
      throw error;
    }
    return new RogueSession(client);
  }
}

export class RogueSession implements Disposable {
  readonly client: LdapClient;
  leaseId: Buffer | undefined;

  constructor(client: LdapClient) {
    this.client = client;
  }

  async begin(): Promise<Buffer> {
    const { operation } = await this.client.extended(EXTENDED.startTransaction).result;
    return operation.value ?? Buffer.alloc(0);
  }

  /** Sends the updates of an open transaction; they are accepted or refused one by one. */
  gather(identifier: Buffer, writes: readonly Write[]): Promise<unknown>[] {
    const specification: Control = {
      oid: CONTROL.transactionSpecification,
      critical: true,
      value: identifier,
    };
    return writes.map((write) => {
      const own = write.controls ?? [];
      if ('put' in write) {
        const controls = write.plain === true ? [specification, ...own] : [specification, IDEMPOTENT, ...own];
        return this.client.add(write.put, attributesOf(write.attributes), { controls }).result;
      }
      if ('remove' in write)
        return this.client.delete(write.remove, { controls: [specification, IDEMPOTENT, ...own] }).result;
      return this.client.modify(write.modify, write.changes, { controls: [specification, ...own] }).result;
    });
  }

  async end(identifier: Buffer, commit = true): Promise<void> {
    await this.client.extended(EXTENDED.endTransaction, encodeEndTransactionRequest({ commit, identifier }))
      .result;
  }

  async transaction(writes: readonly Write[]): Promise<void> {
    const identifier = await this.begin();
    const accepted = this.gather(identifier, writes);
    const ended = this.end(identifier);
    await Promise.all([...accepted, ended]);
  }

  async lease(request: Partial<LeaseRequest> = {}): Promise<LeaseResponse> {
    const value = encodeLeaseRequest({
      action: 'acquire',
      holder: 'whoever',
      durationSeconds: 360,
      ...request,
    });
    const { operation } = await this.client.extended(POSTERN_EXTENDED.lease, value).result;
    const response = decodeLeaseResponse(operation.value);
    this.leaseId = response.leaseId;
    return response;
  }

  async read(
    base: string,
    attributes: readonly string[] = ['*', '+'],
  ): Promise<Record<string, Buffer[]> | undefined> {
    try {
      for await (const { operation } of this.client.search({
        base,
        scope: 'base',
        attributes: [...attributes],
      })) {
        if (operation.op !== 'searchResultEntry') continue;
        return Object.fromEntries(
          operation.attributes.map(({ type, values }) => [type, values.map((v) => Buffer.from(v))]),
        );
      }
    } catch (error) {
      if (resultCodeOf(error) !== 32) throw error;
    }
    return undefined;
  }

  [Symbol.dispose](): void {
    this.client.destroy();
  }
}

function asPut({ dn, attributes }: AddRequest, as = dn): Write {
  return {
    put: as,
    attributes: Object.fromEntries(attributes.map(({ type, values }) => [type, [...values]])),
  };
}

/** A recipient's write; the id is any 16-byte hexadecimal text. */
export function recipient(guid: string, addresses: readonly Buffer[], more: Values = {}): Write {
  return {
    put: `cn=${guid},cn=Recipients`,
    attributes: {
      objectClass: ['posternRecipient'],
      cn: [guid],
      ...(addresses.length === 0 ? {} : { posternAddress: addresses }),
      ...more,
    },
  };
}

export function guid(n: number): string {
  const hex = n.toString(16).padStart(12, '0');
  return `00000000-0000-4000-8000-${hex}`;
}

export function anyHash(): Buffer {
  return randomBytes(16);
}
