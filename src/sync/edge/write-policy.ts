/**
 * What the edge itself insists on when a hub commits: the lease (fence), whole recipients only, and the removal guard. It
 * judges by entries, not by the spelling of names, and stands between the hub and the store: a hub cannot go round it.
 */
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { formatGeneralizedTime, parseGeneralizedTime } from '../../asn1/time.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import {
  type BeforeCommit,
  type Directory,
  type Entry,
  resultOf,
  type Session,
  type Update,
} from '../../directory/directory.ts';
import type { AddRequest, Attribute, ModifyRequest } from '../../ldap/message.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import type { LeaseService } from './lease-service.ts';
import { isPending } from './pending.ts';
import {
  countRemovals,
  guardedAddresses,
  lostAddresses,
  mayRemove,
  type RemovalLimits,
} from './removal-guard.ts';

export const HUB_ROLE = 'hub';

export interface WritePolicyOptions {
  readonly directory: () => Directory;
  readonly lease: LeaseService;
  readonly trust: TrustStore<EdgeTrustState>;
  readonly limits: RemovalLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Marks were set (`delta` > 0) or taken away. */
  readonly onPending: (kind: 'recipients' | 'domains', delta: number) => void;
}

type Kind = 'recipients' | 'domains';

/** An update with the entry it is about, if it is there, and the kind of data it belongs to, if any. */
interface Judged {
  readonly update: Update;
  readonly kind: Kind | undefined;
  readonly entry: Entry | undefined;
}

const STATE_BASE = 'cn=Sync';

export class WritePolicy {
  readonly #options: WritePolicyOptions;

  constructor(options: WritePolicyOptions) {
    this.#options = options;
  }

