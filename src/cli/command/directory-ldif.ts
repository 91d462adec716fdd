/** `postern directory export|import`: LDIF (RFC 2849) out of the embedded directory and into it, piece by piece, however long. */
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { buildCommand } from '@stricli/core';
import type {
  ExportDocument,
  ImportCounts,
  ImportDocument,
  StatsDocument,
} from '../../admin/directory-documents.ts';
import type { ControlClient } from '../../admin/control-client.ts';
import { IMPORT_PATH } from '../../admin/control-server.ts';
import { isPosternError, PosternError } from '../../base/error.ts';
import { LdifCutter, type LdifPiece } from '../../ldap/ldif-cut.ts';
import { type Context, guarded, print } from '../context.ts';
import { directoryPlace, type DirectoryTarget, withDirectory, writeData } from '../directory-target.ts';
import { argument, common, commonAliases, type CommonFlags } from '../flags.ts';
import { createProgress } from '../progress.ts';
import { formatBytes, formatCount, printable } from '../table.ts';

interface ExportFlags extends CommonFlags {
  readonly output?: string;
  readonly base: string;
  readonly changes: boolean;
  readonly force: boolean;
}

export const exportCommand = buildCommand({
  docs: {
    brief: 'Write the embedded directory as LDIF, without secrets',
    fullDescription:
      'Parents come before children, each entry as it is when it is written; a whole file ends in a comment with the number of entries.',
  },
  parameters: {
    flags: {
      ...common,
      output: {
        kind: 'parsed',
        parse: String,
        optional: true,
        placeholder: 'FILE',
        brief: 'Write to a new file (0600) in place of standard output',
      },
      base: { kind: 'parsed', parse: String, default: '', brief: 'Only this entry and all below it' },
      changes: { kind: 'boolean', default: false, brief: 'Change records (changetype: add)' },
      force: { kind: 'boolean', default: false, brief: 'Overwrite FILE' },
    },
    aliases: { ...commonAliases, o: 'output', b: 'base' },
  },
  func(this: Context, flags: ExportFlags) {
    return guarded(this, () =>
      withDirectory(this, directoryPlace(this, flags.config), async (target) => {
        const { base, changes, output } = flags;
        const total =
          base === ''
            ? (await target.client.call<StatsDocument>('GET', '/v1/directory/stats')).entries
            : undefined;
        const progress = createProgress(this.process.stderr, 'exporting');
        const counter = new RecordCounter();
        const take = async (write: (chunk: Buffer) => Promise<void> | void): Promise<void> => {
          await target.client.download('POST', '/v1/directory/export', { base, changes }, async (chunk) => {
            counter.push(chunk);
            if (output !== undefined) progress.update(counter.records, total);
            await write(chunk);
          });
          progress.end();
        };
        if (output === undefined) return take((chunk) => writeData(this, chunk));
        const file = resolve(this.cwd, output);
        const bytes = await writeNewFile(file, flags.force, take);
        const { role, name } = target;
        const document: ExportDocument = { role, name, entries: counter.records, bytes, file };
        return print(
          this,
          flags.json,
          document,
          () => `${role} ${name}: ${formatCount(counter.records)} entries, ${formatBytes(bytes)} in ${file}`,
        );
      }),
    );
  },
});

/** Counts records as they pass: each begins with its dn. */
class RecordCounter {
  records = 0;
  #tail = '\n';

  push(chunk: Buffer): void {
    const text = this.#tail + chunk.toString('latin1');
    for (let at = text.indexOf('\ndn:'); at >= 0; at = text.indexOf('\ndn:', at + 4)) this.records++;
    this.#tail = text.slice(-3);
  }
}

/** 0600, whole or not there at all. */
async function writeNewFile(
  path: string,
  force: boolean,
  fill: (write: (chunk: Buffer) => Promise<void>) => Promise<void>,
): Promise<number> {
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (exists && !force)
    throw new PosternError('refused', `${path} exists`, { hint: 'to overwrite it: --force' });
  const partial = `${path}.partial`;
  let handle: FileHandle;
  try {
    handle = await open(partial, 'wx', 0o600);
  } catch (cause) {
    throw new PosternError('file.unwritable', `cannot write ${partial}`, {
      cause,
      hint: 'does its folder exist, and is nothing of that name in it?',
    });
  }
  let bytes = 0;
  try {
    await fill(async (chunk) => {
      await handle.write(chunk);
      bytes += chunk.length;
    });
    await handle.datasync();
    await handle.close();
    await rename(partial, path);
  } catch (error) {
    await handle.close().catch(() => {});
    await rm(partial, { force: true });
    if (isPosternError(error)) throw error;
    throw new PosternError('file.unwritable', `cannot write ${path}`, {
      cause: error,
      hint: 'is the disk full?',
    });
  }
  return bytes;
}

interface ImportFlags extends CommonFlags {
  readonly replace: boolean;
  readonly check: boolean;
  readonly fromLine: number;
}

