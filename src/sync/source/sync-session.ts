/**
 * One content synchronisation search (RFC 4533) as a state machine: what the provider sends becomes events of the feed. Pure; knows
 * nothing of connections. A cookie is believed only where it stands for everything delivered: at the end of the refresh and in the
 * persist stage. (slapd's delete phase sends others on the way, with a `delcsn` of its own.)
 */
import { isPosternError, PosternError } from '../../base/error.ts';
import type { SearchItem } from '../../ldap/client.ts';
import { CONTROL, findControl, INTERMEDIATE } from '../../ldap/control.ts';
import type { Control, LdapResult } from '../../ldap/message.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import { decodeSyncDone, decodeSyncInfo, decodeSyncState, type SyncInfo } from '../../ldap/sync-values.ts';
import { entryAttributes } from './entry-attributes.ts';
import { mergeCookies } from './csn-cookie.ts';
import { searchFailure } from './source-error.ts';
import type { FeedEvent } from './source.ts';

export interface SyncSession {
  readonly stage: 'refresh' | 'persist';
  /** The cookie that was sent; undefined: everything was asked for. */
  readonly sent: Buffer | undefined;
  /** At the end of the refresh, what was not mentioned is gone: all of it was sent, or a present phase listed the rest. */
  readonly sweep: boolean;
  /** Stands for everything delivered; from the end of the refresh on. */
  readonly reached: Buffer | undefined;
  /** Referral objects met: they are no recipients, and nobody follows them. */
  readonly referrals: number;
}

export function startSync(cookie: Buffer | undefined): SyncSession {
  return { stage: 'refresh', sent: cookie, sweep: cookie === undefined, reached: undefined, referrals: 0 };
}

/**
 * Takes one message of the search and appends what it means to `events`; returns the next state. Entries in `events` are views of the
 * message. Throws `source.invalid` for what no provider may send.
 */
export function receive(session: SyncSession, item: SearchItem, events: FeedEvent[]): SyncSession {
  const { operation } = item;
  try {
    if (operation.op !== 'intermediateResponse') return receiveEntry(session, item, events);
    // Other intermediate responses are other people's (RFC 4511 §4.13).
    if (operation.oid !== INTERMEDIATE.syncInfo) return session;
    return receiveInfo(session, decodeSyncInfo(operation.value), events);
  } catch (error) {
    if (!isPosternError(error, 'decode')) throw error;
    const what =
      operation.op === 'searchResultEntry' ? `the state of the entry "${operation.dn}"` : 'a message';
    throw violation(`${what} cannot be read`, error);
  }
}

/** What the end of the search means: `again` without a cookie (a `restart` event came), or `over` (the refresh was complete). */
export function finish(
  session: SyncSession,
  result: LdapResult,
  controls: readonly Control[],
  events: FeedEvent[],
): 'again' | 'over' {
  if (result.code === RESULT_CODE['e-syncRefreshRequired']) {
    if (session.sent === undefined)
      throw violation('it asks for a full refresh in the middle of a full refresh');
    events.push({ kind: 'restart' });
    return 'again';
  }
  if (result.code !== RESULT_CODE.success) throw searchFailure(result, session.sent !== undefined);
  if (session.stage === 'persist') {
    throw new PosternError('source.unavailable', 'the source ended the search that should have lasted', {
      hint: 'was the server stopped, or does it limit how long a search may last?',
    });
  }
  // A provider may answer the refresh only (RFC 4533 §3.3): complete all the same, and asked again on schedule.
  const control = findControl(controls, CONTROL.syncDone);
  if (control === undefined) throw violation('it ended the refresh without saying so');
  const done = decodeSyncDone(control.value);
  const sweep = session.sweep || !done.refreshDeletes;
  events.push({ kind: 'complete', sweep, cookie: kept(done.cookie) ?? session.sent });
  return 'over';
}

function receiveEntry(session: SyncSession, item: SearchItem, events: FeedEvent[]): SyncSession {
  const { operation } = item;
  if (operation.op === 'intermediateResponse') return session;
  const control = findControl(item.controls, CONTROL.syncState);
  if (control === undefined)
    throw violation('it sends entries without saying what became of them: is it a provider of RFC 4533?');
  const { state, entryUuid, cookie } = decodeSyncState(control.value);
  const referral = operation.op === 'searchResultReference';
  if (state === 'delete') events.push({ kind: 'delete', guid: entryUuid });
  else if (state === 'present') pushPresent(events, [entryUuid]);
  else if (referral) {
    // A present phase will list it: it has to be known, as an entry that is no recipient.
    events.push({ kind: 'upsert', entry: { guid: entryUuid, dn: '', attributes: new Map() } });
  } else {
    const attributes = entryAttributes(operation.attributes);
    events.push({ kind: 'upsert', entry: { guid: entryUuid, dn: operation.dn, attributes } });
  }
  const next = reach(session, cookie, events);
  return referral ? { ...next, referrals: next.referrals + 1 } : next;
}

function receiveInfo(session: SyncSession, info: SyncInfo, events: FeedEvent[]): SyncSession {
  switch (info.kind) {
    case 'newCookie':
      return reach(session, info.cookie, events);
    case 'idSet':
      if (info.refreshDeletes) for (const guid of info.entryUuids) events.push({ kind: 'delete', guid });
      else pushPresent(events, info.entryUuids);
      return reach(session, info.cookie, events);
    case 'refreshDelete':
    case 'refreshPresent': {
      if (session.stage === 'persist') throw violation('it began another refresh after the refresh');
      const sweep = session.sweep || info.kind === 'refreshPresent';
      if (!info.refreshDone) return { ...session, sweep };
      const reached = kept(info.cookie) ?? session.sent;
      events.push({ kind: 'complete', sweep, cookie: reached });
      return { ...session, stage: 'persist', sweep, reached };
    }
    default:
      return info satisfies never;
  }
}

function pushPresent(events: FeedEvent[], guids: readonly Buffer[]): void {
  events.push({ kind: 'present', guids });
}

/** A cookie that came with an event, or alone. */
function reach(session: SyncSession, cookie: Buffer | undefined, events: FeedEvent[]): SyncSession {
  const next = session.stage === 'persist' ? kept(cookie) : undefined;
  if (next === undefined) return session;
  const reached = mergeCookies(session.reached, next);
  events.push({ kind: 'position', cookie: reached });
  return { ...session, reached };
}

/** A copy of a cookie that may be kept. */
function kept(cookie: Buffer | undefined): Buffer | undefined {
  const none = cookie === undefined || cookie.length === 0 || cookie.includes(',delcsn=');
  return none ? undefined : Buffer.from(cookie);
}

function violation(what: string, cause?: unknown): PosternError {
  return new PosternError('source.invalid', `the source does not keep to the protocol: ${what}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'use a provider of RFC 4533, such as slapd with the overlay syncprov',
  });
}
