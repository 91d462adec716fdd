/** `postern config check|print`: read a configuration file as the daemon would. */
import { buildCommand, buildRouteMap } from '@stricli/core';
import { parseConfig } from '../../config/load.ts';
import { edgeConfigSchema } from '../../config/edge-config.ts';
import { hubConfigSchema } from '../../config/hub-config.ts';
import { printConfig } from '../../config/print.ts';
import { type Context, guarded, print, readConfigFile, roleOf } from '../context.ts';
import { argument, jsonFlag } from '../flags.ts';

interface Flags {
  readonly json: boolean;
}

const positional = argument('FILE', 'edge.toml or hub.toml');

const check = buildCommand({
  docs: { brief: 'Say whether a configuration file is right; every fault at once' },
  parameters: { flags: { json: jsonFlag }, positional },
  func(this: Context, flags: Flags, file: string) {
    return guarded(this, async () => {
      const { role } = load(this, file);
      print(this, flags.json, { file, role, valid: true }, () => `${file}: a valid ${role} configuration`);
    });
  },
});

const printCommand = buildCommand({
  docs: { brief: 'Print a configuration with every default' },
  parameters: { flags: { json: jsonFlag }, positional },
  func(this: Context, flags: Flags, file: string) {
    return guarded(this, async () => {
      const { config } = load(this, file);
      print(this, flags.json, config, () => printConfig(config));
    });
  },
});

function load(context: Context, file: string): { role: 'edge' | 'hub'; config: object } {
  const role = roleOf(context, file);
  const text = readConfigFile(context, file);
  return {
    role,
    config:
      role === 'edge' ? parseConfig(edgeConfigSchema, text, file) : parseConfig(hubConfigSchema, text, file),
  };
}

export const configRoutes = buildRouteMap({
  docs: { brief: 'Configuration files' },
  routes: { check, print: printCommand },
});
