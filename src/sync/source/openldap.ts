/**
 * Feed from a provider of RFC 4533, such as slapd with the overlay syncprov: refresh, then changes as they happen, on one connection.
 * The protocol's meaning is in `sync-session.ts`; here are the search and the proof that it is alive.
 */
import { yieldToLoop } from '../../base/clock.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { CONTROL } from '../../ldap/control.ts';
import { parseFilter } from '../../ldap/filter.ts';
import type { Filter } from '../../ldap/message.ts';
import { encodeSyncRequest } from '../../ldap/sync-values.ts';
import { connectServer, type DirectoryServerOptions, parseServer } from '../directory-server.ts';
import { sourceFailure } from './source-error.ts';
import type { Feed, FeedEvent, FeedIdentity } from './source.ts';
import { finish, receive, startSync } from './sync-session.ts';
import { Watch } from './watch.ts';

export interface OpenLdapOptions extends Omit<DirectoryServerOptions, 'table'> {
  readonly base: string;
  /** RFC 4515. */
  readonly filter: string;
  readonly attributes: readonly string[];
  /** Name and fingerprint of the mapping (`mappingIdentity`): part of what a cookie is worth. */
  readonly mapping: string;
  /** Time between two proofs that a silent provider is alive, milliseconds; a minute unless told. */
  readonly probeEveryMs?: number;
}

/** Entries handed on before others have their turn: some milliseconds of work. */
const ITEMS_A_TURN = 512;

/** Throws `usage` for an address or filter that is none, and for a password that would cross the network in clear text. */
export function openLdapFeed(options: OpenLdapOptions): Feed {
  parseServer(serverOf(options));
  const filter = parseFilter(options.filter);
  const identity: FeedIdentity = {
    kind: 'openldap',
    instance: options.url,
    base: options.base,
    filter: options.filter,
    attributes: options.attributes,
    bindIdentity: options.bindDn,
    mapping: options.mapping,
  };
  return {
    identity,
    live: true,
    follow: (cookie, signal) => follow(options, filter, cookie, signal),
  };
}

async function* follow(
  options: OpenLdapOptions,
  filter: Filter,
  cookie: Buffer | undefined,
  signal: AbortSignal,
): AsyncGenerator<readonly FeedEvent[], void, undefined> {
  let client: LdapClient | undefined;
  try {
    client = await connectServer(serverOf(options), signal);
    for (let from = cookie; ; from = undefined) {
      const end = yield* search(client, options, filter, from, signal);
      if (end === 'over') return;
    }
  } catch (error) {
    throw sourceFailure(error, options.url);
  } finally {
    client?.unbind();
  }
}

function serverOf(options: OpenLdapOptions): DirectoryServerOptions {
  return { ...options, table: 'source' };
}

/** One search until it ends. An empty array of events: nothing new, but the provider has just answered. */
async function* search(
  client: LdapClient,
  options: OpenLdapOptions,
  filter: Filter,
  cookie: Buffer | undefined,
  signal: AbortSignal,
): AsyncGenerator<readonly FeedEvent[], 'again' | 'over', undefined> {
  const request = encodeSyncRequest({
    mode: 'refreshAndPersist',
    reloadHint: false,
    ...(cookie === undefined ? {} : { cookie }),
  });
  const stream = client.search(
    { base: options.base, filter, attributes: options.attributes },
    {
      controls: [{ oid: CONTROL.syncRequest, critical: true, value: request }],
      timeoutMs: 'never',
      signal,
    },
  );
  const items = stream.batches();
  let session = startSync(cookie);
  const watch = new Watch(client, options, () => session.stage);
  try {
    for (let next = nextOf(items); ; ) {
      const batch = await watch.during(next);
      if (batch === undefined) {
        yield [];
        continue;
      }
      if (batch.done === true) break;
      watch.heard();
      for (let at = 0; at < batch.value.length; at += ITEMS_A_TURN) {
        const events: FeedEvent[] = [];
        for (const item of batch.value.slice(at, at + ITEMS_A_TURN)) session = receive(session, item, events);
        yield events;
        // A refresh comes as fast as it is read; the pushes to the edges need their turns meanwhile.
        if (session.stage === 'refresh') await yieldToLoop();
      }
      next = nextOf(items);
    }
  } catch (error) {
    // A result other than success: its meaning is decided below.
    if (resultCodeOf(error) === undefined) throw error;
  } finally {
    watch.stop();
    stream.cancel();
  }
  const { operation, controls } = await stream.done;
  const events: FeedEvent[] = [];
  const end = finish(session, operation.result, controls, events);
  yield events;
  return end;
}

/** Asked for ahead of time; nobody may be left to hear of its failure. */
function nextOf<T>(items: AsyncIterator<T, void, undefined>): Promise<IteratorResult<T, void>> {
  const next = items.next();
  next.catch(() => undefined);
  return next;
}
