/**
 * A search with the sync request control (RFC 4533): the refresh, by delete phase where the change log reaches back far enough and by present phase otherwise,
 * and then, if asked for, every change as it becomes durable. A consumer that does not keep up is ended with `busy`, and can go on from its last cookie.
 */
import { CONTROL, INTERMEDIATE } from '../../ldap/control.ts';
import type { Control, SearchRequest } from '../../ldap/message.ts';
import {
  encodeSyncDone,
  encodeSyncInfo,
  encodeSyncState,
  type SyncInfo,
  type SyncRequest,
  type SyncState,
} from '../../ldap/sync-values.ts';
import { BerWriter } from '../../asn1/writer.ts';
import { encodeControls } from '../../ldap/encode-control.ts';
import type { ChangeNumber } from '../database.ts';
import type { EntryView } from '../entry/layout.ts';
import type { AccessView } from '../access/access.ts';
import { writeResponse } from '../protocol/answer.ts';
import type { Client, Operation } from '../protocol/client.ts';
import { searchBase } from '../protocol/search-start.ts';
import { refuse, resultOf, SUCCESS } from '../refusal.ts';
import { compileFilter } from '../search/filter.ts';
import { type Matcher, TRUE } from '../search/matcher.ts';
import { SearchRun } from '../search/search-run.ts';
import { Selection } from '../search/selection.ts';
import type { Change } from '../update/commit.ts';
import { ChangeJudge, type Told } from './change-judge.ts';
import { isAfter } from './cookie.ts';
import { Updates } from './updates.ts';

/** Identifiers in one syncIdSet, as slapd sends them. */
const SET_SIZE = 500;
/** Changes kept back while the refresh runs, and their octets; beyond it the client has to begin again. */
const MOST_WAITING = 50_000;
const MOST_WAITING_BYTES = 16 << 20;
/** Octets that a consumer may have left unread when there is more to tell. */
const MOST_UNSENT = 4 << 20;
/** Changes that don't concern a search, after which it gets a newer cookie all the same: or its own would grow too old. */
const COOKIE_EVERY = 4096;
const FLUSH_STRIDE = 64;

export function startSync(
  client: Client,
  messageId: number,
  request: SearchRequest,
  sync: SyncRequest,
): void {
  const { directory, session, limits } = client;
  const gate = directory.hooks.searchGate?.(session, request.base);
  if (gate !== undefined) return client.answer('searchRequest', messageId, gate);
  if (limits.persistent === 0) refuse('insufficientAccessRights', 'no right to content synchronisation');
  if (sync.mode === 'refreshAndPersist' && client.persistentOperations >= limits.persistent)
    refuse('adminLimitExceeded', 'too many persistent searches');
  const base = searchBase(client, request);
  const operation = new SyncOperation(client, messageId, request, sync, base);
  client.started(operation);
  // A cookie must never stand for what a crash could undo.
  directory.database.store.flush().then(
    () => operation.begin(),
    (error: unknown) => {
      operation.cancel();
      client.failed('searchRequest', messageId, error);
    },
  );
}

class SyncOperation implements Operation {
  readonly op = 'searchRequest';
  readonly messageId: number;
  readonly persistent: boolean;
  readonly #client: Client;
  readonly #request: SearchRequest;
  readonly #sync: SyncRequest;
  readonly #base: number;
  readonly #filter: Matcher;
  readonly #selection: Selection;
  readonly #judge: ChangeJudge;
  /** The client's position; undefined: it gets everything. */
  #from: ChangeNumber | undefined;
  /** Where the refresh started: the position it leads to. */
  #to: ChangeNumber = { time: 0, count: 0 };
  /** What a client with a position has to get; undefined for one that gets everything. */
  #updates: Updates | undefined;
  #present: Buffer[] = [];
  #run: SearchRun | undefined;
  #written = 0;
  #blocked = false;
  #ended = false;
  #refreshed = false;
  #waiting: (readonly Change[])[] = [];
  #waitingChanges = 0;
  #waitingBytes = 0;
  /** Changes since the last cookie. */
  #untold = 0;
  #unsubscribe: (() => void) | undefined;

