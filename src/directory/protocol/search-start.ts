/**
 * Search (RFC 4511 §4.5) from the request to a running operation: special entries, base, filter, limits, and what its controls ask: assertion,
 * pages, order.
 */
import { createHash } from 'node:crypto';
import type { SortResult } from '../../ldap/control-values.ts';
import type { Control, Filter, SearchRequest } from '../../ldap/message.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import { refuse, resultOf, SUCCESS } from '../refusal.ts';
import { compileFilter } from '../search/filter.ts';
import { TRUE } from '../search/matcher.ts';
import type { SearchTask } from '../search/search-run.ts';
import { Selection } from '../search/selection.ts';
import { compileSort } from '../search/sort-key.ts';
import { Sorting } from '../search/sorting.ts';
import { visibleAncestor } from '../update/context.ts';
import { writeResponse } from './answer.ts';
import type { Client } from './client.ts';
import type { RequestControls } from './request-controls.ts';
import {
  pageControl,
  SearchOperation,
  sortControl,
  sortedFingerprint,
  type SortPart,
  unsortable,
} from './search-operation.ts';
import type { SpecialEntry } from './special-entry.ts';

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
    return answerSpecial(client, messageId, request, controls, server.special.rootDse(client));
  const subschema = server.special.subschema(request.base);
  if (subschema !== undefined && server.maySeeSubschema(session))
    return answerSpecial(client, messageId, request, controls, subschema);
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
  const { database, computed } = directory;
  const selection = new Selection(database, computed, request.attributes, request.typesOnly);
  if (controls.assertion !== undefined) assertBase(client, base, controls.assertion);
  const { limits } = client;
  const task: SearchTask = {
    base,
    scope: request.scope,
    filter,
    sizeLimit: least(request.sizeLimit, limits.sizeLimit),
    timeLimitMs: least(request.timeLimit * 1000, limits.timeLimitMs),
    lookThrough: limits.lookThrough,
  };
  if (controls.paged !== undefined)
    return startPage(client, messageId, request, controls, task, selection, whenEmpty);
  const sort = sortPart(client, controls, task);
  if (sort !== undefined && 'refused' in sort) return refuseSort(client, messageId, sort.refused);
  start(client, new SearchOperation(client, messageId, task, selection, { sort, whenEmpty }));
}

function start(client: Client, operation: SearchOperation): void {
  client.started(operation);
  operation.begin();
}

/** RFC 2696 */
function startPage(
  client: Client,
  messageId: number,
  request: SearchRequest,
  controls: RequestControls,
  task: SearchTask,
  selection: Selection,
  whenEmpty: ReturnType<NonNullable<Client['directory']['hooks']['searchGate']>>,
): void {
  const { limits, server, sortedLists } = client;
  const { size, cookie } = controls.paged ?? { size: 0, cookie: EMPTY };
  const page = { fingerprint: fingerprintOf(client, request, controls) };
  const { fingerprint } = page;
  const pageSize = Math.min(size === 0 ? limits.pageSize : size, limits.pageSize);
  // The size limit of the server is per page here: a paging client reads in portions that cost us little each.
  const paged = { ...task, pageSize, sizeLimit: request.sizeLimit };
  const list = cookie.length === 0 ? undefined : sortedLists.get(fingerprint);
  const after =
    list === undefined
      ? server.cookies.open(cookie, fingerprint)
      : server.cookies.open(cookie, sortedFingerprint(fingerprint, list.serial));
  // RFC 2696 §3: page size 0 with a cookie gives the search up.
  if (size === 0 && cookie.length > 0) {
    sortedLists.drop(fingerprint);
    const done = { op: 'searchResultDone', result: SUCCESS } as const;
    return writeResponse(client.connection.writer(), messageId, done, [pageControl(EMPTY)]);
  }
  if (list !== undefined) {
    const rest = { ...paged, order: list.order, from: after };
    const sort = { critical: false, result: { code: 0 } };
    return start(client, new SearchOperation(client, messageId, rest, selection, { page, sort, whenEmpty }));
  }
  const sort = cookie.length === 0 ? sortPart(client, controls, task) : stillUnsorted(client, controls);
  if (sort !== undefined && 'refused' in sort) return refuseSort(client, messageId, sort.refused);
  const first = { ...paged, after };
  start(client, new SearchOperation(client, messageId, first, selection, { page, sort, whenEmpty }));
}

