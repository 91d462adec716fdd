/** `postern edge run`: the edge daemon in the foreground, as systemd wants it. */
import { buildCommand, buildRouteMap } from '@stricli/core';
import { type Context, edgeConfig, guarded } from '../context.ts';
import { configFlag } from '../flags.ts';

const run = buildCommand({
  docs: { brief: 'Run the edge daemon in the foreground' },
  parameters: { flags: { config: configFlag }, aliases: { c: 'config' } },
  func(this: Context, flags: { readonly config?: string }) {
    return guarded(this, async () => {
      const config = edgeConfig(this, flags.config);
      // Only here: every other command starts without the daemon's code.
      const { runEdge } = await import('../../daemon/edge.ts');
      await runEdge(config, this.signal);
    });
  },
});

export const edgeRoutes = buildRouteMap({ docs: { brief: 'The edge daemon' }, routes: { run } });
