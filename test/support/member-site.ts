/**
 * Hubs of one site over one configuration directory, all in memory; `directory` fails when told to, and anybody may write to it.
 *
 *   const site = new MemberSite(); const hub1 = await site.hub('hub1');
 *   await site.subscribe(hub1, await makeEdge('edge1'));
 */
import { silentLog } from '../../src/base/log.ts';
import { PosternError } from '../../src/base/error.ts';
import { embedded } from '../../src/daemon/hub/configuration.ts';
import type { Attribute, ModifyRequest } from '../../src/ldap/message.ts';
import { createSubscription } from '../../src/subscription/edge-subscription.ts';
import { readSubscriptionFile } from '../../src/subscription/file-reader.ts';
import {
  edgeDn,
  hubDn,
  readTopologyObject,
  type TopologyObject,
} from '../../src/subscription/topology-objects.ts';
import type {
  ConfigurationChange,
  ConfigurationDirectory,
} from '../../src/sync/organisation/configuration-directory.ts';
import { Organisation } from '../../src/sync/organisation/organisation.ts';
import { SiteMembers } from '../../src/sync/organisation/site-members.ts';
import { testDirectory } from './served-directory.ts';
import { makeHub, siteRandom, type TestEdge, type TestHub } from './subscription-site.ts';

const SITE = 'Default-Site';

export interface MemberHub extends TestHub {
  readonly organisation: Organisation;
  readonly members: SiteMembers;
}

export const edgeObject = (name: string): string => edgeDn(name, SITE);
export const hubObject = (name: string): string => hubDn(name, SITE);

export class MemberSite {
  readonly #real = embedded(testDirectory({ contexts: ['cn=Postern'], access: { rules: [], secrets: [] } }));
  /** Changes that still succeed; endless unless set. */
  writesLeft = Number.POSITIVE_INFINITY;
  /** Names that searches do not show. */
  hidden = '';
  readonly directory: ConfigurationDirectory = {
    read: (dn) => this.#real.read(dn),
    list: async (dn, attributes) =>
      (await this.#real.list(dn, attributes)).filter(
        (entry) => this.hidden === '' || !entry.dn.includes(this.hidden),
      ),
    apply: async (changes) => {
      for (const change of changes) {
        if (this.writesLeft-- <= 0) throw new PosternError('ldap.closed', 'the directory is gone');
        await this.#real.apply([change]);
      }
    },
  };

  async hub(name: string): Promise<MemberHub> {
    const made = await makeHub(name);
    const { hub, node } = made;
    const { directory } = this;
    const organisation = new Organisation({ directory, trust: node.store, hub, site: SITE });
    await organisation.ensure();
    const members = new SiteMembers({
      organisation,
      directory,
      shared: true,
      trust: node.store,
      hub,
      site: SITE,
      base: '',
      lifetimeMs: 30 * 24 * 3600_000,
      random: siteRandom,
      log: silentLog,
    });
    return { ...made, organisation, members };
  }

  async subscribe(hub: MemberHub, edge: TestEdge): Promise<void> {
    const { bytes } = await createSubscription(edge.deps, {});
    const now = hub.clock.now();
    await hub.organisation.importSubscription({
      file: readSubscriptionFile(bytes),
      now,
      random: siteRandom,
    });
  }

  /** Each trusts the other by an administrator's word. */
  async join(first: MemberHub, second: MemberHub): Promise<void> {
    await second.members.join(first.hub.identity.pin, second.clock.now());
    await first.members.approve(second.hub.name, second.hub.identity.pin, first.clock.now());
  }

  async object(dn: string): Promise<TopologyObject> {
    const found = readTopologyObject((await this.directory.read(dn))?.attributes ?? []);
    if (found === undefined) throw new Error(`${dn} is not there`);
    return found;
  }

  async attributes(dn: string): Promise<readonly Attribute[]> {
    return (await this.directory.read(dn))?.attributes ?? [];
  }

  /** Somebody who may write there, and owns no key. */
  write(...changes: ConfigurationChange[]): Promise<void> {
    return this.#real.apply(changes);
  }

  change(
    dn: string,
    kind: ModifyRequest['changes'][number]['kind'],
    type: string,
    values: readonly Buffer[],
  ): Promise<void> {
    return this.write({
      op: 'modifyRequest',
      dn,
      changes: [{ kind, attribute: { type, values: [...values] } }],
    });
  }
}
