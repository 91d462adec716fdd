/**
 * Feed from any LDAP server: entries whose modifyTimestamp is young are asked for again and again, and everything is read now and then, which alone
 * shows what was deleted or has left the filter. For servers that offer nothing better.
 */
import { formatGeneralizedTime } from '../../asn1/time.ts';
import { PosternError } from '../../base/error.ts';
import type { LdapClient, SearchItem } from '../../ldap/client.ts';
import { parseFilter } from '../../ldap/filter.ts';
import type { Filter } from '../../ldap/message.ts';
import { connectServer, type DirectoryServerOptions, parseServer } from '../directory-server.ts';
import { entryAttributes } from './entry-attributes.ts';
import { timeOf, uniqueIdOf } from './entry-identity.ts';
import { pages } from './pages.ts';
import { decodePollingPosition, encodePollingPosition, type PollingPosition } from './polling-position.ts';
import { sourceFailure } from './source-error.ts';
import type { Feed, FeedEvent, FeedIdentity, SourceEntry } from './source.ts';

export interface PollingOptions extends Omit<DirectoryServerOptions, 'table'> {
  readonly base: string;
  /** RFC 4515. */
  readonly filter: string;
  readonly attributes: readonly string[];
  /** What names an entry for ever: entryUUID, ibm-entryUUID, nsUniqueId, GUID (16 octets, or their hexadecimal digits). */
  readonly uniqueId: string;
  /** Pause between two questions for changes, milliseconds. */
  readonly pollEveryMs: number;
  /** How often everything is read, milliseconds. */
  readonly fullEveryMs: number;
  /** Name and fingerprint of the mapping (`mappingIdentity`): part of what a cookie is worth. */
  readonly mapping: string;
}

interface Session {
  readonly options: PollingOptions;
  readonly filter: Filter;
  readonly client: LdapClient;
  readonly signal: AbortSignal;
}

/** Timestamps have seconds, and the servers behind one name have clocks that differ: so much is asked for again. */
const OVERLAP_MS = 60_000;

/** Throws `usage` for an address or filter that is none, and for a password that would cross the network in clear text. */
export function pollingFeed(options: PollingOptions): Feed {
  parseServer({ ...options, table: 'source' });
  const filter = parseFilter(options.filter);
  const identity: FeedIdentity = {
    kind: 'ldap',
    instance: options.url,
    base: options.base,
    filter: options.filter,
    attributes: [options.uniqueId, ...options.attributes],
    bindIdentity: options.bindDn,
    mapping: options.mapping,
  };
  return { identity, live: true, follow: (cookie, signal) => follow(options, filter, cookie, signal) };
}

/** Ends when everything has to be read again. */
async function* follow(
  options: PollingOptions,
  filter: Filter,
  cookie: Buffer | undefined,
  signal: AbortSignal,
): AsyncGenerator<readonly FeedEvent[], void, undefined> {
  let client: LdapClient | undefined;
  try {
    client = await connectServer({ ...options, table: 'source' }, signal);
    const session: Session = { options, filter, client, signal };
    let position = decodePollingPosition(cookie);
    const whole = position === undefined || fullIsDue(position, options);
    position =
      position === undefined || whole ? yield* readEverything(session) : yield* readYoung(session, position);
    yield [{ kind: 'complete', sweep: whole, cookie: encodePollingPosition(position) }];
    while (!fullIsDue(position, options)) {
      await options.clock.sleep('source.changes', options.pollEveryMs, signal);
      const reached: PollingPosition = yield* readYoung(session, position);
      yield reached.latest === position.latest
        ? []
        : [{ kind: 'position', cookie: encodePollingPosition(reached) }];
      position = reached;
    }
  } catch (error) {
    throw sourceFailure(error, options.url);
  } finally {
    client?.unbind();
  }
}

function fullIsDue({ fullAt }: PollingPosition, { clock, fullEveryMs }: PollingOptions): boolean {
  const age = clock.now() - fullAt;
  // A position from the future says that a clock was wrong.
  return age >= fullEveryMs || age < 0;
}

async function* readEverything(
  session: Session,
): AsyncGenerator<readonly FeedEvent[], PollingPosition, undefined> {
  const fullAt = session.options.clock.now();
  // Changed while everything is read: found by the question for what is young, which comes after it.
  const read = yield* readEntries(session, session.filter, { latest: 0, fullAt });
  return yield* readYoung(session, read);
}

function readYoung(
  session: Session,
  position: PollingPosition,
): AsyncGenerator<readonly FeedEvent[], PollingPosition, undefined> {
  const since: Filter = {
    kind: 'greaterOrEqual',
    attribute: 'modifyTimestamp',
    value: Buffer.from(formatGeneralizedTime(Math.max(0, position.latest - OVERLAP_MS))),
  };
  return readEntries(session, { kind: 'and', filters: [session.filter, since] }, position);
}

async function* readEntries(
  { client, options, signal }: Session,
  filter: Filter,
  position: PollingPosition,
): AsyncGenerator<readonly FeedEvent[], PollingPosition, undefined> {
  const { base, uniqueId } = options;
  const attributes = [uniqueId, 'modifyTimestamp', ...options.attributes];
  let { latest } = position;
  for await (const items of pages(client, { base, filter, attributes }, signal)) {
    const events: FeedEvent[] = [];
    for (const item of items) {
      const found = entryOf(item, uniqueId);
      if (found === undefined) continue;
      latest = Math.max(latest, found.modified);
      events.push({ kind: 'upsert', entry: found.entry });
    }
    yield events;
  }
  return { ...position, latest };
}

function entryOf(
  { operation }: SearchItem,
  uniqueId: string,
): { readonly entry: SourceEntry; readonly modified: number } | undefined {
  // References lead to other servers, which are other sources.
  if (operation.op !== 'searchResultEntry') return undefined;
  const attributes = entryAttributes(operation.attributes);
  const guid = uniqueIdOf(attributes.get(uniqueId.toLowerCase())?.[0]);
  const modified = timeOf(attributes.get('modifytimestamp')?.[0]);
  if (guid !== undefined && modified !== undefined)
    return { entry: { guid, dn: operation.dn, attributes }, modified };
  const missing = guid === undefined ? uniqueId : 'modifyTimestamp';
  throw new PosternError('source.invalid', `the entry "${operation.dn}" has no ${missing} that can be used`, {
    hint: 'may the account read it? source.unique_id names the attribute that names an entry for ever',
  });
}
