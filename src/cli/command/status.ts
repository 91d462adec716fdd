/** `postern status`: what runs here and what is wrong with it; also what bare `postern` prints. */
import { buildCommand } from '@stricli/core';
import type { DaemonStatus } from '../../admin/documents.ts';
import { type Context, configuredDaemons, guarded, print } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { common, commonAliases, type CommonFlags } from '../flags.ts';
import { formatStatus } from '../status-text.ts';

export const statusCommand = buildCommand({
  docs: { brief: 'Show what runs here, and what is wrong with it' },
  parameters: { flags: common, aliases: commonAliases },
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      const statuses: DaemonStatus[] = [];
      for (const { client } of configuredDaemons(this, flags.config))
        statuses.push(await client.call<DaemonStatus>('GET', '/v1/status'));
      const document = statuses.length === 1 ? statuses[0] : statuses;
      print(this, flags.json, document, () => statuses.map(formatStatus).join('\n\n'));
      const warnings = statuses.flatMap((status) => status.warnings);
      if (warnings.some((warning) => warning.severity === 'critical')) return EXIT.critical;
      return warnings.length > 0 ? EXIT.degraded : EXIT.ok;
    });
  },
});
