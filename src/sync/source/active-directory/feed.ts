/**
 * Feed from Active Directory or Samba: everything by pages, then the objects that have changed, each read anew from the same controller.
 * Changes come by DirSync, or by uSNChanged where the account may not use that; a notification only says when to ask.
 *
 * Nothing is deleted but what the controller says is deleted, or what it finds and the filter or the base no longer does.
 */
import { PosternError } from '../../../base/error.ts';
import { resultCodeOf } from '../../../ldap/client-error.ts';
import type { LdapClient } from '../../../ldap/client.ts';
import { parseFilter } from '../../../ldap/filter.ts';
import { RESULT_CODE } from '../../../ldap/result-code.ts';
import { connectServer, type DirectoryServerOptions, parseServer } from '../../directory-server.ts';
import { sourceFailure } from '../source-error.ts';
import type { Feed, FeedEvent, FeedIdentity, SourceRight } from '../source.ts';
import { type Change, changesSince, dirSyncNow } from './changes.ts';
import { ControllerChoice } from './controller-choice.ts';
import { type Controller, readController, requireBase } from './controller.ts';
import { type AdPosition, type ChangeMethod, decodePosition, encodePosition } from './position.ts';
import { type EntryQuery, guidFilter, readAll, readSome } from './read-entries.ts';
import { grantDirSync, readRights } from './rights.ts';
import { WakeUp } from './wake-up.ts';

export interface ActiveDirectoryOptions extends Omit<DirectoryServerOptions, 'table' | 'url'> {
  /** Domain controllers of one domain; the next one is tried when the present one has failed for `nextAfterMs`. */
  readonly urls: readonly [string, ...string[]];
  readonly nextAfterMs: number;
  readonly base: string;
  /** RFC 4515; which of the objects below `base` are read. */
  readonly filter: string;
  readonly attributes: readonly string[];
  /** `auto`: DirSync where the account may use it. */
  readonly changes: 'auto' | ChangeMethod;
  /** Longest pause between two questions for changes, milliseconds. */
  readonly pollEveryMs: number;
  /** A position older than this is worth nothing: tombstones may be gone. Milliseconds. */
  readonly cookieValidityMs: number;
  /** Name and fingerprint of the mapping (`mappingIdentity`): part of what a cookie is worth. */
  readonly mapping: string;
}

/** How often a position is told within the time that it is worth something. */
const POSITIONS_A_VALIDITY = 20;

/** One opening of the feed: a connection to one controller. */
interface Session {
  readonly options: ActiveDirectoryOptions;
  readonly query: EntryQuery;
  readonly client: LdapClient;
  readonly controller: Controller;
  readonly signal: AbortSignal;
}

/** Throws `usage` for an address or filter that is none, and for a password that would cross the network in clear text. */
export function activeDirectoryFeed(options: ActiveDirectoryOptions): Feed {
  for (const url of options.urls) parseServer(serverOf(options, url));
  const { base, attributes } = options;
  const query = { base, attributes, filter: parseFilter(options.filter) };
  const identity: FeedIdentity = {
    kind: 'active-directory',
    instance: options.urls.join(' '),
    base,
    filter: options.filter,
    attributes,
    bindIdentity: options.bindDn,
    mapping: options.mapping,
  };
  const choice = new ControllerChoice(options.urls, options.nextAfterMs, options.clock);
  return {
    identity,
    live: true,
    follow: (cookie, signal) => follow(options, query, choice, cookie, signal),
    examine: (signal) => examine(options, query, choice, signal),
  };
}

async function* follow(
  options: ActiveDirectoryOptions,
  query: EntryQuery,
  choice: ControllerChoice,
  cookie: Buffer | undefined,
  signal: AbortSignal,
): AsyncGenerator<readonly FeedEvent[], void, undefined> {
  const { url } = choice;
  let client: LdapClient | undefined;
  try {
    client = await connectServer(serverOf(options, url), signal);
    const controller = await readController(client, options.base);
    const session: Session = { options, query, client, controller, signal };
    for await (const events of eventsOf(session, cookie)) {
      choice.works();
      yield events;
    }
  } catch (error) {
    if (!signal.aborted) choice.failed();
    throw sourceFailure(error, url);
  } finally {
    client?.unbind();
  }
}

