/**
 * A search on its way to a client: sorted first if asked for (RFC 2891), then entry by entry into the connection's output, with a pause when that
 * is full, and the result at the end. What a search finds is `search-run.ts`'s matter; what it starts with, `search-start.ts`'s.
 */
import { CONTROL } from '../../ldap/control.ts';
import { encodePagedResults, encodeSortResult, type SortResult } from '../../ldap/control-values.ts';
import type { Control, LdapResult } from '../../ldap/message.ts';
import { OPERATION_TAG } from '../../ldap/operation-tag.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import type { AccessView } from '../access/access.ts';
import type { EntryView } from '../entry/layout.ts';
import { resultOf, SUCCESS } from '../refusal.ts';
import { SearchRun, type SearchState, type SearchTask } from '../search/search-run.ts';
import type { Selection } from '../search/selection.ts';
import type { Sorting, SortState } from '../search/sorting.ts';
import { writeResponse, writeSuccess } from './answer.ts';
import type { Client, Operation } from './client.ts';

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

const NOT_KEPT = resultOf('busy', 'no memory to keep the sorted results for the next page');

/** A search in pages (RFC 2696): what its cookies are sealed to. */
export interface Page {
  readonly fingerprint: string;
}

/** A search whose results are to be sorted. */
export interface SortPart {
  /** Absent for a later page of what is sorted already, and where it can't be sorted. */
  readonly sorting?: Sorting | undefined;
  readonly critical: boolean;
  readonly result: SortResult;
}

export interface SearchParts {
  readonly page?: Page | undefined;
  readonly sort?: SortPart | undefined;
  /** Stands in for success when nothing was found. */
  readonly whenEmpty?: LdapResult | undefined;
}

export class SearchOperation implements Operation {
  readonly op = 'searchRequest';
  readonly messageId: number;
  readonly #client: Client;
  readonly #selection: Selection;
  readonly #parts: SearchParts;
  #task: SearchTask;
  #sorting: Sorting | undefined;
  #sortResult: SortResult | undefined;
  #run: SearchRun | undefined;
  #ended = false;
  #blocked = false;
  #written = 0;
  #long = false;

  constructor(
    client: Client,
    messageId: number,
    task: SearchTask,
    selection: Selection,
    parts: SearchParts = {},
  ) {
    this.#client = client;
    this.messageId = messageId;
    this.#selection = selection;
    this.#parts = parts;
    this.#task = task;
    this.#sorting = parts.sort?.sorting;
    this.#sortResult = parts.sort?.result;
    if (this.#sorting === undefined) this.#run = this.#runOf(task);
  }

  #runOf(task: SearchTask): SearchRun {
    return new SearchRun(task, this.#client.directory, this.#client.session, (id, view, access) =>
      this.#entry(id, view, access),
    );
  }

  get long(): boolean {
    return this.#long;
  }

  /** Answers at once what takes little; anything else waits for its turn when others do. */
  begin(): void {
    if (this.#run?.short === true || !this.#client.directory.turns.busy) this.step();
    else this.#later();
  }

  /** Runs for a slice; goes on by itself until it has ended. */
  step(): void {
    if (this.#ended) return;
    let state: SearchState;
    try {
      if (this.#sorting !== undefined) return this.#sorted(this.#sorting, this.#sorting.step());
      state = (this.#run ??= this.#runOf(this.#task)).step();
    } catch (error) {
      this.#end();
      return this.#client.failed('searchRequest', this.messageId, error);
    }
    if (state === 'more') return this.#later();
    if (state === 'blocked') {
      this.#blocked = true;
      return;
    }
    this.#end();
    const result = ENDS[state] ?? (this.#written === 0 ? (this.#parts.whenEmpty ?? SUCCESS) : SUCCESS);
    const { page } = this.#parts;
    const cookie = page === undefined ? EMPTY : this.#cookie(state, page.fingerprint);
    // An empty cookie would say that this was all.
    if (cookie === undefined) return this.#done(NOT_KEPT, [pageControl(EMPTY)]);
    const pages = page === undefined ? [] : [pageControl(cookie)];
    this.#done(result, [...this.#sortControl(result), ...pages]);
  }

  #later(): void {
    if (!this.#long) {
      this.#long = true;
      this.#client.becameLong();
    }
    this.#client.later(() => this.step());
  }

  #sorted(sorting: Sorting, state: SortState): void {
    if (state === 'more') return this.#later();
    if (state === 'timeLimit' || state === 'lookThrough') {
      this.#end();
      return this.#done(ENDS[state] ?? SUCCESS, []);
    }
    this.#sorting = undefined;
    if (state === 'sorted') {
      this.#task = { ...this.#task, order: sorting.order, timeLimitMs: sorting.timeLeft };
      sorting.release();
    } else {
      const fault = resultOf(
        state === 'busy' ? 'busy' : 'adminLimitExceeded',
        'too many results to be sorted',
      );
      this.#sortResult = { code: fault.code };
      if (this.#parts.sort?.critical === true) {
        this.#end();
        return this.#done(unsortable(fault), [sortControl(this.#sortResult)]);
      }
    }
    return this.#later();
  }

  #done(result: LdapResult, controls: readonly Control[]): void {
    const writer = this.#client.connection.writer();
    if (result.code === 0 && controls.length === 0)
      return writeSuccess(writer, this.messageId, OPERATION_TAG.searchResultDone);
    writeResponse(writer, this.messageId, { op: 'searchResultDone', result }, controls);
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
    this.#sorting?.release();
    this.#client.finished(this);
  }

  #entry(id: number, view: EntryView, access: AccessView): boolean {
    const { connection, session } = this.#client;
    this.#selection.write(connection.writer(), this.messageId, id, view, access, session);
    if (++this.#written % FLUSH_STRIDE !== 0) return true;
    return connection.flush();
  }

  /** RFC 2891 §2, case 6: not where nothing was returned, nor where the search failed. */
  #sortControl({ code }: LdapResult): readonly Control[] {
    const cut = code === RESULT_CODE.sizeLimitExceeded;
    if (this.#sortResult === undefined || this.#written === 0 || (code !== 0 && !cut)) return [];
    return [sortControl(this.#sortResult)];
  }

  /** Where the next page goes on; empty when there is none, undefined when the rest of the order could not be kept. */
  #cookie(state: SearchState, fingerprint: string): Buffer | undefined {
    const { server, sortedLists } = this.#client;
    const { order } = this.#task;
    if (state !== 'page') {
      sortedLists.drop(fingerprint);
      return EMPTY;
    }
    const last = this.#run?.last ?? 0;
    if (order === undefined) return server.cookies.seal(last, fingerprint);
    const known = sortedLists.get(fingerprint);
    const list = known?.order === order ? known : sortedLists.keep(fingerprint, order);
    return list && server.cookies.seal(last, sortedFingerprint(fingerprint, list.serial));
  }
}

const EMPTY = Buffer.alloc(0);

/** Cookies of a sorted search hold positions in one list, and fit no other. */
export function sortedFingerprint(fingerprint: string, serial: number): string {
  return `${fingerprint} ${serial}`;
}

export function pageControl(cookie: Buffer): Control {
  return { oid: CONTROL.pagedResults, critical: false, value: encodePagedResults({ size: 0, cookie }) };
}

export function sortControl(result: SortResult): Control {
  return { oid: CONTROL.sortResponse, critical: false, value: encodeSortResult(result) };
}

/** RFC 2891 §2, case 3: the search fails when what can't be sorted had to be. */
export function unsortable({ diagnostic }: LdapResult): LdapResult {
  return resultOf('unavailableCriticalExtension', diagnostic);
}
