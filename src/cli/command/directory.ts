/** `postern directory`: the embedded directory of an edge or a hub, whether its daemon runs or not. */
import { buildCommand, buildRouteMap } from '@stricli/core';
import { type Context, guarded } from '../context.ts';
import { directoryPlace, withDirectory, writeData } from '../directory-target.ts';
import { configFlag } from '../flags.ts';
import { backup, restore } from './directory-backup.ts';
import { compact, stats, verify } from './directory-care.ts';
import { exportCommand, importCommand } from './directory-ldif.ts';

interface SearchFlags {
  readonly config?: string;
  readonly base: string;
  readonly scope: 'base' | 'one' | 'subtree';
  readonly sizeLimit: number;
}

const search = buildCommand({
  docs: { brief: 'Search the embedded directory; answers in LDIF, without secrets' },
  parameters: {
    flags: {
      config: configFlag,
      base: { kind: 'parsed', parse: String, default: '', brief: 'Base DN; empty for everything' },
      scope: { kind: 'enum', values: ['base', 'one', 'subtree'], default: 'subtree', brief: 'Search scope' },
      sizeLimit: { kind: 'parsed', parse: Number, default: '1000', brief: 'Most entries; 0 for all' },
    },
    aliases: { c: 'config', b: 'base', s: 'scope' },
    positional: {
      kind: 'array',
      parameter: {
        parse: String,
        placeholder: 'FILTER [ATTRIBUTE...]',
        brief: 'RFC 4515 filter, then attributes',
      },
    },
  },
  func(this: Context, flags: SearchFlags, ...words: string[]) {
    return guarded(this, () => {
      const [filter = '(objectClass=*)', ...attributes] = words;
      const { base, scope, sizeLimit } = flags;
      const query = { base, scope, sizeLimit, filter, attributes };
      return withDirectory(this, directoryPlace(this, flags.config), ({ client }) =>
        client.download('POST', '/v1/directory/search', query, (chunk) => writeData(this, chunk)),
      );
    });
  },
});

export const directoryRoutes = buildRouteMap({
  docs: {
    brief: 'The embedded directory',
    fullDescription:
      'All but restore work while the daemon runs, and on its files when it does not. Exit codes: 0 ok, 1 failed, 2 usage, 4 damaged, 6 not found, 7 refused.',
  },
  routes: {
    search,
    export: exportCommand,
    import: importCommand,
    verify,
    stats,
    compact,
    backup,
    restore,
  },
});
