/**
 * A hub leaves its site: it says so in its own object, signed, and lets go of all edges; whoever of the others reads that first clears away what it
 * had, as if an administrator had removed it there. May be cut off anywhere and done again.
 */
import { isPosternError, PosternError } from '../../base/error.ts';
import type { Removals } from '../../certificate/chain.ts';
import { verifyStatement } from '../../certificate/statement.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import type { HubNode } from '../../credential/issue.ts';
import { CLOCK_TOLERANCE_MS } from '../../credential/schedule.ts';
import { type Claimant, removal } from '../../subscription/membership.ts';
import { hubDn } from '../../subscription/topology-objects.ts';
import type { HubTrustState } from '../../subscription/trust-state.ts';
import type { ConfigurationDirectory } from './configuration-directory.ts';
import { adding } from './member-changes.ts';

export interface DepartureOptions {
  readonly directory: ConfigurationDirectory;
  readonly trust: TrustStore<HubTrustState>;
  readonly hub: HubNode;
  readonly site: string;
  readonly base: string;
  /** Last number of an account of this hub there, if any. */
  readonly lastNumber?: ((edge: string) => number | undefined) | undefined;
}

/**
 * The word that the others act on. From now on the edges that were imported here count as the site's: nothing that this hub still does ends their
 * subscriptions. Throws `refused` when no other hub would go on.
 */
export async function sayGoodbye(options: DepartureOptions, now: number): Promise<void> {
  const { directory, trust, hub, site, base } = options;
  if (Object.keys(trust.value.peers).length === 0)
    throw new PosternError('refused', 'no other hub of the site is known here that would go on', {
      hint: 'end the subscription of each edge with "postern subscription remove", or let another hub in first',
    });
  // Later than it was let in, also by the clock of whoever did that a moment ago.
  const at = now + CLOCK_TOLERANCE_MS / 2;
  const statement = removal(hub, { fqdn: hub.fqdn, pin: hub.identity.pin }, at);
  await directory.apply([adding(hubDn(hub.name, site, base), 'posternStatement', [statement])]);
  await trust.update((draft) => ({
    ...draft,
    edges: Object.fromEntries(
      Object.entries(draft.edges).map(([key, edge]) => [key, { ...edge, subscriptionId: '' }]),
    ),
  }));
}

/** This hub knows no edge and no other hub any more; numbers that it gave are not given again. */
export async function forgetSite({ trust, lastNumber }: DepartureOptions): Promise<void> {
  await trust.update((draft) => ({
    ...draft,
    edges: {},
    peers: {},
    retiredNumbers: {
      ...draft.retiredNumbers,
      ...Object.fromEntries(
        Object.entries(draft.edges).map(([key, { name, accountNumber }]) => [
          key,
          Math.max(accountNumber, lastNumber?.(name) ?? 0),
        ]),
      ),
    },
  }));
}

/** Hubs that have said goodbye themselves, whose objects are still there, and that nobody has let in again since. */
export function departed(
  others: readonly Claimant[],
  removals: Removals,
  { peers }: Pick<HubTrustState, 'peers'>,
): Claimant[] {
  const trusted = new Set(Object.values(peers).map(({ pin }) => pin));
  return others.filter(
    ({ object, pin }) =>
      removals.has(pin) &&
      !trusted.has(pin) &&
      object.statements.some((bytes) => {
        try {
          const { claim } = verifyStatement(bytes, pin);
          return claim.kind === 'removal' && claim.pin === pin;
        } catch (error) {
          if (isPosternError(error)) return false;
          throw error;
        }
      }),
  );
}
