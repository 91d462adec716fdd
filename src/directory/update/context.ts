/** What an update is, and what every operation of a group has at hand. */
import type {
  AddRequest,
  DeleteRequest,
  Filter,
  ModifyDnRequest,
  ModifyRequest,
} from '../../ldap/message.ts';
import type { AccessControl } from '../access/access.ts';
import type { ChangeNumber, Database } from '../database.ts';
import type { DatabaseChange } from '../database-change.ts';
import type { ComputedAttribute } from '../entry/computed.ts';
import type { Draft } from '../entry/draft.ts';
import type { Name } from '../entry/name.ts';
import type { AttributeType } from '../schema/schema.ts';
import type { FilterOptions } from '../search/filter.ts';
import type { Session } from '../session.ts';
import type { EntryRules } from './entry-rules.ts';
import type { UuidSource } from './uuid-source.ts';

export type UpdateRequest = AddRequest | ModifyRequest | DeleteRequest | ModifyDnRequest;

/** An update with what its controls ask. */
export interface Update {
  readonly request: UpdateRequest;
  /** The name in the request, when somebody has read it already (with this directory's schema). */
  readonly name?: Name | undefined;
  /** In transactions: named in the answer when this one fails (RFC 5805 §2.3). */
  readonly messageId?: number;
  /** Postern's control: add replaces an existing entry, delete of a missing one succeeds. */
  readonly idempotent?: boolean;
  /** Tree delete control: a delete takes everything below along. */
  readonly tree?: boolean;
  /** RFC 4528 */
  readonly assertion?: Filter;
  /** RFC 4527: attribute selections. */
  readonly preRead?: readonly string[];
  readonly postRead?: readonly string[];
}

/** What every operation of a group has at hand. */
export interface UpdateContext {
  readonly database: Database;
  readonly change: DatabaseChange;
  readonly rules: EntryRules;
  readonly access: AccessControl;
  readonly computed: ReadonlyMap<AttributeType, ComputedAttribute>;
  readonly filterOptions: FilterOptions;
  readonly session: Session;
  readonly uuids: UuidSource;
  /** The session's number in the dictionary of names. */
  readonly nameId: number;
  readonly inTransaction: boolean;
}

/** The name of the entry that an update is about; undefined for the root. Refuses what is no name. */
export function nameOf({ database }: Pick<UpdateContext, 'database'>, update: Update): Name | undefined {
  return update.name ?? database.names.read(update.request.dn);
}

/** DN for matchedDN: the nearest entry above that the session may know of. */
export function visibleAncestor(
  context: Pick<UpdateContext, 'database' | 'access' | 'session'>,
  start: number,
): string {
  const { database, access, session } = context;
  for (let id = start; id !== 0; id = database.tree.parent(id))
    if (access.view(session, id).visible) return database.dnText(id);
  return '';
}

/** Whether the session may be told that the entry exists: it sees it, or may change it. */
export function mayKnow(
  { access, session, inTransaction }: Pick<UpdateContext, 'access' | 'session' | 'inTransaction'>,
  id: number,
): boolean {
  const view = access.view(session, id);
  return (
    view.visible ||
    (['write', 'delete', 'rename', 'add'] as const).some((right) => view.mayEntry(right, inTransaction))
  );
}

/** Stamps a draft as changed now by this session. */
export function stamp({ database, nameId }: UpdateContext, draft: Draft): ChangeNumber {
  const number = database.nextChange();
  draft.changed = number.time;
  draft.changeCount = number.count;
  draft.modifier = nameId;
  return number;
}
