/** Looks every few seconds whether another hub of the site has changed the shared configuration directory: edges are taken on, changes pushed. */
import type { Clock } from '../../base/clock.ts';
import { isPosternError } from '../../base/error.ts';
import type { Lifecycle } from '../../base/lifecycle.ts';
import type { Log } from '../../base/log.ts';
import type { LdapConfigurationDirectory } from '../../sync/organisation/ldap-configuration.ts';
import type { SiteMembers } from '../../sync/organisation/site-members.ts';
import type { Links } from './links.ts';

export interface SiteWatchOptions {
  readonly directory: LdapConfigurationDirectory;
  /** What is looked at. */
  readonly site: string;
  readonly members: SiteMembers;
  readonly links: Links;
  readonly everyMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export function watchSite(options: SiteWatchOptions, lifecycle: Lifecycle): void {
  const stop = new AbortController();
  const running = run(options, AbortSignal.any([options.signal, stop.signal]));
  lifecycle.add('site watch', async () => {
    stop.abort();
    await running;
  });
}

async function run(options: SiteWatchOptions, signal: AbortSignal): Promise<void> {
  const { directory, site, members, links, everyMs, clock, log } = options;
  let seen: string | undefined;
  let away = false;
  while (!signal.aborted) {
    try {
      const stamp = await directory.stamp(site);
      if (stamp !== seen) {
        const { adopted, gone, complete } = await members.adopt(clock.now());
        for (const edge of gone) await links.forget(edge.name);
        for (const edge of adopted) links.start(edge.name);
        links.poke();
        seen = complete ? stamp : undefined;
      }
      if (away) log.info('the configuration directory answers again');
      away = false;
    } catch (error) {
      if (signal.aborted) return;
      if (!isPosternError(error)) throw error;
      if (!away) log.warn('the configuration directory does not answer; what stands goes on', { error });
      away = true;
    }
    await clock.sleep('hub.site', everyMs, signal).catch(() => undefined);
  }
}
