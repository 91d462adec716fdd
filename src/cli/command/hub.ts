/** `postern hub run|key|list|join|approve|remove|leave`: the hub daemon, its public key, and the hubs of the site. */
import { buildCommand, buildRouteMap } from '@stricli/core';
import type { DepartureDocument, SiteHubDocument } from '../../admin/documents.ts';
import { type Context, guarded, hubConfig, hubDaemon, print } from '../context.ts';
import { common, commonAliases, type CommonFlags, configFlag } from '../flags.ts';

interface Flags {
  readonly config?: string;
}

const run = buildCommand({
  docs: { brief: 'Run the hub daemon in the foreground' },
  parameters: { flags: { config: configFlag }, aliases: { c: 'config' } },
  func(this: Context, flags: Flags) {
    return guarded(this, async () => {
      const config = hubConfig(this, flags.config);
      // Only here: every other command starts without the daemon's code.
      const { runHub } = await import('../../daemon/hub.ts');
      await runHub(config, this.signal);
    });
  },
});

const key = buildCommand({
  docs: { brief: 'Print the public key of this hub, for "postern subscription create --seal-to"' },
  parameters: { flags: { config: configFlag }, aliases: { c: 'config' } },
  func(this: Context, flags: Flags) {
    return guarded(this, async () => {
      const { text } = await hubDaemon(this, flags.config).call<{ text: string }>('GET', '/v1/key');
      this.process.stdout.write(text);
    });
  },
});

const list = buildCommand({
  docs: { brief: 'List the hubs of the site, and which of them this one trusts' },
  parameters: { flags: common, aliases: commonAliases },
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      const hubs = await hubDaemon(this, flags.config).call<SiteHubDocument[]>('GET', '/v1/hubs');
      print(this, flags.json, hubs, () =>
        hubs
          .map((hub) => `${hub.hub} (${hub.fqdn}), ${STANDING[hub.standing]}\n  ${hub.fingerprint}`)
          .join('\n'),
      );
    });
  },
});

const STANDING: Record<SiteHubDocument['standing'], string> = {
  'this hub': 'this hub',
  administrator: 'trusted: let in here',
  endorsed: 'trusted: let in by a hub that is trusted',
  unknown: 'NOT trusted',
};

const fingerprint = {
  kind: 'parsed',
  parse: String,
  placeholder: 'HEX',
  brief: 'Fingerprint that "postern hub list" shows on that hub itself',
} as const;

interface MemberFlags extends CommonFlags {
  readonly fingerprint: string;
}

const join = buildCommand({
  docs: { brief: 'Join the site of a hub that is there: from now on its word counts at this one' },
  parameters: { flags: { ...common, fingerprint }, aliases: commonAliases },
  func(this: Context, flags: MemberFlags) {
    return guarded(this, async () => {
      const daemon = hubDaemon(this, flags.config);
      const joined = await daemon.call<SiteHubDocument>('POST', '/v1/hubs/join', {
        fingerprint: flags.fingerprint,
      });
      const own = (await daemon.call<SiteHubDocument[]>('GET', '/v1/hubs')).find(
        (hub) => hub.standing === 'this hub',
      );
      print(
        this,
        flags.json,
        joined,
        () =>
          `joined the site of ${joined.hub} (${joined.fqdn})\nif it has not been done yet, let this hub in there:\n  postern hub approve ${own?.hub} --fingerprint "${own?.fingerprint}"`,
      );
    });
  },
});

const approve = buildCommand({
  docs: { brief: 'Let a hub into the site: it may push to every edge from then on' },
  parameters: {
    flags: { ...common, fingerprint },
    aliases: commonAliases,
    positional: {
      kind: 'tuple',
      parameters: [{ parse: String, placeholder: 'HUB', brief: 'Its name' }],
    },
  },
  func(this: Context, flags: MemberFlags, hub: string) {
    return guarded(this, async () => {
      const approved = await hubDaemon(this, flags.config).call<SiteHubDocument>('POST', '/v1/hubs/approve', {
        hub,
        fingerprint: flags.fingerprint,
      });
      print(
        this,
        flags.json,
        approved,
        () =>
          `${approved.hub} (${approved.fqdn}) is let in; it makes its accounts within a moment, once it has joined`,
      );
    });
  },
});

const remove = buildCommand({
  docs: { brief: 'Take another hub out of the site, alive or dead: its accounts go from every edge' },
  parameters: {
    flags: common,
    aliases: commonAliases,
    positional: { kind: 'tuple', parameters: [{ parse: String, placeholder: 'HUB', brief: 'Its name' }] },
  },
  func(this: Context, flags: CommonFlags, hub: string) {
    return guarded(this, async () => {
      const removed = await hubDaemon(this, flags.config).call<SiteHubDocument>(
        'DELETE',
        `/v1/hubs/${encodeURIComponent(hub)}`,
      );
      print(
        this,
        flags.json,
        removed,
        () => `${removed.hub} (${removed.fqdn}) is out; its accounts go from the edges with the next push`,
      );
    });
  },
});

const leave = buildCommand({
  docs: { brief: 'Leave the site: this hub gives up its accounts on every edge; the other hubs go on' },
  parameters: { flags: common, aliases: commonAliases },
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      const left = await hubDaemon(this, flags.config).call<DepartureDocument>('POST', '/v1/hubs/leave');
      const others = left.untold.length === 0 ? '' : `; the other hubs tell ${left.untold.join(', ')}`;
      print(
        this,
        flags.json,
        left,
        () =>
          `this hub has left the site; edges that have deleted its accounts: ${left.told.length}${others}\nits daemon can be stopped`,
      );
    });
  },
});

export const hubRoutes = buildRouteMap({
  docs: { brief: 'The hub daemon, and the hubs of the site' },
  routes: { run, key, list, join, approve, remove, leave },
});
