/**
 * One update carried out inside a group of changes: add, modify, delete, modifyDN with their controls. Refusals are thrown;
 * whoever runs the group rolls it back. It owns the order of checks; each operation has a file of its own.
 */
import { BerWriter } from '../../asn1/writer.ts';
import { CONTROL } from '../../ldap/control.ts';
import type { AddRequest, Control } from '../../ldap/message.ts';
import { EntryView } from '../entry/layout.ts';
import type { Name } from '../entry/name.ts';
import { refuse } from '../refusal.ts';
import { compileFilter } from '../search/filter.ts';
import { TRUE } from '../search/matcher.ts';
import { Selection } from '../search/selection.ts';
import { addEntry } from './add.ts';
import {
  mayKnow,
  nameOf,
  type Update,
  type UpdateContext,
  type UpdateRequest,
  visibleAncestor,
} from './context.ts';
import { deleteEntry, deleteTree } from './delete.ts';
import { checkForm, modifyEntry, readChanges } from './modify.ts';
import { readNewName, renameEntry } from './rename.ts';

/** Carries an update out; returns the response's controls. Refuses as RFC 4511 says. */
export function applyUpdate(context: UpdateContext, update: Update): Control[] {
  const controls: Control[] = [];
  const { request } = update;
  // Who may change nothing anywhere gets no further, so that no request of theirs costs memory or tells anything.
  if (!context.access.mayChange(context.session)) refuse('insufficientAccessRights');
  if (request.op === 'addRequest') {
    if (update.preRead !== undefined)
      refuse('unavailableCriticalExtension', 'pre-read makes no sense with an add');
    const id = addEntry(context, update, request);
    assertTrue(context, update, id);
    if (update.postRead !== undefined)
      controls.push(readControl(context, id, update.postRead, CONTROL.postRead));
    return controls;
  }
  // The request alone is judged first, then the entry it is about.
  if (request.op === 'modifyRequest') checkForm(request);
  const name = nameOf(context, update);
  const carryOut = prepare(context, request, update);
  const id = targetOf(context, name, request.op === 'deleteRequest' && update.idempotent === true);
  if (id === 0) return controls;
  assertTrue(context, update, id);
  if (update.preRead !== undefined) controls.push(readControl(context, id, update.preRead, CONTROL.preRead));
  carryOut(id);
  if (update.postRead !== undefined && request.op !== 'deleteRequest')
    controls.push(readControl(context, id, update.postRead, CONTROL.postRead));
  return controls;
}

function prepare(
  context: UpdateContext,
  request: Exclude<UpdateRequest, AddRequest>,
  { tree }: Update,
): (id: number) => void {
  switch (request.op) {
    case 'modifyRequest': {
      const changes = readChanges(context, request);
      return (id) => modifyEntry(context, id, changes);
    }
    case 'modifyDnRequest': {
      const newName = readNewName(context, request);
      return (id) => renameEntry(context, id, request, newName);
    }
    case 'deleteRequest':
      return tree === true ? (id) => deleteTree(context, id) : (id) => deleteEntry(context, id);
  }
}

/** The entry an update is about. What the session may not see does not exist, unless it may write there. */
function targetOf(context: UpdateContext, name: Name | undefined, missingIsFine: boolean): number {
  const { database } = context;
  if (name === undefined) refuse('unwillingToPerform', 'the root DSE cannot be changed');
  const id = database.resolve(name);
  if (id !== 0 && mayKnow(context, id)) return id;
  // Where nothing may be deleted, a missing entry is answered as a hidden one is.
  if (id === 0 && missingIsFine) {
    const { access, session, inTransaction } = context;
    const below = access.viewBelow(session, database.nearest(name.parent));
    if (below.mayEntry('delete', inTransaction)) return 0;
  }
  return refuse('noSuchObject', '', visibleAncestor(context, database.nearest(name.parent)));
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
