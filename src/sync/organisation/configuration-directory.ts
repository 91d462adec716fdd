/** The configuration directory as hubs use it: embedded, or somebody's LDAP server. Interface only. */
import type { AddRequest, Attribute, DeleteRequest, ModifyRequest } from '../../ldap/message.ts';

export interface ConfigurationEntry {
  readonly dn: string;
  readonly attributes: readonly Attribute[];
}

export type ConfigurationChange = AddRequest | ModifyRequest | DeleteRequest;

export interface ConfigurationDirectory {
  /** The entry itself; undefined when there is none. */
  read(dn: string): Promise<ConfigurationEntry | undefined>;
  /** The entries directly below. With `attributes`, others need not be told. */
  list(dn: string, attributes?: readonly string[]): Promise<readonly ConfigurationEntry[]>;
  /** All or nothing, durable when it resolves. */
  apply(changes: readonly ConfigurationChange[]): Promise<void>;
}
