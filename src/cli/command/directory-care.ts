/** `postern directory verify|stats|compact`: is it sound, how large is it, make it smaller. */
import { buildCommand } from '@stricli/core';
import type { CompactDocument, StatsDocument, StoreVerifyDocument } from '../../admin/directory-documents.ts';
import { formatDuration } from '../../base/duration.ts';
import { isPosternError } from '../../base/error.ts';
import { type Context, guarded, print } from '../context.ts';
import {
  type DirectoryPlace,
  directoryPlaces,
  type DirectoryTarget,
  withDirectory,
} from '../directory-target.ts';
import { EXIT } from '../exit-code.ts';
import { common, commonAliases, type CommonFlags } from '../flags.ts';
import { formatBytes, formatCount, formatFields, formatTable, printable } from '../table.ts';

const parameters = { flags: common, aliases: commonAliases } as const;

/** Asks each directory of this machine; one answer is printed as itself, several as a list. */
async function ofEach<T>(
  context: Context,
  flags: CommonFlags,
  ask: (target: DirectoryTarget) => Promise<T>,
  text: (document: T) => string,
  onError: (error: unknown, place: DirectoryPlace) => T = rethrow,
): Promise<T[]> {
  const results: T[] = [];
  for (const place of directoryPlaces(context, flags.config))
    results.push(await withDirectory(context, place, ask).catch((error: unknown) => onError(error, place)));
  const document = results.length === 1 ? results[0] : results;
  print(context, flags.json, document, () => results.map(text).join('\n'));
  return results;
}

export const verify = buildCommand({
  docs: {
    brief: 'Check every entry, index and checksum of the embedded directory',
    fullDescription:
      'Rereads the files and looks at every entry while the daemon goes on. Exit codes: 0 sound, 4 damaged (what is damaged is named).',
  },
  parameters,
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      const results = await ofEach(this, flags, verifyOne, verifyText, damagedAtStart);
      return results.every((r) => r.sound) ? EXIT.ok : EXIT.critical;
    });
  },
});

function verifyText(r: StoreVerifyDocument): string {
  const head = `${r.role} ${r.name}: ${r.sound ? 'sound' : 'DAMAGED'}`;
  if (!r.sound) return [head, ...r.problems.map((p) => `  ${printable(p)}`)].join('\n');
  return [
    head,
    `  ${formatCount(r.entries)} entries, each found by its name and by every indexed value`,
    `  files: ${formatBytes(r.bytes)} with right checksums, a snapshot of ${formatCount(r.records)} records and ${formatCount(r.groups)} changes since`,
  ].join('\n');
}

/** Without a daemon, damage shows when the files are opened. */
function damagedAtStart(error: unknown, { role, name }: DirectoryPlace): StoreVerifyDocument {
  if (!isPosternError(error, 'store.damaged')) throw error;
  const { file, offset } = error.fields;
  const place = file === undefined ? '' : `${file}${offset === undefined ? '' : ` at byte ${offset}`}: `;
  const problems = [`${place}${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}`];
  return { role, name, sound: false, entries: 0, records: 0, groups: 0, bytes: 0, problems };
}

const rethrow = (error: unknown): never => {
  throw error;
};

const verifyOne = ({ client }: DirectoryTarget): Promise<StoreVerifyDocument> =>
  client.call<StoreVerifyDocument>('POST', '/v1/directory/verify', {});

export const stats = buildCommand({
  docs: { brief: 'Show how much the embedded directory holds, in memory and on the disk' },
  parameters,
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      await ofEach(
        this,
        flags,
        ({ client }) => client.call<StatsDocument>('GET', '/v1/directory/stats'),
        statsText,
      );
    });
  },
});

function statsText(document: StatsDocument): string {
  const { store, containers, files } = document;
  const { recovery } = store;
  return [
    `${document.role} ${document.name}`,
    formatFields([
      ['entries', formatCount(document.entries)],
      ['memory', `${formatBytes(store.slabBytes + store.tableBytes + document.indexBytes)}`],
      ['  entries', `${formatBytes(store.blobBytes)} (${formatBytes(store.garbageBytes)} given up)`],
      ['  indexes', formatBytes(document.indexBytes)],
      ['disk', `${formatBytes(files.reduce((sum, file) => sum + file.bytes, 0))} in ${document.folder}`],
      [
        '  snapshot',
        store.snapshotAgeMs === undefined
          ? 'none yet'
          : `${formatBytes(store.snapshotBytes)}, ${formatDuration(store.snapshotAgeMs)} old`,
      ],
      ['  journal', `${formatBytes(store.journalBytes)}, ${formatCount(store.journalGroups)} changes`],
      [
        'last start',
        `${formatDuration(recovery.durationMs)}${recovery.bytesCut === 0 ? '' : `, ${formatCount(recovery.bytesCut)} bytes of a last write were cut off`}`,
      ],
    ]),
    '',
    formatTable(
      ['container', 'children'],
      containers.map(({ dn, children }) => [printable(dn), formatCount(children)]),
    ),
  ].join('\n');
}

export const compact = buildCommand({
  docs: { brief: 'Write the embedded directory anew, without what was changed or deleted since' },
  parameters,
  func(this: Context, flags: CommonFlags) {
    return guarded(this, async () => {
      await ofEach(
        this,
        flags,
        ({ client }: DirectoryTarget & DirectoryPlace) =>
          client.call<CompactDocument>('POST', '/v1/directory/compact', {}),
        (r) =>
          [
            `${r.role} ${r.name}: written anew in ${formatDuration(r.durationMs)}`,
            `  memory of entries ${formatBytes(r.slabBytesBefore)} -> ${formatBytes(r.slabBytes)}`,
            `  journal ${formatBytes(r.journalBytesBefore)} -> ${formatBytes(r.journalBytes)}, snapshot ${formatBytes(r.snapshotBytes)}`,
          ].join('\n'),
      );
    });
  },
});
