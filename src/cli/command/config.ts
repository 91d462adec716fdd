/** `postern config check|print`: read a configuration file as the daemon would. */
import { access, constants, stat } from 'node:fs/promises';
import { buildCommand, buildRouteMap } from '@stricli/core';
import { isPosternError, PosternError } from '../../base/error.ts';
import { parseConfig } from '../../config/load.ts';
import { edgeConfigSchema } from '../../config/edge-config.ts';
import { type HubConfig, hubConfigSchema, type SourceConfig } from '../../config/hub-config.ts';
import { ipsecConfigSchema } from '../../config/ipsec-config.ts';
import { printConfig } from '../../config/print.ts';
import { parseFilter } from '../../ldap/filter.ts';
import { parseTarget } from '../../ldap/transport-target.ts';
import { type Context, guarded, print, readConfigFile, roleOf } from '../context.ts';
import { argument, jsonFlag } from '../flags.ts';

interface Flags {
  readonly json: boolean;
}

const positional = argument('FILE', 'edge.toml, hub.toml or ipsec.toml');

const check = buildCommand({
  docs: { brief: 'Say whether a configuration file is right; every fault at once' },
  parameters: { flags: { json: jsonFlag }, positional },
  func(this: Context, flags: Flags, file: string) {
    return guarded(this, async () => {
      const { role, config } = load(this, file);
      for (const table of ['source', 'configuration'] as const)
        await checkServer(this, file, table, (config as Partial<HubConfig>)[table] ?? {});
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

/** What the schema cannot see. A file that is not readable here is a warning: the check may run before it is made, or elsewhere. */
async function checkServer(
  context: Context,
  file: string,
  table: 'source' | 'configuration',
  source: Partial<Pick<SourceConfig, 'url' | 'filter' | 'password_file' | 'ca_file' | 'path'>>,
): Promise<void> {
  try {
    if (source.url !== undefined) parseTarget(source.url);
    if (source.filter !== undefined) parseFilter(source.filter);
  } catch (cause) {
    if (!isPosternError(cause)) throw cause;
    const key = cause.code === 'usage' ? 'url' : `filter "${source.filter ?? ''}"`;
    throw new PosternError('config.invalid', `${file}: ${table}.${key}: ${cause.message}`, {
      hint: cause.hint ?? 'write it as for ldapsearch: (&(objectClass=person)(mail=*))',
    });
  }
  for (const key of ['password_file', 'ca_file', 'path'] as const) {
    const path = source[key];
    if (path === undefined) continue;
    try {
      await access(path, constants.R_OK);
      if (key === 'password_file' && ((await stat(path)).mode & 0o077) !== 0)
        context.process.stderr.write(
          `warning: ${table}.${key}: others may read ${path}, so the hub will not start: chmod 600 ${path}\n`,
        );
    } catch (error) {
      context.process.stderr.write(`warning: ${table}.${key}: ${(error as Error).message}\n`);
    }
  }
}

function load(context: Context, file: string): { role: 'edge' | 'hub' | 'ipsec'; config: object } {
  const text = readConfigFile(context, file);
  if (/(^|\/)ipsec[^/]*\.toml$/.test(file) || /^\s*role\s*=\s*"(front|back)-end"/m.test(text))
    return { role: 'ipsec', config: parseConfig(ipsecConfigSchema, text, file) };
  const role = roleOf(context, file);
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
