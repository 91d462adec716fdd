/** The removals that the guard holds back: counted, approved (carried out) or rejected (kept). */
import type { Clock } from '../../base/clock.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { formatGeneralizedTime } from '../../asn1/time.ts';
import {
  type Directory,
  type Entry,
  type ExtendedReply,
  refuse,
  SUCCESS,
  type Update,
} from '../../directory/directory.ts';
import { parseFilter } from '../../ldap/filter.ts';
import {
  decodeRemovalsRequest,
  encodeRemovalsResponse,
  type RemovalsRequest,
} from '../../ldap/postern-extended.ts';
import type { Filter, ModifyRequest } from '../../ldap/message.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { KIND_BASES } from './content-service.ts';
import { isPending } from './pending.ts';

/**
 * What the write policy reports is reported before the commit, which may yet be refused: a count that was adjusted is made anew
 * when it is older than this.
 */
const RECOUNT_AFTER_MS = 5 * 60_000;
/** Entries changed in one transaction. */
const SLICE = 500;
const MOST_ATTEMPTS = 5;
const STILL_MARKED = parseFilter('(&(|(posternPendingDelete=*)(posternPendingAddress=*))(!(posternKept=*)))');
const STILL_KEPT = parseFilter('(posternKept=*)');

export interface RemovalServiceOptions {
  readonly directory: () => Directory;
  readonly trust: TrustStore<EdgeTrustState>;
  readonly clock: Clock;
}

interface PendingCount {
  readonly count: number;
  readonly adjusted: boolean;
  /** Monotonic ms of the scan. */
  readonly at: number;
}

export class RemovalService {
  readonly #options: RemovalServiceOptions;
  #turn: Promise<unknown> = Promise.resolve();
  /** Counted by a scan, then kept up to date by the write policy. */
  readonly #pending = new Map<string, PendingCount>();
  readonly #kept = new Map<string, number>();

  constructor(options: RemovalServiceOptions) {
    this.#options = options;
  }

  adjust(kind: string, delta: number): void {
    const known = this.#pending.get(kind);
    if (known !== undefined)
      this.#pending.set(kind, { ...known, count: Math.max(0, known.count + delta), adjusted: true });
    this.#kept.delete(kind);
  }

