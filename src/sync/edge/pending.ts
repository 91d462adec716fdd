/** Whether the removal guard has marked an entry: as a whole, or some of its addresses. */
import type { Entry } from '../../directory/directory.ts';

export function isPending(entry: Entry): boolean {
  return entry.values('posternPendingDelete').length > 0 || entry.values('posternPendingAddress').length > 0;
}
