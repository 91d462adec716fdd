/** Delete (RFC 4511 §4.8), of one entry or, by the tree delete control, of all that hangs below it too. */
import { refuse } from '../refusal.ts';
import type { UpdateContext } from './context.ts';

/** Entries of one tree delete: a group is applied in one turn, and must not hold up everybody for long. */
export const MOST_IN_TREE = 5_000;

export function deleteEntry(
  { database, change, access, session, inTransaction }: UpdateContext,
  id: number,
): void {
  if (!access.view(session, id).mayEntry('delete', inTransaction)) refuse('insufficientAccessRights');
  if (database.tree.childCount(id) > 0) refuse('notAllowedOnNonLeaf', 'the entry has children');
  // A deletion has its place in the order of changes too (RFC 4533).
  database.nextChange();
  change.delete(id);
}

/** draft-armijo-ldap-treedelete §3: all or nothing, children before their parents. Refuses before anything is deleted. */
export function deleteTree(context: UpdateContext, id: number): void {
  const { database, access, session, inTransaction } = context;
  const { tree } = database;
  if (!access.view(session, id).mayEntry('deleteTree', inTransaction))
    refuse('insufficientAccessRights', 'no right to delete trees');
  const entries = [id];
  for (let at = 0; at < entries.length; at++) {
    const parent = entries[at] as number;
    if (entries.length + tree.childCount(parent) > MOST_IN_TREE)
      refuse(
        'adminLimitExceeded',
        `the tree has more than ${MOST_IN_TREE} entries: delete its parts one by one`,
      );
    for (let child = tree.firstChild(parent); child !== 0; child = tree.nextSibling(child))
      entries.push(child);
  }
  for (const entry of entries)
    if (!access.view(session, entry).mayEntry('delete', inTransaction))
      refuse('insufficientAccessRights', 'no right to delete an entry of the tree');
  for (const entry of entries.reverse()) deleteEntry(context, entry);
}
