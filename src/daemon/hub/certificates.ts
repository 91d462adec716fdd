/** The certificates of a hub: wires the rollover of its own, what it and its edges tell each other, and what has to be sealed again after one. */
import type { Identity } from '../../certificate/identity.ts';
import type { HubConfig } from '../../config/hub-config.ts';
import type { HubNode } from '../../credential/issue.ts';
import type { Node } from '../../subscription/node.ts';
import { RolloverKeeper } from '../../subscription/rollover-keeper.ts';
import type { HubTrustState } from '../../subscription/trust-state.ts';
import type { ConfigurationDirectory } from '../../sync/organisation/configuration-directory.ts';
import type { Organisation } from '../../sync/organisation/organisation.ts';
import { resealChanges, resignedRemovals } from '../../sync/organisation/reseal.ts';
import { rolloverOptions } from '../configured-identity.ts';
import type { DaemonParts } from '../frame.ts';
import { EdgeIdentities } from './edge-identities.ts';
import type { Links } from './links.ts';

export interface HubCertificatesOptions {
  readonly config: HubConfig;
  readonly node: Node<HubTrustState>;
  readonly hub: HubNode;
  readonly configured: (() => Promise<Identity>) | undefined;
  readonly directory: ConfigurationDirectory;
  readonly base: string;
  readonly parts: DaemonParts;
  /** They are made with what is returned here. */
  readonly organisation: () => Organisation;
  readonly links: () => Links;
}

export interface HubCertificates {
  readonly identities: EdgeIdentities;
  /** To be started when the links are. */
  readonly rollover: RolloverKeeper<HubTrustState>;
}

export function openHubCertificates(options: HubCertificatesOptions): HubCertificates {
  const { config, node, hub, configured, directory, base, parts, organisation, links } = options;
  const { files, clock, random, lifecycle } = parts;
  const log = parts.log.child('certificates');
  const trust = node.store;
  /** Looked through whenever a key has changed here or at an edge, and with each start: it may have been interrupted. */
  let due = true;
  let resealed = false;
  const identities = new EdgeIdentities({
    node,
    keeper: () => rollover,
    overlapMs: config.rollover.overlap,
    clock,
    log,
    onChanged: () => {
      due = true;
      void rollover.cycle();
    },
  });
  const reseal = async (): Promise<void> => {
    const [hubs, edges] = [await organisation().topology('Hubs'), await organisation().topology('Edges')];
    const removals = resignedRemovals(trust.value.removalStatements, hub);
    if (removals !== trust.value.removalStatements)
      await trust.update((draft) => ({
        ...draft,
        removalStatements: [...resignedRemovals(draft.removalStatements, hub)],
      }));
    const facts = { hubs, edges, trust: trust.value, hub, site: config.site, base };
    const changes = await resealChanges(facts);
    for (const change of changes) await directory.apply([change]);
    // Last: whoever sees the new key there finds nothing any more that only the former one proves.
    await organisation().ensure();
    if (changes.length === 0) return;
    log.info('sealed and signed again under the present keys', { objects: changes.length });
    links().poke();
  };
  const rollover: RolloverKeeper<HubTrustState> = new RolloverKeeper<HubTrustState>({
    node,
    folder: config.data,
    ...rolloverOptions(config.rollover),
    files,
    clock,
    random,
    log,
    configured,
    facts: () => ({ peers: Object.keys(trust.value.edges), resealed }),
    care: async () => {
      await identities.settle();
      if (!due) return;
      due = false;
      try {
        await reseal();
        resealed = true;
      } catch (error) {
        due = true;
        throw error;
      }
    },
    onChange: (what) => {
      due = true;
      if (what === 'announced') links().poke();
      else {
        resealed = false;
        links().restart();
      }
    },
  });
  lifecycle.add('certificates', () => rollover.stop());
  return { identities, rollover };
}
