/**
 * A search with the sync request control (RFC 4533): the refresh, by delete phase where the change log reaches back far enough and by
 * present phase otherwise, and then, if asked for, every change as it becomes durable.
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
import type { Entry } from '../entry/entry.ts';
import type { EntryView } from '../entry/layout.ts';
import type { AccessView } from '../access/access.ts';
import { type Name, normalName } from '../entry/name.ts';
import { writeResponse } from '../protocol/answer.ts';
import type { Client, Operation } from '../protocol/client.ts';
import { searchBase } from '../protocol/search-start.ts';
import { refuse, resultOf, SUCCESS } from '../refusal.ts';
import { compileFilter } from '../search/filter.ts';
import { type Matcher, TRUE } from '../search/matcher.ts';
import { SearchRun } from '../search/search-run.ts';
import { Selection } from '../search/selection.ts';
import type { Change } from '../update/commit.ts';
import { isAfter } from './cookie.ts';

/** Identifiers in one syncIdSet, as slapd sends them. */
const SET_SIZE = 500;
/** Changes kept back while the refresh runs; beyond it the client has to begin again. */
const MOST_WAITING = 50_000;
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
  readonly #baseName: Name | undefined;
  readonly #filter: Matcher;
  readonly #selection: Selection;
  /** The client's position; undefined: it gets everything. */
  #from: ChangeNumber | undefined;
  /** Where the refresh started: the position it leads to. */
  #to: ChangeNumber = { time: 0, count: 0 };
  /** What the log says has changed since `#from`; undefined means present phase. */
  #changed: Set<string> | undefined;
  #present: Buffer[] = [];
  #run: SearchRun | undefined;
  #written = 0;
  #blocked = false;
  #ended = false;
  #refreshed = false;
  #waiting: (readonly Change[])[] = [];
  #waitingChanges = 0;
  #unsubscribe: (() => void) | undefined;

  constructor(client: Client, messageId: number, request: SearchRequest, sync: SyncRequest, base: number) {
    const { directory } = client;
    this.#client = client;
    this.messageId = messageId;
    this.#request = request;
    this.#sync = sync;
    this.#base = base;
    this.#baseName = directory.database.names.read(request.base);
    this.persistent = sync.mode === 'refreshAndPersist';
    this.#filter = compileFilter(request.filter, directory.filterOptions);
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
    const position = cookie === undefined || cookie.length === 0 ? undefined : sync.position(cookie);
    this.#from = position !== undefined && isAfter(position, this.#to) ? undefined : position;
    this.#changed = this.#from === undefined ? undefined : sync.since(this.#from);
    if (this.persistent) this.#unsubscribe = directory.onChange((changes) => this.#onChanges(changes));
    // Nothing has happened since: no need to look at anything.
    if (this.#changed?.size === 0) return this.#endRefresh();
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
    this.#step();
  }

  #step(): void {
    if (this.#ended || this.#run === undefined) return;
    const state = this.#run.step();
    if (state === 'more') return this.#client.later(() => this.#step());
    if (state === 'blocked') {
      this.#blocked = true;
      return;
    }
    if (state === 'done') return this.#endRefresh();
    this.#end();
    this.#client.answer(
      'searchRequest',
      this.messageId,
      resultOf(state === 'timeLimit' ? 'timeLimitExceeded' : 'sizeLimitExceeded'),
    );
  }

  #end(): void {
    this.#ended = true;
    this.#unsubscribe?.();
    this.#waiting = [];
    this.#client.finished(this);
  }

  // --- refresh ---

  #entry(id: number, view: EntryView, access: AccessView): boolean {
    const from = this.#from;
    const isNew = from === undefined || isAfter({ time: view.changed(), count: view.changeCount() }, from);
    if (isNew) {
      this.#changed?.delete(view.uuid().toString('latin1'));
      this.#send(id, view, access, { state: 'add', entryUuid: view.uuid() });
    } else if (this.#changed === undefined) {
      this.#present.push(view.uuid());
      if (this.#present.length >= SET_SIZE) this.#sendIdSet(this.#present.splice(0), false);
    }
    return ++this.#written % FLUSH_STRIDE !== 0 || this.#client.connection.flush();
  }

  #endRefresh(): void {
    const { connection, directory } = this.#client;
    const refreshDeletes = this.#changed !== undefined;
    // Delete phase: what changed and is not among the results is gone for this client, if it ever was there.
    const gone = [...(this.#changed ?? [])].map((uuid) => Buffer.from(uuid, 'latin1'));
    for (let at = 0; at < gone.length; at += SET_SIZE) this.#sendIdSet(gone.slice(at, at + SET_SIZE), true);
    if (this.#present.length > 0) this.#sendIdSet(this.#present.splice(0), false);
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
    if (this.#waitingChanges <= MOST_WAITING) return;
    this.#end();
    this.#client.answer(
      'searchRequest',
      this.messageId,
      resultOf('e-syncRefreshRequired', 'too many changes during the refresh'),
    );
  }

  #tell(changes: readonly Change[]): void {
    const { directory } = this.#client;
    const relevant = changes
      .filter(({ number }) => isAfter(number, this.#to))
      .flatMap((change) => this.#judge(change));
    for (const [n, { change, state }] of relevant.entries()) {
      const cookie = n === relevant.length - 1 ? { cookie: directory.sync.cookie(change.number) } : {};
      this.#sendChange(change, { state, entryUuid: change.uuid, ...cookie });
    }
  }

  /** What a change means for this search (RFC 4533 §3.4): nothing, or one message. */
  #judge(change: Change): { change: Change; state: 'add' | 'modify' | 'delete' }[] {
    const was = change.before !== undefined && this.#matches(change.before);
    const is = change.after !== undefined && this.#matches(change.after);
    if (!was && !is) return [];
    return [{ change, state: !is ? 'delete' : was ? 'modify' : 'add' }];
  }

  #matches(entry: Entry): boolean {
    const { directory, session } = this.#client;
    const { database, computed } = directory;
    if (!this.#inScope(entry.dn)) return false;
    const rights = this.#rights(entry);
    return (
      rights.visible &&
      this.#filter.match({ database, computed, session, view: entry.view, id: entry.id, access: rights }) ===
        TRUE
    );
  }

  #rights(entry: Entry): AccessView {
    const { directory, session } = this.#client;
    const stands =
      directory.database.tree.parent(entry.id) === entry.view.parent &&
      directory.database.store.has(entry.id);
    return stands
      ? directory.access.view(session, entry.id)
      : directory.access.viewBelow(session, entry.view.parent);
  }

  /** By name, since the entry may have moved on in the meantime. */
  #inScope(dn: string): boolean {
    const base = this.#baseName;
    const { scope } = this.#request;
    let name = this.#client.directory.database.names.tryRead(dn);
    const above = (name?.depth ?? 0) - (base?.depth ?? 0);
    if (above < 0 || (scope === 'base' && above !== 0) || (scope === 'one' && above !== 1)) return false;
    for (let n = 0; n < above; n++) name = name?.parent;
    return base === undefined || normalName(name).equals(normalName(base));
  }

  #sendChange({ before, after }: Change, state: SyncState): void {
    const { connection } = this.#client;
    if (after !== undefined && state.state !== 'delete')
      return this.#send(after.id, after.view, this.#rights(after), state);
    const operation = { op: 'searchResultEntry', dn: before?.dn ?? '', attributes: [] } as const;
    connection.sendMessage({
      messageId: this.messageId,
      operation,
      controls: [{ oid: CONTROL.syncState, critical: false, value: encodeSyncState(state) }],
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
