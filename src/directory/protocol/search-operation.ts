/**
 * A search asked for by a client: limits, paging, root DSE and subschema, entries into the connection's output with back-pressure,
 * the final result. What matches is `search-run.ts`'s matter.
 */
import { createHash } from 'node:crypto';
import { CONTROL } from '../../ldap/control.ts';
import { encodePagedResults } from '../../ldap/control-values.ts';
import type { Control, LdapResult, SearchRequest } from '../../ldap/message.ts';
import { OPERATION_TAG } from '../../ldap/operation-tag.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import type { AccessView } from '../access/access.ts';
import type { EntryView } from '../entry/layout.ts';
import { refuse, resultOf, SUCCESS } from '../refusal.ts';
import { compileFilter } from '../search/filter.ts';
import { type Matcher, TRUE } from '../search/matcher.ts';
import { SearchRun, type SearchState, type SearchTask } from '../search/search-run.ts';
import { Selection } from '../search/selection.ts';
import { visibleAncestor } from '../update/context.ts';
import { writeResponse, writeSuccess } from './answer.ts';
import type { Client, Operation } from './client.ts';
import type { RequestControls } from './request-controls.ts';
import type { SpecialEntry } from './special-entry.ts';

/** Entries between two looks at the connection's output. */
const FLUSH_STRIDE = 64;

const ENDS: Readonly<Partial<Record<SearchState, LdapResult>>> = {
  sizeLimit: resultOf('sizeLimitExceeded'),
  timeLimit: resultOf('timeLimitExceeded'),
  lookThrough: resultOf(
    'adminLimitExceeded',
    'the search would look at too many entries: use an indexed attribute',
  ),
};

export class SearchOperation implements Operation {
  readonly op = 'searchRequest';
  readonly messageId: number;
  readonly #client: Client;
  readonly #run: SearchRun;
  readonly #page: { readonly fingerprint: string } | undefined;
  readonly #whenEmpty: LdapResult;
  #ended = false;
  #blocked = false;
  #written = 0;