  async pending(kind: string): Promise<number> {
    const known = this.#pending.get(kind);
    if (known !== undefined && !(known.adjusted && this.#age(known) > RECOUNT_AFTER_MS)) return known.count;
    const { length } = await this.#find(kind, STILL_MARKED);
    this.#counted(kind, length);
    return length;
  }

  /** Removals that were rejected, and that the source has not taken back since. */
  async kept(kind: string): Promise<number> {
    const known = this.#kept.get(kind);
    if (known !== undefined) return known;
    const { length } = await this.#find(kind, STILL_KEPT);
    this.#kept.set(kind, length);
    return length;
  }

  /** Forgets what was counted: the data were thrown away. */
  forget(): void {
    this.#pending.clear();
    this.#kept.clear();
  }

  /** One after the other, since each looks at every entry and changes what the other would. */
  handle(value: Buffer | undefined): Promise<ExtendedReply> {
    const request = decodeRemovalsRequest(value);
    if (KIND_BASES[request.kind] === undefined)
      refuse('unwillingToPerform', `no such kind of data: ${request.kind.slice(0, 40)}`);
    const answer = this.#turn.then(() => this.#answer(request));
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  async #answer({ action, kind }: RemovalsRequest): Promise<ExtendedReply> {
    const counts = { pending: 0, approved: 0, rejected: 0 };
    if (action === 'approve') counts.approved = await this.#carryOut(kind);
    if (action === 'reject') counts.rejected = await this.#keep(kind);
    if (action === 'reopen') await this.#reopen(kind);
    if (action === 'list' || action === 'reopen') counts.rejected = await this.kept(kind);
    counts.pending = await this.pending(kind);
    return { result: SUCCESS, value: encodeRemovalsResponse(counts) };
  }

  /** Deletes what is marked, and starts the rolling day anew: somebody has looked. */
  async #carryOut(kind: string): Promise<number> {
    const { trust } = this.#options;
    const count = await this.#change(kind, (entry) => {
      if (entry.values('posternPendingDelete').length > 0)
        return { request: { op: 'deleteRequest', dn: entry.dn }, idempotent: true };
      const pending = entry.values('posternPendingAddress');
      const changes: ModifyRequest['changes'] = [
        { kind: 'delete', attribute: { type: 'posternAddress', values: pending } },
        { kind: 'delete', attribute: { type: 'posternPendingAddress', values: [] } },
      ];
      return { request: { op: 'modifyRequest', dn: entry.dn, changes } };
    });
    await trust.update((draft) => ({ ...draft, removals: { ...draft.removals, [kind]: [] } }));
    return count;
  }

  /** Remembers that they are kept: they go on answering, and the same removal is not asked about again. The marks stay, since the hub has removed them. */
  #keep(kind: string): Promise<number> {
    const time = Buffer.from(formatGeneralizedTime(this.#options.clock.now()));
    const changes: ModifyRequest['changes'] = [
      { kind: 'replace', attribute: { type: 'posternKept', values: [time] } },
    ];
    return this.#change(kind, (entry) => ({ request: { op: 'modifyRequest', dn: entry.dn, changes } }));
  }

  /** Whoever rejected may think better of it: what was kept is asked about again. */
  async #reopen(kind: string): Promise<void> {
    const changes: ModifyRequest['changes'] = [
      { kind: 'replace', attribute: { type: 'posternKept', values: [] } },
    ];
    const kept = await this.#find(kind, STILL_KEPT);
    await this.#changeAll(kept, STILL_KEPT, (entry) => ({
      request: { op: 'modifyRequest', dn: entry.dn, changes },
    }));
    this.#pending.delete(kind);
    this.#kept.delete(kind);
  }

  async #change(kind: string, make: (entry: Entry) => Update): Promise<number> {
    const marked = await this.#find(kind, STILL_MARKED);
    await this.#changeAll(marked, STILL_MARKED, make);
    this.#counted(kind, 0);
    this.#kept.delete(kind);
    return marked.length;
  }

  async #changeAll(ids: readonly number[], still: Filter, make: (entry: Entry) => Update): Promise<void> {
    for (let at = 0; at < ids.length; at += SLICE)
      await this.#changeSlice(ids.slice(at, at + SLICE), still, make);
  }

  /** What the source has back meanwhile, in a change that stood in the queue before, must not be taken away: then it is read again. */
  async #changeSlice(ids: readonly number[], still: Filter, make: (entry: Entry) => Update): Promise<void> {
    const directory = this.#options.directory();
    const isKept = (entry: Entry): boolean => entry.values('posternKept').length > 0;
    for (let attempt = 1; ; attempt++) {
      const entries = ids
        .flatMap((id) => directory.readEntry(id) ?? [])
        .filter((entry) => isPending(entry) && isKept(entry) === (still === STILL_KEPT));
      try {
        await directory.apply(entries.map((entry) => ({ ...make(entry), assertion: still })));
        return;
      } catch (error) {
        if (attempt >= MOST_ATTEMPTS) throw error;
      }
    }
  }

  #counted(kind: string, count: number): void {
    this.#pending.set(kind, { count, adjusted: false, at: this.#options.clock.monotonic() });
  }

  #age({ at }: PendingCount): number {
    return this.#options.clock.monotonic() - at;
  }

  async #find(kind: string, filter: Filter): Promise<number[]> {
    const base = KIND_BASES[kind] ?? '';
    const ids: number[] = [];
    await this.#options.directory().scan({ base, scope: 'one', filter }, (entry) => ids.push(entry.id));
    return ids;
  }
}
