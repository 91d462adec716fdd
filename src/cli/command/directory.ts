/** `postern directory search|export|verify`: the embedded directory of the daemon that runs here. */
import { buildCommand, buildRouteMap } from '@stricli/core';
import { type Context, configuredDaemons, guarded, print } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { common, commonAliases, type CommonFlags, configFlag } from '../flags.ts';
import { formatCount, printable } from '../table.ts';

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
      base: { kind: 'parsed', parse: String, default: '', brief: 'Base DN; empty for the root DSE' },
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
    return guarded(this, async () => {
      const [filter = '(objectClass=*)', ...attributes] = words;
      await ldif(this, flags.config, 'POST', '/v1/directory/search', {
        base: flags.base,
        scope: flags.scope,
        sizeLimit: flags.sizeLimit,
        filter,
        attributes,
      });
    });
  },
});

const exportCommand = buildCommand({
  docs: { brief: 'Write the whole embedded directory as LDIF, without secrets' },
  parameters: { flags: { config: configFlag }, aliases: { c: 'config' } },
  func(this: Context, flags: { readonly config?: string }) {
    return guarded(this, () => ldif(this, flags.config, 'POST', '/v1/directory/export', {}));
  },
});

interface StoreVerifyDocument {
  readonly role: string;
  readonly sound: boolean;
  readonly records: number;
  readonly bytes: number;
  readonly problems: readonly string[];
}

const verify = buildCommand({
  docs: { brief: 'Reread the files of the embedded directory and check every checksum' },
  parameters: { flags: common, aliases: commonAliases },
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      const results: StoreVerifyDocument[] = [];
      for (const { client } of configuredDaemons(this, flags.config))
        results.push(await client.call<StoreVerifyDocument>('POST', '/v1/directory/verify', {}));
      print(this, flags.json, results.length === 1 ? results[0] : results, () =>
        results
          .map((r) =>
            [
              `${r.role}: ${r.sound ? 'sound' : 'DAMAGED'}; ${formatCount(r.records)} records, ${formatCount(r.bytes)} bytes read`,
              ...r.problems.map((p) => `  ${printable(p)}`),
            ].join('\n'),
          )
          .join('\n'),
      );
      return results.every((r) => r.sound) ? EXIT.ok : EXIT.critical;
    });
  },
});

async function ldif(
  context: Context,
  config: string | undefined,
  method: 'GET' | 'POST',
  path: string,
  body: unknown,
): Promise<void> {
  const [daemon] = configuredDaemons(context, config);
  await daemon?.client.stream(method, path, body, (line) => context.process.stdout.write(`${line}\n`));
}

export const directoryRoutes = buildRouteMap({
  docs: { brief: 'The embedded directory' },
  routes: { search, export: exportCommand, verify },
});
