/**
 * The configuration directory of a hub: somebody's LDAP server, or embedded with store, directory, and the unix socket for those who want
 * to look. Gives the face that the rest of the hub sees; knows what may be read there, not what stands there.
 */
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Files } from '../../base/files.ts';
import type { Lifecycle } from '../../base/lifecycle.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { VERSION } from '../../base/version.ts';
import type { ConfigurationTable } from '../../config/hub-config.ts';
import { type AccessPolicy, Directory } from '../../directory/directory.ts';
import { DirectoryServer } from '../../directory/server.ts';
import { openStore, type RecordStore } from '../../directory/store/store.ts';
import { LdapListener } from '../../ldap/server.ts';
import { configurationBase } from '../../subscription/topology-objects.ts';
import { parseServer } from '../../sync/directory-server.ts';
import type { ConfigurationDirectory } from '../../sync/organisation/configuration-directory.ts';
import { LdapConfigurationDirectory } from '../../sync/organisation/ldap-configuration.ts';
import { openServerTable } from './server-table.ts';

export interface ConfigurationOptions {
  /** The hub's data folder. */
  readonly data: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly onFatal: (error: Error) => void;
}

export interface HubConfiguration {
  readonly face: ConfigurationDirectory;
  /** Suffix below which everything stands. */
  readonly base: string;
  readonly embedded: OpenConfiguration | undefined;
  /** The same as `face`, when it is somebody's server, which other hubs may use, too. */
  readonly shared: LdapConfigurationDirectory | undefined;
}

/** The table [configuration] decides. Throws `config.invalid` and what opening throws. */
export async function openHubConfiguration(
  options: ConfigurationOptions & { readonly shared: ConfigurationTable | undefined },
  lifecycle: Lifecycle,
): Promise<HubConfiguration> {
  const { shared, clock } = options;
  if (shared === undefined) {
    const opened = await openConfiguration(options, lifecycle);
    return { face: embedded(opened.directory), base: '', embedded: opened, shared: undefined };
  }
  const server = { ...(await openServerTable('configuration', shared)), clock };
  parseServer(server);
  const face = new LdapConfigurationDirectory(server);
  lifecycle.add('configuration directory', () => face[Symbol.asyncDispose]());
  return { face, base: shared.base, embedded: undefined, shared: face };
}

export interface OpenConfiguration {
  readonly directory: Directory;
  readonly store: RecordStore;
}

export const HUB_CONTEXTS: readonly string[] = [configurationBase()];

const ADMINISTRATOR = { role: 'administrator', dn: '', authorizationId: 'u:administrator' };

/** Changes are the process's own; whoever opens the unix socket may read. */
export const HUB_ACCESS: AccessPolicy = {
  secrets: ['posternCredential', 'posternSealedKey'],
  rules: [{ roles: [ADMINISTRATOR.role], subtree: '', rights: ['search', 'compare', 'read'] }],
};

export const hubStoreFolder = (data: string): string => join(data, 'configuration');

export async function openConfiguration(
  options: ConfigurationOptions,
  lifecycle: Lifecycle,
): Promise<OpenConfiguration> {
  const { data, files, clock, random, log, onFatal } = options;
  const store = await openStore({
    folder: hubStoreFolder(data),
    files,
    clock,
    random,
    log: log.child('store'),
    onFatal,
  });
  lifecycle.add('configuration store', () => store.close());
  const directory = new Directory({
    store,
    clock,
    random,
    log: log.child('directory'),
    contexts: HUB_CONTEXTS,
    access: HUB_ACCESS,
  });
  lifecycle.add('configuration directory', () => directory.close());
  const server = new DirectoryServer({
    directory,
    initialIdentity: () => ADMINISTRATOR,
    vendorVersion: VERSION,
  });
  const listener = new LdapListener({
    address: { path: join(data, 'ldapi'), mode: 0o600 },
    clock,
    log: log.child('ldapi'),
    accept: server.accept,
  });
  await listener.start();
  lifecycle.add('ldapi', () => listener.stop());
  return { directory, store };
}

/** The embedded directory as the organisation uses it. */
export function embedded(directory: Directory): ConfigurationDirectory {
  return {
    read: (dn) => {
      const entry = directory.readEntry(dn);
      return Promise.resolve(
        entry === undefined ? undefined : { dn: entry.dn, attributes: entry.attributes() },
      );
    },
    async list(dn, attributes) {
      if (directory.resolve(dn) === 0) return [];
      const entries = await directory.find({ base: dn, scope: 'one' });
      const wanted = attributes && new Set(attributes.map((type) => type.toLowerCase()));
      return entries.map((entry) => ({
        dn: entry.dn,
        attributes: entry.attributes().filter(({ type }) => wanted?.has(type.toLowerCase()) !== false),
      }));
    },
    async apply(changes) {
      await directory.apply(changes.map((request) => ({ request })));
    },
  };
}
