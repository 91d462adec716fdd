/** Delete (RFC 4511 §4.8). */
import { refuse } from '../refusal.ts';
import type { UpdateContext } from './context.ts';

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