interface Refused {
  readonly refused: { readonly why: string; readonly result: SortResult };
}

/** What becomes of a wish to have the results sorted. */
function sortPart(
  client: Client,
  { sort }: RequestControls,
  task: SearchTask,
): SortPart | Refused | undefined {
  if (sort === undefined) return undefined;
  const { directory, limits, server, session } = client;
  const { critical } = sort;
  const keys = compileSort(sort.keys, directory.filterOptions);
  if ('result' in keys) {
    const { attribute, result } = keys;
    const told = { code: result.code, ...(attribute !== '' && { attribute }) };
    return critical ? { refused: { why: result.diagnostic, result: told } } : { critical, result: told };
  }
  const room = { entries: limits.sortEntries, memory: server.sortBudget };
  return { sorting: new Sorting(task, keys, directory, session, room), critical, result: { code: 0 } };
}

/** A later page of what could not be sorted: for the same reason as the first. */
function stillUnsorted({ directory }: Client, { sort }: RequestControls): SortPart | undefined {
  if (sort === undefined) return undefined;
  const keys = compileSort(sort.keys, directory.filterOptions);
  const code = 'result' in keys ? keys.result.code : RESULT_CODE.adminLimitExceeded;
  return { critical: false, result: { code } };
}

function refuseSort(client: Client, messageId: number, { why, result }: Refused['refused']): void {
  client.answer('searchRequest', messageId, unsortable(resultOf('other', why)), [sortControl(result)]);
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

/** RFC 4528 §4: of a search, the base is asked, before anything is looked for. */
export function assertBase({ directory, session }: Client, base: number, assertion: Filter): void {
  const { database, computed, access, filterOptions } = directory;
  const matcher = compileFilter(assertion, filterOptions);
  const view = directory.readEntry(base)?.view ?? refuse('noSuchObject');
  const context = { database, computed, session, view, id: base, access: access.view(session, base) };
  if (matcher.match(context) !== TRUE) refuse('assertionFailed', 'assertion is not true of the base');
}

function fingerprintOf({ session }: Client, request: SearchRequest, { sort }: RequestControls): string {
  const asked = [session.id, session.identity.role, session.identity.dn, request, sort?.keys];
  const text = JSON.stringify(asked, (_key, value: unknown) =>
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
  controls: RequestControls,
  { view }: SpecialEntry,
): void {
  const { directory, connection } = client;
  const { database } = directory;
  const access = directory.access.view(directory.system, 0);
  const session = directory.system;
  const options = { ...directory.filterOptions, computed: NO_COMPUTED };
  const context = { database, computed: NO_COMPUTED, session, view, id: 0, access };
  if (controls.assertion !== undefined && compileFilter(controls.assertion, options).match(context) !== TRUE)
    refuse('assertionFailed', 'assertion is not true of the base');
  const filter = compileFilter(request.filter, options);
  const inScope = request.scope === 'base' || (request.scope === 'subtree' && view.rdnLength > 0);
  if (inScope && filter.match(context) === TRUE) {
    const { attributes, typesOnly } = request;
    const selection = new Selection(database, NO_COMPUTED, attributes, typesOnly);
    selection.write(connection.writer(), messageId, 0, view, access, session);
  }
  // One entry is one page, and in any order.
  const answers: Control[] = controls.paged === undefined ? [] : [pageControl(EMPTY)];
  if (controls.sort !== undefined) answers.push(sortControl({ code: 0 }));
  writeResponse(connection.writer(), messageId, { op: 'searchResultDone', result: SUCCESS }, answers);
}

const NO_COMPUTED: ReadonlyMap<never, never> = new Map<never, never>();