  /** The directory's `beforeCommit` hook. */
  judge(
    session: Session,
    updates: readonly Update[],
    inTransaction: boolean,
  ): BeforeCommit | Promise<BeforeCommit> {
    if (session.identity.role !== HUB_ROLE) return updates;
    if (!inTransaction) return resultOf('unwillingToPerform', 'hubs write in transactions (RFC 5805) only');
    if (!this.#options.lease.holds(session))
      return resultOf('unwillingToPerform', 'lease.lost: this connection does not hold the lease');
    const judged = updates.map((update) => this.#look(update));
    const crooked = judged.find(
      ({ update, kind, entry }) =>
        kind !== undefined &&
        update.request.op !== 'addRequest' &&
        update.request.op !== 'deleteRequest' &&
        entry !== undefined,
    );
    if (crooked !== undefined)
      return resultOf('unwillingToPerform', 'recipients and domains are put and removed whole');
    const removals = judged.filter((item) => item.kind === 'recipients' && isRemoval(item)).length;
    const domainRemovals = judged.some((item) => item.kind === 'domains' && isRemoval(item));
    const planned = plannedRemovals(updates);
    if (
      removals === 0 &&
      !domainRemovals &&
      judged.every(({ entry }) => entry === undefined || !isPending(entry))
    )
      return updates.map((update) => this.#stampState(update));
    return this.#guard(judged, removals, planned);
  }

  async #guard(judged: readonly Judged[], removals: number, planned: number): Promise<readonly Update[]> {
    const { trust, limits, clock, log } = this.#options;
    const now = clock.now();
    const window = trust.value.removals['recipients'] ?? [];
    const allowed = mayRemove(window, removals, planned, this.#count('cn=Recipients'), limits, now);
    if (allowed && removals > 0) {
      await trust.update((draft) => ({
        ...draft,
        removals: {
          ...draft.removals,
          recipients: [...countRemovals(draft.removals['recipients'] ?? [], removals, now)],
        },
      }));
    }
    if (!allowed)
      log.warn('removals are held back by the removal guard', {
        removals,
        planned,
        mend: 'postern sync approve, or postern sync reject',
      });
    return judged.flatMap((item) => this.#transform(item, allowed, now));
  }

  #transform(item: Judged, allowed: boolean, now: number): Update[] {
    const { update, kind, entry } = item;
    const { request } = update;
    if (kind === undefined || entry === undefined) return [this.#stampState(update)];
    if (request.op === 'deleteRequest') {
      // Marked before, or kept by an administrator: stays as it is.
      if (hasMark(entry, 'posternPendingDelete')) return [];
      if (allowed && kind === 'recipients') {
        if (waits(entry)) this.#options.onPending(kind, -1);
        return [update];
      }
      if (!waits(entry)) this.#options.onPending(kind, 1);
      const mark: ModifyRequest = {
        op: 'modifyRequest',
        dn: request.dn,
        changes: [
          {
            kind: 'replace',
            attribute: { type: 'posternPendingDelete', values: [Buffer.from(formatGeneralizedTime(now))] },
          },
        ],
      };
      return [withRequest(update, mark)];
    }
    if (request.op !== 'addRequest') return [update];
    const guarded = kind === 'recipients' ? guardAddresses(request, entry, allowed) : { request, pending: 0 };
    const delta = (guarded.pending > 0 ? 1 : 0) - (waits(entry) ? 1 : 0);
    if (delta !== 0) this.#options.onPending(kind, delta);
    return [withRequest(update, guarded.request)];
  }

  /** The edge's clock, not the hub's: data cannot have been confirmed in the future. */
  #stampState(update: Update): Update {
    const { request } = update;
    if (request.op !== 'modifyRequest' || !this.#isBelow(request.dn, STATE_BASE)) return update;
    const now = this.#options.clock.now();
    const changes = request.changes.flatMap((change) => {
      const type = change.attribute.type.toLowerCase();
      if (type === 'posternplannedremovals') return [];
      if (type !== 'posternlastconfirmed') return [change];
      const claimed = parseGeneralizedTime(change.attribute.values[0]?.toString('latin1') ?? '');
      const values =
        claimed !== undefined && claimed > now
          ? [Buffer.from(formatGeneralizedTime(now))]
          : change.attribute.values;
      return [{ ...change, attribute: { ...change.attribute, values } }];
    });
    return withRequest(update, { ...request, changes });
  }

  #look(update: Update): Judged {
    const directory = this.#options.directory();
    const { names } = directory.database;
    const name = names.tryRead(update.request.dn);
    if (name === undefined) return { update, kind: undefined, entry: undefined };
    const parent = directory.database.resolve(name.parent);
    const kind =
      parent === 0
        ? undefined
        : parent === directory.resolve('cn=Recipients')
          ? 'recipients'
          : parent === directory.resolve('cn=AcceptedDomains,cn=Configuration')
            ? 'domains'
            : undefined;
    if (kind === undefined) return { update, kind, entry: undefined };
    const id = directory.database.resolve(name);
    return { update, kind, entry: id === 0 ? undefined : directory.readEntry(id) };
  }

  #isBelow(dn: string, base: string): boolean {
    const { database } = this.#options.directory();
    const parent = database.resolve(database.names.tryRead(dn)?.parent);
    return parent !== 0 && parent === database.resolve(database.names.read(base));
  }

  #count(base: string): number {
    const directory = this.#options.directory();
    return directory.database.tree.childCount(directory.resolve(base));
  }
}

/** A removal is an entry that goes, or one that loses an address; what is marked already does not count again. */
function isRemoval({ update, entry }: Judged): boolean {
  if (entry === undefined) return false;
  const { request } = update;
  if (request.op === 'deleteRequest') return !hasMark(entry, 'posternPendingDelete');
  if (request.op !== 'addRequest') return false;
  return lostAddresses(addressesOf(entry), valuesOf(request, 'posternAddress')).length > 0;
}

function guardAddresses(
  request: AddRequest,
  entry: Entry,
  allowed: boolean,
): { request: AddRequest; pending: number } {
  const old = addressesOf(entry);
  const { addresses, pending } = guardedAddresses(old, valuesOf(request, 'posternAddress'), allowed);
  if (pending.length === 0) return { request, pending: 0 };
  const rest = request.attributes.filter(
    ({ type }) => !['posternaddress', 'posternpendingaddress'].includes(type.toLowerCase()),
  );
  const attributes: Attribute[] = [
    ...rest,
    { type: 'posternAddress', values: addresses },
    { type: 'posternPendingAddress', values: pending },
  ];
  return { request: { ...request, attributes }, pending: pending.length };
}

function addressesOf(entry: Entry) {
  return {
    addresses: entry.values('posternAddress'),
    pendingAddresses: entry.values('posternPendingAddress'),
  };
}

/** Marks that wait for an administrator; one that was rejected waits no more. */
function waits(entry: Entry | undefined): boolean {
  return entry !== undefined && isPending(entry) && !hasMark(entry, 'posternKept');
}

function hasMark(entry: Entry | undefined, type: string): boolean {
  return entry !== undefined && entry.values(type).length > 0;
}

function valuesOf(request: AddRequest, type: string): readonly Buffer[] {
  return (
    request.attributes.find((attribute) => attribute.type.toLowerCase() === type.toLowerCase())?.values ?? []
  );
}

/** What the hub says that its pass will remove; it can only make the guard stricter. */
function plannedRemovals(updates: readonly Update[]): number {
  let most = 0;
  for (const { request } of updates) {
    if (request.op !== 'modifyRequest') continue;
    for (const { attribute } of request.changes) {
      if (attribute.type.toLowerCase() === 'posternplannedremovals')
        most = Math.max(most, Number(attribute.values[0]?.toString('latin1')) || 0);
    }
  }
  return most;
}

function withRequest(update: Update, request: Update['request']): Update {
  return { ...update, request };
}
