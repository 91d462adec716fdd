/** ModifyDN (RFC 4511 §4.9): a new RDN, a new parent, or both. A subtree moves by its top entry's parent number alone. */
import type { ModifyDnRequest } from '../../ldap/message.ts';
import type { Database } from '../database.ts';
import type { Draft } from '../entry/draft.ts';
import type { Name } from '../entry/name.ts';
import { refuse } from '../refusal.ts';
import type { AttributeType } from '../schema/schema.ts';
import { addNameValues } from './add.ts';
import { normalOrRaw } from './entry-rules.ts';
import { mayKnow, stamp, type UpdateContext, visibleAncestor } from './context.ts';

/** The new RDN; refused before any entry is looked at. */
export function readNewName({ database }: UpdateContext, request: ModifyDnRequest): Name {
  const newName = database.names.read(request.newRdn);
  if (newName === undefined || newName.depth !== 1)
    refuse('invalidDNSyntax', 'the new name is not one relative name');
  return newName;
}

export function renameEntry(
  context: UpdateContext,
  id: number,
  request: ModifyDnRequest,
  newName: Name,
): void {
  const { database, change, access, session, inTransaction } = context;
  const draft = database.draft(id) ?? refuse('noSuchObject');
  const right = (): void => {
    if (!access.view(session, id).mayEntry('rename', inTransaction)) refuse('insufficientAccessRights');
  };
  right();
  if (draft.parent === 0) refuse('unwillingToPerform', 'a naming context cannot be renamed');
  const parent =
    request.newSuperior === undefined ? draft.parent : superior(context, id, request.newSuperior);
  const existing = database.child(parent, newName.normalRdn);
  if (existing !== 0 && existing !== id) {
    // Where it may not go, the session is not told either that something unknown to it stands there.
    const below = access.viewBelow(session, parent);
    if (mayKnow(context, existing) || below.mayEntry('rename', inTransaction)) refuse('entryAlreadyExists');
    refuse('insufficientAccessRights');
  }
  const old = database.names.read(database.dnText(id));
  for (const type of changedTypes(old, newName, request.deleteOldRdn))
    if (!access.view(session, id).may('write', type, inTransaction))
      refuse('insufficientAccessRights', `no right to write ${type.name} here`);
  if (request.deleteOldRdn && old !== undefined) deleteNameValues(database, draft, old);
  addNameValues(context, draft.attributes, newName.parts);
  context.rules.check(draft, () => database.dnText(id));
  draft.parent = parent;
  draft.rdn = Buffer.from(newName.rdn);
  draft.normalRdn = newName.normalRdn;
  stamp(context, draft);
  change.put(id, draft);
  right();
}

function superior(context: UpdateContext, id: number, dn: string): number {
  const { database } = context;
  const name = database.names.read(dn);
  const parent = database.resolve(name);
  // What the session may not know of is not told apart from what isn't there.
  if (name === undefined || parent === 0 || !mayKnow(context, parent))
    return refuse(
      'noSuchObject',
      'the new parent does not exist',
      visibleAncestor(context, parent === 0 ? database.nearest(name?.parent) : database.tree.parent(parent)),
    );
  if (database.tree.isWithin(parent, id))
    refuse('unwillingToPerform', 'an entry cannot be moved below itself');
  if (topOf(database, parent) !== topOf(database, id))
    refuse('affectsMultipleDSAs', 'an entry cannot be moved to another naming context');
  return parent;
}

function topOf(database: Database, start: number): number {
  let id = start;
  for (let above = database.tree.parent(id); above !== 0; above = database.tree.parent(id)) id = above;
  return id;
}

/** The types of which a new name brings or takes values. */
function changedTypes(old: Name | undefined, next: Name, deletesOld: boolean): AttributeType[] {
  if (old?.normalRdn.equals(next.normalRdn) === true) return [];
  return [...next.parts, ...(deletesOld ? (old?.parts ?? []) : [])].map(({ type }) => type);
}

/** Takes the old RDN's values out; those of the new one come in again, in its spelling. */
function deleteNameValues(database: Database, draft: Draft, old: Name): void {
  for (const { type, value } of old.parts) {
    const gone = normalOrRaw(database, type, value);
    for (const attribute of draft.attributes) {
      if (attribute.descriptor.type !== type || attribute.descriptor.options.length > 0) continue;
      attribute.values = attribute.values.filter((v) => !normalOrRaw(database, type, v).equals(gone));
    }
  }
  draft.attributes = draft.attributes.filter((attribute) => attribute.values.length > 0);
}