async function examine(
  options: ActiveDirectoryOptions,
  query: EntryQuery,
  { url }: ControllerChoice,
  signal: AbortSignal,
): Promise<SourceRight[]> {
  let client: LdapClient | undefined;
  try {
    client = await connectServer(serverOf(options, url), signal);
    const controller = await readController(client, options.base);
    await requireBase(client, options.base);
    return await readRights(
      client,
      controller,
      { bindDn: options.bindDn, attributes: query.attributes },
      signal,
    );
  } catch (error) {
    throw sourceFailure(error, url);
  } finally {
    client?.unbind();
  }
}

async function* eventsOf(
  session: Session,
  cookie: Buffer | undefined,
): AsyncGenerator<readonly FeedEvent[], void, undefined> {
  const position = usablePosition(session, cookie);
  let reached = position === undefined ? undefined : yield* catchUp(session, position);
  if (reached !== undefined) yield [{ kind: 'complete', sweep: false, cookie: encodePosition(reached) }];
  else if (position !== undefined) yield [{ kind: 'restart' }];
  reached ??= yield* readEverything(session);
  yield* stayLive(session, reached);
}

/** The position that the cookie says, when it is one of this controller, and young enough. */
function usablePosition(
  { options, controller }: Session,
  cookie: Buffer | undefined,
): AdPosition | undefined {
  const position = decodePosition(cookie);
  if (position === undefined || !position.server.equals(controller.invocationId)) return undefined;
  // Only who reads everything learns then of what was deleted.
  if (!controller.seesDeleted) return undefined;
  if (options.changes !== 'auto' && options.changes !== position.method) return undefined;
  if (options.clock.now() - position.reachedAt > options.cookieValidityMs) return undefined;
  if (position.usn <= controller.usn) return position;
  throw new PosternError('source.behind', 'the controller is behind what was already read from it', {
    hint: 'was it restored from a snapshot without the controller noticing? If it is right as it is: postern sync run --full',
  });
}

/** A position first, then everything, then what has changed meanwhile: so nothing falls between. */
async function* readEverything(
  session: Session,
): AsyncGenerator<readonly FeedEvent[], AdPosition, undefined> {
  const { client, query, signal } = session;
  await requireBase(client, query.base);
  const start = await positionNow(session);
  for await (const entries of readAll(client, query, signal))
    yield entries.map((entry) => ({ kind: 'upsert', entry }));
  const reached = yield* catchUp(session, start);
  // An account that lost its rights in the middle sees less, not an error.
  await requireBase(client, query.base);
  if (reached === undefined)
    throw new PosternError('source.incomplete', 'a part of the tree was moved while everything was read', {
      hint: 'it is read again by itself',
    });
  yield [{ kind: 'complete', sweep: true, cookie: encodePosition(reached) }];
  return reached;
}

async function positionNow(session: Session): Promise<AdPosition> {
  const { options, client, controller, signal } = session;
  const start = { server: controller.invocationId, reachedAt: options.clock.now(), usn: controller.usn };
  if (options.changes === 'usn' || (options.changes === 'auto' && !controller.dirSync))
    return { ...start, method: 'usn', cookie: Buffer.alloc(0) };
  try {
    return await dirSyncNow(client, controller, start, signal);
  } catch (error) {
    if (resultCodeOf(error) !== RESULT_CODE.insufficientAccessRights || options.changes === 'dirsync')
      throw withGrant(error, session);
    return { ...start, method: 'usn', cookie: Buffer.alloc(0) };
  }
}

