/**
 * The configuration directory on somebody's LDAP server, which several hubs share. One connection, made when it is needed and made again after it
 * was lost. What belongs together is written in one transaction (RFC 5805) where the server has them, elsewhere in the given order, in which
 * everything that reads it copes with the rest missing.
 */
import { createHash } from 'node:crypto';
import { PosternError } from '../../base/error.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { CONTROL, EXTENDED } from '../../ldap/control.ts';
import { encodeEndTransactionRequest } from '../../ldap/extended-values.ts';
import type { Control } from '../../ldap/message.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import { connectServer, type DirectoryServerOptions } from '../directory-server.ts';
import type {
  ConfigurationChange,
  ConfigurationDirectory,
  ConfigurationEntry,
} from './configuration-directory.ts';

interface Session {
  readonly client: LdapClient;
  readonly transactions: boolean;
}

const NOTHING_THERE = { accept: [RESULT_CODE.noSuchObject] };

export class LdapConfigurationDirectory implements ConfigurationDirectory, AsyncDisposable {
  readonly #server: DirectoryServerOptions;
  readonly #stopped = new AbortController();
  #session: Promise<Session> | undefined;
  /** Writes one after the other: a connection has one transaction open at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(server: DirectoryServerOptions) {
    this.#server = server;
  }

  async read(dn: string): Promise<ConfigurationEntry | undefined> {
    return (await this.#search(dn, 'base'))[0];
  }

  list(dn: string): Promise<readonly ConfigurationEntry[]> {
    return this.#search(dn, 'one');
  }

  /** Rejects with `ldap.result` (nothing was written, where the server has transactions), `ldap.closed`, or what connecting rejects with. */
  apply(changes: readonly ConfigurationChange[]): Promise<void> {
    const applied = this.#turn.then(() => this.#apply(changes));
    this.#turn = applied.catch(() => undefined);
    return applied;
  }

  /** Changes with everything below `base`, and costs little to ask for. */
  async stamp(base: string): Promise<string> {
    const { client } = await this.#connected();
    const hash = createHash('sha256');
    const search = { base, attributes: ['entryCSN', 'modifyTimestamp', 'uSNChanged'] };
    for await (const { operation } of client.search(search, NOTHING_THERE)) {
      if (operation.op !== 'searchResultEntry') continue;
      const values = operation.attributes.flatMap((attribute) => attribute.values.map(String)).sort();
      hash.update(`${operation.dn}\n${values.join('\n')}\n\n`);
    }
    return hash.digest('hex');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort(new PosternError('canceled', 'the configuration directory is closed'));
    await this.#turn;
    const session = await this.#session?.catch(() => undefined);
    session?.client.unbind();
  }

  async #search(base: string, scope: 'base' | 'one'): Promise<ConfigurationEntry[]> {
    const { client } = await this.#connected();
    const entries: ConfigurationEntry[] = [];
    for await (const { operation } of client.search({ base, scope, attributes: ['*'] }, NOTHING_THERE)) {
      if (operation.op !== 'searchResultEntry') continue;
      const attributes = operation.attributes.map(({ type, values }) => ({
        type,
        values: values.map((value) => Buffer.from(value)),
      }));
      entries.push({ dn: operation.dn, attributes });
    }
    return entries;
  }

  async #apply(changes: readonly ConfigurationChange[]): Promise<void> {
    const { client, transactions } = await this.#connected();
    if (changes.length > 1 && transactions) {
      try {
        return await commit(client, changes);
      } catch (error) {
        // slapd 2.5 ends some deletes so, which it carries out one by one. Nothing was written.
        if (resultCodeOf(error) !== RESULT_CODE.other) throw error;
      }
    }
    for (const change of changes) await send(client, change);
  }

  #connected(): Promise<Session> {
    if (this.#session !== undefined) return this.#session;
    const session = open(this.#server, this.#stopped.signal);
    this.#session = session;
    const forget = (): void => {
      if (this.#session === session) this.#session = undefined;
    };
    session.then(({ client }) => client.closed.then(forget), forget);
    return session;
  }
}

async function open(server: DirectoryServerOptions, signal: AbortSignal): Promise<Session> {
  const client = await connectServer(server, signal);
  try {
    const search = client.search({ base: '', scope: 'base', attributes: ['supportedExtension'] });
    let extensions: string[] = [];
    for await (const { operation } of search)
      if (operation.op === 'searchResultEntry')
        extensions = operation.attributes.flatMap(({ values }) => values.map((value) => value.toString()));
    return { client, transactions: extensions.includes(EXTENDED.startTransaction) };
  } catch (error) {
    client.destroy();
    throw error;
  }
}

/** All or nothing. */
async function commit(client: LdapClient, changes: readonly ConfigurationChange[]): Promise<void> {
  const { operation } = await client.extended(EXTENDED.startTransaction).result;
  const identifier = operation.value;
  if (identifier === undefined)
    throw new PosternError('ldap.protocol', `${client.where} began a transaction without naming it`);
  const end = (commit: boolean): Promise<unknown> =>
    client.extended(EXTENDED.endTransaction, encodeEndTransactionRequest({ commit, identifier })).result;
  const controls: Control[] = [{ oid: CONTROL.transactionSpecification, critical: true, value: identifier }];
  try {
    for (const change of changes) await send(client, change, controls);
  } catch (error) {
    await end(false).catch(() => undefined);
    throw error;
  }
  await end(true);
}

async function send(
  client: LdapClient,
  change: ConfigurationChange,
  controls: readonly Control[] = [],
): Promise<void> {
  switch (change.op) {
    case 'addRequest':
      await client.add(change.dn, change.attributes, { controls }).result;
      return;
    case 'modifyRequest':
      await client.modify(change.dn, change.changes, { controls }).result;
      return;
    case 'deleteRequest':
      await client.delete(change.dn, { controls }).result;
      return;
    default:
      change satisfies never;
  }
}
