/**
 * The configuration directory on somebody's LDAP server, which several hubs share. One connection, made when it is needed and made again after it
 * was lost. What belongs together is written in the given order, in which everything that reads it copes with the rest missing, and what was added
 * is taken back when the rest fails. No transactions (RFC 5805): few servers have them, and slapd 2.5 dies of them after some dozen.
 */
import { createHash } from 'node:crypto';
import { PosternError } from '../../base/error.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import { connectServer, type DirectoryServerOptions } from '../directory-server.ts';
import type {
  ConfigurationChange,
  ConfigurationDirectory,
  ConfigurationEntry,
} from './configuration-directory.ts';

const NOTHING_THERE = { accept: [RESULT_CODE.noSuchObject] };

export class LdapConfigurationDirectory implements ConfigurationDirectory, AsyncDisposable {
  readonly #server: DirectoryServerOptions;
  readonly #stopped = new AbortController();
  #session: Promise<LdapClient> | undefined;
  /** Writes one after the other: a connection has one transaction open at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(server: DirectoryServerOptions) {
    this.#server = server;
  }

  async read(dn: string): Promise<ConfigurationEntry | undefined> {
    return (await this.#search(dn, 'base'))[0];
  }

  list(dn: string, attributes?: readonly string[]): Promise<readonly ConfigurationEntry[]> {
    return this.#search(dn, 'one', attributes);
  }

  /** Rejects with `ldap.result`, `ldap.closed`, or what connecting rejects with. */
  apply(changes: readonly ConfigurationChange[]): Promise<void> {
    const applied = this.#turn.then(() => this.#apply(changes));
    this.#turn = applied.catch(() => undefined);
    return applied;
  }

  /** Changes with everything below `base`, and costs little to ask for. */
  async stamp(base: string): Promise<string> {
    const client = await this.#connected();
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
    const client = await this.#session?.catch(() => undefined);
    client?.unbind();
  }

  async #search(
    base: string,
    scope: 'base' | 'one',
    attributes: readonly string[] = ['*'],
  ): Promise<ConfigurationEntry[]> {
    const client = await this.#connected();
    const entries: ConfigurationEntry[] = [];
    for await (const { operation } of client.search(
      { base, scope, attributes: [...attributes] },
      NOTHING_THERE,
    )) {
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
    const client = await this.#connected();
    const done: ConfigurationChange[] = [];
    try {
      for (const change of changes) {
        await send(client, change);
        done.push(change);
      }
    } catch (error) {
      for (const change of done.reverse()) {
        const inverse = inverseOf(change);
        if (inverse !== undefined) await send(client, inverse).catch(() => undefined);
      }
      throw error;
    }
  }

  #connected(): Promise<LdapClient> {
    if (this.#session !== undefined) return this.#session;
    const session = connectServer(this.#server, this.#stopped.signal);
    this.#session = session;
    const forget = (): void => {
      if (this.#session === session) this.#session = undefined;
    };
    session.then((client) => client.closed.then(forget), forget);
    return session;
  }
}

/** What takes an addition back; removals stay as they are. */
function inverseOf(change: ConfigurationChange): ConfigurationChange | undefined {
  if (change.op === 'addRequest') return { op: 'deleteRequest', dn: change.dn };
  if (change.op !== 'modifyRequest' || change.changes.some(({ kind }) => kind !== 'add')) return undefined;
  return {
    ...change,
    changes: change.changes.map(({ attribute }) => ({ kind: 'delete', attribute })),
  };
}

async function send(client: LdapClient, change: ConfigurationChange): Promise<void> {
  switch (change.op) {
    case 'addRequest':
      await client.add(change.dn, change.attributes).result;
      return;
    case 'modifyRequest':
      await client.modify(change.dn, change.changes).result;
      return;
    case 'deleteRequest':
      await client.delete(change.dn).result;
      return;
    default:
      change satisfies never;
  }
}