  constructor(
    client: Client,
    messageId: number,
    task: SearchTask,
    selection: Selection,
    options: { readonly page?: { fingerprint: string }; readonly whenEmpty?: LdapResult | undefined } = {},
  ) {
    this.#client = client;
    this.messageId = messageId;
    this.#page = options.page;
    this.#whenEmpty = options.whenEmpty ?? SUCCESS;
    this.#run = new SearchRun(task, client.directory, client.session, (id, view, access) =>
      this.#entry(selection, id, view, access),
    );
  }

  /** Answers at once what takes little; anything else waits for its turn when others do. */
  begin(): void {
    if (this.#run.short || !this.#client.directory.turns.busy) this.step();
    else this.#client.later(() => this.step());
  }

  /** Runs for a slice; goes on by itself until it has ended. */
  step(): void {
    if (this.#ended) return;
    let state: SearchState;
    try {
      state = this.#run.step();
    } catch (error) {
      this.#end();
      return this.#client.failed('searchRequest', this.messageId, error);
    }
    if (state === 'more') return this.#client.later(() => this.step());
    if (state === 'blocked') {
      this.#blocked = true;
      return;
    }
    this.#end();
    const controls = this.#pageControl(state);
    const result = ENDS[state] ?? (this.#written === 0 ? this.#whenEmpty : SUCCESS);
    if (result.code === 0 && controls === undefined)
      writeSuccess(this.#client.connection.writer(), this.messageId, OPERATION_TAG.searchResultDone);
    else
      writeResponse(
        this.#client.connection.writer(),
        this.messageId,
        { op: 'searchResultDone', result },
        controls,
      );
  }

  onDrain(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.step();
  }

  cancel(): boolean {
    this.#end();
    return true;
  }

  #end(): void {
    this.#ended = true;
    this.#client.finished(this);
  }

  #entry(selection: Selection, id: number, view: EntryView, access: AccessView): boolean {
    const { connection, session } = this.#client;
    selection.write(connection.writer(), this.messageId, id, view, access, session);
    if (++this.#written % FLUSH_STRIDE !== 0) return true;
    return connection.flush();
  }

  #pageControl(state: SearchState): readonly Control[] | undefined {
    if (this.#page === undefined) return undefined;
    const cookie =
      state === 'page' ? this.#client.server.cookies.seal(this.#run.last, this.#page.fingerprint) : EMPTY;
    return [{ oid: CONTROL.pagedResults, critical: false, value: encodePagedResults({ size: 0, cookie }) }];
  }
}

const EMPTY = Buffer.alloc(0);

/** Begins a search, answering at once where nothing has to be searched. Refusals are thrown. */
export function startSearch(
  client: Client,
  messageId: number,
  request: SearchRequest,
  controls: RequestControls,
): void {
  const { directory, session, server } = client;
  if (request.base === '' && request.scope === 'base')
    return answerSpecial(client, messageId, request, server.special.rootDse(client.canStartTls));
  const subschema = server.special.subschema(request.base);
  if (subschema !== undefined && server.maySeeSubschema(session))
    return answerSpecial(client, messageId, request, subschema);
  // Not even the time that a look at an index takes: it would tell whether a value is there.
  if (!directory.access.mayFind(session))
    return client.answer(
      'searchRequest',
      messageId,
      request.base === '' ? SUCCESS : resultOf('noSuchObject'),
    );
  const whenEmpty = directory.hooks.searchGate?.(session, request.base);
  let base: number;
  try {
    base = searchBase(client, request);
  } catch (error) {
    // That the base is not there is "nothing found" too.
    if (whenEmpty === undefined) throw error;
    return client.answer('searchRequest', messageId, whenEmpty);
  }
  const filter = compileFilter(request.filter, directory.filterOptions);
  const selection = new Selection(
    directory.database,
    directory.computed,
    request.attributes,
    request.typesOnly,
  );
  if (controls.assertion !== undefined)
    assertBase(client, base, compileFilter(controls.assertion, directory.filterOptions));
  const { limits } = client;
  const task: SearchTask = {
    base,
    scope: request.scope,
    filter,
    sizeLimit: least(request.sizeLimit, limits.sizeLimit),
    timeLimitMs: least(request.timeLimit * 1000, limits.timeLimitMs),
    lookThrough: limits.lookThrough,
  };
  if (controls.paged === undefined) {
    const operation = new SearchOperation(client, messageId, task, selection, { whenEmpty });
    client.started(operation);
    return operation.begin();
  }
  const fingerprint = fingerprintOf(client, request);
  const after = server.cookies.open(controls.paged.cookie, fingerprint);
  // RFC 2696 §3: page size 0 with a cookie gives the search up.
  if (controls.paged.size === 0 && controls.paged.cookie.length > 0) {
    const done = {
      oid: CONTROL.pagedResults,
      critical: false,
      value: encodePagedResults({ size: 0, cookie: EMPTY }),
    };
    return writeResponse(client.connection.writer(), messageId, { op: 'searchResultDone', result: SUCCESS }, [
      done,
    ]);
  }
  const pageSize = Math.min(
    controls.paged.size === 0 ? limits.pageSize : controls.paged.size,
    limits.pageSize,
  );
  // The size limit of the server is per page here: a paging client reads in portions that cost us little each.
  const paged = { ...task, after, pageSize, sizeLimit: request.sizeLimit };
  const operation = new SearchOperation(client, messageId, paged, selection, {
    page: { fingerprint },
    whenEmpty,
  });
  client.started(operation);
  return operation.begin();
}

/** The smaller limit, 0 being none. */
function least(a: number, b: number): number {
  return a === 0 ? b : b === 0 ? a : Math.min(a, b);
}

/** Record number of the base. An entry that the session may not see does not exist (RFC 4511 §4.5.3, §4.1.9). */
export function searchBase(
  { directory, session }: Pick<Client, 'directory' | 'session'>,
  request: SearchRequest,
): number {
  const { database, access } = directory;
  const name = database.names.read(request.base);
  if (name === undefined) return 0;
  const id = database.resolve(name);
  if (id !== 0 && access.view(session, id).visible) return id;
  const ancestor = id === 0 ? database.nearest(name.parent) : database.tree.parent(id);
  return refuse('noSuchObject', '', visibleAncestor({ database, access, session }, ancestor));
}

function assertBase({ directory, session }: Client, base: number, assertion: Matcher): void {
  const { database, computed, access } = directory;
  const view = directory.readEntry(base)?.view ?? refuse('noSuchObject');
  if (
    assertion.match({ database, computed, session, view, id: base, access: access.view(session, base) }) !==
    TRUE
  )
    refuse('assertionFailed');
}

function fingerprintOf({ session }: Client, request: SearchRequest): string {
  const text = JSON.stringify([session.id, session.identity.role, request], (_key, value: unknown) =>
    typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer'
      ? Buffer.from((value as { data?: number[] }).data ?? []).toString('base64')
      : value,
  );
  return createHash('sha256').update(text).digest('base64');
}

/** Root DSE and subschema: visible to whoever gets here, no computed attributes, no access rules. */
function answerSpecial(
  client: Client,
  messageId: number,
  request: SearchRequest,
  { view }: SpecialEntry,
): void {
  const { directory, connection } = client;
  const { database } = directory;
  const access = directory.access.view(directory.system, 0);
  const session = directory.system;
  const filter = compileFilter(request.filter, { ...directory.filterOptions, computed: NO_COMPUTED });
  const inScope = request.scope === 'base' || (request.scope === 'subtree' && view.rdnLength > 0);
  if (inScope && filter.match({ database, computed: NO_COMPUTED, session, view, id: 0, access }) === TRUE) {
    new Selection(database, NO_COMPUTED, request.attributes, request.typesOnly).write(
      connection.writer(),
      messageId,
      0,
      view,
      access,
      session,
    );
  }
  writeResponse(connection.writer(), messageId, {
    op: 'searchResultDone',
    result: { ...SUCCESS, code: RESULT_CODE.success },
  });
}

const NO_COMPUTED: ReadonlyMap<never, never> = new Map<never, never>();
