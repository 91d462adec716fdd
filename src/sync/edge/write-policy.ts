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
import type { Name } from '../../directory/entry/name.ts';
import type { AddRequest, Attribute, ModifyRequest } from '../../ldap/message.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import type { LeaseService } from './lease-service.ts';
import { isPending } from './pending.ts';
import { crookedAdd, crookedState, MOST_ENTRIES, type Place, PLACES } from './write-shape.ts';
import {
  countRemovals,
  guardedAddresses,
  lostAddresses,
  mayRemove,
  type RemovalLimits,
} from './removal-guard.ts';

export const HUB_ROLE = 'hub';
const BOOTSTRAP_ROLE = 'bootstrap';

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
  readonly place: Place | undefined;
  readonly kind: Kind | undefined;
  readonly entry: Entry | undefined;
  /** An add of an entry that is not there. */
  readonly isNew: boolean;
  /** What is wrong with it. */
  readonly crooked: string | undefined;
}

const ALL_PLACES = Object.keys(PLACES) as Place[];
const LEASE_LOST = resultOf('unwillingToPerform', 'lease.lost: this connection does not hold the lease');

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
    const { role } = session.identity;
    if (role !== HUB_ROLE && role !== BOOTSTRAP_ROLE) return updates;
    if (!inTransaction) return resultOf('unwillingToPerform', 'hubs write in transactions (RFC 5805) only');
    if (role === HUB_ROLE && !this.#options.lease.holds(session)) return LEASE_LOST;
    const places = this.#places();
    const judged = updates.map((update) => this.#look(update, places));
    // Said before anything is looked for: a removal of what is not there would succeed anywhere, and so tell.
    if (role === BOOTSTRAP_ROLE && judged.some(({ place }) => place !== 'hubs' && place !== 'edges'))
      return resultOf('insufficientAccessRights', 'the bootstrap account installs topology and nothing else');
    const crooked = judged.find((item) => item.crooked !== undefined);
    if (crooked?.crooked !== undefined) return resultOf('unwillingToPerform', crooked.crooked);
    const full = this.#full(judged);
    if (full !== undefined)
      return resultOf('adminLimitExceeded', `${PLACES[full]} has at most ${MOST_ENTRIES[full]} entries`);
    if (role === BOOTSTRAP_ROLE) return updates;
    const removals = judged.filter((item) => item.kind === 'recipients' && isRemoval(item)).length;
    const domainRemovals = judged.some((item) => item.kind === 'domains' && isRemoval(item));
    const planned = plannedRemovals(updates);
    if (
      removals === 0 &&
      !domainRemovals &&
      judged.every(({ entry }) => entry === undefined || !isPending(entry))
    )
      return judged.map((item) => this.#stampState(item));
    return this.#guard(session, judged, removals, planned);
  }

  async #guard(
    session: Session,
    judged: readonly Judged[],
    removals: number,
    planned: number,
  ): Promise<BeforeCommit> {
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
      // That took a while: somebody else may have the lease by now, and know nothing of this transaction.
      if (!this.#options.lease.holds(session)) return LEASE_LOST;
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
    if (kind === undefined || entry === undefined) return [this.#stampState(item)];
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
    if (delta !== 0 || hasMark(entry, 'posternKept')) this.#options.onPending(kind, delta);
    return [withRequest(update, guarded.request)];
  }

  /** The edge's clock, not the hub's: data cannot have been confirmed in the future. */
  #stampState({ update, place }: Judged): Update {
    const { request } = update;
    if (request.op !== 'modifyRequest' || place !== 'state') return update;
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

  /** The places by the record numbers of their containers; for one group of updates, since numbers come and go. */
  #places(): ReadonlyMap<number, Place> {
    const directory = this.#options.directory();
    return new Map(ALL_PLACES.map((place) => [directory.resolve(PLACES[place]), place]));
  }

  #look(given: Update, places: ReadonlyMap<number, Place>): Judged {
    const directory = this.#options.directory();
    const { database } = directory;
    const { request } = given;
    const name = database.names.tryRead(request.dn);
    const update = { ...given, name };
    const parent = name === undefined ? 0 : database.resolve(name.parent);
    const place = parent === 0 ? undefined : places.get(parent);
    if (name === undefined || place === undefined) {
      return {
        update,
        place: undefined,
        kind: undefined,
        entry: undefined,
        isNew: false,
        crooked: 'hubs write directly below the containers and nowhere else',
      };
    }
    const kind = place === 'recipients' || place === 'domains' ? place : undefined;
    const id = database.child(parent, name.normalRdn);
    const entry = id === 0 || kind === undefined ? undefined : directory.readEntry(id);
    const isNew = id === 0 && request.op === 'addRequest';
    return { update, place, kind, entry, isNew, crooked: crookedness(place, name, request) };
  }

  /** The container that would become too large, if any. */
  #full(judged: readonly Judged[]): Place | undefined {
    for (const [place, most = 0] of Object.entries(MOST_ENTRIES) as [Place, number][]) {
      const added = judged.filter((item) => item.place === place && item.isNew).length;
      if (added > 0 && this.#count(PLACES[place]) + added > most) return place;
    }
    return undefined;
  }

  #count(base: string): number {
    const directory = this.#options.directory();
    return directory.database.tree.childCount(directory.resolve(base));
  }
}

function crookedness(place: Place, name: Name, request: Update['request']): string | undefined {
  switch (request.op) {
    case 'addRequest':
      return place === 'state'
        ? 'the state of a kind of data is there for good'
        : crookedAdd(place, name, request);
    case 'deleteRequest':
      return place === 'state' ? 'the state of a kind of data is there for good' : undefined;
    case 'modifyRequest':
      return place === 'state' ? crookedState(request) : 'entries are put and removed whole';
    default:
      return 'entries are put and removed whole, never renamed';
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