export const importCommand = buildCommand({
  docs: {
    brief: 'Bring LDIF into the embedded directory: entries, or change records',
    fullDescription: [
      'Goes piece by piece (250 records): a piece is carried out as a whole or not at all, and is on the disk before the next one is read. After an error nothing from the named line on has been imported: mend the file and go on with --from-line. Entries that are there with the same content are passed over, so a file of entries can also be imported again from its beginning.',
      '',
      'Entries get new entryUUIDs and times. Secrets are refused. On an edge, entries below cn=Accounts and cn=Sync are left alone; what is brought in by hand is put right by the next "sync run --full" of the hub.',
    ].join('\n'),
  },
  parameters: {
    flags: {
      ...common,
      replace: {
        kind: 'boolean',
        default: false,
        brief: 'Replace entries that are there with another content',
      },
      check: { kind: 'boolean', default: false, brief: 'Only read the file, and change nothing' },
      fromLine: {
        kind: 'parsed',
        parse: Number,
        default: '1',
        placeholder: 'N',
        brief: 'Begin at this line',
      },
    },
    aliases: commonAliases,
    positional: argument('FILE', 'LDIF (RFC 2849); - for standard input'),
  },
  func(this: Context, flags: ImportFlags, file: string) {
    return guarded(this, () =>
      withDirectory(this, directoryPlace(this, flags.config), async (target) => {
        const document = await importFile(this, target, flags, file);
        print(this, flags.json, document, () => importText(document, flags.check));
      }),
    );
  },
});

async function importFile(
  context: Context,
  { client, role, name }: DirectoryTarget,
  flags: ImportFlags,
  file: string,
): Promise<ImportDocument> {
  if (!Number.isSafeInteger(flags.fromLine) || flags.fromLine < 1)
    throw new PosternError('usage', '--from-line is the number of a line');
  const path = file === '-' ? undefined : resolve(context.cwd, file);
  const total = path === undefined ? undefined : await sizeOf(path);
  const input: AsyncIterable<Buffer> =
    path === undefined ? process.stdin : createReadStream(path, { highWaterMark: 1 << 18 });
  const progress = createProgress(context.process.stderr, flags.check ? 'reading' : 'importing');
  const cutter = new LdifCutter();
  const sum: { -readonly [K in keyof ImportCounts]: number } = {
    added: 0,
    replaced: 0,
    changed: 0,
    unchanged: 0,
    leftAlone: 0,
  };
  const records = (): number => Object.values(sum).reduce((all, count) => all + count, 0);
  const send = async (whole: LdifPiece): Promise<void> => {
    context.signal.throwIfAborted();
    const piece = fromLine(whole, flags.fromLine);
    if (piece === undefined) return;
    const counts = await sendPiece(client, piece, flags, records());
    for (const key of Object.keys(sum) as (keyof ImportCounts)[]) sum[key] += counts[key];
    progress.update(whole.offset, total, `bytes, ${formatCount(records())} records`);
  };
  try {
    for await (const chunk of input) for (const piece of cutter.push(chunk)) await send(piece);
    for (const piece of cutter.end()) await send(piece);
  } catch (error) {
    if (context.signal.aborted)
      throw new PosternError(
        'canceled',
        `stopped after ${formatCount(records())} records; those are imported`,
        {
          hint: 'the same command goes on where it stopped: entries that are there are passed over',
        },
      );
    if (isPosternError(error)) throw error;
    throw new PosternError('file.unreadable', `cannot read ${file}`, { cause: error });
  } finally {
    progress.end();
  }
  return { role, name, records: records(), ...sum };
}

async function sendPiece(
  client: ControlClient,
  piece: LdifPiece,
  { replace, check }: ImportFlags,
  before: number,
): Promise<ImportCounts> {
  const query = new URLSearchParams({
    line: String(piece.line),
    replace: String(replace),
    check: String(check),
  });
  try {
    return await client.upload<ImportCounts>(`${IMPORT_PATH}?${query.toString()}`, piece.bytes);
  } catch (error) {
    if (!isPosternError(error) || check) throw error;
    const where =
      before === 0 && piece.line === 1
        ? 'nothing has been imported'
        : `everything before line ${piece.line} is imported (${formatCount(before)} records), nothing from there on: mend the file, then --from-line ${piece.line}`;
    throw new PosternError(error.code, printable(error.message), {
      cause: error.cause,
      fields: { ...error.fields, importedBeforeLine: piece.line },
      hint: error.hint === undefined ? where : `${error.hint}; ${where}`,
    });
  }
}

/** What of a piece stands at or after a line; that line has to begin a record. */
function fromLine(piece: LdifPiece, line: number): LdifPiece | undefined {
  if (piece.nextLine <= line) return undefined;
  let { bytes } = piece;
  for (let at = piece.line; at < line; at++) bytes = bytes.subarray(bytes.indexOf(10) + 1);
  return { ...piece, bytes, line: Math.max(piece.line, line) };
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new PosternError(missing ? 'not-found' : 'file.unreadable', `cannot read ${path}`, {
      cause,
      hint: missing ? 'there is no such file' : 'may the user of this command read it?',
    });
  }
}

function importText(document: ImportDocument, check: boolean): string {
  if (check) return `${formatCount(document.records)} records, none of them malformed; nothing was changed`;
  const parts = [
    [document.added, 'added'],
    [document.replaced, 'replaced'],
    [document.changed, 'change records carried out'],
    [document.unchanged, 'were there already'],
    [document.leftAlone, 'left alone: the daemon writes them itself'],
  ] as const;
  const told = parts.filter(([count]) => count > 0).map(([count, what]) => `${formatCount(count)} ${what}`);
  return `${document.role} ${document.name}: ${formatCount(document.records)} records${told.length === 0 ? '' : `: ${told.join(', ')}`}`;
}
