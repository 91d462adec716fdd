/** `postern lookup ADDRESS`: what the mail server would be told, and why; `postern lookup compare FILE`. */
import { buildCommand, buildRouteMap } from '@stricli/core';
import type { LookupDocument } from '../../admin/documents.ts';
import { formatDuration } from '../../base/duration.ts';
import { type Context, edgeDaemon, guarded, print } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { argument, common, commonAliases, type CommonFlags } from '../flags.ts';
import { formatFields, printable } from '../table.ts';
import { compareCommand } from './lookup-compare.ts';

const address = buildCommand({
  docs: { brief: 'Ask what the mail server would be told about an address, and why' },
  parameters: {
    flags: common,
    aliases: commonAliases,
    positional: argument('ADDRESS', 'Recipient address, as in RCPT TO'),
  },
  func(this: Context, flags: CommonFlags, address: string) {
    return guarded(this, async () => {
      const document = await edgeDaemon(this, flags.config).call<LookupDocument>(
        'GET',
        `/v1/lookup?address=${encodeURIComponent(address)}`,
      );
      print(this, flags.json, document, () =>
        formatFields([
          ['address', printable(document.address)],
          ['answer', document.answer === 'notOurs' ? 'not ours' : document.answer],
          ['socketmap', printable(document.socketmap)],
          ['because', printable(document.reason)],
          ['entry', document.guid],
          [
            'domain',
            document.domain === undefined
              ? undefined
              : `${printable(document.domain)} (${document.domainKind ?? (document.answer === 'temporary' ? 'not known yet' : 'not ours')})`,
          ],
          [
            'confirmed',
            document.confirmedAgoMs === undefined
              ? undefined
              : `${formatDuration(document.confirmedAgoMs)} ago`,
          ],
        ]),
      );
      return document.answer === 'known'
        ? EXIT.ok
        : document.answer === 'temporary'
          ? EXIT.degraded
          : EXIT.notFound;
    });
  },
});

export const lookupRoutes = buildRouteMap({
  docs: { brief: 'What the mail server would be told' },
  routes: { address, compare: compareCommand },
  defaultCommand: 'address',
});