  constructor(client: Client, messageId: number, request: SearchRequest, sync: SyncRequest, base: number) {
    const { directory, session } = client;
    this.#client = client;
    this.messageId = messageId;
    this.#request = request;
    this.#sync = sync;
    this.#base = base;
    this.persistent = sync.mode === 'refreshAndPersist';
    this.#filter = compileFilter(request.filter, directory.filterOptions);
    this.#judge = new ChangeJudge(directory, session, request, this.#filter);
    this.#selection = new Selection(
      directory.database,
      directory.computed,
      request.attributes,
      request.typesOnly,
    );
  }

  begin(): void {
    if (this.#ended) return;
    const { directory, session, limits } = this.#client;
    const { database, sync } = directory;
    this.#to = database.lastChange;
    const { cookie } = this.#sync;
    this.#from = cookie === undefined || cookie.length === 0 ? undefined : sync.position(cookie, this.#to);
    if (this.#from !== undefined) {
      const since = sync.since(this.#from);
      // What has changed and is not found would be named as gone: only for those who may know of all there is.
      const mayKnowAll = directory.access.seesEverything(session) || since?.uuids.size === 0;
      this.#updates = new Updates(database, mayKnowAll ? since : undefined);
    }
    if (this.persistent) this.#unsubscribe = directory.onChange((changes) => this.#onChanges(changes));
    // Nothing has happened since: no need to look at anything.
    if (this.#updates?.isEmpty === true) return this.#endRefresh();
    const task = {
      base: this.#base,
      scope: this.#request.scope,
      filter: this.#filter,
      sizeLimit: this.#request.sizeLimit,
      timeLimitMs: limits.timeLimitMs,
      lookThrough: 0,
    };
    this.#run = new SearchRun(task, directory, session, (id, view, access) => this.#entry(id, view, access));
    this.#step();
  }

  cancel(): boolean {
    this.#end();
    return true;
  }

  onDrain(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    if (this.#run === undefined) this.#sendUpdates();
    else this.#step();
  }

  #step(): void {
    if (this.#ended || this.#run === undefined) return;
    const state = this.#run.step();
    if (state === 'more') return this.#client.later(() => this.#step());
    if (state === 'blocked') {
      this.#blocked = true;
      return;
    }
    if (state === 'done') {
      this.#run = undefined;
      return this.#beginUpdates();
    }
    this.#fail(state === 'timeLimit' ? 'timeLimitExceeded' : 'sizeLimitExceeded', '');
  }

  #fail(code: 'timeLimitExceeded' | 'sizeLimitExceeded' | 'busy', diagnostic: string): void {
    this.#end();
    this.#client.answer('searchRequest', this.messageId, resultOf(code, diagnostic));
  }

  #end(): void {
    this.#ended = true;
    this.#unsubscribe?.();
    this.#run = undefined;
    this.#updates = undefined;
    this.#waiting = [];
    this.#client.finished(this);
  }

  // --- refresh ---

  #entry(id: number, view: EntryView, access: AccessView): boolean {
    const updates = this.#updates;
    if (this.#from === undefined || updates === undefined)
      this.#send(id, view, access, { state: 'add', entryUuid: view.uuid() });
    else if (
      !updates.take(id, view, isAfter({ time: view.changed(), count: view.changeCount() }, this.#from)) &&
      !updates.deletes
    ) {
      this.#present.push(view.uuid());
      if (this.#present.length >= SET_SIZE) this.#sendIdSet(this.#present.splice(0), false);
    }
    return ++this.#written % FLUSH_STRIDE !== 0 || this.#client.connection.flush();
  }

  #beginUpdates(): void {
    if (this.#present.length > 0) this.#sendIdSet(this.#present.splice(0), false);
    // What leaves goes first: its name may be another entry's now.
    const gone = this.#updates?.prepare() ?? [];
    for (let at = 0; at < gone.length; at += SET_SIZE) this.#sendIdSet(gone.slice(at, at + SET_SIZE), true);
    this.#sendUpdates();
  }

  #sendUpdates(): void {
    if (this.#ended) return;
    const { connection, directory, session } = this.#client;
    const { database, computed, access } = directory;
    for (let n = 1; ; n++) {
      const next = this.#updates?.next();
      if (next === undefined) return this.#endRefresh();
      const { id, view } = next;
      // It may have changed since it was found; then that is told later, with a later cookie.
      const rights = access.view(session, id);
      const context = { database, computed, session, view, id, access: rights };
      if (rights.visible && this.#judge.holds(id) && this.#filter.match(context) === TRUE)
        this.#send(id, view, rights, { state: 'add', entryUuid: view.uuid() });
      if (n % FLUSH_STRIDE !== 0) continue;
      if (!connection.flush()) {
        this.#blocked = true;
        return;
      }
      return this.#client.later(() => this.#sendUpdates());
    }
  }

  #endRefresh(): void {
    const { connection, directory } = this.#client;
    const refreshDeletes = this.#updates?.deletes === true;
    this.#updates = undefined;
    const cookie = directory.sync.cookie(this.#to);
    if (!this.persistent) {
      this.#end();
      const done = {
        oid: CONTROL.syncDone,
        critical: false,
        value: encodeSyncDone({ cookie, refreshDeletes }),
      };
      return writeResponse(connection.writer(), this.messageId, { op: 'searchResultDone', result: SUCCESS }, [
        done,
      ]);
    }
    this.#info({ kind: refreshDeletes ? 'refreshDelete' : 'refreshPresent', cookie, refreshDone: true });
    this.#refreshed = true;
    for (const changes of this.#waiting.splice(0)) this.#tell(changes);
    this.#waitingBytes = 0;
  }

  #sendIdSet(entryUuids: readonly Buffer[], refreshDeletes: boolean): void {
    this.#info({ kind: 'idSet', refreshDeletes, entryUuids });
  }

  #info(info: SyncInfo): void {
    writeResponse(this.#client.connection.writer(), this.messageId, {
      op: 'intermediateResponse',
      oid: INTERMEDIATE.syncInfo,
      value: encodeSyncInfo(info),
    });
  }

  #send(id: number, view: EntryView, access: AccessView, state: SyncState): void {
    const { connection, session } = this.#client;
    this.#selection.write(
      connection.writer(),
      this.messageId,
      id,
      view,
      access,
      session,
      stateControl(state),
    );
  }

  // --- persist ---

  #onChanges(changes: readonly Change[]): void {
    if (this.#ended) return;
    if (this.#refreshed) return this.#tell(changes);
    this.#waiting.push(changes);
    this.#waitingChanges += changes.length;
    for (const { before, after } of changes)
      this.#waitingBytes += (before?.view.end ?? 0) + (after?.view.end ?? 0);
    if (this.#waitingChanges > MOST_WAITING || this.#waitingBytes > MOST_WAITING_BYTES)
      this.#fail('busy', 'too many changes during the refresh: try again later');
  }

  #tell(changes: readonly Change[]): void {
    if (this.#ended) return;
    const { directory, connection } = this.#client;
    const relevant = changes.filter(({ number }) => isAfter(number, this.#to));
    const told = this.#judge.judge(relevant);
    if (told === undefined)
      return this.#fail('busy', 'a large subtree was renamed: go on from the last cookie');
    for (const [n, one] of told.entries()) {
      // The bytes of one that never reads are bounded, and nobody waits for it.
      if (connection.pendingBytes > MOST_UNSENT)
        return this.#fail('busy', 'changes are not read fast enough: go on from the last cookie');
      const isLast = n === told.length - 1;
      this.#sendTold(one, isLast ? directory.sync.cookie(one.number) : undefined);
    }
    this.#untold = told.length > 0 ? 0 : this.#untold + relevant.length;
    const last = relevant.at(-1);
    if (last === undefined || this.#untold < COOKIE_EVERY) return;
    this.#untold = 0;
    this.#info({ kind: 'newCookie', cookie: directory.sync.cookie(last.number) });
  }

  #sendTold({ state, entry, access }: Told, cookie: Buffer | undefined): void {
    const { connection } = this.#client;
    const sync: SyncState = { state, entryUuid: entry.uuid, ...(cookie !== undefined && { cookie }) };
    if (state !== 'delete') return this.#send(entry.id, entry.view, access, sync);
    connection.sendMessage({
      messageId: this.messageId,
      operation: { op: 'searchResultEntry', dn: entry.dn, attributes: [] },
      controls: [{ oid: CONTROL.syncState, critical: false, value: encodeSyncState(sync) }],
    });
  }
}

const scratch = new BerWriter(256);

/** The `[0]` element with a sync state control. */
function stateControl(state: SyncState): Buffer {
  const controls: readonly Control[] = [
    { oid: CONTROL.syncState, critical: false, value: encodeSyncState(state) },
  ];
  encodeControls(scratch, controls);
  return scratch.toBuffer();
}
