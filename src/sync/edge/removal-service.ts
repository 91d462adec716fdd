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
import { decodeRemovalsRequest, encodeRemovalsResponse } from '../../ldap/postern-extended.ts';
import type { ModifyRequest } from '../../ldap/message.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { KIND_BASES } from './content-service.ts';
import { isPending } from './pending.ts';

/** Entries changed in one transaction. */
const SLICE = 500;

export interface RemovalServiceOptions {
  readonly directory: () => Directory;
  readonly trust: TrustStore<EdgeTrustState>;
  readonly clock: Clock;
}

export class RemovalService {
  readonly #options: RemovalServiceOptions;
  /** Counted by one scan when first asked, then kept up to date by the write policy. */
  readonly #pending = new Map<string, number>();

  constructor(options: RemovalServiceOptions) {
    this.#options = options;
  }

  adjust(kind: string, delta: number): void {
    const known = this.#pending.get(kind);
    if (known !== undefined) this.#pending.set(kind, Math.max(0, known + delta));
  }

  async pending(kind: string): Promise<number> {
    const known = this.#pending.get(kind);
    if (known !== undefined) return known;
    const { length } = await this.#marked(kind);
    this.#pending.set(kind, length);
    return length;
  }

  async handle(value: Buffer | undefined): Promise<ExtendedReply> {
    const { action, kind } = decodeRemovalsRequest(value);
    if (KIND_BASES[kind] === undefined)
      refuse('unwillingToPerform', `no such kind of data: ${kind.slice(0, 40)}`);
    const counts = { pending: 0, approved: 0, rejected: 0 };
    if (action === 'approve') counts.approved = await this.#carryOut(kind);
    if (action === 'reject') counts.rejected = await this.#keep(kind);
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

  async #change(kind: string, make: (entry: Entry) => Update): Promise<number> {
    const directory = this.#options.directory();
    const marked = await this.#marked(kind);
    for (let at = 0; at < marked.length; at += SLICE) {
      const entries = marked.slice(at, at + SLICE).flatMap((id) => directory.readEntry(id) ?? []);
      await directory.apply(entries.filter(isMarked).map(make));
    }
    this.#pending.set(kind, 0);
    return marked.length;
  }

  async #marked(kind: string): Promise<number[]> {
    const base = KIND_BASES[kind] ?? '';
    const ids: number[] = [];
    await this.#options.directory().scan(
      {
        base,
        scope: 'one',
        filter: '(&(|(posternPendingDelete=*)(posternPendingAddress=*))(!(posternKept=*)))',
      },
      (entry) => ids.push(entry.id),
    );
    return ids;
  }
}

function isMarked(entry: Entry): boolean {
  return isPending(entry) && entry.values('posternKept').length === 0;
}
