/**
 * The made-up organisation's directory: people below `ou=people` in an embedded directory, served over LDAP on loopback with content
 * synchronisation (RFC 4533), as an organisation's slapd would be. Changes to it go over LDAP like anybody's.
 */
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { systemFiles } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { Secret } from '../../base/secret.ts';
import {
  type AccessPolicy,
  type AuthenticateResult,
  type BindAttempt,
  Directory,
  type PasswordChange,
  type PasswordChanged,
  resultOf,
  SUCCESS,
  type Update,
} from '../../directory/directory.ts';
import { DirectoryServer } from '../../directory/server.ts';
import { openStore, type RecordStore } from '../../directory/store/store.ts';
import { connectLdap, type LdapClient } from '../../ldap/client.ts';
import type { Attribute } from '../../ldap/message.ts';
import { LdapListener } from '../../ldap/server.ts';
import { type DemoPerson, demoPerson } from './population.ts';

export const SUFFIX = 'dc=example,dc=org';
export const PEOPLE = `ou=people,${SUFFIX}`;
/** What the hub binds as: may read, and nothing else. */
export const READER = `cn=postern,${SUFFIX}`;
/** What changes people. */
export const ADMIN = `cn=admin,${SUFFIX}`;

const GROUP = 500;
const ANSWER_WITHIN_MS = 10_000;

const ACCESS: AccessPolicy = {
  secrets: ['userPassword'],
  rules: [
    { roles: ['reader'], subtree: SUFFIX, rights: ['search', 'compare', 'read'] },
    {
      roles: ['admin'],
      subtree: SUFFIX,
      rights: ['search', 'compare', 'read', 'write', 'add', 'delete', 'rename', 'deleteTree'],
    },
  ],
};

export interface OrganisationOptions {
  /** A new folder of its own. */
  readonly folder: string;
  readonly people: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Gives up the start. */
  readonly signal: AbortSignal;
}

export class Organisation implements AsyncDisposable {
  readonly readerPassword: Secret;
  #adminPassword: Secret;
  readonly #options: OrganisationOptions;
  readonly #store: RecordStore;
  readonly #directory: Directory;
  readonly #listener: LdapListener;
  #admin: LdapClient | undefined;

  private constructor(options: OrganisationOptions, store: RecordStore) {
    const { clock, random, log } = options;
    this.#options = options;
    this.#store = store;
    this.readerPassword = new Secret(random.bytes(12).toString('hex'));
    this.#adminPassword = new Secret(random.bytes(6).toString('hex'));
    this.#directory = new Directory({
      store,
      clock,
      random,
      log,
      contexts: [SUFFIX],
      indexes: ['mail', 'uid'],
      access: ACCESS,
      hooks: {
        authenticate: (attempt) => this.#authenticate(attempt),
        changePassword: (change) => this.#changePassword(change),
      },
    });
    const server = new DirectoryServer({ directory: this.#directory });
    const address = { host: '127.0.0.1', port: 0 };
    this.#listener = new LdapListener({ address, clock, log, accept: server.accept });
  }

  static async start(options: OrganisationOptions): Promise<Organisation> {
    const { folder, clock, random, log } = options;
    const store = await openStore({
      folder: join(folder, 'directory'),
      files: systemFiles,
      clock,
      random,
      log,
    });
    const organisation = new Organisation(options, store);
    try {
      await organisation.#fill();
      await organisation.#listener.start();
      return organisation;
    } catch (error) {
      await organisation[Symbol.asyncDispose]();
      throw error;
    }
  }

  get url(): string {
    return `ldap://127.0.0.1:${this.#listener.port}`;
  }

  get adminPassword(): Secret {
    return this.#adminPassword;
  }

  addPerson(person: DemoPerson): Promise<void> {
    return this.#change((client) => client.add(nameOf(person), attributesOf(person)).result);
  }

  setAddresses(person: DemoPerson, addresses: readonly string[]): Promise<void> {
    const attribute = { type: 'mail', values: addresses.map((address) => Buffer.from(address)) };
    return this.#change((client) => client.modify(nameOf(person), [{ kind: 'replace', attribute }]).result);
  }

  removePerson(person: DemoPerson): Promise<void> {
    return this.#change((client) => client.delete(nameOf(person)).result);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#admin?.destroy();
    await this.#listener.stop();
    await this.#directory.close();
    await this.#store.close();
  }

  async #fill(): Promise<void> {
    const add = (dn: string, attributes: readonly Attribute[]): Update => ({
      request: { op: 'addRequest', dn, attributes },
    });
    const top = (...classes: string[]): Attribute => attribute('objectClass', 'top', ...classes);
    await this.#directory.apply([
      add(SUFFIX, [top('dcObject', 'organization'), attribute('o', 'Example'), attribute('dc', 'example')]),
      add(PEOPLE, [top('organizationalUnit'), attribute('ou', 'people')]),
    ]);
    for (let n = 0; n < this.#options.people; n += GROUP) {
      this.#options.signal.throwIfAborted();
      const size = Math.min(GROUP, this.#options.people - n);
      const people = Array.from({ length: size }, (_none, i) => demoPerson(n + i));
      await this.#directory.apply(people.map((person) => add(nameOf(person), attributesOf(person))));
    }
  }

  #authenticate({ name, authentication }: BindAttempt): AuthenticateResult {
    const refused = { result: resultOf('invalidCredentials') };
    if (authentication.kind !== 'simple') return refused;
    const given = new Secret(authentication.password);
    for (const [role, dn, password] of [
      ['reader', READER, this.readerPassword],
      ['admin', ADMIN, this.#adminPassword],
    ] as const) {
      if (this.#directory.sameName(name, dn) && password.equals(given))
        return { identity: { role, dn, authorizationId: `dn:${dn}` } };
    }
    return refused;
  }

  /** The administrator's own (RFC 3062): the reader's is in the hub's configuration, and people have none. */
  #changePassword({ identity, userIdentity, old, wanted }: PasswordChange): PasswordChanged {
    if (identity.role !== 'admin') return { result: resultOf('insufficientAccessRights') };
    if (userIdentity !== undefined && !this.#directory.sameName(userIdentity, ADMIN))
      return {
        result: resultOf('unwillingToPerform', "only the administrator's own password can be changed"),
      };
    if (old !== undefined && !old.equals(this.#adminPassword))
      return { result: resultOf('invalidCredentials') };
    this.#adminPassword = wanted ?? new Secret(this.#options.random.bytes(12).toString('hex'));
    return wanted === undefined ? { result: SUCCESS, generated: this.#adminPassword } : { result: SUCCESS };
  }

  async #change(change: (client: LdapClient) => Promise<unknown>): Promise<void> {
    if (this.#admin === undefined) {
      this.#admin = await connectLdap({
        target: this.url,
        clock: this.#options.clock,
        operationTimeoutMs: ANSWER_WITHIN_MS,
      });
      await this.#admin.bind(ADMIN, this.#adminPassword);
    }
    await change(this.#admin);
  }
}

export function nameOf(person: DemoPerson): string {
  return `uid=${person.uid},${PEOPLE}`;
}

function attributesOf(person: DemoPerson): Attribute[] {
  return [
    attribute('objectClass', 'inetOrgPerson'),
    attribute('uid', person.uid),
    attribute('cn', person.cn),
    attribute('sn', person.sn),
    attribute('mail', ...person.addresses),
  ];
}

function attribute(type: string, ...values: string[]): Attribute {
  return { type, values: values.map((value) => Buffer.from(value)) };
}