/** The changes since `from`, told; undefined when everything has to be read again. */
async function* catchUp(
  session: Session,
  from: AdPosition,
): AsyncGenerator<readonly FeedEvent[], AdPosition | undefined, undefined> {
  const { options, client, controller, query, signal } = session;
  const changeQuery = { namingContext: controller.namingContext, attributes: query.attributes };
  const wholeContext = query.base.toLowerCase() === controller.namingContext.toLowerCase();
  // Read before the changes are asked for, so these include it.
  for (let position = { ...from, usn: Math.max(from.usn, from.method === 'usn' ? 0 : controller.usn) }; ; ) {
    let changes;
    try {
      changes = await changesSince(client, changeQuery, position, options.clock.now(), signal);
    } catch (error) {
      if (isRefusedPosition(error)) return undefined;
      throw withGrant(error, session);
    }
    if (!wholeContext && changes.found.some(({ movedContainer }) => movedContainer)) return undefined;
    yield* became(session, changes.found);
    position = changes.position;
    if (!changes.more) return position;
  }
}

/** What the changed objects are now. */
async function* became(
  session: Session,
  changes: readonly Change[],
): AsyncGenerator<readonly FeedEvent[], void, undefined> {
  const { client, query, controller, signal } = session;
  const open = new Map(
    changes.filter(({ deleted }) => !deleted).map(({ guid }) => [guid.toString('hex'), guid]),
  );
  const gone = new Map(
    changes.filter(({ deleted }) => deleted).map(({ guid }) => [guid.toString('hex'), guid]),
  );
  for await (const entries of readSome(client, query, [...open.values()], signal)) {
    for (const { guid } of entries) open.delete(guid.toString('hex'));
    yield entries.map((entry) => ({ kind: 'upsert', entry }));
  }
  // Not found by the query, yet seen in the naming context: it has left. What is not seen at all proves nothing.
  const everywhere = { base: controller.namingContext, filter: guidFilter([]), attributes: [] };
  const anything = { ...everywhere, filter: { kind: 'present', attribute: 'objectClass' } as const };
  for await (const entries of readSome(client, anything, [...open.values()], signal))
    for (const { guid } of entries) gone.set(guid.toString('hex'), guid);
  if (gone.size > 0) yield [...gone.values()].map((guid) => ({ kind: 'delete', guid }));
}

async function* stayLive(
  session: Session,
  from: AdPosition,
): AsyncGenerator<readonly FeedEvent[], void, undefined> {
  const { options, client, controller, signal } = session;
  const wakeUp = new WakeUp(client, {
    ...controller,
    clock: options.clock,
    pollEveryMs: options.pollEveryMs,
  });
  try {
    for (let position = from, kept = from; ; ) {
      await wakeUp.next(signal);
      let told = false;
      const changes = catchUp(session, position);
      let step = await changes.next();
      for (; step.done !== true; step = await changes.next()) {
        told = true;
        yield step.value;
      }
      // The feed is opened again, and reads everything as a refresh.
      if (step.value === undefined) {
        throw new PosternError(
          'source.incomplete',
          'a part of the tree was moved: everything is read again',
          {
            hint: 'nothing to do; recipients go on being answered meanwhile',
          },
        );
      }
      position = step.value;
      // A position is a write on every edge: without a change it is told now and then, so that it does not become too old.
      const due = position.reachedAt - kept.reachedAt > options.cookieValidityMs / POSITIONS_A_VALIDITY;
      if (told || due) kept = position;
      yield told || due ? [{ kind: 'position', cookie: encodePosition(position) }] : [];
    }
  } finally {
    wakeUp.stop();
  }
}

/** Results by which controllers refuse a cookie that they do not know, or no more. */
function isRefusedPosition(error: unknown): boolean {
  const code = resultCodeOf(error);
  return (
    code === RESULT_CODE.operationsError ||
    code === RESULT_CODE.protocolError ||
    code === RESULT_CODE.unwillingToPerform ||
    code === RESULT_CODE.unavailableCriticalExtension ||
    code === RESULT_CODE.other
  );
}

function withGrant(error: unknown, { options, controller }: Session): unknown {
  if (resultCodeOf(error) !== RESULT_CODE.insufficientAccessRights) return error;
  return new PosternError('source.invalid', 'the account may not ask for changes (DirSync)', {
    cause: error,
    hint: `${grantDirSync(controller.namingContext, options.bindDn)}; or set source.changes = "usn"`,
  });
}

function serverOf(options: ActiveDirectoryOptions, url: string): DirectoryServerOptions {
  return { ...options, url, table: 'source' };
}
