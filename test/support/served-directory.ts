/**
 * A directory in memory with a listening server, for tests that come as LDAP clients.
 *
 *   await using served = await serveDirectory();
 *   served.url, served.administrator.dn / .password; await served.client() is bound as the administrator
 */
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Secret } from '../../src/base/secret.ts';
import {
  type AccessRule,
  Directory,
  type DirectoryHooks,
  type DirectoryOptions,
  resultOf,
  type Update,
} from '../../src/directory/directory.ts';
import { DirectoryServer, type DirectoryServerOptions } from '../../src/directory/server.ts';
import { createMemoryStore } from '../../src/directory/store/memory-store.ts';
import { connectLdap, type LdapClient } from '../../src/ldap/client.ts';
import { LdapListener, type ListenerOptions } from '../../src/ldap/server.ts';

export const ADMINISTRATOR = { dn: 'cn=admin,dc=example,dc=org', password: 'administrator' };

const EVERYTHING: AccessRule = {
  roles: ['administrator'],
  subtree: '',
  rights: ['search', 'read', 'compare', 'write', 'add', 'delete', 'rename', 'deleteTree'],
};

export interface ServedOptions {
  readonly directory?: Partial<DirectoryOptions>;
  /** More accounts: bind name to password and role. */
  readonly accounts?: Readonly<Record<string, { readonly password: string; readonly role: string }>>;
  readonly rules?: readonly AccessRule[];
  readonly secrets?: readonly string[];
  readonly hooks?: DirectoryHooks;
  readonly server?: Partial<DirectoryServerOptions>;
  readonly listener?: Partial<ListenerOptions>;
  /** Entries made before anybody connects, `dc=example,dc=org` being there already unless `contexts` says otherwise. */
  readonly entries?: readonly Update[];
}

/** An add with text values. */
export function addition(
  dn: string,
  attributes: Readonly<Record<string, readonly (string | Buffer)[]>>,
): Update {
  const list = Object.entries(attributes).map(([type, values]) => ({
    type,
    values: values.map((value) => Buffer.from(value as string)),
  }));
  return { request: { op: 'addRequest', dn, attributes: list } };
}

export function testDirectory(options: Partial<DirectoryOptions> = {}): Directory {
  return new Directory({
    store: createMemoryStore(),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    contexts: ['dc=example,dc=org'],
    access: { rules: [EVERYTHING], secrets: [] },
    ...options,
  });
}

export class ServedDirectory implements AsyncDisposable {
  readonly directory: Directory;
  readonly server: DirectoryServer;
  readonly listener: LdapListener;
  readonly #clients: LdapClient[] = [];

  constructor(directory: Directory, server: DirectoryServer, listener: LdapListener) {
    this.directory = directory;
    this.server = server;
    this.listener = listener;
  }

  get url(): string {
    return `ldap://127.0.0.1:${this.listener.port}`;
  }

  /** A connected client, bound as the administrator unless told; closed with the server. */
  async client(as: { name: string; password: string } | 'anonymous' = asAdministrator): Promise<LdapClient> {
    const client = await connectLdap({ target: this.url, clock: systemClock });
    this.#clients.push(client);
    if (as !== 'anonymous') await client.bind(as.name, new Secret(as.password));
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await this.listener.stop();
    await this.directory.close();
  }
}

const asAdministrator = { name: ADMINISTRATOR.dn, password: ADMINISTRATOR.password };

export async function serveDirectory(options: ServedOptions = {}): Promise<ServedDirectory> {
  const accounts = {
    [ADMINISTRATOR.dn]: { password: ADMINISTRATOR.password, role: 'administrator' },
    ...options.accounts,
  };
  const hooks: DirectoryHooks = {
    authenticate({ name, authentication }) {
      const account = Object.hasOwn(accounts, name) ? accounts[name] : undefined;
      const given = authentication.kind === 'simple' ? authentication.password.toString() : undefined;
      if (account === undefined || given !== account.password)
        return { result: resultOf('invalidCredentials') };
      return { identity: { role: account.role, authorizationId: `dn:${name}`, dn: name } };
    },
    ...options.hooks,
  };
  const directory = testDirectory({
    access: { rules: [EVERYTHING, ...(options.rules ?? [])], secrets: options.secrets ?? [] },
    hooks,
    ...options.directory,
  });
  const entries = options.entries ?? [
    addition('dc=example,dc=org', { objectClass: ['domain'], dc: ['example'] }),
  ];
  if (entries.length > 0) await directory.apply(entries);
  const server = new DirectoryServer({ directory, ...options.server });
  const listener = new LdapListener({
    address: { host: '127.0.0.1', port: 0 },
    clock: systemClock,
    log: silentLog,
    accept: server.accept,
    ...options.listener,
  });
  await listener.start();
  return new ServedDirectory(directory, server, listener);
}
