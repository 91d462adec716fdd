/**
 * One update carried out inside a group of changes: add, modify, delete, modifyDN with their controls. Refusals are thrown;
 * whoever runs the group rolls it back. It owns the order of checks; each operation has a file of its own.
 */
import { BerWriter } from '../../asn1/writer.ts';
import type { Random } from '../../base/random.ts';
import { CONTROL } from '../../ldap/control.ts';
import type {
  AddRequest,
  Control,
  DeleteRequest,
  Filter,
  ModifyDnRequest,
  ModifyRequest,
} from '../../ldap/message.ts';
import type { AccessControl } from '../access/access.ts';
import type { ChangeNumber, Database, DatabaseChange } from '../database.ts';
import type { Draft } from '../entry/draft.ts';
import { EntryView } from '../entry/layout.ts';
import type { ComputedAttribute } from '../entry/computed.ts';
import { refuse } from '../refusal.ts';
import type { AttributeType } from '../schema/schema.ts';
import { compileFilter, type FilterOptions, TRUE } from '../search/filter.ts';
import { Selection } from '../search/selection.ts';
import type { Session } from '../session.ts';
import { addEntry } from './add.ts';
import { deleteEntry } from './delete.ts';
import type { EntryRules } from './entry-rules.ts';
import { modifyEntry } from './modify.ts';
import { renameEntry } from './rename.ts';

export type UpdateRequest = AddRequest | ModifyRequest | DeleteRequest | ModifyDnRequest;

/** An update with what its controls ask. */
export interface Update {
  readonly request: UpdateRequest;
  /** In transactions: named in the answer when this one fails (RFC 5805 §2.3). */
  readonly messageId?: number;
  /** Postern's control: add replaces an existing entry, delete of a missing one succeeds. */
  readonly idempotent?: boolean;
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
  readonly random: Random;
  /** The session's number in the dictionary of names. */
  readonly nameId: number;
  readonly inTransaction: boolean;
}

/** Carries an update out; returns the response's controls. Refuses as RFC 4511 says. */
export function applyUpdate(context: UpdateContext, update: Update): Control[] {
  const controls: Control[] = [];
  const { request } = update;
  if (request.op === 'addRequest') {
    if (update.preRead !== undefined)
      refuse('unavailableCriticalExtension', 'pre-read makes no sense with an add');
    const id = addEntry(context, request, update.idempotent === true);
    assertTrue(context, update, id);
    if (update.postRead !== undefined)
      controls.push(readControl(context, id, update.postRead, CONTROL.postRead));
    return controls;
  }
  const id = targetOf(context, request.dn, request.op === 'deleteRequest' && update.idempotent === true);
  if (id === 0) return controls;
  assertTrue(context, update, id);
  if (update.preRead !== undefined) controls.push(readControl(context, id, update.preRead, CONTROL.preRead));
  if (request.op === 'modifyRequest') modifyEntry(context, id, request);
  else if (request.op === 'deleteRequest') deleteEntry(context, id);
  else renameEntry(context, id, request);
  if (update.postRead !== undefined && request.op !== 'deleteRequest')
    controls.push(readControl(context, id, update.postRead, CONTROL.postRead));
  return controls;
}

/** The entry an update is about. What the session may not see does not exist, unless it may write there. */
function targetOf(context: UpdateContext, dn: string, missingIsFine: boolean): number {
  const { database } = context;
  const name = database.names.read(dn);
  if (name === undefined) refuse('unwillingToPerform', 'the root DSE cannot be changed');
  const id = database.resolve(name);
  if (id !== 0 && mayKnow(context, id)) return id;
  if (id === 0 && missingIsFine) return 0;
  return refuse('noSuchObject', '', visibleAncestor(context, database.nearest(name.parent)));
}

function mayKnow({ access, session, inTransaction }: UpdateContext, id: number): boolean {
  const view = access.view(session, id);
  return (
    view.visible ||
    (['write', 'delete', 'rename', 'add'] as const).some((right) => view.mayEntry(right, inTransaction))
  );
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

function assertTrue(context: UpdateContext, update: Update, id: number): void {
  if (update.assertion === undefined) return;
  const { database, access, session, computed } = context;
  const matcher = compileFilter(update.assertion, context.filterOptions);
  const view = new EntryView();
  database.read(id, view);
  if (matcher.match({ database, computed, session, view, id, access: access.view(session, id) }) !== TRUE)
    refuse('assertionFailed', 'assertion is not true of the entry');
}

/** RFC 4527 §3: attributes the session may not read are left out. */
function readControl(
  { database, computed, access, session }: UpdateContext,
  id: number,
  names: readonly string[],
  oid: string,
): Control {
  const view = new EntryView();
  database.read(id, view);
  const writer = new BerWriter(1024);
  new Selection(database, computed, names, false).write(
    writer,
    undefined,
    id,
    view,
    access.view(session, id),
    session,
  );
  return { oid, critical: false, value: writer.toBuffer() };
}

/** Stamps a draft as changed now by this session. */
export function stamp({ database, nameId }: UpdateContext, draft: Draft): ChangeNumber {
  const number = database.nextChange();
  draft.changed = number.time;
  draft.changeCount = number.count;
  draft.modifier = nameId;
  return number;
}
