/** Whether the peers have proved a policy on trial: by packets of theirs that came through an association of each connection after it was applied. Pure. */
import type { IkeAssociation } from '../../vici/association.ts';
import { isUp } from '../charon/diff.ts';
import type { PolicyState } from '../state/policy-state.ts';

/** charon counts in whole seconds. */
const ROUNDING_SECONDS = 1;

/** Connections that nothing has come through since; empty when all are proved. `ageSeconds`: how old what is known of the associations is. */
export function unproved(
  state: Pick<PolicyState, 'connections'>,
  associations: readonly IkeAssociation[],
  { appliedSecondsAgo, ageSeconds }: { readonly appliedSecondsAgo: number; readonly ageSeconds: number },
): string[] {
  const proves = ({ children }: IkeAssociation): boolean =>
    children.some(
      ({ state: phase, mode, usedInSeconds }) =>
        isUp(phase) &&
        mode === 'TRANSPORT' &&
        usedInSeconds !== undefined &&
        usedInSeconds + ageSeconds + ROUNDING_SECONDS <= appliedSecondsAgo,
    );
  const proved = new Set(associations.filter(proves).map(({ connection }) => connection));
  return state.connections.map(({ name }) => name).filter((name) => !proved.has(name));
}
