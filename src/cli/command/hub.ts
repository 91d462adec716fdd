/** `postern hub run|key`: the hub daemon, and the public key that a subscription file can be sealed to. */
import { buildCommand, buildRouteMap } from '@stricli/core';
import { type Context, guarded, hubConfig, hubDaemon } from '../context.ts';
import { configFlag } from '../flags.ts';

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

export const hubRoutes = buildRouteMap({ docs: { brief: 'The hub daemon' }, routes: { run, key } });
