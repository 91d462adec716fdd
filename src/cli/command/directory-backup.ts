/** `postern directory backup|restore`: a whole copy of the embedded directory's files, and a directory made of one. */
import { resolve } from 'node:path';
import { buildCommand } from '@stricli/core';
import type { BackupDocument, RestoreDocument } from '../../admin/directory-documents.ts';
import { formatDuration } from '../../base/duration.ts';
import { type Context, guarded, print } from '../context.ts';
import { directoryPlace, withDirectory } from '../directory-target.ts';
import { argument, common, commonAliases, type CommonFlags } from '../flags.ts';
import { formatBytes, formatCount } from '../table.ts';

export const backup = buildCommand({
  docs: {
    brief: 'Copy the embedded directory to a new folder, while changes go on',
    fullDescription:
      'The copy holds everything that was acknowledged before the command began. The daemon writes it, so its user must be able to. It holds records that are sealed to this machine; keys and passwords are in the trust store (data/trust), which is not part of it.',
  },
  parameters: {
    flags: common,
    aliases: commonAliases,
    positional: argument('FOLDER', 'a folder that does not exist yet, or is empty'),
  },
  func(this: Context, flags: CommonFlags, folder: string) {
    return guarded(this, () =>
      withDirectory(this, directoryPlace(this, flags.config), async ({ client }) => {
        const to = resolve(this.cwd, folder);
        const document = await client.call<BackupDocument>('POST', '/v1/directory/backup', { folder: to });
        print(
          this,
          flags.json,
          document,
          () =>
            `${document.role} ${document.name}: ${formatCount(document.entries)} entries, ${formatBytes(document.backup.bytes)} in ${to}, read back and checked (${formatDuration(document.backup.durationMs)})`,
        );
      }),
    );
  },
});

export const restore = buildCommand({
  docs: {
    brief: 'Make the embedded directory of a stopped daemon from a backup',
    fullDescription:
      'Every byte of the backup is checked first. What is restored is told apart from the original: followers begin anew, and hubs compare every entry before they go on.',
  },
  parameters: {
    flags: {
      ...common,
      replace: {
        kind: 'boolean',
        default: false,
        brief: 'Move a directory that is there aside (directory.before-TIME)',
      },
    },
    aliases: commonAliases,
    positional: argument('FOLDER', 'a folder that postern directory backup has made'),
  },
  func(this: Context, flags: CommonFlags & { readonly replace: boolean }, folder: string) {
    return guarded(this, async () => {
      const place = directoryPlace(this, flags.config);
      const { restoreDirectory } = await import('../../daemon/offline-directory.ts');
      const document: RestoreDocument = await restoreDirectory(
        place,
        resolve(this.cwd, folder),
        flags.replace,
      );
      const age = formatDuration(this.clock.now() - document.backup.time);
      print(this, flags.json, document, () =>
        [
          `${document.role} ${document.name}: ${formatCount(document.entries)} entries, as they were ${age} ago, in ${document.folder}`,
          ...(document.former === undefined
            ? []
            : [`  the former directory is in ${document.former}: delete it when all is well`]),
          document.role === 'edge'
            ? '  start the edge; the next synchronisation compares every entry and brings what has changed since'
            : '  start the hub; subscriptions and domains made since the backup are not in it',
        ].join('\n'),
      );
    });
  },
});
